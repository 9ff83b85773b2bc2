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
"""uint8 [T, H, W, 3] to latents [1, C, T', H', W'], or float32 [2, N] to latents [1, 1, C, T'], a mix."""


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


def noise_of(given: Given, request: Request, window: int, device: torch.device, stage: str = "") -> Latents:
    """One seed per modality; each window of a long clip, and each stage of its making, has its own noise."""

    def draw(like: Tensor | None, seed: int | None, stream: str) -> Tensor | None:
        name = " ".join([stream, *([str(window)] if window else []), *([stage] if stage else [])])
        chosen = request.seed if seed is None else seed
        return None if like is None else draw_noise(like.shape[1:], [chosen], name).to(device)

    video = draw(given.values.video, request.video_seed, "video")
    return Latents(video, draw(given.values.audio, request.audio_seed, "audio"))


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
    """Latents [1, 1, C, T] of the sound, one mix, and bool [1, 1, 1, T]: which of them are given."""
    if canvas.waveform is None:
        return None
    place = slice(canvas.sample(span.start), canvas.sample(span.stop))
    hop = grid.geometry.mel_hop
    states = padded(canvas.sample_states[place] != MAKE, grid.mel_frames * hop)
    known = reduce(states, "(t hop) -> t", "min", hop=hop)
    mask = _mask(known, grid.audio_length, grid.geometry.audio_time, device, grid.geometry.audio_head)[:, None]
    if not mask.any():
        return torch.zeros(1, 1, channels, grid.audio_length, device=device), mask
    return hear(canvas.waveform[:, place]), mask


def _mask(known: np.ndarray, length: int, factor: int, device: torch.device, head: int = 1) -> Tensor:
    """bool [1, 1, T]: a latent of a causal codec is given if each of its frames is known."""
    bounds = causal_bounds(length, factor, head)
    return torch.tensor([[[bool(known[start:end].all()) for start, end in bounds]]], device=device)
