"""LTX-2 on `Request`: published components around our network, and the same canvas and sampler as every task here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.base import Cancel, Monitor, Progress, made_by, pick_device
from phonofilm.backends.canvas import MAKE, Canvas
from phonofilm.backends.given import given_of, noise_of
from phonofilm.backends.layout import deliver, lay_out, work_out
from phonofilm.backends.ltx2.codecs import decode_audio, encode_audio, encode_video
from phonofilm.backends.ltx2.config import sampling
from phonofilm.backends.ltx2.decode import LADDER, decode_video
from phonofilm.backends.ltx2.fitting import fitted, schedule
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.lora import Lora
from phonofilm.backends.ltx2.memory import choose_offload, choose_tile
from phonofilm.backends.ltx2.network import NetworkName, PairedText
from phonofilm.backends.ltx2.parts import Offload, Parts
from phonofilm.backends.ltx2.text import Tokens, connect, states_of
from phonofilm.backends.published.store import Store
from phonofilm.backends.published.tiles import decode_or_retry
from phonofilm.backends.requests import as_request
from phonofilm.backends.trained import Trained
from phonofilm.media.resample import resample_audio
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, Watch
from phonofilm.types import Clip, Grid, Latents, Request, Text


@dataclass(frozen=True)
class LTX2Backend:
    """A published LTX-2, ready to work; made by `load`. Components are read when their stage begins."""

    parts: Parts
    trained: Trained

    @staticmethod
    def load(
        model: str | Path,
        device: str = "auto",
        network: NetworkName = "phonofilm",
        offload: Offload | None = None,
        loras: Sequence[str] = (),
    ) -> LTX2Backend:
        """Check a model's files and decide where its components wait.

        Args:
            network: ours, or diffusers' for comparison.
            offload: see `parts.Offload`; None picks the first that fits this machine.
            loras: LoRA files, each FILE or FILE:STRENGTH.

        Raises:
            PhonofilmError: no such model or device, or files that are missing or do not belong together.
        """
        folder, place = Folder.open(model), pick_device(device)
        parts = Parts(folder, place, offload or choose_offload(folder, place), network, tuple(map(Lora.parse, loras)))
        return LTX2Backend(parts, sampling(folder.configs, folder.distilled))

    @property
    def name(self) -> str:
        return self.parts.folder.name

    @property
    def fingerprint(self) -> str:
        """Names the weights, the LoRA files among them."""
        return fingerprint(self.parts.folder, self.parts.loras, self.parts.network)

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`. A window that an earlier run sampled is taken from disk."""
        request, monitor = as_request(request, {**fields, "model": self.name}), Monitor(progress, cancel)
        trained, weights = fitted(request, self.trained, monitor), self.fingerprint
        job = work_out(request, trained)
        canvas = lay_out(job, trained)
        spans = canvas.spans(trained.frames)
        store = Store.of(f"{request.digest} {weights} {trained}")
        evaluations = request.steps or trained.steps
        told: tuple[Text, Text] | None = None
        for number, span in enumerate(spans):
            grid = trained.grid(len(span))
            latents = store.load(number)
            if latents is None:
                told = told or self._tell(request, monitor)
                monitor("encoding", number, len(spans))
                given = self._given(canvas, span, grid)
                monitor("sampling", number * evaluations, len(spans) * evaluations)
                watch = Watch(monitor.within("sampling", number, len(spans)), cancel)
                latents = self._sample(request, given, number, told, grid, watch)
                store.save(number, latents)
            monitor("decoding", number, len(spans))
            canvas.write(span, *self._decode(latents, canvas, grid, store.path(number)))
        return deliver(job, canvas, made_by(request, self.name, weights, monitor.notices, self.trained))

    def _tell(self, request: Request, monitor: Monitor) -> tuple[Text, Text]:
        """The prompt and what to steer away from, as both streams are told."""
        monitor("text", 0, 1)
        ids, mask = (t.to(self.parts.device) for t in self._tokens([request.prompt, request.negative]))
        with self.parts.use("text_encoder") as encoder:
            states = [states_of(encoder, ids[row : row + 1], mask[row : row + 1]) for row in range(len(ids))]
        with self.parts.use("connectors") as connectors:
            told = [connect(connectors, s, mask[row : row + 1]) for row, s in enumerate(states)]
        return told[0], told[1]

    @property
    def _tokens(self) -> Tokens:
        return Tokens(self.parts.folder.path / "tokenizer")

    def _given(self, canvas: Canvas, span: range, grid: Grid) -> Given:
        configs, device = self.parts.folder.configs, self.parts.device
        channels = configs["vae"]["latent_channels"], configs["transformer"]["audio_in_channels"]

        def see(frames: np.ndarray) -> Tensor:
            with self.parts.use("vae") as vae:
                return encode_video(vae, frames, device)

        def hear(waveform: np.ndarray) -> Tensor:
            sound = resample_audio(waveform, canvas.sample_rate, configs["audio_vae"]["sample_rate"])
            with self.parts.use("audio_vae") as vae:
                return encode_audio(vae, torch.from_numpy(sound).to(device), grid.audio_length)

        return given_of(canvas, span, grid, channels, device, see, hear)

    def _sample(
        self, request: Request, given: Given, window: int, told: tuple[Text, Text], grid: Grid, watch: Watch
    ) -> Latents:
        config, device = self.parts.folder.configs["transformer"], self.parts.device
        sigmas = schedule(request, self.trained, self.parts.folder.distilled)
        guidance = Guidance(
            request.guidance or self.trained.guidance,
            request.modality_guidance or self.trained.modality_guidance,
            self.trained.rescale,
        )
        with self.parts.use("transformer") as network:
            paired = PairedText(network, text_width(config), rows=3 if self.parts.offload == "sequential" else 1)
            positions: Any = grid.positions()
            if hasattr(network, "places"):
                positions = network.places(positions, device)
            denoise = Guided(Denoiser(paired, self.trained.prediction), *told, positions, guidance)
            return SAMPLERS[self.trained.sampler_of(request)](
                denoise, noise_of(given, request, window, device), sigmas, given, watch
            )

    def _decode(
        self, latents: Latents, canvas: Canvas, grid: Grid, saved: Path
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """uint8 [T, H, W, 3] and float32 [2, N], trimmed to the grid; what was given whole is not decoded."""
        frames = waveform = None
        moved = latents.map(lambda v: v.to(self.parts.device))
        if moved.audio is not None and (canvas.sample_states == MAKE).any():
            with self.parts.use("audio_vae") as vae, self.parts.use("vocoder") as vocoder:
                waveform = decode_audio(vae, vocoder, moved.audio)[0, :, : grid.samples].cpu().numpy()
        if moved.video is not None and (canvas.frame_states == MAKE).any():
            with self.parts.use("vae") as vae:
                tile = choose_tile(self.parts.folder, grid.video_shape, self.parts.device)
                decode = partial(decode_video, vae, moved.video)
                frames = decode_or_retry(decode, tile, LADDER, grid.video_shape, saved)
                frames = frames[: grid.frames]
        return frames, waveform


def fingerprint(folder: Folder, loras: Sequence[Lora] = (), network: str = "phonofilm") -> str:
    """What names the weights of a folder with LoRA files merged in, run by a network."""
    added = [f"{lora.strength} {replace(folder, files={'lora': (lora.path,)}).fingerprint()}" for lora in loras]
    return folder.fingerprint(" ".join([*added, *([network] if network != "phonofilm" else [])]))


def text_width(config: Any) -> int:
    """Channels of what the video stream is told."""
    own = config["num_attention_heads"] * config["attention_head_dim"]
    return int(config.get("caption_channels", 3840) if config.get("use_prompt_embeddings", True) else own)
