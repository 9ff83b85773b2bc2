"""Read the past once a chunk, denoise the chunk, write it once: a network as live films use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from phonofilm.model.cache.layout import ChunkLayout
from phonofilm.model.cache.store import KEYS, VALUES, ChunkCache, ChunkKeys, joined
from phonofilm.model.chunks import chunk_numbers
from phonofilm.model.past import BlockPast, ChunkPast, PastKeys
from phonofilm.model.rope import Places, Rotary, rotate_
from phonofilm.model.transformer import AVTransformer
from phonofilm.types import Latents, Text


class Step(NamedTuple):
    """A chunk's situation: places of its tokens, and of those that it sees, for (video, audio)."""

    own: tuple[Places, Places]
    before: tuple[Places, Places]


@dataclass(frozen=True)
class CausalNetwork:
    """A transformer and all that its chunks need to know of time, computed once.

    A chunk goes `past = read(cache)`, any number of evaluations `network(..., places(cache), past=past)`, and one
    `write`. This equals one forward over the whole film whose attention is masked (tests/model).

    Attributes:
        steps: the situations a chunk can be in, see `ChunkLayout.step`.
    """

    network: AVTransformer
    layout: ChunkLayout
    steps: tuple[Step, ...]

    @staticmethod
    def of(network: AVTransformer, layout: ChunkLayout) -> CausalNetwork:
        """Compute all tables, in the precision (autocast included) in which this is called: call it as `forward`."""
        device = next(network.parameters()).device
        positions = layout.grid().positions(layout.stems)
        seconds = float(layout.seconds)
        video = chunk_numbers(positions.video[:, 0], seconds)
        audio = chunk_numbers(positions.audio[:, 0], seconds)
        whole, chunks = network.places(positions, device), (video, audio.repeat(len(layout.stems)))
        cut = [_step(whole, chunks, number) for number in range(layout.slots + 1)]
        if not layout.sinks:
            bounds = positions.video[:, 0, 0], np.tile(positions.audio[:, 0, 0], len(layout.stems))
            later = [torch.where(torch.from_numpy(at == 0), -1, own) for at, own in zip(bounds, chunks, strict=True)]
            cut.append(_step(whole, (later[0], later[1]), layout.slots, starts=False))
        return CausalNetwork(network, layout, tuple(cut))

    def start(self) -> ChunkCache:
        """The cache before the first chunk."""
        return ChunkCache(self.layout)

    def places(self, cache: ChunkCache) -> tuple[Places, Places]:
        """Places of the chunk that comes next, which `forward` takes as positions."""
        return self.steps[self.layout.step(cache.count)].own

    def read(self, cache: ChunkCache, batch: int, record: bool = False) -> ChunkPast:
        """What all blocks read of the past, with positions, and room for the next chunk of `batch` clips.

        The result is worked in by one forward at a time; the cache is not changed, by this or by a forward.
        """
        step = self.steps[self.layout.step(cache.count)]
        video, audio = step.before
        rotaries = video.alone, audio.alone, audio.exchange, video.exchange  # what is offered comes from the other
        kinds = {}
        for name, room, rotary in zip(ChunkKeys._fields, self._rooms(batch, step), rotaries, strict=True):
            whole, count = joined(cache.chunks, name, room)
            if count:
                rotate_(whole[:, KEYS, :, :count], rotary)
            kinds[name] = [PastKeys(one[KEYS], one[VALUES], count, [] if record else None) for one in whole]
        return self._by_block(kinds)

    def write(self, cache: ChunkCache, clean: Latents, sigma: Latents, text: Text, **options: Any) -> ChunkCache:
        """The cache after a chunk that is done, by one pass over it.

        Args:
            clean: latents of the chunk.
            sigma: their noise levels: 0, or a little above it if noise of that level was added.
            options: as of the network's `forward`.
        """
        some = clean.audio if clean.video is None else clean.video
        if some is None:
            raise ValueError("both streams are absent: give video latents, audio latents or both")
        past = self.read(cache, len(some), record=True)
        with torch.no_grad():
            self.network(clean, sigma, text, self.places(cache), past=past, **options)
        return cache.write(recorded(past))

    def _rooms(self, batch: int, step: Step) -> Iterator[Tensor]:
        """Shapes of what a chunk of `batch` clips has to add to each kind of keys, as tensors without contents."""
        config, dtype = self.network.config, step.own[0].space.dtype
        counts = [len(places.space) for places in step.own]
        device = step.own[0].space.device
        both = sum(map(min, config.present(config.video), config.present(config.audio)))

        def room(blocks: int, tokens: int, heads: int, width: int) -> Tensor:
            return torch.empty((), dtype=dtype, device=device).expand(blocks, 2, batch, tokens, heads, width)

        for stream, count in zip((config.video, config.audio), counts, strict=True):
            yield room(sum(config.present(stream)), count, stream.heads, stream.head_width)
        for count in reversed(counts):  # to_video comes from sound
            yield room(both, count, config.exchange_heads, config.exchange_head_width)

    def _by_block(self, kinds: dict[str, list[PastKeys]]) -> ChunkPast:
        config = self.network.config
        present = list(zip(config.present(config.video), config.present(config.audio), strict=True))
        left = {name: iter(rows) for name, rows in kinds.items()}

        def one(name: str, here: bool, both: bool) -> BlockPast | None:
            return BlockPast(next(left[name]), next(left[f"to_{name}"]) if both else None) if here else None

        video = tuple(one("video", v, v and a) for v, a in present)
        return ChunkPast(video, tuple(one("audio", a, v and a) for v, a in present))


def recorded(past: ChunkPast) -> ChunkKeys:
    """What a forward has left in a past that records."""

    def packed(rows: list[PastKeys]) -> Tensor | None:
        found = [one for row in rows for one in row.record or ()]
        return torch.stack([torch.stack([one.keys, one.values]) for one in found]) if found else None

    video, audio = ([block for block in blocks if block is not None] for blocks in past)
    exchanges = [[block.exchange for block in blocks if block.exchange is not None] for blocks in (video, audio)]
    return ChunkKeys(
        packed([block.alone for block in video]), packed([block.alone for block in audio]), *map(packed, exchanges)
    )


def _step(whole: tuple[Places, Places], chunks: tuple[Tensor, Tensor], number: int, starts: bool | None = None) -> Step:
    """The situation of a chunk, cut from a film's places.

    Args:
        chunks: the chunk of each token of both streams; -1 for what a film alone starts with, where it is not seen.
        starts: whether the chunk is the first of a film; None where the number says so.
    """
    own = [(numbers == number).nonzero().flatten() for numbers in chunks]
    before = [_in_order(numbers, number) for numbers in chunks]
    starts = number == 0 if starts is None else starts
    here = [
        _cut(places, mine, torch.cat([past, theirs]), starts)
        for places, mine, past, theirs in zip(whole, own, before[::-1], own[::-1], strict=True)
    ]
    there = [_cut(places, past, past[:0], False) for places, past in zip(whole, before, strict=True)]
    return Step((here[0], here[1]), (there[0], there[1]))


def _in_order(chunks: Tensor, number: int) -> Tensor:
    """Tokens of the chunks from 0 to before `number`, ordered chunk, stem, time."""
    found = ((chunks >= 0) & (chunks < number)).nonzero().flatten()
    return found[chunks[found].argsort(stable=True)]


def _cut(places: Places, own: Tensor, others: Tensor, starts: bool) -> Places:
    """Some tokens of a stream, and of the other stream those that they ask."""
    bias, device = places.exchange_bias, places.space.device
    own, others = own.to(device), others.to(device)
    alone, exchange = (Rotary(table.cos[own], table.sin[own]) for table in (places.alone, places.exchange))
    between = None if bias is None else bias[..., own, :][..., others].contiguous()
    return Places(alone, exchange, places.space[own], places.stems, exchange_bias=between, starts=starts)
