"""Our own models: text, noise, one loop, two decoders. Every task goes through the same few lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from phonofilm.backends.base import Cancel, Monitor, Progress, made_by, pick_device
from phonofilm.backends.canvas import MAKE, Canvas
from phonofilm.backends.familiar import NEAR, Familiar, far_picture, far_prompt
from phonofilm.backends.layout import Job, deliver, lay_out, work_out
from phonofilm.backends.parts import Parts
from phonofilm.backends.requests import as_request
from phonofilm.codecs.mel import log_mel
from phonofilm.codecs.tiling import decode_tiled
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, Watch, draw_noise, flow_sigmas, steps_for
from phonofilm.types import Clip, Grid, Latents, Request, Text, causal_bounds
from phonofilm.weights import EMBEDDED

PROBES = 8
"""Frames looked at to tell whether a picture is far from what the codec knows."""


@dataclass(frozen=True)
class NativeBackend:
    """A dual-stream model with its codecs and its text encoder, ready to work; made by `load`.

    Attributes:
        name: the model's name, or that of its folder, as results give it.
        parts: the networks, and what their weights say of their training.
        device: where they are.
        dtype: what the transformer computes in; float32, or bfloat16 by autocast.
    """

    name: str
    parts: Parts
    device: torch.device
    dtype: torch.dtype = torch.float32

    @staticmethod
    def load(model: str | Path = "nano", device: str = "auto", dtype: torch.dtype = torch.float32) -> NativeBackend:
        """Read all parts of a model.

        Raises:
            PhonofilmError: no such model or device, or weights that are missing, corrupt, of another
                network, or that do not belong together.
        """
        place = pick_device(device)
        return NativeBackend(Path(model).name, Parts.load(model, place), place, dtype)

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`.

        The tasks differ in what of the canvas is given. A given position has noise level 0 throughout;
        a picture or a sound that is given whole is a frozen stream; one that is absent is None.
        """
        request, monitor = as_request(request, {**fields, "model": self.name}), Monitor(progress, cancel)
        monitor("text", 0, 1)
        text, negative = (self.parts.text.encode([prompt]) for prompt in (request.prompt, request.negative))
        trained = self.parts.trained
        denoiser = Denoiser(self.parts.transformer, trained.prediction)
        sampler, evaluations = trained.sampler_of(request), request.steps or trained.steps
        sigmas = flow_sigmas(steps_for(sampler, evaluations), trained.shift)

        job = work_out(request, trained)
        canvas = lay_out(job, trained)
        spans = canvas.spans(trained.frames)
        self._notify(job, len(spans), monitor)
        self._notify_far(text, canvas, request, monitor)
        for number, span in enumerate(spans):
            monitor("sampling", number * evaluations, len(spans) * evaluations)
            grid = trained.grid(len(span))
            given = self._given(canvas, span, grid)
            noise = self._noise(given, request, number)
            denoise = Guided(denoiser, text, negative, grid.positions(), self._guidance(request))
            watch = Watch(monitor.within("sampling", number, len(spans)), cancel)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                latents = SAMPLERS[sampler](denoise, noise, sigmas, given, watch)
            monitor("decoding", number, len(spans))
            canvas.write(span, *self._decode(latents, grid))
        return deliver(job, canvas, made_by(request, self.name, self.parts.weights, monitor.notices, trained))

    def _given(self, canvas: Canvas, span: range, grid: Grid) -> Given:
        """What is known of a window, encoded, and where: a latent is given if all that it stands for is."""
        video, audio = self._look(canvas, span, grid), self._listen(canvas, span, grid)
        values = Latents(video and video[0], audio and audio[0])
        return Given(values, Latents(video and video[1], audio and audio[1]))

    def _look(self, canvas: Canvas, span: range, grid: Grid) -> tuple[Tensor, Tensor] | None:
        """Latents [1, C, T, H, W] of the picture, and bool [1, 1, T, 1, 1]: which of them are given."""
        if canvas.frames is None:
            return None
        known = _padded(canvas.frame_states[span.start : span.stop] != MAKE, grid.model_frames)
        mask = self._mask(known, grid.video_shape[0], grid.geometry.video_time)
        if not mask.any():
            return torch.zeros(1, self.parts.channels[0], *grid.video_shape, device=self.device), mask[..., None, None]
        frames = _padded(canvas.frames[span.start : span.stop], grid.model_frames)
        pixels = rearrange(torch.from_numpy(frames).to(self.device), "t h w c -> 1 c t h w").float() / 127.5 - 1
        return self.parts.video_vae.encode(pixels)[0], mask[..., None, None]

    def _listen(self, canvas: Canvas, span: range, grid: Grid) -> tuple[Tensor, Tensor] | None:
        """Latents [1, C, T] of the sound, and bool [1, 1, T]: which of them are given."""
        if canvas.waveform is None:
            return None
        place = slice(canvas.sample(span.start), canvas.sample(span.stop))
        samples, hop = grid.mel_frames * grid.geometry.mel_hop, grid.geometry.mel_hop
        states = _padded(canvas.sample_states[place] != MAKE, samples)
        known = reduce(states, "(t hop) -> t", "min", hop=hop)
        mask = self._mask(known, grid.audio_length, grid.geometry.audio_time)
        if not mask.any():
            return torch.zeros(1, self.parts.channels[1], grid.audio_length, device=self.device), mask
        sound = torch.from_numpy(canvas.waveform[:, place]).to(self.device)
        sound = torch.nn.functional.pad(sound, (0, samples - sound.shape[-1]))
        mel = log_mel(sound[None], self.parts.audio_vae.config.mel)
        return self.parts.audio_vae.encode(mel)[0], mask

    def _mask(self, known: np.ndarray, length: int, factor: int) -> Tensor:
        """bool [1, 1, T]: a latent of a causal codec is given if each of its frames is known."""
        bounds = causal_bounds(length, factor)
        return torch.tensor([[[bool(known[start:end].all()) for start, end in bounds]]], device=self.device)

    def _noise(self, given: Given, request: Request, window: int) -> Latents:
        """One seed per modality; the windows of a long clip each have their own noise."""

        def draw(like: Tensor | None, seed: int | None, stream: str) -> Tensor | None:
            name = stream if window == 0 else f"{stream} {window}"
            chosen = request.seed if seed is None else seed
            return None if like is None else draw_noise(like.shape[1:], [chosen], name).to(self.device)

        video = draw(given.values.video, request.video_seed, "video")
        return Latents(video, draw(given.values.audio, request.audio_seed, "audio"))

    def _guidance(self, request: Request) -> Guidance:
        own = self.parts.trained
        modality = request.modality_guidance or own.modality_guidance
        return Guidance(request.guidance or own.guidance, modality, own.rescale)

    def _decode(self, latents: Latents, grid: Grid) -> tuple[np.ndarray | None, np.ndarray | None]:
        """uint8 [T, H, W, 3] and float32 [2, N], trimmed to the grid."""
        frames = waveform = None
        if latents.video is not None:
            pixels = decode_tiled(self.parts.video_vae, latents.video)[0, :, : grid.frames]
            whole = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            frames = rearrange(whole, "c t h w -> t h w c").cpu().numpy()
        if latents.audio is not None:
            mel, _ = self.parts.audio_vae.decode(latents.audio)
            sound, _ = self.parts.vocoder(mel)
            waveform = sound[0, :, : grid.samples].float().clamp(-1, 1).cpu().numpy()
        return frames, waveform

    def _notify(self, job: Job, windows: int, monitor: Monitor) -> None:
        """One line where a clip is beyond what the model was trained on."""
        trained, beyond = self.parts.trained, []
        if job.picture is not None and (job.size, job.fps) != (trained.size, trained.fps):
            beyond.append(f"resized to {job.size[0]}x{job.size[1]} at {float(job.fps):.5g} fps")
        if windows > 1:
            beyond.append(f"continued through {windows} overlapping windows to {float(job.seconds):.4g} s")
        if beyond:
            monitor.notice(f"{self.name} was trained on {trained}: made on that grid and {', '.join(beyond)}")

    def _notify_far(self, text: Text, canvas: Canvas, request: Request, monitor: Monitor) -> None:
        """One line where the prompt, or a picture that is given, is far from what the model knows."""
        if self.name in EMBEDDED and request.prompt.strip() and Familiar.load().nearness(text) < NEAR:
            monitor.notice(far_prompt(self.name))
        limit, seen = self.parts.trained.picture_error, np.flatnonzero(canvas.frame_states != MAKE)
        if limit is not None and canvas.frames is not None and len(seen):
            error = self._picture_error(canvas.frames[seen[:: -(-len(seen) // PROBES)]])
            if error > limit:
                monitor.notice(far_picture(self.name))

    def _picture_error(self, frames: np.ndarray) -> float:
        """Root mean square error of single frames put through the video codec, in [-1, 1]."""
        pixels = rearrange(torch.from_numpy(frames).to(self.device), "b h w c -> b c 1 h w").float() / 127.5 - 1
        again, _ = self.parts.video_vae.decode(self.parts.video_vae.encode(pixels)[0])
        return float((again - pixels).square().mean().sqrt())


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """The last frame is repeated, as in training."""
    missing = length - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing > 0 else values[:length]
