"""Cached equals masked: a film chunk by chunk is what one forward over all of it gives, whose attention is masked."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phonofilm.model import PRESETS, AVTransformer, StreamConfig, TransformerConfig
from phonofilm.model.cache import CausalNetwork, ChunkCache, ChunkLayout
from phonofilm.model.chunks import MASKED, chunk_numbers
from phonofilm.model.rope import Places, Rotary
from phonofilm.types import Geometry, Grid, Latents, Positions, Text

NANO = Geometry(2, 8, (2, 4, 4), 24_000, 250, 8, 4)
LTX = Geometry(8, 32, (1, 1, 1), 16_000, 160, 4, 1)
SEEN = {"nano": (NANO, (64, 32), Fraction(1, 2)), "ltx2": (LTX, (64, 32), Fraction(1))}


def exact_rotary(bounds, extent, heads, head_width, base, device="cpu", dtype=torch.float64) -> Rotary:
    """`rotary` with angles in float64: those of float32 differ between places that are equally far apart."""
    half, axes = heads * head_width // 2, bounds.shape[1]
    place = torch.from_numpy(bounds).mean(-1) / torch.tensor(extent, dtype=torch.float64) * 2 - 1
    frequency = base ** torch.linspace(0, 1, half // axes, dtype=torch.float64) * (math.pi / 2)
    angle = (place.unsqueeze(1) * frequency.unsqueeze(1)).flatten(1)
    angle = torch.nn.functional.pad(angle, (half - axes * (half // axes), 0)).unflatten(1, (heads, -1))
    return Rotary(angle.cos().to(dtype), angle.sin().to(dtype))


def config_of(kind: str, stems: int) -> TransformerConfig:
    """Tiny networks with the choices of a preset, and what later ones add."""
    if kind == "ltx2":
        base = PRESETS["ltx2"]
        one = {"channels": 8, "width": 48, "heads": 2, "text_heads": 2, "text_width": 24}
        video = StreamConfig(**one, layers=2, patch=(1, 1, 1), extent=(20.0, 2048.0, 2048.0))
        audio = StreamConfig(**one, layers=2, patch=(1,), extent=(20.0,), stems=stems)
        return replace(base, video=video, audio=audio, exchange_heads=2, exchange_head_width=12)
    nano = PRESETS["nano"]
    small = {"heads": 2, "text_heads": 1, "text_width": 24}
    video = replace(
        nano.video,
        **small,
        width=48,
        layers=4,
        patch=(2, 4, 4),
        entry=(4, 4, 4),
        detail=(2, 8),
        estimates=True,
        local=(6, 2),
    )
    audio = replace(nano.audio, **small, channels=8, width=32, layers=2, stems=stems, estimates=True)
    return replace(nano, video=video, audio=audio, exchange_head_width=12, exchange_slopes=(9.0, 0.0))


class Film:
    """Clean chunks, one noisy version of each, and the network that is told of them."""

    def __init__(self, kind: str, shake, count: int, sinks: int, window: int, stems: int, dtype=torch.float64, seed=0):
        geometry, size, seconds = SEEN[kind]
        self.layout = ChunkLayout(size, Fraction(24), geometry, seconds, sinks, window, tuple(range(stems)))
        self.network = shake(AVTransformer(config_of(kind, stems))).to(dtype)
        self.generator = torch.Generator().manual_seed(seed)
        self.count = count
        self.clean, self.noisy = ([self.draw(k, dtype) for k in range(count)] for _ in range(2))
        levels = torch.rand(count, 2, generator=self.generator).to(dtype)
        self.levels = [Latents(v.expand(2, 1, 1, 1, 1), a.expand(2, 1, 1, 1)) for v, a in levels]
        self.zero = Latents(torch.zeros(2, 1, 1, 1, 1, dtype=dtype), torch.zeros(2, 1, 1, 1, dtype=dtype))
        mask = torch.ones(2, 5, dtype=torch.bool)
        mask[1, 3:] = False
        self.text = Text(torch.randn(2, 5, 24, generator=self.generator).to(dtype), mask)
        self.exchange = torch.tensor([True, False])

    def draw(self, number: int, dtype: torch.dtype) -> Latents:
        picture, sound = self.layout.shapes(number)
        video = torch.randn(2, 8, *picture, generator=self.generator)
        audio = torch.randn(2, sound[0], 8, sound[1], generator=self.generator)
        return Latents(video.to(dtype), audio.to(dtype))

    def cached(self) -> list[Latents]:
        """What the network says of each noisy chunk, after the clean ones before it."""
        causal = CausalNetwork.of(self.network, self.layout)
        cache, found = causal.start(), []
        for k in range(self.count):
            found.append(self.denoised(causal, cache, k))
            cache = causal.write(cache, self.clean[k], self.zero, self.text, exchange=self.exchange)
        return found

    def denoised(self, causal: CausalNetwork, cache: ChunkCache, k: int) -> Latents:
        with torch.no_grad():
            return self.network(
                self.noisy[k], self.levels[k], self.text, causal.places(cache), past=causal.read(cache, 2),
                exchange=self.exchange,
            )  # fmt: skip

    def masked(self, last: int) -> Latents:
        """The same of chunk `last` alone, from one forward without a cache."""
        whole = Masked(self.layout, last)
        latents = whole.joined([*self.clean[:last], self.noisy[last]])
        level = self.levels[last].map(lambda value, x: value.expand(-1, 1, *x.shape[2:]) if x.ndim == 5 else
                                      value.expand(-1, x.shape[1], 1, x.shape[-1]), self.noisy[last])  # fmt: skip
        past = [one.map(lambda x: torch.zeros_like(x[:, :1] if x.ndim == 5 else x[:, :, :1])) for one in self.clean]
        sigma = whole.joined([*past[:last], level])
        with torch.no_grad():
            out = self.network(latents, sigma, self.text, whole.places(self.network), exchange=self.exchange)
        return whole.last(out)


class Masked:
    """All chunks up to `last` in one sequence, and a mask that hides what a chunk does not see.

    Sinks seem to lie elsewhere for chunks whose window has moved on: for each of those the sequence has a copy of the
    sinks, at that place, which sees itself and is seen by that chunk alone.
    """

    def __init__(self, layout: ChunkLayout, last: int):
        self.layout, self.count = layout, last + 1
        moved = [q for q in range(self.count) if min(layout.sinks, q) and q - layout.window + 1 > layout.sinks]
        self.copies = moved if layout.sinks else []

    def joined(self, chunks: list[Latents]) -> Latents:
        fill = self.layout.geometry.patch[0] - 1

        def along(parts: list[torch.Tensor], axis: int) -> torch.Tensor:
            empty = [torch.zeros_like(parts[0].narrow(axis, 0, 1))] * (fill if axis == 2 else 0)
            copy = parts[: self.layout.sinks]
            return torch.cat([*parts, *(x for _ in self.copies for x in (*empty, *copy))], axis)

        return Latents(along([one.video for one in chunks], 2), along([one.audio for one in chunks], 3))

    def last(self, made: Latents) -> Latents:
        layout, first = self.layout, int(self.count > 1)
        start = (self.count - 1) * layout.video_steps + first, (self.count - 1) * layout.audio_steps + first
        picture, sound = layout.shapes(self.count - 1)
        return Latents(made.video.narrow(2, start[0], picture[0]), made.audio.narrow(3, start[1], sound[1]))

    def places(self, network: AVTransformer) -> tuple[Places, Places]:
        layout, seconds = self.layout, float(self.layout.seconds)
        width, height = layout.size
        grid = Grid(1 + layout.frames * self.count, height, width, layout.fps, layout.geometry)
        natural = grid.positions()
        bounds, owners, chunks = [], [], []
        for own in (natural.video, natural.audio):
            numbers = chunk_numbers(own[:, 0], seconds).numpy()
            own, numbers = own[numbers < self.count], numbers[numbers < self.count]
            copied, theirs = own[numbers < layout.sinks], numbers[numbers < layout.sinks]
            places, owner = [own], [np.full(len(own), -1)]
            for q in self.copies:
                shifted = copied.copy()
                shifted[:, 0] += (q - layout.slots) * seconds
                places.append(shifted)
                owner.append(np.full(len(copied), q))
            bounds.append(np.concatenate(places))
            owners.append(np.concatenate(owner))
            chunks.append(np.concatenate([numbers, *(theirs for _ in self.copies)]))
        positions = Positions(bounds[0], bounds[1], layout.stems)
        video, audio = network.places(positions)
        stems = len(layout.stems)
        told = [(owners[0], chunks[0]), (np.tile(owners[1], stems), np.tile(chunks[1], stems))]
        return self.hidden(video, told[0], told[1]), self.hidden(audio, told[1], told[0])

    def hidden(self, places: Places, mine: tuple, others: tuple) -> Places:
        dtype = places.space.dtype
        between = self.bias(mine, others, dtype)
        if places.exchange_bias is not None:
            between = places.exchange_bias + between
        owner, chunk = mine
        groups = np.where(owner < 0, chunk, self.count + (owner + 1) * self.layout.sinks + chunk)
        return places._replace(
            alone_bias=self.bias(mine, mine, dtype), exchange_bias=between, chunks=torch.from_numpy(groups)
        )

    def bias(self, mine: tuple, others: tuple, dtype: torch.dtype) -> torch.Tensor:
        out = np.full((len(mine[0]), len(others[0])), MASKED)
        for i, (owner, chunk) in enumerate(zip(*mine, strict=True)):
            theirs, numbers = others
            if owner < 0:
                seen = np.isin(numbers, [*self.layout.visible(chunk), chunk]) & (theirs < 0)
                if chunk in self.copies:
                    seen = (seen & (numbers >= self.layout.sinks)) | (theirs == chunk)
            else:
                seen = (theirs == owner) & (numbers <= chunk)
            out[i, seen] = 0
        return torch.from_numpy(out).to(dtype)


def assert_equal(found: Latents, expected: Latents, tolerance: float) -> None:
    for name in ("video", "audio"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance)


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["nano", "ltx2"]), count=st.integers(1, 5), sinks=st.integers(0, 2), window=st.integers(1, 4),
    stems=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_cached_equals_masked(kind, count, sinks, window, stems, seed):
    from conftest import shaken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phonofilm.model.transformer.rotary", exact_rotary)
        film = Film(kind, shaken, count, sinks, window, stems, seed=seed)
        assert_equal(film.cached()[-1], film.masked(count - 1), 1e-9)


@pytest.mark.parametrize("kind", ["nano", "ltx2"])
def test_cached_equals_masked_in_float32(kind, shake, monkeypatch):
    if kind == "ltx2":  # its own tables round angles of 15,700 radians to a thousandth
        monkeypatch.setattr("phonofilm.model.transformer.rotary", exact_rotary)
    film = Film(kind, shake, 9, 1, 3, 2, torch.float32)
    found = film.cached()
    assert found[8].video.abs().max() > 0.05
    for number in (2, 5, 8):
        assert_equal(found[number], film.masked(number), 1e-4)


def test_nothing_older_than_the_window_is_read(shake):
    """Broken numbers in the chunks that are let go change nothing; in a sink or in the window they are seen."""
    film = Film("nano", shake, 7, 1, 3, 2)
    causal = CausalNetwork.of(film.network, film.layout)
    caches = [causal.start()]
    for clean in film.clean:
        caches.append(causal.write(caches[-1], clean, film.zero, film.text))
    expected = film.denoised(causal, caches[6], 6)
    keys = {number: caches[number + 1].chunks[-1] for number in range(6)}
    for number in range(6):
        before = [part.clone() for part in keys[number]]
        for part in keys[number]:
            part.fill_(torch.nan)
        found = film.denoised(causal, caches[6], 6)
        if number in (0, 4, 5):
            assert not found.video.isfinite().any()
            assert not found.audio.isfinite().any()
        else:
            assert torch.equal(found.video, expected.video)
            assert torch.equal(found.audio, expected.audio)
        for part, old in zip(keys[number], before, strict=True):
            part.copy_(old)


@pytest.mark.parametrize(("sinks", "window"), [(0, 1), (0, 3), (1, 1), (1, 3), (2, 4)])
def test_a_cache_is_a_value_of_flat_size(sinks, window, shake):
    """Reading and writing leave a cache as it is; what is written to a copy of an old one goes another way."""
    film = Film("nano", shake, 12, sinks, window, 1)
    causal = CausalNetwork.of(film.network, film.layout)
    caches = [causal.start()]
    for clean in film.clean[:8]:
        caches.append(causal.write(caches[-1], clean, film.zero, film.text))
    third = film.denoised(causal, caches[3], 3)
    for k in range(8, 12):
        caches.append(causal.write(caches[-1], film.clean[k], film.zero, film.text))
    again = film.denoised(causal, caches[3], 3)
    assert torch.equal(third.video, again.video)
    assert torch.equal(third.audio, again.audio)
    steady = sinks + window + 1
    assert {cache.bytes for cache in caches[steady:]} == {caches[-1].bytes}
    assert [len(cache.chunks) for cache in caches] == [min(k, sinks + window - 1) for k in range(13)]


def test_a_gate_follows_the_noise_of_the_other_stream_in_its_own_chunk(shake):
    film = Film("nano", shake, 2, 1, 3, 1)
    causal = CausalNetwork.of(film.network, film.layout)
    cache = causal.write(causal.start(), film.clean[0], film.zero, film.text)
    film.levels[1] = Latents(film.levels[1].video, film.zero.audio)
    quiet = film.denoised(causal, cache, 1)
    film.levels[1] = Latents(film.levels[1].video, film.zero.audio + 0.9)
    assert (film.denoised(causal, cache, 1).video - quiet.video).abs().max() > 1e-4


def test_gradients_flow_through_a_chunk_and_not_into_the_past(shake):
    film = Film("nano", shake, 2, 1, 3, 2)
    causal = CausalNetwork.of(film.network, film.layout)
    cache = causal.write(causal.start(), film.clean[0], film.zero, film.text)
    expected = film.denoised(causal, cache, 1)
    film.noisy[1].video.requires_grad_()
    places, past = causal.places(cache), causal.read(cache, 2)
    found = film.network(film.noisy[1], film.levels[1], film.text, places, past=past, exchange=film.exchange)
    assert_equal(found, expected, 1e-9)
    found.video.square().mean().backward()
    assert film.noisy[1].video.grad.abs().max() > 0


@pytest.mark.parametrize("preset", ["ltx2", "ltx2_3"])
def test_published_widths_have_the_shapes_of_their_chunks(preset):
    """Without contents, and two of the blocks."""
    layout, config = ChunkLayout((768, 512), Fraction(24), LTX, Fraction(1), 1, 2), PRESETS[preset]
    config = replace(config, video=replace(config.video, layers=2), audio=replace(config.audio, layers=2))
    with torch.device("meta"):
        network = AVTransformer(config).to(torch.bfloat16)
        texts = [torch.empty(1, 7, stream.text_width, dtype=torch.bfloat16) for stream in (config.video, config.audio)]
        zero = Latents(torch.empty(1, 1, 1, 1, 1), torch.empty(1, 1, 1, 1))
        mask = torch.empty(1, 7, dtype=torch.bool)
    causal = CausalNetwork.of(network, layout)
    cache = causal.start()
    for number in range(4):
        picture, sound = layout.shapes(number)
        latents = Latents(*(torch.empty(shape, device="meta") for shape in ((1, 128, *picture), (1, 1, 128, sound[1]))))
        cache = causal.write(cache, latents, zero, Text(texts[0], mask), audio_text=Text(texts[1], mask))
    assert [chunk.video.shape for chunk in cache.chunks] == [(2, 2, 1, n * 16 * 24, 32, 128) for n in (4, 3)]
    assert cache.chunks[-1].to_video.shape == (2, 2, 1, 25, 32, 64)
    assert cache.chunks[-1].to_audio.shape == (2, 2, 1, 3 * 16 * 24, 32, 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": Fraction(1, 5)}, "whole numbers"),
        ({"seconds": Fraction(1, 24)}, "whole numbers"),
        ({"window": 0}, "a window from 1 up"),
        ({"sinks": -1}, "sinks from 0"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        ChunkLayout(**{"size": (64, 64), "fps": Fraction(24), "geometry": NANO, **change})
