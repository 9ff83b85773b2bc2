"""A part of a film, exact to the frame and to the sample, without reading what lies before its keyframe."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, decoded_packets, limited, opened, seconds_of, streams
from phonofilm.media.decode import AUDIO_GAP, layout_of, planar
from phonofilm.media.resample import mix
from phonofilm.media.shots.scan import SmallFrames
from phonofilm.types import nearest

HALF = Fraction(1, 2000)
"""Seconds by which containers that round to milliseconds stamp a frame wrongly at most."""
LEAD = Fraction(1, 5)
"""Seconds of sound that are decoded before the part, so that a codec that overlaps its blocks has settled."""
LOOK = 480
"""Pixels of the short side of the few larger pictures, or fewer where the film has fewer."""
LEADS = (0, 2, 10, 60)
"""Seconds before the part from which its keyframe is looked for, one after the other."""


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a film; times count from its start.

    Attributes:
        frames: uint8 [T, h, w, 3], small. times: float64 [T], when each is first shown. seconds: length of the part.
        waveform: float32 [C, N] over the whole part, silence where nothing is stored; None without a sound track.
        stored: seconds of the part in which sound is stored.
        moving: uint8 [K, 2, H, W], luminance of frames as they are stored, each after the one before it, where the
            picture changes most, if they were asked for.
        looks: uint8 [L, H, W, 3], larger pictures spread evenly over the part, if they were asked for.
    """

    frames: np.ndarray
    times: np.ndarray
    seconds: float
    waveform: np.ndarray | None
    sample_rate: int
    stored: float
    moving: np.ndarray
    looks: np.ndarray

    @property
    def fps(self) -> float:
        """Frames a second, by the median of their distances."""
        if len(self.times) < 2:
            return 1 / self.seconds
        return float(1 / np.median(np.diff(self.times)))

    def steady(self) -> np.ndarray:
        """uint8 [T, h, w, 3] on a constant clock at `fps`: each tick takes the frame on show."""
        ticks = np.arange(max(1, round(self.seconds * self.fps))) / self.fps
        return self.frames[np.maximum(np.searchsorted(self.times, ticks + 0.5 / self.fps) - 1, 0)]


def read_window(
    path: Path, start: Fraction, stop: Fraction, side: int = 128, moving: int = 0, looks: int = 0
) -> Window:
    """Frames that are first shown in [start, stop), and the sound of that time.

    Args:
        start, stop: in the file's own times.
        side: pixels of the short side of the pictures.
        moving: how many pairs of frames are also given in their own size.
        looks: how many pictures of `LOOK` pixels are given as well; fewer where the part has fewer frames.

    Raises:
        PhonofilmError: a part that cannot be decoded, or in which there is no picture.
    """
    frames, times, kept, large = _pictures(path, start, stop, side, moving, looks)
    waveform, rate, stored = window_sound(path, start, stop)
    return Window(np.stack(frames), np.array(times), float(stop - start), waveform, rate, stored, kept, large)


def _pictures(
    path: Path, start: Fraction, stop: Fraction, side: int, moving: int, looks: int
) -> tuple[list[np.ndarray], list[float], np.ndarray, np.ndarray]:
    def damaged() -> PhonofilmError:
        return PhonofilmError(f"{path.name} is damaged: its picture from {float(start):.2f} s on cannot be read")

    frames: list[np.ndarray] = []
    times: list[float] = []
    most = _MostMoving(moving, damaged)
    large: list[np.ndarray] = []
    with opened(path) as container:
        video, _ = streams(container)
        if video is None:
            raise PhonofilmError(f"{path.name} has no picture")
        small, look = SmallFrames(path, limited(video), side), SmallFrames(path, video, LOOK)
        seek_before(container, video, start, damaged)
        for _, decoded in decoded_packets(container, [video], damaged):
            for frame in decoded:
                time = seconds_of(frame.pts, frame.time_base)
                if time is None or time < start - HALF:
                    continue
                if time >= stop - HALF:
                    break
                frames.append(small(frame))
                times.append(float(time - start))
                most.add(frames, frame)
                if len(large) < looks and time - start >= (stop - start) * Fraction(2 * len(large) + 1, 2 * looks):
                    large.append(look(frame))
            else:
                continue
            break
    if not frames:
        raise damaged()
    return frames, times, most.pairs(), np.stack(large or [frames[-1]])[:looks]


class _MostMoving:
    """Pairs of decoded frames between which the picture changes most, up to `count`."""

    def __init__(self, count: int, damaged: Any) -> None:
        self.count, self.damaged = count, damaged
        self._held: list[tuple[float, np.ndarray]] = []
        self._before: Any = None

    def add(self, small: list[np.ndarray], frame: Any) -> None:
        """Look at the last decoded frame, of which the last of `small` is a small picture."""
        before, self._before = self._before, frame
        if not self.count or before is None or len(small) < 2 or small[-1].shape != small[-2].shape:
            return
        change = float(np.abs(small[-1].astype(np.int16) - small[-2]).mean())
        least = min(self._held, key=lambda pair: pair[0]) if len(self._held) == self.count else None
        if least is not None and change <= least[0]:
            return
        pair = [_luminance(one, self.damaged) for one in (before, frame)]
        if pair[0].shape == pair[1].shape:
            self._held = [one for one in self._held if one is not least] + [(change, np.stack(pair))]

    def pairs(self) -> np.ndarray:
        """uint8 [K, 2, H, W] of one size."""
        alike = [pair for _, pair in self._held if pair.shape == self._held[0][1].shape]
        return np.stack(alike) if alike else np.zeros((0, 2, 0, 0), np.uint8)


def _luminance(frame: Any, damaged: Any) -> np.ndarray:
    try:
        return np.asarray(frame.reformat(format="gray").to_ndarray())
    except DECODER_ERRORS as error:
        raise damaged() from error


def window_sound(path: Path, start: Fraction, stop: Fraction) -> tuple[np.ndarray | None, int, float]:
    """Sound float32 [C, N] of a part (of more than two channels a stereo mix), its rate, and seconds that are stored.

    Raises:
        PhonofilmError: sound that cannot be decoded.
    """

    def damaged() -> PhonofilmError:
        return PhonofilmError(f"{path.name} is damaged: its sound from {float(start):.2f} s on cannot be read")

    with opened(path) as container:
        _, audio = streams(container)
        if audio is None:
            return None, 0, 0.0
        rate = int(audio.codec_context.sample_rate)
        waveform: np.ndarray | None = None
        stored, now = np.zeros(nearest((stop - start) * rate), bool), None
        seek_before(container, audio, start - LEAD, damaged)
        for _, decoded in decoded_packets(container, [audio], damaged):
            for frame in decoded:
                try:
                    samples, layout = planar(frame), layout_of(frame)
                except DECODER_ERRORS as error:
                    raise damaged() from error
                samples = samples if len(samples) <= 2 else mix(samples, 2, layout)
                stamp = seconds_of(frame.pts, frame.time_base)
                if now is None or (stamp is not None and abs(stamp - now) > AUDIO_GAP):
                    now = stamp if stamp is not None else start
                if int(frame.sample_rate) != rate:
                    raise PhonofilmError(f"{path.name} changes the rate of its sound midway; make it one rate first")
                if waveform is None:
                    waveform = np.zeros((len(samples), len(stored)), np.float32)
                place = nearest((now - start) * rate)
                _lay(waveform, stored, samples, place)
                now += Fraction(samples.shape[1], rate)
            if now is not None and now >= stop:
                break
    if waveform is None:
        waveform = np.zeros((1, len(stored)), np.float32)
    return waveform, rate, float(stored.sum() / rate)


def _lay(waveform: np.ndarray, stored: np.ndarray, samples: np.ndarray, place: int) -> None:
    first, last = max(place, 0), min(place + samples.shape[1], waveform.shape[1])
    if first < last:
        piece = samples[:, first - place : last - place]
        waveform[:, first:last] = piece if len(piece) == len(waveform) else mix(piece, len(waveform), ())
        stored[first:last] = True


def seek_before(container: Any, stream: Any, time: Fraction, damaged: Any) -> None:
    """Go to the keyframe at or before a time; files that cannot be sought are read from their start.

    Transport streams land where they like: from further ahead until the keyframe lies before.
    """
    begins = seconds_of(stream.start_time, stream.time_base)
    if begins is not None and time <= begins:
        return
    for lead in LEADS:
        try:
            container.seek(int((time - lead) / stream.time_base), stream=stream, backward=True)
            landed = next((at for packet in container.demux(stream) if (at := _key_time(packet)) is not None), None)
            if landed is not None and landed <= time + HALF:
                container.seek(int((time - lead) / stream.time_base), stream=stream, backward=True)
                return
        except DECODER_ERRORS:
            continue
    try:
        container.seek(stream.start_time or 0, stream=stream, backward=True, any_frame=True)
    except DECODER_ERRORS as error:
        raise damaged() from error


def _key_time(packet: Any) -> Fraction | None:
    return seconds_of(packet.pts, packet.time_base) if packet.size and packet.is_keyframe else None
