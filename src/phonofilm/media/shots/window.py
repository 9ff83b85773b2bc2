"""A part of a film, exact to the frame and to the sample, without reading what lies before its keyframe."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, decoded_packets, hints, limited, opened, seconds_of, streams
from phonofilm.media.decode import AUDIO_GAP, layout_of, planar
from phonofilm.media.resample import mix
from phonofilm.media.shots.scan import SmallFrames
from phonofilm.types import nearest

HALF = Fraction(1, 2000)
"""Seconds by which containers that round to milliseconds stamp a frame wrongly at most."""
LEAD = Fraction(1, 5)
"""Seconds of sound that are decoded before the part, so that a codec that overlaps its blocks has settled."""
LEADS = (0, 2, 10, 60)
"""Seconds before the part from which its keyframe is looked for, one after the other."""
COMBED = 48
"""Frames that are looked at for combs, from the middle of the part."""


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a film; times count from its start.

    Attributes:
        frames: uint8 [T, h, w, 3], small. times: float64 [T], when each is first shown. seconds: length of the part.
        waveform: float32 [C, N] over the whole part, silence where nothing is stored; None without a sound track.
        stored: seconds of the part in which sound is stored.
        combed: share of frames in which the rows of two moments are woven together (FFmpeg's `idet`).
    """

    frames: np.ndarray
    times: np.ndarray
    seconds: float
    waveform: np.ndarray | None
    sample_rate: int
    stored: float
    combed: float

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


def read_window(path: Path, start: Fraction, stop: Fraction, side: int = 128, combs: bool = False) -> Window:
    """Frames that are first shown in [start, stop), and the sound of that time.

    Args:
        start, stop: in the file's own times.
        side: pixels of the short side of the pictures.
        combs: whether to look for interlaced rows, which costs a pass over whole frames.

    Raises:
        PhonofilmError: a part that cannot be decoded, or in which there is no picture.
    """
    frames, times, combed = _pictures(path, start, stop, side, combs)
    waveform, rate, stored = window_sound(path, start, stop)
    return Window(np.stack(frames), np.array(times), float(stop - start), waveform, rate, stored, combed)


def _pictures(
    path: Path, start: Fraction, stop: Fraction, side: int, combs: bool
) -> tuple[list[np.ndarray], list[float], float]:
    def damaged() -> PhonofilmError:
        return PhonofilmError(f"{path.name} is damaged: its picture from {float(start):.2f} s on cannot be read")

    frames: list[np.ndarray] = []
    times: list[float] = []
    with opened(path) as container:
        video, _ = streams(container)
        if video is None:
            raise PhonofilmError(f"{path.name} has no picture")
        small, comb = SmallFrames(path, limited(video), side), _Combs(video)
        middle = start + (stop - start) / 2
        near = Fraction(COMBED, 2) / next(iter(hints(video)), Fraction(25))
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
                if combs and abs(time - middle) <= near:
                    comb.look(frame)
            else:
                continue
            break
    if not frames:
        raise damaged()
    return frames, times, comb.share()


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


class _Combs:
    """FFmpeg's `idet` over frames that follow one another."""

    def __init__(self, video: Any) -> None:
        self._unit, self._graph, self._found = video.time_base, None, [0, 0]

    def look(self, frame: Any) -> None:
        try:
            if self._graph is None:
                self._graph = self._made(frame)
            self._graph.push(frame)
            self._take(self._graph.pull().metadata)
        except (BlockingIOError, EOFError):  # it waits for the next frame
            return
        except DECODER_ERRORS:  # of another size or format than the first
            self._graph = None

    def share(self) -> float:
        woven, whole = self._found
        return woven / (woven + whole) if woven + whole else 0.0

    def _made(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        parts = (
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format.name,
                time_base=self._unit or Fraction(1, 25),
            ),
            graph.add("idet"),
            graph.add("buffersink"),
        )
        for one, other in pairwise(parts):
            one.link_to(other)
        graph.configure()
        return graph

    def _take(self, found: Any) -> None:
        kind = found.get("lavfi.idet.multiple.current_frame", "")
        self._found[0] += kind in ("tff", "bff")
        self._found[1] += kind == "progressive"
