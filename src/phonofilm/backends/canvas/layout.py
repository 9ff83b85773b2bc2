"""From a request to a canvas, and from the finished canvas to the clip that was asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from phonofilm.backends.canvas.canvas import HINT, KEEP, MAKE, Canvas
from phonofilm.backends.canvas.fit import begun_from, crossfaded, frame_indices, to_length
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.stems import Wanted, check_stems, wanted
from phonofilm.backends.canvas.tracks import (
    FADE_SECONDS,
    NOTHING,
    Interval,
    Track,
    between,
    length_notice,
    mixed,
    tracks_of,
)
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import mix, resample_audio, resize_frames
from phonofilm.provenance.watermark.given import made_of
from phonofilm.types import Clip, Request, nearest

PICTURE_FADE = 0.25
"""Seconds over which a given first frame goes over into what the model's codec makes of it."""


@dataclass(frozen=True)
class Job:
    """A request worked out: what is handed over in the end, and which part of it is to make.

    Attributes:
        source: the clip to work on, without the stream that is to be made afresh.
        frames, size, fps, samples, sample_rate: of the clip handed over.
        picture, sound: the seconds [from, to) to make of each stream; None where the stream is absent.
        tracks: of the sound: one mix, or the stems of a model that keeps them apart.
        notices: what whoever asked should know of how the request was understood.
    """

    request: Request
    source: Clip
    frames: int
    size: tuple[int, int]
    fps: Fraction
    sample_rate: int
    picture: Interval | None
    sound: Interval | None
    tracks: tuple[Track, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.frames) / self.fps

    @property
    def samples(self) -> int:
        return nearest(self.seconds * self.sample_rate)

    def canvas_seconds(self, fps: Fraction) -> Fraction:
        """How long the canvas at a model's rate is: whole frames of it that cover the job."""
        return max(1, math.ceil(self.seconds * fps)) / fps


def work_out(request: Request, trained: ModelDefaults) -> Job:
    """Lengths, sizes, rates and what is to make, from a checked request.

    Raises:
        PhonofilmError: a picture larger than memory, or parts that the model cannot make apart.
    """
    check_stems(request, trained.stems)
    source = _worked_on(request)
    fps = source.fps or request.fps or trained.fps
    size = _size(source.frames) if source.frames is not None else trained.size_of(request)
    rate = source.sample_rate or trained.geometry.sample_rate
    if request.task == "generate":
        given = max((clip.sound_seconds for clip in request.given_stems.values()), default=None)
        length = max(1, nearest(_exact(request.seconds or given or trained.seconds) * fps))
    else:
        length = len(source.frames) if source.frames is not None else math.ceil(source.sound_seconds * fps)
    if request.task == "extend":
        length += max(1, nearest(_exact(request.seconds or 0) * fps))
    _check_memory(length, size)
    asked = wanted(request)
    picture, sound = _to_make(request, asked, source, Fraction(length) / fps)
    tracks = () if sound is None else tracks_of(request, asked, source, trained.stems, sound)
    if trained.stems and sound is not None and source.waveform is not None:
        changed = any(track.made != NOTHING for track in tracks) or bool(asked.silent or asked.given)
        sound = sound if changed else NOTHING
    job = Job(request, source, length, size, fps, rate, picture, sound, tracks)
    return replace(job, notices=tuple(_notices(job)))


def _notices(job: Job) -> Iterator[str]:
    """How stems that are given, and a source's mix, are understood."""
    there = {track.name for track in job.tracks}
    given = {name: clip for name, clip in job.request.given_stems.items() if name in there}
    for name, clip in given.items():
        if clip.sample_rate != job.sample_rate:
            yield f"the given {name} is brought from {clip.sample_rate} to {job.sample_rate} Hz"
        end = job.sound[1] if job.sound is not None and job.request.task == "retake" else job.seconds
        if (line := length_notice(name, clip.sound_seconds, end, job.request.task)) is not None:
            yield line
    known = [track for track in job.tracks if track.name and track.source is not None and track.name not in given]
    if len(known) == 1 and known[0].name not in job.source.stems and job.request.mix_as is None:
        yield f"the clip's sound is one mix, and is taken for {known[0].name}; mix_as (--mix-as) says otherwise"


def _check_memory(frames: int, size: tuple[int, int]) -> None:
    """Refuse at once a picture that could never be held: where memory is promised before it is there, the system
    would end the process half-way.
    """
    needed, there = frames * size[0] * size[1] * 3, memory()
    if there is not None and needed > there:
        raise PhonofilmError(
            f"{frames} frames of {size[0]}x{size[1]} take {needed / 1e9:.0f} GB, this machine has "
            f"{there / 1e9:.0f} GB; ask for a shorter or smaller clip"
        )


def memory() -> int | None:
    """Bytes of memory that this machine has, where the system says so."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _worked_on(request: Request) -> Clip:
    source = request.source or Clip()
    if request.task == "foley":
        return source.with_(waveform=None, sample_rate=None)
    if request.task == "animate":
        return source.with_(frames=None, fps=None)
    return source


def _to_make(request: Request, asked: Wanted, source: Clip, total: Fraction) -> tuple[Interval | None, Interval | None]:
    whole = (Fraction(0), total)
    if request.task == "generate":
        return whole if asked.picture else None, whole if asked.stems else None
    if request.task == "foley":
        return NOTHING, whole
    if request.task == "animate":
        return whole, whole if asked.stems else NOTHING
    if request.task == "extend":
        made: Interval = (source.picture_seconds or source.sound_seconds, total)
    else:
        start, end = request.span or (0, 0)
        made = (_exact(start), min(_exact(end), total))
    # a stream that the source lacks stays absent: nothing of its past is known
    picture = None if source.frames is None else made if asked.picture else NOTHING
    sound = None if source.waveform is None else made if asked.stems else NOTHING
    return picture, sound


def lay_out(job: Job, trained: ModelDefaults) -> Canvas:
    """The canvas of a job, with all that is given drawn on it."""
    fps, rate = trained.fps, trained.geometry.sample_rate
    seconds = job.canvas_seconds(fps)
    length, samples = int(seconds * fps), nearest(seconds * rate)
    stems = max(1, len(job.tracks))
    canvas = Canvas(fps, rate, None, None, np.full(length, KEEP, np.int8), np.full((stems, samples), KEEP, np.int8))
    source, (width, height) = job.source, trained.size
    if job.picture is not None:
        canvas.frames = np.zeros((length, height, width, 3), np.uint8)
        if source.frames is not None and source.fps is not None:
            indices = frame_indices(length, fps, len(source.frames), source.fps)
            canvas.frames[:] = resize_frames(source.frames[indices], trained.size, crop=False)
        canvas.frame_states[_touched(_to_edge(job.picture, job, canvas), fps, length)] = MAKE
        if job.request.image is not None:
            canvas.frames[0] = resize_frames(job.request.image[None], trained.size, crop=False)[0]
            canvas.frame_states[0] = HINT
    if job.sound is not None:
        canvas.stems = tuple(track.number for track in job.tracks)
        canvas.waveform = np.stack([track.sound(rate, samples) for track in job.tracks])
        for states, track in zip(canvas.sample_states, job.tracks, strict=True):
            states[between(_to_edge(track.made, job, canvas), Fraction(rate), samples)] = MAKE
    return canvas


def deliver(job: Job, canvas: Canvas, metadata: Mapping[str, str] = {}) -> Clip:
    """The clip that was asked for; what was given and not to be made again is handed back untouched."""
    frames, (waveform, stems, softer) = _deliver_picture(job, canvas), _deliver_sound(job, canvas)
    untouched = waveform is not None and job.sound == NOTHING and job.source.waveform is not None
    if softer:
        line = f"the sound would have clipped: all of what is made is {softer:.1f} dB softer"
        metadata = {**metadata, "notices": "\n".join([*metadata.get("notices", "").splitlines(), line])}
    clip = Clip(
        frames=frames,
        fps=None if frames is None else job.fps,
        waveform=waveform,
        sample_rate=None if waveform is None else job.sample_rate,
        prompt=job.request.prompt or None,
        metadata=metadata,
        layout=job.source.layout if untouched else (),
        stems=stems,
    )
    return replace(clip, made=made_of(clip, job.request))


def _deliver_picture(job: Job, canvas: Canvas) -> np.ndarray | None:
    if job.picture is None or canvas.frames is None:
        return None
    source = job.source.frames
    if job.picture == NOTHING:
        return source
    fresh = between(job.picture, job.fps, job.frames)
    indices = frame_indices(job.frames, job.fps, len(canvas.frames), canvas.fps)
    made = _stretched(canvas.frames[indices[fresh]], job.size)
    if source is None:
        image = job.request.image
        if image is None or not len(made):
            return made
        return begun_from(_stretched(image[None], job.size)[0], made, PICTURE_FADE * float(job.fps))
    return np.concatenate([source[: fresh.start], made, source[fresh.stop :]])


Sound = tuple[np.ndarray | None, dict[str, np.ndarray], float]
"""The mix, its stems, and by how many dB all was made softer."""


def _deliver_sound(job: Job, canvas: Canvas) -> Sound:
    if job.sound is None or canvas.waveform is None:
        return None, {}, 0.0
    source, tracks, samples = job.source.waveform, job.tracks, job.samples
    if job.sound == NOTHING and source is not None:
        known = {track.name: track.source.waveform for track in tracks if track.name and track.source is not None}
        stems = {name: to_length(stem, samples) for name, stem in known.items() if stem is not None}
        return to_length(source, samples), stems, 0.0
    rate = job.sample_rate
    made = np.stack([to_length(resample_audio(one, canvas.sample_rate, rate), samples) for one in canvas.waveform])
    if tracks[0].name:
        stems, softer = mixed(
            tracks, made, rate, {str(name): gain for name, gain in job.request.gain.items()}, job.sound
        )
        return np.sum([*stems.values()], axis=0), stems, softer
    if source is None:
        return made[0], {}, 0.0
    kept = to_length(mix(source, 2, job.source.layout), samples)
    return crossfaded(kept, made[0], tracks[0].kept(rate, samples), nearest(FADE_SECONDS * rate)), {}, 0.0


def _stretched(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A wide picture is squeezed on its way in and stretched on its way out: nothing is cropped away."""
    width, height = size
    return resize_frames(frames, size, crop=False) if len(frames) else np.empty((0, height, width, 3), np.uint8)


def _to_edge(interval: Interval, job: Job, canvas: Canvas) -> Interval:
    """What is made to the end of the clip is made to the end of the canvas, which may be a little later."""
    start, end = interval
    return (start, Fraction(len(canvas.frame_states)) / canvas.fps) if start < end == job.seconds else interval


def _touched(interval: Interval, rate: Fraction, length: int) -> slice:
    """Frames of which any part lies within an interval: those cannot be given."""
    start, end = interval
    return slice(0, 0) if interval == NOTHING else slice(math.floor(start * rate), min(length, math.ceil(end * rate)))


def _exact(seconds: float | Fraction) -> Fraction:
    return seconds if isinstance(seconds, Fraction) else Fraction(str(seconds))


def _size(frames: np.ndarray) -> tuple[int, int]:
    return frames.shape[2], frames.shape[1]
