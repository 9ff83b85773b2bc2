"""Our own models: text, noise, one loop, two decoders. Every task goes through the same few lines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.base import Cancel, JobContext
from phonofilm.backends.canvas.canvas import KEEP, MAKE
from phonofilm.backends.canvas.control import check_heard, check_within
from phonofilm.backends.canvas.finite import check_finite, checked
from phonofilm.backends.canvas.given import given_of, noise_of
from phonofilm.backends.canvas.layout import Job, deliver, work_out
from phonofilm.backends.canvas.loop import Made, Part, make_windows
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.windows import Window
from phonofilm.backends.controls import NO_CONTROLS, Controls
from phonofilm.backends.familiar import NEAR, Familiar, far_picture, out_of_domain_message, reconstruction_error
from phonofilm.backends.levels import HIGH, DenoisedByLevel
from phonofilm.backends.parts import Parts
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.published.planning.memory import available
from phonofilm.backends.requests import as_request, check
from phonofilm.choices import Stem
from phonofilm.codecs.common.mel import log_mel
from phonofilm.codecs.pixels import from_frames, to_frames
from phonofilm.codecs.tiling import decode_tiled
from phonofilm.control.lora.files import Lora
from phonofilm.control.lora.merge import Merged
from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError
from phonofilm.model.block import TextCache
from phonofilm.precision import native_bfloat16
from phonofilm.sampling import (
    SAMPLERS,
    Denoise,
    Denoiser,
    Given,
    Guided,
    Student,
    Watch,
    flow_sigmas,
    steps_for,
    texts_of,
)
from phonofilm.types import Clip, Latents, Positions, Progress, Request, Text
from phonofilm.weights import EMBEDDED

CACHE_SHARE = 0.05
"""Of the free memory: as much may the prompts' keys and values take."""

Prompts = tuple[Text, Text | None]
"""What picture and sound are told, or both where the second is None."""


@dataclass(frozen=True)
class NativeBackend:
    """A dual-stream model with its codecs and its text encoder, ready to work; made by `load`.

    Attributes:
        name: the model's name, or that of its folder, as results give it.
        parts: the networks, and what their weights say of their training.
        device: where they are.
        dtype: what the transformer and the video codec compute in; float32, or bfloat16 by autocast. Sound is always
            float32.
        heeds: whether it looks at prompts and pictures for what it does not know, to say so.
        merged: the adapters in the transformer's weights; None before there were any.
        controls: the control modules that are attached to the transformer.
    """

    name: str
    parts: Parts
    device: torch.device
    dtype: torch.dtype = torch.float32
    heeds: bool = True
    merged: Merged | None = None
    controls: Controls = NO_CONTROLS

    @staticmethod
    def load(
        model: str | Path = "nano",
        device: str = "auto",
        dtype: torch.dtype | None = None,
        loras: Sequence[str] = (),
        boundary: float | None = None,
        adapters: Sequence[str] = (),
    ) -> NativeBackend:
        """Read all parts of a model.

        Args:
            boundary: of a model with two experts by noise level, another than its own (see `backends.levels`).
            adapters: files of control modules, which hear hits, a sound to follow, or the picture.
            loras: adapters that are merged into the transformer, each FILE or FILE:STRENGTH.
            dtype: None takes bfloat16 where the device multiplies it in hardware, as in training, else float32.

        Raises:
            PhonofilmError: no such model or device, or weights that are missing, corrupt, of another
                network, or that do not belong together.
        """
        place = pick_device(device)
        fast = torch.bfloat16 if native_bfloat16(place) else torch.float32
        parsed = [Lora.parse(text) for text in loras]  # a file that is not there is found before weights are read
        parts = Parts.load(model, place, boundary)
        controls = Controls.load(adapters, parts.transformer)
        parts = replace(parts, weights=controls.named(parts.weights))
        backend = NativeBackend(Path(model).name, parts, place, dtype or fast, controls=controls)
        return backend._with(parsed) if parsed else backend

    def with_loras(self, loras: Sequence[str]) -> NativeBackend:
        """The same loaded model with these adapters, each FILE or FILE:STRENGTH, and no others.

        The weights are changed where they are, and are to the bit what they were once no adapter is left: this
        backend must not be used any more.

        Raises:
            PhonofilmError: a file that is no LoRA, or one for another network; the weights are then as they were.
        """
        return self._with([Lora.parse(text) for text in loras])

    def _with(self, loras: Sequence[Lora]) -> NativeBackend:
        if loras and self.parts.levels is not None:
            raise PhonofilmError(f"{self.name} has two experts by noise level, which take no LoRA; omit --lora")
        merged = self.merged or Merged(self.parts.transformer, self.parts.weights)
        merged.swap(loras)
        return replace(self, parts=replace(self.parts, weights=merged.digest), merged=merged)

    @property
    def window(self) -> Window:
        """What it looks at in one go; see `backends.streamed`."""
        return self.parts.trained.window

    @property
    def fingerprint(self) -> str:
        """The hash of its weights and of the adapters in them."""
        return self.parts.weights

    @property
    def unheeding(self) -> NativeBackend:
        """The same model for the later windows of a film, whose first window has been looked at; see
        `backends.streamed`."""
        return replace(self, heeds=False)

    @property
    def stems(self) -> tuple[Stem, ...]:
        """The kinds of sound that it keeps apart; none where it makes one mix."""
        return self.parts.trained.stems

    def check(self, request: Request) -> None:
        """See `Backend.check`: the prompt's length, the memory for the clip, the guidance."""
        check(request)
        check_heard(request, self.controls.heard)
        for prompt in (request.prompt, request.negative, request.effects, request.music):
            self.parts.text.check(prompt)
        trained = self.parts.trained.asked(request)
        trained.guidance_of(request)
        trained.sampler_of(request)
        check_within(request, float(work_out(request, trained).seconds))

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`.

        The tasks differ in what of the canvas is given. A given position has noise level 0 throughout;
        a picture or a sound that is given whole is a frozen stream; one that is absent is None.
        """
        request = as_request(request, {**fields, "model": self.name}, self.controls.heard)
        monitor = JobContext(progress, cancel)
        monitor("text", 0, 1)
        text, negative = (self.parts.text.encode([prompt]) for prompt in (request.prompt, request.negative))
        trained = self.parts.trained.asked(request)
        denoiser = Denoiser(self.parts.network, trained.prediction)
        sampler, evaluations = trained.sampler_of(request), request.steps or trained.steps
        sigmas = flow_sigmas(steps_for(sampler, evaluations), trained.shift)

        job = work_out(request, trained)
        check_within(request, float(job.seconds))
        audio_text, audio_negative = self._told_of_stems(request, job, negative)
        prompts = (text, audio_text), (negative, audio_negative)
        caches: dict[str, TextCache | None] = {}

        def make(part: Part) -> Made:
            monitor("sampling", part.number * evaluations, part.count * evaluations)
            given, positions = self._given(part), part.grid.positions(part.canvas.stems)
            if part.number == 0:
                for line in job.notices:
                    monitor.warn(line)
                self._notify(job, part.count, monitor)
                if self.heeds:
                    self._heed(request, text, denoiser, given, positions, monitor)
            noise = noise_of(given, request, part.number, self.device, stems=part.canvas.stems)
            told = self.controls.told(request, part, self.device)
            denoise = self._denoise(request, denoiser, positions, sigmas, prompts, caches, told)
            watch = Watch(monitor.within("sampling", part.number, part.count), cancel)
            with self._autocast():
                latents = checked(SAMPLERS[sampler](denoise, noise, sigmas, given, watch))
            return self._decode(latents, part, monitor)

        with nullcontext() if self.parts.levels is None else self.parts.levels.reserved():
            canvas = make_windows(job, trained, make)
        return deliver(
            job, canvas, provenance_metadata(request, self.name, self.parts.weights, monitor.notices, trained)
        )

    def _denoise(
        self, request: Request, denoiser: Denoiser, positions: Positions, sigmas: Tensor,
        prompts: tuple[Prompts, Prompts], caches: dict[str, TextCache | None], conditions: dict[str, Tensor],
    ) -> Denoise:  # fmt: skip
        """The denoiser as samplers take it; of two experts each has its guidance, and what it knows of the prompts."""
        levels = self.parts.levels

        def make(name: str) -> Denoise:
            trained = (self.parts.trained if levels is None else levels.trained[name]).asked(request)
            if name not in caches:
                caches[name] = self._text_cache(request, trained, *prompts)
            return self._steered(request, trained, denoiser, positions, sigmas, *prompts, caches[name], conditions)

        return make(HIGH) if levels is None else DenoisedByLevel(levels, make)

    def _steered(
        self, request: Request, trained: ModelDefaults, denoiser: Denoiser, positions: Positions, sigmas: Tensor,
        told: Prompts, away: Prompts, cache: TextCache | None, conditions: dict[str, Tensor],
    ) -> Denoise:  # fmt: skip
        """The denoiser with its prompts and its guidance: by more passes, or by what a student has learnt."""
        scales = trained.guidance_of(request)
        options: dict[str, Any] = {"conditions": conditions} if conditions else {}
        if not trained.student:
            return Guided(denoiser, told[0], away[0], positions, scales, options, told[1], away[1], cache)
        negative, options = away[0] if request.negative else None, {**options, "cache": cache}
        return Student(
            denoiser, told[0], positions, tuple(sigmas.tolist()), scales, negative, options, told[1], away[1]
        )  # fmt: skip

    def _told_of_stems(self, request: Request, job: Job, negative: Text) -> tuple[Text | None, Text | None]:
        """Prompts [1, S, L, D] for each stem, and what to steer each away from; None where all have the picture's."""
        own = {"effects": request.effects, "music": request.music}
        prompts = [own.get(track.name) or request.prompt for track in job.tracks]
        if all(prompt == request.prompt for prompt in prompts):
            return None, None
        told = self.parts.text.encode(prompts)
        away = (part[:, None].expand(-1, len(prompts), *part.shape[1:]) for part in (negative.states, negative.mask))
        return Text(told.states[None], told.mask[None]), Text(*away)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _text_cache(self, request: Request, trained: ModelDefaults, told: Prompts, away: Prompts) -> TextCache | None:
        """The prompts' keys and values, which no step changes, where memory has room and noise levels do not matter."""
        network = self.parts.transformer
        if network.config.text_modulation or (trained.student and request.negative):  # a student's passes are apart
            return None
        texts = told if trained.student else texts_of(trained.guidance_of(request), told[0], away[0], told[1], away[1])
        with self._autocast():
            room = CACHE_SHARE * available(self.device)
            return network.text_cache(*texts) if network.text_cache_bytes(*texts) <= room else None

    def _given(self, part: Part) -> Given:
        grid = part.grid

        def see(frames: np.ndarray) -> Tensor:
            with self._autocast():
                return self.parts.video_vae.encode(from_frames(frames, self.device))[0].float()

        def hear(waveform: np.ndarray) -> Tensor:
            sound = torch.from_numpy(waveform).to(self.device)
            sound = torch.nn.functional.pad(sound, (0, grid.mel_frames * grid.geometry.mel_hop - sound.shape[-1]))
            return self.parts.audio_vae.encode(log_mel(sound, self.parts.audio_vae.config.mel))[0][None]

        return given_of(part.canvas, part.span, grid, self.parts.channels, self.device, see, hear)

    def _decode(self, latents: Latents, part: Part, monitor: JobContext) -> Made:
        """uint8 [T, H, W, 3] and float32 [S, 2, N], trimmed to the grid; silence for stems that are given whole.

        A picture of which all is kept is not decoded. A mix is limited to full scale here, and stems as a whole in the
        end (`canvas.tracks.mixed`).
        """
        frames = waveform = None
        grid, step = part.grid, monitor.within("decoding", part.number, part.count)
        step(0, 1)
        if latents.video is not None and (part.canvas.frame_states[part.span.start : part.span.stop] != KEEP).any():
            with self._autocast():
                pixels = decode_tiled(self.parts.video_vae, latents.video, step=step)
            frames = to_frames(pixels[0, :, : grid.frames])
        if latents.audio is not None:
            made = np.flatnonzero((part.canvas.sample_states == MAKE).any(1)).tolist()
            waveform = np.zeros((latents.audio.shape[1], 2, grid.samples), np.float32)
            if made:
                mel, _ = self.parts.audio_vae.decode(latents.audio[0, made])
                sound, _ = self.parts.vocoder(mel)
                check_finite(sound, "sound")
                sound = sound[..., : grid.samples].float()
                waveform[made] = (sound if self.stems else sound.clamp(-1, 1)).cpu().numpy()
        return frames, waveform

    def _notify(self, job: Job, windows: int, monitor: JobContext) -> None:
        """One line where a clip is beyond what the model was trained on."""
        trained, beyond = self.parts.trained, []
        if job.picture is not None and (job.size, job.fps) != (trained.size, trained.fps):
            beyond.append(f"resized to {job.size[0]}x{job.size[1]} at {float(job.fps):.5g} fps")
        if windows > 1:
            beyond.append(f"continued through {windows} overlapping windows to {float(job.seconds):.4g} s")
        if beyond:
            monitor.warn(f"{self.name} was trained on {trained}: made on that grid and {', '.join(beyond)}")

    def _heed(
        self, request: Request, text: Text, denoiser: Denoiser, given: Given, positions: Positions, monitor: JobContext
    ) -> None:
        """One line for a prompt, and one for a picture, that is far from what the model knows."""
        if self.name in EMBEDDED and request.prompt.strip() and Familiar.load().nearness(text) < NEAR:
            monitor.warn(out_of_domain_message(self.name))
        if self._is_far(denoiser, given, positions):
            monitor.warn(far_picture(self.name))

    def _is_far(self, denoiser: Denoiser, given: Given, positions: Positions) -> bool:
        """Whether a picture that is given is far from what the model knows."""
        limits, mask = self.parts.trained.reconstruction_error, given.mask.video
        if limits is None or mask is None or not mask.any():
            return False
        whole, part = limits
        nothing = self.parts.text.encode([""])
        with self._autocast():
            return reconstruction_error(denoiser, nothing, given, positions) > (whole if mask.all() else part)
