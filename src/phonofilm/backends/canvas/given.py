"""What of a window is given, as latents, and the noise that the rest is made of: the same for every model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from einops import reduce
from torch import Tensor

from phonofilm.backends.canvas.canvas import MAKE, Canvas
from phonofilm.sampling import Given, draw_noise
from phonofilm.types import Grid, Latents, Request, causal_bounds

Encode = Callable[[np.ndarray], Tensor]
"""uint8 [T, H, W, 3] to latents [1, C, T', H', W'], or float32 [S, 2, N] to latents [1, S, C, T']."""


def given_of(
    canvas: Canvas,
    span: range,
    grid: Grid,
    channels: tuple[int, int],
    device: torch.device,
    see: Encode,
    hear: Encode,
) -> Given:
    """What is known of a window, encoded, and where: a latent is given if all that it stands for is.

    Args:
        channels: of the video and of the audio latents, which are zeros where nothing is given.
        see: encodes frames, the last one repeated to the length that the codec works on.
        hear: encodes the window's sound at the canvas's rate.
    """
    video = _seen(canvas, span, grid, channels[0], device, see)
    audio = _heard(canvas, span, grid, channels[1], device, hear)
    values = Latents(video and video[0], audio and audio[0])
    return Given(values, Latents(video and video[1], audio and audio[1]))


def noise_of(
    given: Given, request: Request, window: int, device: torch.device, stage: str = "", stems: tuple[int, ...] = (0,)
) -> Latents:
    """One seed per modality; each window of a long clip, and each stage of its making, has its own noise.

    So has each stem: what one is made of does not depend on which others there are.
    """

    def draw(like: Tensor, seed: int | None, stream: str) -> Tensor:
        name = " ".join([stream, *([str(window)] if window else []), *([stage] if stage else [])])
        return draw_noise(like.shape[1:], [request.seed if seed is None else seed], name).to(device)

    video, audio = given.values.video, given.values.audio
    if audio is not None:
        names = [f"audio stem {stem}" if stem else "audio" for stem in stems]
        rows = zip(audio.split(1, dim=1), names, strict=True)
        audio = torch.cat([draw(row, request.audio_seed, name) for row, name in rows], dim=1)
    return Latents(None if video is None else draw(video, request.video_seed, "video"), audio)


def padded(values: np.ndarray, length: int) -> np.ndarray:
    """The last frame is repeated, as in training."""
    missing = length - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing > 0 else values[:length]


def _seen(
    canvas: Canvas, span: range, grid: Grid, channels: int, device: torch.device, see: Encode
) -> tuple[Tensor, Tensor] | None:
    """Latents [1, C, T, H, W] of the picture, and bool [1, 1, T, 1, 1]: which of them are given."""
    if canvas.frames is None:
        return None
    known = padded(canvas.frame_states[span.start : span.stop] != MAKE, grid.model_frames)
    mask = _mask(known, grid.video_shape[0], grid.geometry.video_time, device)[..., None, None]
    if not mask.any():
        return torch.zeros(1, channels, *grid.video_shape, device=device), mask
    return see(padded(canvas.frames[span.start : span.stop], grid.model_frames)), mask


def _heard(
    canvas: Canvas, span: range, grid: Grid, channels: int, device: torch.device, hear: Encode
) -> tuple[Tensor, Tensor] | None:
    """Latents [1, S, C, T] of the sound, and bool [1, S, 1, T]: which of them are given.

    Stems of which all or nothing is given, as most are, have a mask [1, S, 1, 1].
    """
    if canvas.waveform is None:
        return None
    place = slice(canvas.sample(span.start), canvas.sample(span.stop))
    geometry, stems = grid.geometry, len(canvas.waveform)
    hop = geometry.mel_hop
    masks = []
    for states in canvas.sample_states[:, place] != MAKE:
        known = reduce(padded(states, grid.mel_frames * hop), "(t hop) -> t", "min", hop=hop)
        masks.append(_mask(known, grid.audio_length, geometry.audio_time, device, geometry.audio_head))
    mask = torch.stack(masks, dim=1)
    if stems > 1 and (mask == mask[..., :1]).all():
        mask = mask[..., :1]
    heard = mask.any(-1).flatten().nonzero().flatten().tolist()
    if len(heard) == stems:
        return hear(canvas.waveform[..., place]), mask
    values = torch.zeros(1, stems, channels, grid.audio_length, device=device)
    if heard:
        values[:, heard] = hear(canvas.waveform[heard][..., place]).to(values)
    return values, mask


def _mask(known: np.ndarray, length: int, factor: int, device: torch.device, head: int = 1) -> Tensor:
    """bool [1, 1, T]: a latent of a causal codec is given if each of its frames is known."""
    bounds = causal_bounds(length, factor, head)
    return torch.tensor([[[bool(known[start:end].all()) for start, end in bounds]]], device=device)
