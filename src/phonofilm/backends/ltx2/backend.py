"""LTX-2 on `Request`: published components around our network, and the same canvas and sampler as every task here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import reduce
from torch import Tensor

from phonofilm.backends.base import Cancel, Monitor, Progress, made_by, pick_device
from phonofilm.backends.canvas import MAKE, Canvas
from phonofilm.backends.layout import deliver, lay_out, work_out
from phonofilm.backends.ltx2.codecs import decode_audio, encode_audio, encode_video
from phonofilm.backends.ltx2.config import sampling
from phonofilm.backends.ltx2.decode import Tile, decode_video
from phonofilm.backends.ltx2.fitting import fitted, schedule
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.lora import Lora
from phonofilm.backends.ltx2.memory import choose_offload, choose_tile, out_of_memory, smaller
from phonofilm.backends.ltx2.network import NetworkName, PairedText
from phonofilm.backends.ltx2.parts import Offload, Parts
from phonofilm.backends.ltx2.text import Tokens, connect, states_of
from phonofilm.backends.published.store import Store
from phonofilm.backends.requests import as_request
from phonofilm.backends.trained import Trained
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import resample_audio
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, Watch, draw_noise
from phonofilm.types import Clip, Grid, Latents, Request, Text, causal_bounds


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
            channels = self.parts.folder.configs["vae"]["latent_channels"]
            return torch.zeros(1, channels, *grid.video_shape, device=self.parts.device), mask[..., None, None]
        frames = _padded(canvas.frames[span.start : span.stop], grid.model_frames)
        with self.parts.use("vae") as vae:
            return encode_video(vae, frames, self.parts.device), mask[..., None, None]

    def _listen(self, canvas: Canvas, span: range, grid: Grid) -> tuple[Tensor, Tensor] | None:
        """Latents [1, C, T] of the sound, and bool [1, 1, T]: which of them are given."""
        if canvas.waveform is None:
            return None
        place = slice(canvas.sample(span.start), canvas.sample(span.stop))
        samples, hop = grid.mel_frames * grid.geometry.mel_hop, grid.geometry.mel_hop
        known = reduce(_padded(canvas.sample_states[place] != MAKE, samples), "(t hop) -> t", "min", hop=hop)
        mask = self._mask(known, grid.audio_length, grid.geometry.audio_time)
        config = self.parts.folder.configs["audio_vae"]
        if not mask.any():
            channels = self.parts.folder.configs["transformer"]["audio_in_channels"]
            return torch.zeros(1, channels, grid.audio_length, device=self.parts.device), mask
        sound = resample_audio(canvas.waveform[:, place], canvas.sample_rate, config["sample_rate"])
        with self.parts.use("audio_vae") as vae:
            return encode_audio(vae, torch.from_numpy(sound).to(self.parts.device), grid.audio_length), mask

    def _mask(self, known: np.ndarray, length: int, factor: int) -> Tensor:
        """bool [1, 1, T]: a latent of a causal codec is given if each of its frames is known."""
        bounds = causal_bounds(length, factor)
        return torch.tensor([[[bool(known[start:end].all()) for start, end in bounds]]], device=self.parts.device)

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
                denoise, _noise(given, request, window, device), sigmas, given, watch
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
                frames = _decode_or_retry(partial(decode_video, vae, moved.video), tile, grid.video_shape, saved)
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


def _noise(given: Given, request: Request, window: int, device: torch.device) -> Latents:
    """One seed per modality; the windows of a long clip each have their own noise."""

    def draw(like: Tensor | None, seed: int | None, stream: str) -> Tensor | None:
        name = stream if window == 0 else f"{stream} {window}"
        chosen = request.seed if seed is None else seed
        return None if like is None else draw_noise(like.shape[1:], [chosen], name).to(device)

    video = draw(given.values.video, request.video_seed, "video")
    return Latents(video, draw(given.values.audio, request.audio_seed, "audio"))


def _decode_or_retry(
    decode: Callable[[Tile], np.ndarray], tile: Tile, shape: tuple[int, int, int], saved: Path
) -> np.ndarray:
    """Decode; where memory runs out, once more with smaller tiles."""
    made = _try(decode, tile)
    if made is None:
        tile = smaller(tile, shape)
        made = _try(decode, tile)
    if made is None:
        raise PhonofilmError(
            f"decoding ran out of memory even in tiles of {tile.space}x{tile.space}x{tile.time} latents; what was "
            f"sampled is kept in {saved}: free some memory, or add --offload disk, and run the same command again"
        )
    return made


def _try(decode: Callable[[Tile], np.ndarray], tile: Tile) -> np.ndarray | None:
    """None where memory ran out; what the attempt held is free again on return."""
    try:
        return decode(tile)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """The last frame is repeated, as in training."""
    missing = length - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing > 0 else values[:length]
