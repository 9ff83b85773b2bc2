"""A model of ours as a source of chunks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch

from phonofilm.backends.canvas.finite import check_finite, checked
from phonofilm.backends.parts import Parts
from phonofilm.checkpoint import read_metadata
from phonofilm.choices import SamplerName
from phonofilm.codecs.running import RunningDecoder
from phonofilm.config import from_dict, parse_json, to_dict
from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError
from phonofilm.model.block import TextCache
from phonofilm.model.cache import CausalNetwork, ChunkCache, ChunkLayout
from phonofilm.model.cache.causal import recorded
from phonofilm.model.past import ChunkPast
from phonofilm.precision import native_bfloat16
from phonofilm.sampling import (
    SAMPLERS,
    Denoise,
    Denoiser,
    Guidance,
    Guided,
    Student,
    draw_noise,
    flow_sigmas,
    steps_for,
    texts_of,
)
from phonofilm.streaming.native.ahead import Ahead
from phonofilm.streaming.native.options import LiveOptions
from phonofilm.streaming.native.state import NativeState, pack, unpack
from phonofilm.streaming.source import LiveChunk, LiveFormat
from phonofilm.types import Latents, Text
from phonofilm.weights import locate
from phonofilm.workers import cores

REMEMBERED = 8
"""Prompts whose keys and values are kept."""
VISIBLE = Fraction(4)
"""Seconds that a chunk sees, itself included, unless said otherwise; a model must have been trained on as many."""


class Told(NamedTuple):
    """A prompt as the network reads it."""

    text: Text
    negative: Text
    cache: TextCache | None


@dataclass(frozen=True, eq=False)
class NativeSource:
    """See `LiveSource`. Made by `load`; states are values, and the source itself keeps nothing but read prompts.

    Attributes:
        name: of the model.
        dtype: what the transformer and the picture's decoder compute in; sound is always float32.
        ahead: makes the next chunk in a second thread while one is decoded; None for one thread.
    """

    name: str
    parts: Parts
    causal: CausalNetwork
    decoder: RunningDecoder
    device: torch.device
    dtype: torch.dtype
    ahead: Ahead | None = None
    told: OrderedDict[tuple[str, LiveOptions], Told] = field(default_factory=OrderedDict, repr=False)
    lock: Lock = field(default_factory=Lock, repr=False)

    @staticmethod
    def load(
        model: str | Path,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        chunk: Fraction | None = None,
        sinks: int = 1,
        window: int | None = None,
        overlap: bool = False,
    ) -> NativeSource:
        """Read all parts of a model.

        Args:
            dtype: None takes bfloat16 where the device multiplies it in hardware, else float32.
            chunk: seconds; None takes those that the model was trained on.
            sinks: how many of the first chunks every later one sees.
            window: how many chunks are seen beside them, the one at work included; None for 4 s in all.
            overlap: make the next chunk, as if the prompt stayed, in a second thread while one is decoded. Films are
                the same; it pays where torch leaves a core free (`torch.set_num_threads`).

        Raises:
            PhonofilmError: no such model, weights that do not belong together, a model that was not trained on chunks
                of time (unless `chunk` is given), or chunks that its codecs cannot cut.
        """
        place = pick_device(device)
        parts = Parts.load(model, place)
        trained = parts.trained
        seconds = chunk or _trained_chunk(model)
        if seconds is None:
            raise PhonofilmError(
                f"{Path(model).name} does not stream: it was not trained on chunks of time; choose another --model "
                f"(fake shows flashes and beeps)"
            )
        kind = dtype or (torch.bfloat16 if native_bfloat16(place) else torch.float32)
        window = window or max(1, int(min(VISIBLE, trained.seconds) / seconds) - sinks)
        stems = tuple(range(max(1, len(trained.stems))))
        try:
            layout = ChunkLayout(trained.size, trained.fps, trained.geometry, seconds, sinks, window, stems)
        except ValueError as error:
            raise PhonofilmError(f"{Path(model).name}: {error}") from error
        parts.transformer.to(kind)  # autocast would convert the weights at every evaluation
        causal = CausalNetwork.of(parts.transformer, layout)
        decoder = RunningDecoder(parts.video_vae, parts.audio_vae, parts.vocoder, trained.fps, kind)
        return NativeSource(Path(model).name, parts, causal, decoder, place, kind, Ahead() if overlap else None)

    @property
    def format(self) -> LiveFormat:
        trained, layout = self.parts.trained, self.causal.layout
        rate, stems = trained.geometry.sample_rate, trained.stems or ("mix",)
        return LiveFormat(*trained.size, trained.fps, rate, 2, tuple(stems), layout.frames, layout.samples)

    @property
    def model(self) -> Mapping[str, str]:
        return {"model": self.name, "weights": self.parts.weights}

    def begin(self, prompt: str, seed: int, options: Mapping[str, Any]) -> NativeState:
        """See `LiveSource.begin`; the options are those of `LiveOptions`."""
        chosen = from_dict(LiveOptions, options)
        self._check(prompt)
        self.parts.text.check(chosen.negative)
        if self.parts.trained.student and chosen.sampler not in (None, "euler"):
            raise PhonofilmError(f"{self.name} takes a whole step at each evaluation; omit the sampler")
        return NativeState(seed, chosen, "", self.causal.start())

    def next(self, state: NativeState, prompt: str) -> tuple[NativeState, LiveChunk]:
        """See `LiveSource.next`.

        Raises:
            PhonofilmError: a prompt that is empty or too long, or a model that makes what is not finite.
        """
        if self.ahead is None:
            return self.show(*self.make(state, prompt))
        return self.show(*self.ahead.make(self.make, state, prompt))

    @torch.inference_mode()
    def make(self, state: NativeState, prompt: str) -> tuple[NativeState, Latents]:
        """The next chunk's latents, and the state after them, whose decoders are still before them."""
        self._check(prompt)
        told = self._told(prompt, state.options)
        if state.prompt != prompt:
            state = replace(self._refreshed(state, told), prompt=prompt)
        cache, number = state.cache, state.cache.count
        noise = self._noise(state.seed, number)
        sampler, sigmas = self._schedule(state.options)
        denoise = self._steered(told, state.options, cache, self.causal.read(cache, self._passes(state.options)))
        latents = checked(SAMPLERS[sampler](denoise, noise, sigmas))
        after = self._written(told, state.options, cache, latents)
        held = dict(zip((*self.causal.layout.visible(number), number), (*state.latents, latents), strict=True))
        kept = tuple(held[one] for one in self.causal.layout.visible(number + 1))
        return replace(state, cache=after, latents=kept), latents

    @torch.inference_mode()
    def show(self, state: NativeState, latents: Latents) -> tuple[NativeState, LiveChunk]:
        """What `make` made last as picture and sound, and the state after that; of the state only decoders change."""
        done = state.decoder.done if state.decoder else 0
        frames, sound, decoder = self.decoder.decode(latents, state.decoder)
        check_finite(sound, "sound")
        fmt = self.format
        stems = dict(zip(fmt.stems, sound if len(sound) > 1 else sound.clip(-1, 1), strict=True))
        chunk = LiveChunk(state.cache.count - 1, done / fmt.fps, frames, stems, state.prompt)
        return replace(state, decoder=decoder), chunk

    def state_tensors(self, state: NativeState) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `LiveSource.state_tensors`."""
        arrays: dict[str, np.ndarray] = {}
        facts = {"seed": state.seed, "options": to_dict(state.options), "prompt": state.prompt}
        facts |= {"count": state.cache.count, "window": [state.cache.layout.sinks, state.cache.layout.window]}
        return arrays, {**facts, "parts": pack(state.parts, arrays)}

    def state_from(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> NativeState:
        """See `LiveSource.state_from`."""
        layout = self.causal.layout
        if facts.get("window") != [layout.sinks, layout.window]:
            raise PhonofilmError(
                f"the saved film sees {facts.get('window')} sinks and chunks, and this source "
                f"{[layout.sinks, layout.window]}: give the same, or begin a new film"
            )
        try:
            options, count = from_dict(LiveOptions, facts["options"]), int(facts["count"])
            chunks, latents, decoder = unpack(facts["parts"], tensors, self.device)
            seed, prompt = int(facts["seed"]), str(facts["prompt"])
        except (KeyError, TypeError, ValueError) as error:
            raise PhonofilmError(f"the saved state is damaged ({error!r}); begin a new film") from error
        cache = ChunkCache(layout, chunks, count)
        return NativeState(seed, options, prompt, cache, tuple(Latents(*one) for one in latents), decoder)

    def _check(self, prompt: str) -> None:
        if not prompt.strip():
            raise PhonofilmError("the prompt is empty: say what is seen and heard")
        self.parts.text.check(prompt)

    def _schedule(self, options: LiveOptions) -> tuple[SamplerName, torch.Tensor]:
        trained = self.parts.trained
        sampler = options.sampler or trained.sampler
        return sampler, flow_sigmas(steps_for(sampler, options.steps or trained.steps), trained.shift)

    def _guidance(self, options: LiveOptions) -> Guidance:
        return options.guidance_of(self.parts.trained)

    def _passes(self, options: LiveOptions) -> int:
        """Rows of a batch: a student does with one what guidance needs several for."""
        return 1 if self.parts.trained.student else self._guidance(options).evaluations

    def _noise(self, seed: int, number: int) -> Latents:
        """Each stem has its own, whatever others there are."""
        config, (picture, (stems, length)) = self.parts.transformer.config, self.causal.layout.shapes(number)
        video = draw_noise((config.video.channels, *picture), [seed], f"live video {number}")
        sounds = [
            draw_noise((1, config.audio.channels, length), [seed], f"live audio {number} stem {stem}")
            for stem in range(stems)
        ]
        return Latents(video.to(self.device), torch.cat(sounds, 1).to(self.device))

    def _told(self, prompt: str, options: LiveOptions) -> Told:
        """The prompt's keys and values, which no chunk changes."""
        key = (prompt, options)
        with self.lock:  # two threads may ask
            if key not in self.told:
                self.told[key] = self._read(prompt, options)
            self.told.move_to_end(key)
            while len(self.told) > REMEMBERED:
                self.told.popitem(last=False)
            return self.told[key]

    def _read(self, prompt: str, options: LiveOptions) -> Told:
        text, negative = (self.parts.text.encode([one]) for one in (prompt, options.negative))
        network, student = self.parts.transformer, self.parts.trained.student
        texts = text if student else texts_of(self._guidance(options), text, negative)[0]
        return Told(text, negative, None if network.config.text_modulation else network.text_cache(texts))

    def _steered(self, told: Told, options: LiveOptions, cache: ChunkCache, past: ChunkPast) -> Denoise:
        """The denoiser of the chunk after a cache, with its prompt and its guidance."""
        trained, places = self.parts.trained, self.causal.places(cache)
        denoiser = Denoiser(self.parts.transformer, trained.prediction)
        if trained.student:
            sigmas = tuple(self._schedule(options)[1].tolist())
            extra = {"past": past, "cache": told.cache}
            return Student(denoiser, told.text, places, sigmas, self._guidance(options), options=extra)
        return Guided(
            denoiser, told.text, told.negative, places, self._guidance(options), {"past": past}, cache=told.cache
        )

    def _written(self, told: Told, options: LiveOptions, cache: ChunkCache, latents: Latents) -> ChunkCache:
        """The cache after a chunk: one pass, of all that guidance asks for, over what is now clean."""
        past = self.causal.read(cache, self._passes(options), record=True)
        nothing = latents.map(lambda x: torch.zeros((1,) * x.ndim, device=x.device))
        self._steered(told, options, cache, past)(latents, nothing)
        return cache.write(recorded(past))

    def _refreshed(self, state: NativeState, told: Told) -> NativeState:
        """The visible past as it is with another prompt; where its first chunk is not in sight it stays as it is."""
        layout = self.causal.layout
        if not (state.options.refresh and state.latents and layout.sinks):
            return state
        cache = self.causal.start()
        for latents in state.latents:
            cache = self._written(told, state.options, cache, latents)
        return replace(state, cache=ChunkCache(layout, cache.chunks, state.cache.count))


def open_native(model: str, device: str = "auto", size: tuple[int, int] | None = None) -> NativeSource:
    """A source as commands open it: where there are cores enough, torch leaves one to what is made ahead.

    Raises:
        PhonofilmError: as `NativeSource.load`, or another size than that of the model.
    """
    count = cores()
    source = NativeSource.load(model, device, overlap=count > 1)
    if size not in (None, (own := source.parts.trained.size)):
        raise PhonofilmError(f"{source.name} streams in {own[0]}x{own[1]}; leave out --size")
    if source.device.type == "cpu" and count > 1:
        torch.set_num_threads(max(1, count // 2))
    return source


def _trained_chunk(model: str | Path) -> Fraction | None:
    """Seconds of the chunks that a model was trained on, if it was."""
    recipe = parse_json(read_metadata(locate(model) / "transformer.safetensors").get("recipe", "{}"))
    chunks = recipe.get("chunks", {}) if isinstance(recipe, dict) else {}
    return Fraction(str(chunks["seconds"])) if chunks.get("share", 0) > 0 else None
