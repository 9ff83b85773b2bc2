"""What Wan's stages take, from the shapes of their tensors, and the tiles that fit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch

from phonofilm.backends.published.planning.footprint import Cost, cost, cost_by_layers
from phonofilm.backends.published.planning.memory import DECODE_FACTOR, HEADROOM, available
from phonofilm.backends.published.tiles import Tile
from phonofilm.backends.wan.codecs import LADDER
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.backends.wan.network import velocity
from phonofilm.backends.wan.text import MAX_TOKENS, states_of
from phonofilm.choices import Quantization
from phonofilm.codecs.tiling import places
from phonofilm.model.quantized import quantize_blocks
from phonofilm.sampling import Denoiser, Guidance, Guided
from phonofilm.types import Grid, Latents, Positions, Text

STEADY = 3
"""The codec goes along time latent by latent; from the third on each takes the same."""


def choose_tile(folder: WanFolder, shape: tuple[int, int, int], device: torch.device) -> Tile:
    """The largest tile with which latents of `shape` (T, H, W) are decoded within the memory there is."""
    room = HEADROOM * available(device)
    if not math.isfinite(room):
        return LADDER[0]
    return next((tile for tile in LADDER if decode_peak(folder, shape, tile, device) <= room), LADDER[-1])


def decode_peak(folder: WanFolder, shape: tuple[int, int, int], tile: Tile, device: torch.device) -> float:
    """Bytes that decoding takes at its peak, beside the weights: the last latent of a tile, and the frames so far."""
    time, height, width = tile.within(shape)
    vae = folder.configs["vae"]
    space, factor = vae.get("scale_factor_spatial", 8), vae.get("scale_factor_temporal", 4)
    frame, frames = 12 * height * width * space**2, 1 + (shape[0] - 1) * factor  # three float32 a pixel
    whole = 12 * shape[1] * shape[2] * space**2 * frames
    steady = DECODE_FACTOR * decode_cost(folder, (min(time, STEADY), height, width), device).peak
    growth = max(0, time - STEADY) * factor * frame  # the frames that are there already when the last ones come
    peak = max(steady + growth, 2 * frames * frame)
    if device.type != "cpu":
        return peak
    tiled = (height, width) != shape[1:]
    return max(peak + tiled * whole, 2.25 * whole) + whole / 4


def decode_cost(folder: WanFolder, shape: tuple[int, int, int], device: torch.device) -> Cost:
    """What decoding one piece of latents (T, H, W) takes."""
    return _decode_cost(json.dumps(dict(folder.configs["vae"]), sort_keys=True), shape, str(device))


@lru_cache(maxsize=64)
def _decode_cost(config: str, shape: tuple[int, int, int], device: str) -> Cost:
    def build() -> Any:
        vae, latents = _vae(json.loads(config)), torch.empty(1, json.loads(config)["z_dim"], *shape)
        return lambda: vae.decode(latents).sample

    return cost(build, torch.device(device), torch.float32)


def decode_flops(folder: WanFolder, shape: tuple[int, int, int], tile: Tile, device: torch.device) -> float:
    """Operations of decoding latents (T, H, W) in tiles: each latent after the second takes what a third one does."""
    time, height, width = tile.within(shape)
    two, three = (decode_cost(folder, (count, height, width), device).flops for count in (2, 3))
    tiled = max(shape[1:]) > tile.space
    tiles = math.prod(len(places(side, tile.space, tile.shared[0])) for side in shape[1:]) if tiled else 1
    return tiles * (two + (three - two) * max(0, time - 2))


def text_cost(folder: WanFolder, device: torch.device) -> Cost:
    """The language model, for one prompt."""

    def build() -> Any:
        import transformers

        settings = transformers.AutoConfig.from_pretrained(folder.path / "text_encoder", local_files_only=True)
        encoder = transformers.UMT5EncoderModel(settings).eval()
        ids, mask = (torch.ones(1, MAX_TOKENS, dtype=torch.int64) for _ in range(2))
        return lambda: states_of(encoder, ids, mask)

    return cost(build, device, folder.dtype("text_encoder", device))


def encoding_cost(folder: WanFolder, grid: Grid, device: torch.device) -> Cost:
    """Encoding a first picture as the model takes it."""
    frames = grid.model_frames if folder.settings.picture == "channels" else 1

    def build() -> Any:
        vae = _vae(folder.configs["vae"])
        film = torch.empty(1, 3, frames, grid.height, grid.width)
        return lambda: vae.encode(film).latent_dist.mode()

    return cost(build, device, torch.float32)


def step_cost(
    folder: WanFolder, grid: Grid, passes: int, device: torch.device, quantize: Quantization | None = None
) -> Cost:
    """One step of the sampler; the passes of its guidance run one after the other."""
    import diffusers

    config = dict(folder.configs["transformer"])
    channels, per_token = folder.configs["vae"]["z_dim"], folder.settings.picture == "tokens"
    beside = config["in_channels"] - channels

    def build(layers: int) -> Any:
        network = diffusers.WanTransformer3DModel.from_config({**config, "num_layers": layers}).eval()
        if quantize is not None:
            quantize_blocks(network, quantize)
        x = Latents(torch.empty(1, channels, *grid.video_shape, dtype=torch.float32))
        picture = torch.empty(1, beside, *grid.video_shape, dtype=torch.float32) if beside else None
        sigma = Latents(torch.empty(1, 1, grid.video_shape[0] if per_token else 1, 1, 1, dtype=torch.float32))
        text = Text(torch.empty(1, MAX_TOKENS, config["text_dim"]), torch.ones(1, MAX_TOKENS, dtype=torch.bool))

        def run(latents: Latents, sigma: Latents, text: Text, positions: Positions, **options: Any) -> Latents:
            return velocity(network, latents, sigma, text, picture, per_token)

        guidance = Guidance(text=(float(passes), 1.0))  # 1 is none
        denoise = Guided(Denoiser(run, "velocity"), text, text, grid.positions(), guidance)
        return lambda: denoise(x, sigma)

    dtype = folder.dtype("transformer", device)
    return cost_by_layers(lambda layers: cost(partial(build, layers), device, dtype), config["num_layers"])


def _vae(config: Mapping[str, Any]) -> Any:
    import diffusers

    return diffusers.AutoencoderKLWan.from_config(dict(config)).eval()
