"""Other rates, sizes and channels, with nothing moved in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
from PIL import Image

from phonofilm.media.layouts import STANDARD, fold, is_stereo, named
from phonofilm.types import nearest

FILTER_REACH = 48
"""Samples of the slower rate on either side that a resampled sample depends on."""


def resample_audio(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """float32 [C, N] at another rate, [C, nearest(N · to / from)], by a linear-phase polyphase filter.

    The filter is symmetric, so nothing moves in time; it is flat to 90 % of the lower Nyquist rate and
    80 dB down past it.
    """
    if from_rate == to_rate or waveform.shape[1] == 0:
        return waveform
    from scipy.signal import resample_poly

    ratio = Fraction(to_rate, from_rate)
    resampled = resample_poly(waveform, ratio.numerator, ratio.denominator, axis=1, window=_lowpass(ratio))
    return resampled[:, : nearest(waveform.shape[1] * ratio)].astype(np.float32)


def resample_stream(pieces: Iterable[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Sound float32 [C, N] piece after piece at another rate: the samples that `resample_audio` makes of the whole.

    Each piece is filtered with as much of its neighbours as the filter reaches.
    """
    if from_rate == to_rate:
        yield from pieces
        return
    ratio = Fraction(to_rate, from_rate)
    step = ratio.denominator  # input samples after which an output sample falls on an input sample again
    reach = -(-(FILTER_REACH * max(ratio.numerator, step) // ratio.numerator + 1) // step) * step
    held: np.ndarray | None = None
    start = done = 0  # of the input: where what is held begins, and up to where its output was given
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece], axis=1)
        ready = (start + held.shape[1] - reach) // step * step
        if ready > done:
            made = resample_audio(held, from_rate, to_rate)
            yield made[:, int((done - start) * ratio) : int((ready - start) * ratio)]
            done = ready
            dropped = max(0, done - reach - start)
            held, start = held[:, dropped:], start + dropped
    if held is not None and held.shape[1]:
        yield resample_audio(held, from_rate, to_rate)[:, int((done - start) * ratio) :]


@lru_cache(maxsize=16)
def _lowpass(ratio: Fraction) -> np.ndarray:
    from scipy.signal import firwin

    slowest = max(ratio.numerator, ratio.denominator)
    return firwin(2 * FILTER_REACH * slowest + 1, 0.95 / slowest, window=("kaiser", 8.0))


def mix(waveform: np.ndarray, channels: int, layout: Sequence[str] = ()) -> np.ndarray:
    """float32 [C, N] as 1 or 2 channels: mono is doubled, stereo averaged, surround folded by ITU-R BS.775.

    Args:
        layout: FFmpeg's names of the channels (`Clip.layout`); without them the standard ones of their number.
    """
    count = waveform.shape[0]
    if channels not in (1, 2) and count != channels:
        raise ValueError(f"sound can be mixed to 1 or 2 channels, not {channels}")
    if count == 1 or count == channels != 2 or (count == 2 and is_stereo(count, layout)):
        stereo = waveform
    elif (matrix := fold(count, layout)) is not None:
        stereo = matrix @ waveform
    else:
        stereo = np.stack([waveform[0::2].mean(axis=0), waveform[1::2].mean(axis=0)])
    if len(stereo) == channels:
        return stereo
    return np.repeat(stereo, 2, axis=0) if len(stereo) == 1 else stereo.mean(axis=0, keepdims=True)


_NEIGHBOURS = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}


def remix(waveform: np.ndarray, layout: Sequence[str], wanted: Sequence[str], channels: int) -> np.ndarray:
    """float32 [C, N] as [channels, N]: by name where all channels have their place, else as left and right.

    Args:
        layout: names of the channels that are there. wanted: names of those to have.
    """
    have, want = named(len(waveform), layout), named(channels, wanted)
    have = tuple(_NEIGHBOURS[name] if name not in want and name in _NEIGHBOURS else name for name in have)
    if have == want and len(waveform) == channels:
        return waveform
    if channels in (1, 2) and want in (STANDARD[1], STANDARD[2]):
        return mix(waveform, channels, layout)
    if not have or not set(have) <= set(want):
        have, waveform = STANDARD[2], mix(waveform, 2, layout)
    made = np.zeros((channels, waveform.shape[1]), np.float32)
    for index, name in enumerate(have):
        made[want.index(name) if name in want else min(index, channels - 1)] += waveform[index]
    return made


def on_clock(times: Sequence[float], seconds: float, fps: Fraction, slack: float = 0.0) -> np.ndarray:
    """Which frame shows at each tick of a clock: int64 [nearest(seconds · fps)] indices into `times`.

    Args:
        times: ascending start of each frame, in seconds; the first one also covers what lies before it.
        slack: how much later than its tick a frame may be stamped (containers round to milliseconds).
    """
    ticks = np.arange(max(1, nearest(Fraction(seconds) * fps))) * float(1 / fps)
    return np.maximum(np.searchsorted(np.asarray(times) - slack, ticks, side="right") - 1, 0)


def resample_frames(frames: np.ndarray, from_fps: Fraction, to_fps: Fraction) -> np.ndarray:
    """uint8 [T, H, W, 3] at another rate, [nearest(T · to / from), H, W, 3]; each tick takes the frame on show."""
    if from_fps == to_fps:
        return frames
    # exact in integers: tick k shows frame floor(k · from / to)
    ratio = Fraction(from_fps) / Fraction(to_fps)
    ticks = np.arange(max(1, nearest(len(frames) / ratio)), dtype=np.int64)
    return frames[np.minimum(ticks * ratio.numerator // ratio.denominator, len(frames) - 1)]


def resize_frames(frames: np.ndarray, size: tuple[int, int], crop: bool = True) -> np.ndarray:
    """uint8 [T, H, W, 3] as [T, height, width, 3]; size is (width, height).

    Args:
        crop: keep the shape of things and cut what is over at the edges; otherwise stretch.
    """
    width, height = size
    _, old_height, old_width, _ = frames.shape
    if (old_width, old_height) == size:
        return frames
    box = (0.0, 0.0, float(old_width), float(old_height))
    if crop:
        scale = min(old_width / width, old_height / height)
        left, top = (old_width - width * scale) / 2, (old_height - height * scale) / 2
        box = (left, top, left + width * scale, top + height * scale)
    resized = (Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS, box) for frame in frames)
    return np.stack([np.asarray(image) for image in resized])
