"""LTX-2 on `Request`: published components around our network, and the same canvas and sampler as every task here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.base import Cancel, JobContext
from phonofilm.backends.canvas.canvas import MAKE, Canvas
from phonofilm.backends.canvas.control import check_heard
from phonofilm.backends.canvas.finite import checked
from phonofilm.backends.canvas.given import given_of, noise_of
from phonofilm.backends.canvas.layout import deliver, work_out
from phonofilm.backends.canvas.loop import Made, Part, make_windows
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.ltx2.config import sampling
from phonofilm.backends.ltx2.fitting import fitted, schedule
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.memory import choose_offload, choose_tile
from phonofilm.backends.ltx2.network import PairedText
from phonofilm.backends.ltx2.parts import Parts
from phonofilm.backends.ltx2.refine import REFINING, UPSAMPLER, check_upsampler, enlarged, half, start_of
from phonofilm.backends.ltx2.text import Tokens, connect, states_of
from phonofilm.backends.ltx2.vae.decode import LADDER, decode_video
from phonofilm.backends.ltx2.vae.networks import decode_audio, encode_audio, encode_video
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.published.store import Store
from phonofilm.backends.published.tiles import decode_or_retry
from phonofilm.backends.requests import as_request, check
from phonofilm.choices import NetworkName, Offload, Quantization
from phonofilm.control.lora.files import Lora
from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import resample_audio, resize_frames
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, Watch, euler
from phonofilm.types import Clip, Grid, Latents, Progress, Request, Text


@dataclass(frozen=True)
class LTX2Backend:
    """A published LTX-2, ready to work; made by `load`. Components are read when their stage begins."""

    parts: Parts
    trained: ModelDefaults
    stages: int = 1

    @staticmethod
    def load(
        model: str | Path,
        device: str = "auto",
        network: NetworkName = "phonofilm",
        offload: Offload | None = None,
        loras: Sequence[str] = (),
        components: str | None = None,
        upsample: bool = False,
        quantize: Quantization | None = None,
    ) -> LTX2Backend:
        """Check a model's files and decide where its components wait.

        Args:
            network: ours, or diffusers' for comparison.
            offload: see `parts.Offload`; None picks the first that fits this machine.
            loras: LoRA files, each FILE or FILE:STRENGTH.
            components: see `Folder.open`.
            quantize: keep the blocks of the transformer in "int8", "fp8" or "nf4".
            upsample: make the picture at half its size first, then enlarge its latents and refine them.

        Raises:
            PhonofilmError: no such model or device, or files that are missing or do not belong together.
        """
        if quantize is not None and network == "diffusers":
            raise PhonofilmError("--quantize goes with our own network; omit --network diffusers")
        folder, place = Folder.open(model, components), pick_device(device)
        lora = check_upsampler(folder) if upsample else None
        refining = None if lora is None else Lora(lora)
        added = tuple(map(Lora.parse, loras))
        waiting = offload or choose_offload(folder, place, quantize)
        parts = Parts(folder, place, waiting, network, added, refining, quantize)
        return LTX2Backend(parts, sampling(folder.configs, folder.distilled), 2 if upsample else 1)

    @property
    def name(self) -> str:
        return self.parts.folder.name

    @property
    def fingerprint(self) -> str:
        """Names the weights, the LoRA files among them."""
        loras = (*self.parts.loras, *([self.parts.refining] if self.parts.refining is not None else []))
        return fingerprint(self.parts.folder, loras, self.parts.network, self.stages, self.parts.quantize)

    def check(self, request: Request) -> None:
        """See `Backend.check`: the prompt's length, the memory for the clip, the guidance."""
        check(request)
        check_heard(request)
        fitted(request, self.trained, stages=self.stages)
        self.trained.guidance_of(request)
        self._tokens([request.prompt, request.negative])

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`. A window that an earlier run sampled is taken from disk."""
        request, monitor = as_request(request, {**fields, "model": self.name}), JobContext(progress, cancel)
        trained, weights = fitted(request, self.trained, monitor, self.stages), self.fingerprint
        store = Store.of(f"{request.digest} {weights} {trained}")
        tell = cache(partial(self._tell, request, monitor))

        def make(part: Part) -> Made:
            latents = store.load(part.number)
            if latents is None:
                latents = self._latents(request, part, tell, store, monitor)
            monitor("decoding", part.number, part.count)
            return self._decode(latents, part.canvas, part.grid, store.path(part.number))

        job = work_out(request, trained)
        canvas = make_windows(job, trained, make)
        return deliver(job, canvas, provenance_metadata(request, self.name, weights, monitor.notices, self.trained))

    def _latents(
        self, request: Request, part: Part, tell: Callable[[], tuple[Text, Text]], store: Store, monitor: JobContext
    ) -> Latents:
        """Sample one window, in two stages where its picture is made at half its size first."""
        number, count, span = part.number, part.count, part.span
        two = self.stages == 2 and (part.canvas.frame_states[span.start : span.stop] == MAKE).any()
        first = half(part.grid) if two else part.grid
        latents = store.load(number, "first") if two else None
        if latents is None:
            told = tell()
            monitor("encoding", number, count)
            given = self._given(part.canvas, span, first)
            evaluations = request.steps or self.trained.steps
            monitor("sampling", number * evaluations, count * evaluations)
            watch = Watch(monitor.within("sampling", number, count), monitor.cancel)
            latents = self._sample(request, given, number, told, first, watch)
            store.save(number, latents, "first" if two else "")
        if two:
            told = tell()
            monitor("refining", number, count)
            watch = Watch(monitor.within("refining", number, count), monitor.cancel)
            latents = self._refine(request, latents, part.canvas, span, number, told[0], part.grid, watch)
            store.save(number, latents)
        return latents

    def _tell(self, request: Request, monitor: JobContext) -> tuple[Text, Text]:
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
        size = (grid.height, grid.width)

        def see(frames: np.ndarray) -> Tensor:
            sized = frames if size == frames.shape[1:3] else resize_frames(frames, (size[1], size[0]), crop=False)
            with self.parts.use("vae") as vae:
                return encode_video(vae, sized, device)

        def hear(waveform: np.ndarray) -> Tensor:
            sound = resample_audio(waveform[0], canvas.sample_rate, configs["audio_vae"]["sample_rate"])
            with self.parts.use("audio_vae") as vae:
                return encode_audio(vae, torch.from_numpy(sound).to(device), grid.audio_length)[:, None]

        return given_of(canvas, span, grid, channels, device, see, hear)

    def _sample(
        self, request: Request, given: Given, window: int, told: tuple[Text, Text], grid: Grid, watch: Watch
    ) -> Latents:
        sigmas = schedule(request, self.trained, self.parts.folder.distilled)
        guidance = self.trained.guidance_of(request)
        with self.parts.use("transformer") as network:
            denoise = self._denoise(network, *told, grid, guidance)
            noise = noise_of(given, request, window, self.parts.device)
            return checked(SAMPLERS[self.trained.sampler_of(request)](denoise, noise, sigmas, given, watch))

    def _refine(
        self,
        request: Request,
        first: Latents,
        canvas: Canvas,
        span: range,
        window: int,
        told: Text,
        grid: Grid,
        watch: Watch,
    ) -> Latents:
        """The second stage: larger latents, made noisy again and denoised in a few steps without guidance."""
        device, given = self.parts.device, self._given(canvas, span, grid)
        first = first.map(lambda v: v.to(device))
        assert first.video is not None  # only where picture is made
        with self.parts.use("vae") as vae, self.parts.use(UPSAMPLER) as upsampler:
            clean = Latents(enlarged(vae, upsampler, first.video), first.audio)
        start = start_of(clean, noise_of(given, request, window, device, "refining"))
        with self.parts.use("transformer" if self.parts.refining is None else "refiner") as network:
            denoise = self._denoise(network, told, told, grid, Guidance())
            return checked(euler(denoise, start, torch.tensor(REFINING, dtype=torch.float64), given, watch))

    def _denoise(self, network: Any, text: Text, negative: Text, grid: Grid, guidance: Guidance) -> Guided:
        width = text_width(self.parts.folder.configs["transformer"])
        paired = PairedText(network, width, rows=4 if self.parts.offload == "sequential" else 1)
        positions: Any = grid.positions()
        if hasattr(network, "places"):
            positions = network.places(positions, self.parts.device)
        return Guided(Denoiser(paired, self.trained.prediction), text, negative, positions, guidance)

    def _decode(self, latents: Latents, canvas: Canvas, grid: Grid, saved: Path) -> Made:
        """uint8 [T, H, W, 3] and float32 [1, 2, N], trimmed to the grid; what was given whole is not decoded."""
        frames = waveform = None
        moved = latents.map(lambda v: v.to(self.parts.device))
        if moved.audio is not None and (canvas.sample_states == MAKE).any():
            with self.parts.use("audio_vae") as vae, self.parts.use("vocoder") as vocoder:
                waveform = decode_audio(vae, vocoder, moved.audio[:, 0])[..., : grid.samples].cpu().numpy()
        if moved.video is not None and (canvas.frame_states == MAKE).any():
            with self.parts.use("vae") as vae:
                tile = choose_tile(self.parts.folder, grid.video_shape, self.parts.device)
                decode = partial(decode_video, vae, moved.video)
                frames = decode_or_retry(decode, tile, LADDER, grid.video_shape, saved)
                frames = frames[: grid.frames]
        return frames, waveform


def fingerprint(
    folder: Folder, loras: Sequence[Lora] = (), network: str = "phonofilm", stages: int = 1, quantize: str | None = None
) -> str:
    """What names the weights of a folder with LoRA files merged in, run by a network in one or two stages."""
    added = [f"{lora.strength} {replace(folder, files={'lora': (lora.path,)}).fingerprint()}" for lora in loras]
    added += [network] if network != "phonofilm" else []
    added += [quantize] if quantize is not None else []
    return folder.fingerprint(" ".join([*added, *(["two stages"] if stages == 2 else [])]))


def text_width(config: Any) -> int:
    """Channels of what the video stream is told."""
    own = config["num_attention_heads"] * config["attention_head_dim"]
    return int(config.get("caption_channels", 3840) if config.get("use_prompt_embeddings", True) else own)
