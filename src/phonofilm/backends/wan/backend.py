"""Wan 2.2 on `Request`: diffusers' components, our canvas, guidance and sampler. It makes picture alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.base import Cancel, JobContext
from phonofilm.backends.canvas.canvas import Canvas
from phonofilm.backends.canvas.finite import checked
from phonofilm.backends.canvas.given import given_of, noise_of
from phonofilm.backends.canvas.layout import Job, deliver, work_out
from phonofilm.backends.canvas.loop import Made, Part, make_windows
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.published.planning.memory import pick_offload
from phonofilm.backends.published.store import Store
from phonofilm.backends.published.tiles import decode_or_retry
from phonofilm.backends.requests import as_request, check
from phonofilm.backends.wan.codecs import LADDER, decode_video, encode_video, picture_channels
from phonofilm.backends.wan.fitting import check_task, fitted, schedule
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.backends.wan.memory import choose_tile
from phonofilm.backends.wan.network import Experts, GuidedByLevel
from phonofilm.backends.wan.parts import WanParts, component_bytes
from phonofilm.backends.wan.text import Tokens, cleaned, states_of
from phonofilm.choices import Offload, Quantization
from phonofilm.codecs.pixels import from_frames
from phonofilm.device import pick_device
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, Watch
from phonofilm.types import Clip, Grid, Latents, Progress, Request, Text


@dataclass(frozen=True)
class WanBackend:
    """A published Wan, ready to work; made by `load`. Components are read when their stage begins.

    Attributes:
        alone: nothing makes sound after it, which is said to the user.
    """

    parts: WanParts
    alone: bool = True

    @staticmethod
    def load(
        model: str | Path,
        device: str = "auto",
        offload: Offload | None = None,
        quantize: Quantization | None = None,
        alone: bool = True,
    ) -> WanBackend:
        """Check a model's files and decide where its components wait.

        Args:
            offload: see `published.parts.Offload`; None picks the first that fits this machine.
            quantize: keep the blocks of the experts in "int8", "fp8" or "nf4".

        Raises:
            PhonofilmError: no such model or device, or files that are missing or do not belong together.
        """
        folder, place = WanFolder.open(model), pick_device(device)
        sizes = [component_bytes(folder, name, place, quantize) for name in folder.files]
        return WanBackend(WanParts(folder, place, offload or pick_offload(sizes, place), quantize), alone)

    @property
    def name(self) -> str:
        return self.parts.folder.name

    @property
    def trained(self) -> ModelDefaults:
        return self.parts.folder.settings.trained

    @property
    def fingerprint(self) -> str:
        """Names the weights, and what they are kept in."""
        return self.parts.folder.fingerprint(self.parts.quantize or "")

    def check(self, request: Request) -> None:
        """See `Backend.check`: the task, the prompt's length, the memory for the clip."""
        check(request)
        check_task(request, self.name, self.parts.folder.settings)
        fitted(request, self.trained, self.name)
        self._tokens([cleaned(request.prompt), cleaned(request.negative)])

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`. What an earlier run sampled is taken from disk."""
        request, monitor = as_request(request, {**fields, "model": self.name}), JobContext(progress, cancel)
        check_task(request, self.name, self.parts.folder.settings)
        trained, weights = fitted(request, self.trained, self.name, monitor), self.fingerprint
        if self.alone:
            monitor.warn(f"{self.name} makes silent film; --model {self.name}+foley adds sound to it")
        store = Store.of(f"{request.digest} {weights} {trained}")

        def make(part: Part) -> Made:
            latents = store.load(part.number)
            if latents is None:
                latents = self._sample(request, part.canvas, part.grid, monitor)
                store.save(part.number, latents)
            monitor("decoding", part.number, part.count)
            return self._decode(latents, part.grid, store.path(part.number)), None

        job = film_job(request, trained)
        canvas = make_windows(job, trained, make)
        return deliver(job, canvas, provenance_metadata(request, self.name, weights, monitor.notices, self.trained))

    def _tell(self, request: Request, monitor: JobContext) -> tuple[Text, Text]:
        """The prompt and what to steer away from."""
        monitor("text", 0, 1)
        ids, mask = (
            t.to(self.parts.device) for t in self._tokens([cleaned(request.prompt), cleaned(request.negative)])
        )
        with self.parts.use("text_encoder") as encoder:
            one, other = (states_of(encoder, ids[row : row + 1], mask[row : row + 1]) for row in (0, 1))
        return one, other

    @property
    def _tokens(self) -> Tokens:
        return Tokens(self.parts.folder.path / "tokenizer")

    def _sample(self, request: Request, canvas: Canvas, grid: Grid, monitor: JobContext) -> Latents:
        settings, device = self.parts.folder.settings, self.parts.device
        told = self._tell(request, monitor)
        monitor("encoding", 0, 1)
        given, beside = self._given(canvas, grid), self._beside(canvas, grid)
        sampler, evaluations = self.trained.sampler_of(request), request.steps or self.trained.steps
        monitor("sampling", 0, evaluations)
        scales = request.guidance or self.trained.guidance, request.guidance or (settings.low_guidance, 1.0)
        with Experts(self.parts, beside) as network:
            denoiser = Denoiser(network, self.trained.prediction)
            high, low = (Guided(denoiser, *told, grid.positions(), Guidance(text=(s[0], 1.0))) for s in scales)
            denoise = GuidedByLevel(high, low, settings.boundary)
            watch = Watch(monitor.within("sampling", 0, 1), monitor.cancel)
            noise = noise_of(given, request, 0, device)
            return checked(SAMPLERS[sampler](denoise, noise, schedule(request, self.trained), given, watch))

    def _given(self, canvas: Canvas, grid: Grid) -> Given:
        """A first picture as tokens without noise, where the model takes it so."""
        folder, device = self.parts.folder, self.parts.device

        def see(frames: np.ndarray) -> Tensor:
            # only the first frame is known, and the first latent stands for it alone
            with self.parts.use("vae") as vae:
                first = encode_video(vae, from_frames(frames[:1], device))
            return torch.nn.functional.pad(first, (0, 0, 0, 0, 0, grid.video_shape[0] - 1))

        span = range(len(canvas.frame_states))
        channels = folder.configs["vae"]["z_dim"]
        if folder.settings.picture != "tokens":
            canvas = replace(canvas, frame_states=np.zeros_like(canvas.frame_states))
        return given_of(canvas, span, grid, (channels, 0), device, see, see)

    def _beside(self, canvas: Canvas, grid: Grid) -> Tensor | None:
        """A first picture as channels beside the latents, where the model takes it so."""
        if self.parts.folder.settings.picture != "channels" or canvas.frames is None:
            return None
        with self.parts.use("vae") as vae:
            return picture_channels(vae, canvas.frames[0], grid.model_frames, self.parts.device)

    def _decode(self, latents: Latents, grid: Grid, saved: Path) -> np.ndarray:
        """uint8 [T, H, W, 3], trimmed to the grid."""
        assert latents.video is not None  # Wan makes picture alone
        video = latents.video.to(self.parts.device)
        with self.parts.use("vae") as vae:
            tile = choose_tile(self.parts.folder, grid.video_shape, self.parts.device)
            frames = decode_or_retry(partial(decode_video, vae, video), tile, LADDER, grid.video_shape, saved)
        return frames[: grid.frames]


def film_job(request: Request, trained: ModelDefaults) -> Job:
    """The job without a stream of sound."""
    return replace(work_out(request, trained), sound=None)
