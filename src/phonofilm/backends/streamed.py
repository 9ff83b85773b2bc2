"""Sound for a film of any length, in the memory of one window: any backend, from file to file.

The first window is a foley, each later one a retake of the sound alone that stands on what was made before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice, tee
from pathlib import Path

import numpy as np

from phonofilm.backends.base import Backend, Cancel
from phonofilm.backends.canvas.control import control_from
from phonofilm.backends.canvas.finite import check_finite
from phonofilm.backends.canvas.fit import crossfaded, frame_indices, to_length
from phonofilm.backends.canvas.stems import wanted
from phonofilm.backends.canvas.tracks import FADE_SECONDS, length_notice
from phonofilm.backends.canvas.windows import Window, windows
from phonofilm.backends.requests import check
from phonofilm.checkpoint import file_sha256
from phonofilm.errors import PhonofilmError
from phonofilm.media import FORMATS, check_output
from phonofilm.media.film import Film, write_film
from phonofilm.media.resample import mix, resample_audio
from phonofilm.media.subtitles.cues import Cue
from phonofilm.media.write import Seal
from phonofilm.types import Clip, Progress, Request, nearest

SOUNDLESS = ".gif"


@dataclass(frozen=True)
class Written:
    """What was written: the film, the sound's samples, channels and rate, and what made it."""

    film: Film
    samples: int
    channels: int
    sample_rate: int
    copied: bool
    metadata: dict[str, str]


def check_film(request: Request, film: Film, output: Path) -> Request:
    """The request with a stand-in for the film that takes no memory, once all can be done that is asked.

    Raises:
        PhonofilmError: a request that makes no sense, or a file that cannot be written or holds no sound.
    """
    check_output(output)
    if output.suffix.lower() == SOUNDLESS:
        holding = " ".join(suffix for suffix in FORMATS if suffix != SOUNDLESS)
        raise PhonofilmError(f"{output.name}: {SOUNDLESS} holds no sound, and sound is made here; use {holding}")
    width, height = film.size
    frames = np.broadcast_to(np.zeros(3, np.uint8), (film.ticks, height, width, 3))
    request = replace(request, task="foley", source=Clip(frames, film.fps))
    check(request)
    return request


def foley_film(
    backend: Backend,
    film: Film,
    output: Path,
    request: Request,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    keep: Callable[[Clip], None] | None = None,
    stem_tracks: bool = False,
    subtitles: Sequence[Cue] = (),
    treat: Callable[[Iterator[Clip]], Iterator[Clip]] = iter,
    seal: Callable[[Mapping[str, str]], Seal] | None = None,
) -> Written:
    """Write a film with the sound that a model makes of it; its picture is copied where the file takes it.

    Args:
        request: what `check_film` returned.
        progress: told of one stage, "making", over all windows.
        keep: shown each piece of the sound, mix and stems.
        stem_tracks: write the stems as tracks after the mix, which .mkv alone holds.
        subtitles: a track of text, in .mkv and .webm.
        treat: what becomes of the pieces of sound before they are written, as a mark that is put into them.
        seal: given the metadata, what `write_clip` calls with the whole file.

    Raises:
        PhonofilmError: damage in the film, or a file that cannot be written.
        Cancelled: `cancel` said so; nothing is left.
    """
    seconds = film.seconds_in(output)
    made = treat(sound_of(backend, film, request, seconds, progress, cancel))
    first = next(made)
    channels, rate = len(first.sound.waveform), first.sound.sample_rate
    metadata = {**first.metadata, "source_sha256": file_sha256(film.path)}
    asked = replace(request, source=None).digest
    metadata["request"] = hashlib.sha256(f"{asked} {metadata['source_sha256']}".encode()).hexdigest()
    names = tuple(first.stems) if stem_tracks else ()
    mixes, *stems = tee(_shown(chain([first], made), keep), 1 + len(names))
    tracks = {name: _stem_pieces(pieces, name) for name, pieces in zip(names, stems, strict=True)}
    pieces = (clip.waveform for clip in mixes if clip.waveform is not None)
    sealed = None if seal is None else seal(metadata)
    copied = write_film(film, output, pieces, rate, metadata, subtitles, tracks, sealed)
    return Written(film, nearest(seconds * rate), channels, rate, copied, metadata)


def _shown(clips: Iterator[Clip], keep: Callable[[Clip], None] | None) -> Iterator[Clip]:
    for clip in clips:
        if keep is not None:
            keep(clip)
        yield clip


def _stem_pieces(clips: Iterator[Clip], name: str) -> Iterator[np.ndarray]:
    for clip in clips:
        yield clip.stems[name]


def sound_of(
    backend: Backend,
    film: Film,
    request: Request,
    seconds: Fraction,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Clip]:
    """`seconds` of sound for a film, in pieces that follow each other without a gap, one a window.

    Every piece says in its metadata what made it, the first one also how many windows there are.
    """
    window = window_of(backend)
    fps, size = window.fps or film.fps, window.size or film.size
    total = max(1, math.ceil(film.seconds * fps))
    spans = windows(total, max(1, nearest(window.seconds * fps)), 0, total)
    pictures = film.frames(frame_indices(total, fps, film.ticks, film.fps).tolist(), size)
    known: Clip = Clip()
    for number, (span, frames) in enumerate(zip(spans, ahead(frames_of(spans, pictures)), strict=True)):
        asked = _asked(request, Clip(frames, fps), known, number, Fraction(span.start) / fps)
        model = backend if number == 0 else unheeding(backend)
        made = model.generate(asked, _overall(progress, number, len(spans)), cancel)
        sound, rate = made.sound
        check_finite(sound, "sound")
        ends = nearest(seconds * rate) if span is spans[-1] else _sample(spans[number + 1].start, fps, rate)
        length = ends - _sample(span.start, fps, rate)
        whole = max(length, sound.shape[1])
        waveform, stems = to_length(sound, whole), {n: to_length(s, whole) for n, s in made.stems.items()}
        later = {name: stem[:, length:] for name, stem in stems.items()}
        known = Clip(waveform=waveform[:, length:], sample_rate=rate, stems=later)
        said = made.metadata if number else _noted(made, len(spans), request, film.seconds)
        now = {name: stem[:, :length] for name, stem in stems.items()}
        yield Clip(waveform=waveform[:, :length], sample_rate=rate, metadata=said, stems=now)


def frames_of(spans: list[range], pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """uint8 [T, H, W, 3] of each window, of pictures that come one after the other."""
    frames: list[np.ndarray] = []
    for number, span in enumerate(spans):
        before = spans[number - 1] if number else range(0)
        frames = frames[span.start - before.start :]
        frames += islice(pictures, len(span) - len(frames))
        yield np.stack(frames)


def ahead(items: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same items, the next of which is made while this one is worked with (reading leaves the interpreter)."""
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def window_of(backend: Backend) -> Window:
    """What a backend looks at in one go; one that does not say gets eight seconds as they are."""
    return getattr(backend, "window", Window(Fraction(8)))


def unheeding(backend: Backend) -> Backend:
    """A backend that no longer looks whether it knows what it is given, if it can; the first window has told."""
    return getattr(backend, "unheeding", backend)


def _asked(request: Request, picture: Clip, known: Clip, number: int, start: Fraction) -> Request:
    """The request of one window: sound for its picture, where its beginning is known from the window before.

    Args:
        start: of the window, in seconds of the film.
    """
    if number == 0 or known.waveform is None or known.sample_rate is None:
        given = {name: _cut(clip, start, picture.picture_seconds) for name, clip in request.given_stems.items()}
        asked = control_from(request, start, picture.picture_seconds)
        return replace(asked, task="foley", source=picture, given_stems=given)
    length = nearest(picture.picture_seconds * known.sample_rate)
    source = picture.with_(waveform=to_length(known.waveform, length), sample_rate=known.sample_rate)
    if known.stems:
        request, source = _with_stems(request, source, known, start)
    only = request.only if known.stems else ("audio",)
    span = (float(known.sound_seconds), float(picture.picture_seconds))
    seed = request.seed if request.audio_seed is None else request.audio_seed
    drawn = hashlib.sha256(f"{seed} {number}".encode()).digest()
    audio_seed = int.from_bytes(drawn[:8], "big") >> 1
    asked = control_from(request, start, picture.picture_seconds)
    return replace(asked, task="retake", only=only, source=source, span=span, audio_seed=audio_seed)


def _with_stems(request: Request, source: Clip, known: Clip, start: Fraction) -> tuple[Request, Clip]:
    """The request and the source of a later window where sound has stems: those that are given are known ahead."""
    asked, length, rate = wanted(request), source.sound.waveform.shape[1], known.sound.sample_rate
    stems = {name: to_length(stem, length) for name, stem in known.stems.items()}
    for name, clip in request.given_stems.items():
        part = _cut(clip, start, source.picture_seconds)
        stereo = resample_audio(mix(part.sound.waveform, 2, part.layout), part.sound.sample_rate, rate)
        whole = np.float32(10 ** (request.gain.get(name, 0.0) / 20)) * to_length(stereo, length)
        # what was written of it may be softer, with all else, than what is to come
        keep = np.arange(length) < known.stems[name].shape[1]
        stems[name] = crossfaded(stems[name], whole, keep, nearest(FADE_SECONDS * rate))
    gain = {name: level for name, level in request.gain.items() if name in asked.made}
    source = source.with_(waveform=np.sum([*stems.values()], axis=0), stems=stems)
    return replace(request, only=asked.made, no=(), given_stems={}, gain=gain), source


def _cut(clip: Clip, start: Fraction, seconds: Fraction) -> Clip:
    """A part of a sound, with silence after its end."""
    waveform, rate = clip.sound
    first, length = nearest(start * rate), nearest(seconds * rate)
    return clip.with_(waveform=to_length(waveform[:, first:], max(1, length)))


def _noted(made: Clip, windows: int, request: Request, total: Fraction) -> dict[str, str]:
    notes = made.metadata.get("notices", "").splitlines()
    for name, clip in request.given_stems.items():
        if (line := length_notice(name, clip.sound_seconds, total)) is not None:
            notes.append(line)
    if windows > 1:
        notes.append(f"longer than the model looks at in one go: made through {windows} overlapping windows")
    return {**made.metadata, "notices": "\n".join(notes)} if notes else dict(made.metadata)


def _sample(frame: int, fps: Fraction, rate: int) -> int:
    return nearest(Fraction(frame) / fps * rate)


def _overall(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one window as that of the whole film."""
    if progress is None:
        return None

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "sampling":
            progress("making", number * total + done, count * total)

    return tell
