"""A film too long to hold: looked through once for its times, then read frame by frame, and given another sound.

Memory holds a frame or two and eight bytes for the time of every other one, however long the film is.
"""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic
from phonofilm.media.colour import Pictures, orientation
from phonofilm.media.container import (
    DECODER_ERRORS,
    LONGEST,
    container_of,
    declared_seconds,
    decoded_packets,
    hints,
    limited,
    opened,
    seconds_of,
    streams,
)
from phonofilm.media.decode import FILM_RATES, LATE, Aspects, within
from phonofilm.media.layouts import STANDARD
from phonofilm.media.metadata import from_tags, to_tags
from phonofilm.media.resample import resample_stream, resize_frames
from phonofilm.media.subtitles.cues import Cue
from phonofilm.media.write import (
    CONTAINERS,
    MIX_TITLE,
    Seal,
    Timed,
    Track,
    check_output,
    check_stem_tracks,
    codec_rate,
    mux,
    picture_track,
    sound_track,
    subtitle_tracks,
)
from phonofilm.types import Clip, nearest, rational


@dataclass(frozen=True)
class Film:
    """The picture of a file, upright and with square pixels, on a constant clock that starts with its first frame.

    Attributes:
        fps: the film's own rate or, where that varies, the nearest common one.
        ticks: frames on that clock.
        size: (width, height).
        start: time stamp of the first frame, in seconds of the file.
        slack: how much later than its tick a frame may be stamped.
        last: seconds from the start of the first frame to that of the last, as they are stamped.
        length: seconds from the start of the first frame to the end of the last, as they are stamped.
        prompt: that Phonofilm wrote into the file, if it did.
        upright: the frames are stored as they are shown, each with a time and all of them to be shown.
    """

    path: Path
    fps: Fraction
    ticks: int
    size: tuple[int, int]
    start: Fraction
    slack: Fraction
    last: Fraction
    length: Fraction
    prompt: str | None = None
    upright: bool = True

    @staticmethod
    def open(path: str | Path) -> Film:
        """Look through the whole file without decoding it.

        Raises:
            PhonofilmError: a file that is missing, empty, truncated or damaged, or that has no picture.
        """
        path = Path(path)
        with opened(path) as container:
            video, _ = streams(container)
            if video is None:
                raise PhonofilmError(f"{path} has no picture to make sound for; animate makes a picture for a sound")
            said = from_tags(dict(container.metadata))
            rates = [*_written(said), *hints(video)]
            declared, unit = declared_seconds(container, video, None), video.time_base
            stamps, end, whole = _look_through(container, video, path)
        first, width, height, turned = _first_frame(path)
        times = (np.array(stamps, np.int64) - stamps[0]) * float(unit)
        slack = max(Fraction(1, 1000), unit / 2)
        fps, constant = _clock(times, rates, float(slack))
        seconds = (end - stamps[0]) * unit if end > stamps[-1] else stamps[-1] * unit - stamps[0] * unit + 1 / fps
        # some headers tell a length, and some the time of the end
        if declared is not None and declared - max(seconds, end * unit) > LATE + declared / 50:
            raise PhonofilmError(
                f"{path} is truncated: {float(seconds):.1f} s of {float(declared):.1f} s can be read; "
                "copy or make it again"
            )
        start, ticks = (stamps[0] * unit if first is None else first), max(1, nearest(seconds * fps))
        last, length = (stamps[-1] - stamps[0]) * unit, ticks / fps if constant else seconds
        upright = whole and not turned
        return Film(path, fps, ticks, (width, height), start, slack, last, length, said.get("prompt"), upright)

    @property
    def seconds(self) -> Fraction:
        """How long the picture is on its clock."""
        return self.ticks / self.fps

    def seconds_in(self, path: Path) -> Fraction:
        """How long the picture is in a file of this name, which is how long its sound must be.

        On its clock where it is encoded again; as it is stamped, which a varying rate does not round, elsewhere.
        """
        again = CONTAINERS[path.suffix.lower()].video is not None and not goes_into(self, path.suffix)
        return self.seconds if again else self.length

    def frames(self, shown: Iterable[int] | None = None, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """uint8 [H, W, 3] of one tick of the clock after the other; each takes the frame on show.

        Args:
            shown: which ticks, ascending (repeated ones too); None for all of them.
            size: (width, height) to stretch to; what is much larger is shrunk before it becomes RGB.

        Raises:
            PhonofilmError: damage in the middle of the file.
        """
        wanted = iter(range(self.ticks) if shown is None else shown)
        tick = next(wanted, None)
        smallest = None if size is None else (2 * size[0], 2 * size[1])
        for picture, until in self._held(smallest):
            pixels = None
            while tick is not None and (until is None or tick < until):
                if pixels is None:
                    pixels = picture()
                    # a film that changes its size midway goes on in the size it began with
                    if size is None:
                        pixels = within(pixels, self.size)
                    else:
                        pixels = resize_frames(pixels[None], size, crop=False)[0]
                yield pixels
                tick = next(wanted, None)
            if tick is None:
                return

    def _held(self, smallest: tuple[int, int] | None) -> Iterator[tuple[Any, int | None]]:
        """A function that makes the pixels of each frame, and the tick at which the next one takes over."""
        pictures, time, before = Pictures(self.path), self.start, None

        def damaged() -> PhonofilmError:
            until = float(time - self.start)
            return PhonofilmError(f"{self.path} is damaged: only its first {until:.1f} s can be read")

        with opened(self.path) as container:
            video, _ = streams(container)
            limited(video)
            aspects = Aspects(video)
            for _, frames in decoded_packets(container, [video], damaged):
                for frame in frames:
                    stamp = seconds_of(frame.pts, frame.time_base)
                    time = time if stamp is None else stamp
                    if before is not None:
                        yield before, math.ceil((time - self.start - self.slack) * self.fps)
                    before = partial(pictures.whole, frame, aspects.now(), smallest)
                    time += 1 / self.fps
            if before is None:
                raise PhonofilmError(f"{self.path} is damaged: no picture of it can be decoded")
            yield before, None


def goes_into(film: Film, suffix: str) -> bool:
    """Whether a kind of file takes the film's picture as it is, without encoding it again."""
    kind = CONTAINERS[suffix.lower()]
    if not film.upright or kind.video is None:
        return False
    with opened(film.path) as container:
        video, _ = streams(container)
        try:
            with av.open(io.BytesIO(), "w", format=kind.format) as trial:
                if video.codec_context.name not in trial.supported_codecs:
                    return False
                trial.add_stream_from_template(video)
                trial.start_encoding()
        except DECODER_ERRORS:
            return False
    return True


def write_film(
    film: Film,
    path: str | Path,
    sound: Iterable[np.ndarray],
    sample_rate: int,
    metadata: Mapping[str, str],
    subtitles: Sequence[Cue] = (),
    stems: Mapping[str, Iterable[np.ndarray]] = MappingProxyType({}),
    seal: Seal | None = None,
) -> bool:
    """Write a film with another sound, float32 [C, N] piece after piece; returns whether its picture was copied.

    The picture is copied bit for bit where `goes_into` says that this can be, and encoded frame by frame
    elsewhere; .wav takes the sound alone. .mkv and .webm also take `subtitles`.

    Args:
        stems: further tracks of sound by their names, which .mkv alone holds; pieces as those of `sound`.
        seal: as of `write_clip`.

    Raises:
        PhonofilmError: as `write_clip`, and damage in the film.
    """
    path = check_output(path)
    if stems:
        check_stem_tracks(path)
    if path.suffix.lower() not in CONTAINERS:
        raise PhonofilmError(f"{path.name}: {path.suffix} holds no sound; use {' '.join(CONTAINERS)}")
    kind, copied = CONTAINERS[path.suffix.lower()], goes_into(film, path.suffix)
    pieces = iter(sound)
    first = next(pieces)
    rate = codec_rate(sample_rate, kind)
    resampled = resample_stream(_chained(first, pieces), sample_rate, rate)
    tracks: list[Track] = []
    if kind.video is not None:
        whole = partial(picture_track, frames=film.frames(), size=film.size, fps=film.fps, kind=kind)
        tracks.append(partial(_copy_track, film=film) if copied else whole)
    titled = {MIX_TITLE if stems else "": resampled}
    titled |= {name: resample_stream(parts, sample_rate, rate) for name, parts in stems.items()}
    for title, parts in titled.items():
        names = STANDARD[len(first)]
        tracks.append(partial(sound_track, pieces=parts, names=names, rate=rate, kind=kind, title=title))
    tracks += subtitle_tracks(subtitles if kind.video else (), path.suffix)
    tags = to_tags(Clip(metadata=metadata), {"fps": str(film.fps)} if kind.video else {})
    with atomic(path) as temporary:
        mux(temporary, kind, tags, sample_rate, tracks)
        if seal is not None:
            seal(temporary, path)
    return copied


def _chained(first: np.ndarray, rest: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _copy_track(output: Any, film: Film) -> Iterator[Timed]:
    """The packets of a film as they are, moved in time so that its first frame is at zero."""
    container = container_of(film.path)
    video, _ = streams(container)
    stream = output.add_stream_from_template(video)
    stream.time_base = video.time_base

    def copy() -> Iterator[Timed]:
        with container:
            unit = video.time_base
            shift, last, end = (round(time / unit) for time in (film.start, film.last, film.length))
            for packet in container.demux(video):
                if packet.dts is not None and packet.size:
                    packet.pts -= shift
                    packet.dts -= shift
                    if packet.pts >= last:
                        # not every container says how long the last frame is shown
                        packet.duration = max(1, end - packet.pts)
                    time = packet.dts * unit
                    packet.stream = stream
                    yield time, stream, packet

    return copy()


def _look_through(container: Any, video: Any, path: Path) -> tuple[array[int], int, bool]:
    """Ascending time stamps of all frames, the end of the last one, and whether all are timed and to be shown."""
    stamps, end, whole = array("q"), 0, True
    try:
        for packet in container.demux(video):
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.size == 0 and stamp is None:
                continue
            # a packet without content shows the picture before it again, and cannot be copied into any container
            whole = whole and packet.pts is not None and packet.dts is not None and not packet.is_discard
            whole = whole and packet.size > 0
            if stamp is not None and not packet.is_discard:
                stamps.append(stamp)
                end = max(end, stamp + (packet.duration or 0))
    except DECODER_ERRORS as error:
        raise PhonofilmError(f"{path} is damaged: {len(stamps)} frames of it can be read") from error
    if not stamps or not video.time_base:
        raise PhonofilmError(f"{path} is damaged: no picture of it can be decoded")
    stamps = array("q", sorted(stamps))
    if (max(end, stamps[-1]) - stamps[0]) * video.time_base > LONGEST:
        raise PhonofilmError(f"{path} is damaged: its time stamps jump by more than {LONGEST // 86400} days")
    return stamps, end, whole


def _first_frame(path: Path) -> tuple[Fraction | None, int, int, bool]:
    """Time of the first frame that is shown, width and height upright, and whether it had to be turned."""

    def damaged() -> PhonofilmError:
        return PhonofilmError(f"{path} is damaged: no picture of it can be decoded")

    with opened(path) as container:
        video, _ = streams(container)
        aspects = Aspects(limited(video))
        for _, frames in decoded_packets(container, [video], damaged):
            for frame in frames:
                height, width = Pictures(path).whole(frame, aspects.now()).shape[:2]
                turned = orientation(frame) != (0, False)
                return seconds_of(frame.pts, frame.time_base), width, height, turned
    raise damaged()


def _clock(times: np.ndarray, rates: Iterable[Fraction], slack: float) -> tuple[Fraction, bool]:
    """The first of the rates that all times (ascending, from 0) fit, or the common one that is nearest; and which."""
    for rate in rates:
        if np.abs(times - np.arange(len(times)) / float(rate)).max() <= slack:
            return rate, True
    usual = float(np.median([later - earlier for earlier, later in pairwise(times[:10_000])] or [1.0])) or 1.0
    return min(FILM_RATES, key=lambda rate: abs(math.log(float(rate) * usual))), False


def _written(said: Mapping[str, str]) -> list[Fraction]:
    """The rate that Phonofilm noted in a container."""
    try:
        return [rational(said["fps"])] if "fps" in said else []
    except ValueError:
        return []
