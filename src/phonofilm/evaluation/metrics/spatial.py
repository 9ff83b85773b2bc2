"""Does the sound come from where its source is seen? Stereo localisation, Spatial AV-Align, and two-eared metrics.

Places run from −1 (left) to 1 (right), or in Spatial AV-Align's pixels from 0 to 256. A mono clip has no places:
functions return None for it, which a report shows as n/a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from numpy.typing import ArrayLike, NDArray

from phonofilm.signals.faults.channels import channels_apart
from phonofilm.signals.validation import Floats, finite

SIDE = 256
"""Width of Spatial AV-Align's picture in pixels."""

EAR_DELAY = 0.00066
"""Seconds by which sound from one side reaches the far ear later: the delay that means ±1."""


def is_mono(waveform: ArrayLike, decibels: float = -40.0) -> bool:
    """Whether a waveform [N] or [C, N] has no places: silence, one channel, or two that differ by less than `decibels`
    apart from a codec's noise. The narrowest stereo that is made on purpose has its side at about −30 dB."""
    level = channels_apart(np.atleast_2d(finite(waveform, "waveform")))
    return bool(np.isnan(level) or level <= decibels)


@dataclass(frozen=True, eq=False)
class Places:
    """Where sound comes from, frame by frame, all float64 [T].

    Attributes:
        rate: frames a second; frame k lasts from k / rate to (k + 1) / rate.
        pan: −1 … 1, from level and time together.
        level: 20·log10 of right over left, dB.
        delay: milliseconds by which the left ear hears later, so positive = right too.
        coherence: 0 … 1, of the ears at that delay.
        power: mean energy of both ears above the clip's own floor.
        active: bool, whether there is sound that stands out.
    """

    rate: float
    pan: Floats
    level: Floats
    delay: Floats
    coherence: Floats
    power: Floats
    active: NDArray[np.bool_]


def locate(waveform: ArrayLike, sample_rate: int, rate: float = 10.0, floor: float = -40.0) -> Places | None:
    """Place of the sound in each frame, by interchannel level and time; None for a mono clip.

    Level: a constant-power pan is read from the energies, less each ear's steady floor (so that noise or music
    from all around does not pull it to the middle). Time: the peak of the generalised cross-correlation with phase
    transform within ± 0.66 ms, where the ears are coherent. Of the two cues the stronger one is taken.

    Args:
        waveform: [2, N]; further channels are not used.
        rate: frames a second; Spatial AV-Align has 10.
        floor: dB below the loudest frame at which a frame is silent.
    """
    if is_mono(waveform):
        return None
    sound = np.atleast_2d(finite(waveform, "waveform"))[:2]
    length = round(sample_rate / rate)
    count = sound.shape[1] // length if length else 0
    if not count:
        raise ValueError(f"{sound.shape[1]} samples at {sample_rate} Hz hold no frame of 1/{rate:g} s")
    frames = rearrange(sound[:, : count * length], "ear (t n) -> ear t n", n=length)
    energy = (frames**2).mean(axis=-1)
    above = np.maximum(energy - np.percentile(energy, 10, axis=1, keepdims=True), 0)
    above = np.where(above.sum(axis=0) > 0.1 * energy.sum(axis=0), above, energy)  # steady sound has only its floor
    power = above.sum(axis=0) / 2
    level_pan = np.arctan2(np.sqrt(above[1]), np.sqrt(above[0])) / (np.pi / 4) - 1
    delay, coherence = _delays(frames, sample_rate)
    time_pan = np.where(coherence > 0.3, np.clip(delay / EAR_DELAY, -1, 1), 0.0)
    pan = np.where(np.abs(level_pan) >= np.abs(time_pan), level_pan, time_pan)
    tiny = 1e-12 * max(float(energy.max()), 1e-300)
    level = 10 * np.log10((above[1] + tiny) / (above[0] + tiny))
    active = energy.sum(axis=0) > 10 ** (floor / 10) * energy.sum(axis=0).max()
    return Places(rate, pan, level, 1000 * delay, coherence, power, active & (power > 0))


def _delays(frames: Floats, sample_rate: int) -> tuple[Floats, Floats]:
    """Seconds by which the left ear hears later, and the height of the correlation there: [T] each."""
    length = frames.shape[-1]
    size = 2 * length
    left, right = np.fft.rfft(frames, size)
    cross = left * right.conj()
    strength = np.abs(cross)
    # phases of bins without energy are noise: they weigh by how far they stand above the loudest's −60 dB
    weight = strength + 1e-3 * strength.max(axis=-1, keepdims=True) + 1e-30
    reach = max(1, int(np.ceil(EAR_DELAY * 1.2 * sample_rate)))
    correlation = np.fft.irfft(cross / weight, size)
    lags = np.concatenate([correlation[:, -reach:], correlation[:, : reach + 1]], axis=1)
    scale = np.fft.irfft(strength / weight, size)[:, 0] + 1e-30
    best = lags.argmax(axis=1)
    inner = np.clip(best, 1, lags.shape[1] - 2)
    rows = np.arange(len(lags))
    before, at, after = lags[rows, inner - 1], lags[rows, inner], lags[rows, inner + 1]
    bend = before - 2 * at + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0).clip(-0.5, 0.5)
    peak = np.where(best == inner, best + shift, best)
    return (peak - reach) / sample_rate, np.clip(lags[rows, best] / scale, 0, 1)


def sound_events(places: Places) -> Floats:
    """Rows (frame, x) of the active frames, float64 [S, 2], x in 0 … 256: what Spatial AV-Align asks for."""
    frames = np.flatnonzero(places.active)
    x = np.clip((places.pan[frames] + 1) / 2 * SIDE, 0, SIDE - 1)
    return np.stack([frames.astype(np.float64), x], axis=1)


def spatial_hits(
    sounds: ArrayLike,
    boxes: ArrayLike,
    sound_rate: float = 10.0,
    box_rate: float = 4.0,
    reach: float = 40.0,
    tolerance: int = 1,
) -> NDArray[np.bool_]:
    """Whether each located sound of one clip touches a detected box, bool [S] (Shimada et al. 2024, SAVGBench).

    A hit: [x − reach, x + reach] meets [x0, x1] of a box at most `tolerance` detector frames away.

    Args:
        sounds: rows (frame, x) at `sound_rate`, x in 0 … 256.
        boxes: rows (frame, x0, x1) at `box_rate`, the same 256 pixels; may be empty.
    """
    heard = finite(sounds, "sounds").reshape(-1, 2)
    seen = finite(boxes, "boxes").reshape(-1, 3)
    frames = np.rint(heard[:, 0] / sound_rate * box_rate)
    near = np.abs(frames[:, None] - seen[None, :, 0]) <= tolerance
    touch = (seen[None, :, 2] >= heard[:, None, 1] - reach) & (seen[None, :, 1] <= heard[:, None, 1] + reach)
    return np.asarray((near & touch).any(axis=1), dtype=np.bool_)


def pan_error(generated: Places, real: Places) -> float | None:
    """Mean |pan − pan|, 0 … 2, lower is better, over frames where both sound; None where they never do."""
    count = min(len(generated.pan), len(real.pan))
    both = generated.active[:count] & real.active[:count]
    return float(np.abs(generated.pan[:count] - real.pan[:count])[both].mean()) if both.any() else None


def placement(places: Places | None) -> list[float]:
    """How a clip lies in space: mean and spread of pan and of level between the ears, and coherence; 5 numbers.

    Mono clips lie in the middle, fully coherent.
    """
    if places is None or not places.active.any():
        return [0.0, 0.0, 0.0, 0.0, 1.0]
    on = places.active
    level, pan = np.clip(places.level[on], -20, 20) / 20, places.pan[on]
    return [float(v) for v in (pan.mean(), pan.std(), level.mean(), level.std(), places.coherence[on].mean())]
