"""What each stage of a job takes, from the shapes of its tensors (see `footprint`)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from phonofilm.backends.ltx2.config import network_config
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import PairedText, stored_dtype
from phonofilm.backends.ltx2.parts import component_class, stored_dtype_of
from phonofilm.backends.ltx2.refine import UPSAMPLER
from phonofilm.backends.ltx2.text import MAX_TOKENS, connect, states_of
from phonofilm.backends.published.planning.footprint import Cost, cost, cost_by_layers
from phonofilm.choices import Quantization
from phonofilm.model.quantized import quantize_blocks
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling import Denoiser, Guidance, Guided
from phonofilm.types import Grid, Latents, Text


def text_cost(folder: Folder, device: torch.device) -> dict[str, Cost]:
    """The language model ("text") and the connectors, each for one prompt."""
    dtype = stored_dtype_of(folder, "text_encoder")
    config = folder.configs["text_encoder"]
    config = config.get("text_config", config)
    states = (1, MAX_TOKENS, config["hidden_size"], config["num_hidden_layers"] + 1)

    def read() -> Any:
        from transformers import AutoConfig, AutoModel

        settings = AutoConfig.from_pretrained(folder.path / "text_encoder", local_files_only=True)
        encoder = AutoModel.from_config(getattr(settings, "text_config", settings), dtype=dtype).eval()
        ids, mask = torch.ones(1, MAX_TOKENS, dtype=torch.int64), torch.ones(1, MAX_TOKENS, dtype=torch.int64)
        return lambda: states_of(encoder, ids, mask)

    def join() -> Any:
        connectors = component_class(folder, "connectors").from_config(dict(folder.configs["connectors"])).eval()
        return lambda: connect(connectors, torch.empty(states), torch.ones(1, MAX_TOKENS, dtype=torch.int64))

    joined = cost(join, device, stored_dtype_of(folder, "connectors"))
    return {"text": cost(read, device, dtype), "connectors": joined}


def step_cost(
    folder: Folder,
    grid: Grid,
    streams: tuple[bool, bool],
    guidance: Guidance,
    rows: int,
    text_width: int,
    device: torch.device,
    quantize: Quantization | None = None,
) -> Cost:
    """One step of the sampler, with all passes of its guidance."""
    config = network_config(folder.configs["transformer"])
    channels = (config.video.channels, config.audio.channels)
    told = text_width + (config.audio.width if not config.audio.text_projection else config.audio.text_width)

    def build(layers: int) -> Any:
        video, audio = (replace(stream, layers=layers) for stream in (config.video, config.audio))
        network = AVTransformer(replace(config, video=video, audio=audio)).eval()
        if quantize is not None:
            quantize_blocks(network, quantize)
        x = Latents(
            torch.empty(1, channels[0], *grid.video_shape, dtype=torch.float32) if streams[0] else None,
            torch.empty(1, 1, channels[1], grid.audio_length, dtype=torch.float32) if streams[1] else None,
        )
        sigma = x.map(lambda v: torch.empty(1, 1, *(1 for _ in v.shape[2:]), dtype=torch.float32))
        text = Text(torch.empty(1, MAX_TOKENS, told), torch.ones(1, MAX_TOKENS, dtype=torch.bool))
        places: Any = network.places(grid.positions(), device)
        paired = PairedText(network, text_width, rows)
        disturbed = tuple(min(block, layers - 1) for block in guidance.stg_blocks)
        guided = replace(guidance, stg_blocks=disturbed)
        denoise = Guided(Denoiser(paired, "velocity"), text, text, places, guided)
        return lambda: denoise(x, sigma)

    dtype = stored_dtype(folder.transformer)
    return cost_by_layers(lambda layers: cost(partial(build, layers), device, dtype), config.layers)


def upsampling_cost(folder: Folder, grid: Grid, device: torch.device) -> Cost:
    """Enlarging the latents of the first stage, whose grid this is."""
    config = dict(folder.configs[UPSAMPLER])

    def build() -> Any:
        upsampler = component_class(folder, UPSAMPLER).from_config(config).eval()
        latents = torch.empty(1, config["in_channels"], *grid.video_shape)
        return lambda: upsampler(latents).float()

    return cost(build, device, stored_dtype_of(folder, UPSAMPLER))


def encoding_cost(folder: Folder, grid: Grid, picture: bool, sound: bool, device: torch.device) -> Cost:
    """Encoding what is given of one window: the larger peak, and both efforts."""
    parts = []
    if picture:
        size = (grid.model_frames, grid.height, grid.width)
        parts.append(cost(lambda: _encoder(folder, "vae", (1, 3, *size)), device, stored_dtype_of(folder, "vae")))
    if sound:
        shape = (1, 2, 1 + 4 * (grid.audio_length - 1), folder.configs["audio_vae"]["mel_bins"])
        encode = cost(lambda: _encoder(folder, "audio_vae", shape), device, stored_dtype_of(folder, "audio_vae"))
        parts.append(encode)
    return Cost(max(part.peak for part in parts), sum(part.flops for part in parts))


def _encoder(folder: Folder, name: str, shape: tuple[int, ...]) -> Any:
    vae = component_class(folder, name).from_config(dict(folder.configs[name])).eval()
    # two of the input: as it came, and as the encoder takes it
    return lambda: vae.encode(torch.empty(shape, dtype=torch.float32).to(vae.dtype) / 2).latent_dist.mode()


def audio_cost(folder: Folder, grid: Grid, device: torch.device) -> Cost:
    """Latents to mel to waveform."""
    config = folder.configs["audio_vae"]
    shape = (1, config["latent_channels"], grid.audio_length, config["mel_bins"] // 4)

    def decode() -> Any:
        vae = component_class(folder, "audio_vae").from_config(dict(config)).eval()
        return lambda: vae.decode(torch.empty(shape)).sample

    def sound() -> Any:
        vocoder = component_class(folder, "vocoder").from_config(dict(folder.configs["vocoder"])).eval()
        mel = torch.empty(1, 2, 1 + 4 * (grid.audio_length - 1), config["mel_bins"])
        return lambda: vocoder(mel).clamp(-1, 1)

    parts = (cost(decode, device, stored_dtype_of(folder, "audio_vae")), cost(sound, device, torch.float32))
    return Cost(max(part.peak for part in parts), sum(part.flops for part in parts))
