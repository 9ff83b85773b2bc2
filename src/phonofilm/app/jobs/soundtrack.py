"""A sound track for a film of any length: effects that a model makes of its picture, words, music, and its own sound.

Everything goes through files: the mix lies on disk while it is made, ducked, measured, and brought to its loudness.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm import __version__
from phonofilm.app.jobs.label import notice
from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import SOUND_ALONE, layers_of, recipe
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.jobs.speech import (
    check_subtitles,
    lines_told,
    rate_of,
    sounds_of,
    speech_stem,
    write_subtitles,
)
from phonofilm.backends.base import Backend, JobContext
from phonofilm.backends.canvas.stems import stems_of
from phonofilm.backends.streamed import check_film, sound_of
from phonofilm.choices import Stem
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_not_read
from phonofilm.media import check_output, provenance
from phonofilm.media.film import Film, write_film
from phonofilm.media.metadata import digest_of, events_text
from phonofilm.media.sound.loudness import loudness
from phonofilm.media.sound.reading import has_sound, sound_pieces
from phonofilm.media.subtitle_files import read_subtitles, subtitles_of
from phonofilm.media.subtitles.cues import cues_of
from phonofilm.perception.speech.plan import Placed, events, speak, stem
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.perception.speech.script import Line, script, subtitle_lines
from phonofilm.provenance.layers import Marking
from phonofilm.provenance.watermark.given import CONTEXT
from phonofilm.provenance.watermark.sound import mark_sound
from phonofilm.signals.ducking import Ducked, Ducking, ducking_gain
from phonofilm.signals.limiting import limited
from phonofilm.types import Clip, Event, Request, nearest

FILM, WEB = -23.0, -14.0
"""LUFS of films (EBU R128) and of what is heard on the web."""
LOUDNESS = (-50.0, -5.0)
CEILING = -1.0
"""dBTP."""
RATE = 48_000
"""Of a sound track of which no model makes a part."""
STEPS = 4096
"""Steps of the ducking gain that are worked on at a time."""
SUBTITLES = "subtitles"
"""What `say` calls the words of the film's own subtitles."""


@dataclass(frozen=True)
class SoundtrackSpec:
    """What a sound track is made of.

    Attributes:
        making: a foley job: the film, and what the effects are made with.
        make: whether effects are made. Music is made where `making` has a prompt for it.
        say: lines as `script.given_line` reads them; or "subtitles", or a file of subtitles.
        voices: of those who speak, in their order.
        music_file: laid under everything.
        keep: whether the film's own sound stays, too.
        subtitles: whether a file of subtitles is written, and a track where the film takes one.
        loudness: LUFS of the whole.
    """

    making: RequestSpec
    make: bool = True
    say: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    music_file: str | None = None
    keep: bool = False
    subtitles: bool = False
    loudness: float = FILM
    ducking: Ducking = field(default_factory=Ducking)

    @property
    def made(self) -> tuple[Stem, ...]:
        """What a model makes."""
        asked: dict[Stem, bool] = {"effects": self.make, "music": bool(self.making.music)}
        return tuple(stem for stem, wanted in asked.items() if wanted)


def make_soundtrack(
    spec: SoundtrackSpec, path: Path, job: JobContext | None = None, pool: BackendPool | None = None
) -> dict[str, Any]:
    """Write a film with a new sound track; its picture is copied where the file takes it. Returns the facts.

    Raises:
        PhonofilmError: a film, words, a voice or a file that cannot be had; nothing is left half-written.
        Cancelled: `job` said so.
    """

    job, pool = job or JobContext(), pool or BackendPool()
    if not (math.isfinite(spec.loudness) and LOUDNESS[0] <= spec.loudness <= LOUDNESS[1]):
        raise PhonofilmError(
            f"a loudness of {spec.loudness:g} LUFS is not possible; choose {LOUDNESS[0]:g} to {LOUDNESS[1]:g}"
        )
    read = [spec.making.source, spec.music_file, *(said for said in spec.say if is_subtitle_file(said))]
    check_not_read(check_output(path), read)
    if spec.subtitles:
        check_subtitles(path, read)
    job("reading", 0, 1)
    marking = Marking.of(layers_of(spec.making), job.warn)
    film = Film.open(spec.making.source or "")
    request = check_film(spec.making.bare(), film, path)
    seconds = film.seconds_in(path)
    _check_sound(spec, film)
    made_any = SOUND_ALONE if spec.made or spec.say else None
    placed = _spoken(spec, Path(spec.making.source or ""), float(seconds), job)
    with _bed(spec, film, request, placed, seconds, job, pool, marking) as (sound, rate, made):
        placed = tuple(one.at_rate(rate) for one in placed)
        _put_in(sound, rate, placed, spec.ducking, job, marking)
        if spec.making.notice and made_any:
            _add(sound, 0, np.tile(notice(rate, float(seconds)), (2, 1)))
        gain, reached = _leveled(sound, rate, spec.loudness, job)
        known = (*(sounds_of(film.path) if spec.made or spec.keep else ()), *events(placed))
        cues = cues_of(known) if spec.subtitles else ()
        metadata = _metadata(spec, made, placed, reached, known)
        job("writing", 0, 1)
        pieces = _while_wanted(limited(_reader(sound, gain), len(sound), rate, CEILING), job)
        seal = marking.seal(metadata, made_any, _read_files(spec)) if made_any else None
        copied = write_film(film, path, pieces, rate, metadata, cues, seal=seal)
        written = write_subtitles(cues, path, job) if spec.subtitles else None
        samples = len(sound)
    if made_any:
        marking.remember(path, recipe(spec.making, metadata), made_any, job.warn)
    for line in metadata.get("notices", "").splitlines():
        job.warn(line)
    facts = {"path": str(path), "seconds": round(float(film.seconds), 6), "samples": samples, "channels": 2}
    facts |= {"sample_rate": rate, "lufs": reached, "said": lines_told(placed), "subtitles": written}
    if path.suffix.lower() != ".wav":
        facts["picture"] = "copied" if copied else "encoded again"
    return {name: value for name, value in facts.items() if value is not None}


def is_subtitle_file(said: str) -> bool:
    """Whether words to say are the name of a file of subtitles."""
    return Path(said).suffix.lower() in (".vtt", ".srt")


def _check_sound(spec: SoundtrackSpec, film: Film) -> None:

    if spec.keep and not has_sound(film.path):
        raise PhonofilmError(f"{film.path} has no sound of its own to keep; leave out --keep")
    if spec.music_file is not None and not has_sound(spec.music_file):
        raise PhonofilmError(f"{spec.music_file} has no sound, so it cannot be the music")
    if not (spec.made or spec.say or spec.music_file):
        raise PhonofilmError("nothing is added to the film's own sound; give --say, --music or --effects, or no --keep")


def _spoken(spec: SoundtrackSpec, film: Path, seconds: float, job: JobContext) -> tuple[Placed, ...]:
    """All lines on the film's clock; nothing has been computed yet when one cannot be said."""

    if not spec.say:
        if spec.voices:
            raise PhonofilmError("a voice is given and nobody speaks; give the words with --say")
        return ()
    job("speaking", 0, 1)
    told = [said for said in spec.say if said != SUBTITLES and not is_subtitle_file(said)]
    files = [said for said in spec.say if said not in told]
    if not files:
        return speak(script("", told), spec.voices, seconds, TextToSpeech())
    if told or len(files) > 1:
        raise PhonofilmError("words are taken from one file of subtitles, or given one by one; choose one")
    source, cues = subtitles_of(film) if files[0] == SUBTITLES else (Path(files[0]), read_subtitles(files[0]))
    lines: tuple[Line, ...] = subtitle_lines(cues)
    if not lines:
        raise PhonofilmError(f"the subtitles of {source} hold no words that are said")
    placed = speak(lines, spec.voices, seconds, TextToSpeech(), moved=True)
    late = sum(1 for line, one in zip(lines, placed, strict=True) if one.start > (line.at or 0) + 0.5)
    if late:
        job.warn(
            f"{late} of {len(lines)} lines of the subtitles begin more than half a second late: they were too long"
        )
    return placed


@contextmanager
def _bed(
    spec: SoundtrackSpec,
    film: Film,
    request: Request,
    placed: Sequence[Placed],
    seconds: Fraction,
    job: JobContext,
    pool: BackendPool,
    marking: Marking,
) -> Iterator[tuple[np.ndarray, int, Mapping[str, str]]]:
    """All that gives way to words, as [N, 2] on disk, its rate, and the metadata of the model's part."""

    with tempfile.TemporaryDirectory(prefix="phonofilm-") as folder:
        file = Path(folder) / "sound"
        if spec.made:
            with pool.use(spec.making.loading, job) as backend:
                request = _for_stems(request, spec, placed, float(seconds), backend)
                backend.check(request)
                made = marking.pieces(
                    map(_unspoken, sound_of(backend, film, request, seconds, job.progress, job.cancel))
                )
                first = next(made)
                rate, metadata = int(first.sample_rate or RATE), first.metadata
                sound = _on_disk(file, nearest(seconds * rate))
                position = 0
                for clip in _chained(first, made):
                    assert clip.waveform is not None
                    position = _add(sound, position, clip.waveform)
        else:
            rate, metadata, sound = RATE, {}, _on_disk(file, nearest(seconds * RATE))
        for source, start in ((film.path if spec.keep else None, film.start), (spec.music_file, Fraction(0))):
            position = 0
            if source is not None:
                for piece in sound_pieces(source, rate, start, seconds):
                    job("mixing", position, len(sound))
                    position = _add(sound, position, piece)
        yield sound, rate, metadata


def _for_stems(
    request: Request, spec: SoundtrackSpec, placed: Sequence[Placed], seconds: float, backend: Backend
) -> Request:
    """What a model with stems is asked for: effects, and music with a prompt, which hear the words."""
    if "speech" not in stems_of(backend):
        return request
    rate = rate_of(backend)
    words = Clip(waveform=speech_stem(placed, seconds, rate), sample_rate=rate)
    given: dict[Stem, Clip] = {"speech": words} if placed else {}
    return replace(request, only=spec.made, given_stems={**request.given_stems, **given})


def _unspoken(clip: Clip) -> Clip:
    """What a model made, without the words that it was given."""
    made = [sound for name, sound in clip.stems.items() if name != "speech"]
    return replace(
        clip, waveform=np.asarray(np.sum(made, axis=0, dtype=np.float32)) if made else clip.sound.waveform, stems={}
    )


def _read_files(spec: SoundtrackSpec) -> tuple[str, ...]:
    return tuple(file for file in (spec.making.source, spec.music_file) if file is not None)


def _on_disk(file: Path, samples: int) -> np.ndarray:
    return np.memmap(file, np.float32, "w+", shape=(max(1, samples), 2))


def _chained(first: Clip, rest: Iterator[Clip]) -> Iterator[Clip]:
    yield first
    yield from rest


def _add(sound: np.ndarray, position: int, piece: np.ndarray) -> int:
    """Add sound [C, N] at a position; returns where it ends."""
    place = sound[position : position + piece.shape[1]]
    place += piece[:, : len(place)].T
    return position + piece.shape[1]


def _put_in(
    sound: np.ndarray, rate: int, placed: Sequence[Placed], how: Ducking, job: JobContext, marking: Marking
) -> None:
    """Lower what is there under the words, and put these in."""
    if not placed:
        return
    size = round(0.01 * rate) * STEPS
    state: Ducked | None = None
    for start in range(0, len(sound), size):
        job("mixing", start, len(sound))
        part = sound[start : start + size]
        words = stem(placed, start, size, rate)
        gain, state = ducking_gain(words, rate, how, state)
        part *= gain[: len(part), None]
        if marking.keys:
            words = _marked_words(placed, start, size, rate, marking.keys)
        part += words[:, : len(part)].T


def _marked_words(placed: Sequence[Placed], start: int, size: int, rate: int, keys: Sequence[bytes]) -> np.ndarray:
    """float32 [2, size]: the words of a part of the sound, with the mark that they have as a whole."""
    around = nearest(Fraction(CONTEXT) * rate)
    first = max(0, start - around)
    words = stem(placed, first, start - first + size + around, rate)
    return (words + mark_sound(words, rate, keys, first))[:, start - first : start - first + size]


def _reader(sound: np.ndarray, decibels: float) -> Any:
    factor = 10 ** (decibels / 20)
    return lambda start, stop: np.asarray(sound[start:stop]).T.astype(np.float64) * factor


def _while_wanted(pieces: Iterator[np.ndarray], job: JobContext) -> Iterator[np.ndarray]:
    for piece in pieces:
        job.check()
        yield piece


def _leveled(sound: np.ndarray, rate: int, wanted: float, job: JobContext) -> tuple[float, float | None]:
    """The gain in dB that brings a sound to a loudness with its peaks limited, and the loudness that it has then."""

    job("measuring", 0, 1)
    blocks = (np.ascontiguousarray(sound[start : start + 2**18].T) for start in range(0, len(sound), 2**18))
    found = loudness(blocks, rate)
    if found.silent:
        job.warn("the sound is silent or shorter than 0.4 s, so its loudness stays as it is")
        return 0.0, None
    gain, reached = wanted - found.integrated, wanted
    for _ in range(3):  # limiting takes some loudness away
        reached = loudness(limited(_reader(sound, gain), len(sound), rate, CEILING), rate).integrated
        if abs(reached - wanted) < 0.1:
            break
        gain += min(wanted - reached, 6.0)
    else:
        reached = loudness(limited(_reader(sound, gain), len(sound), rate, CEILING), rate).integrated
    if abs(reached - wanted) > 0.5:
        job.warn(
            f"the loudness is {reached:.1f} LUFS, not {wanted:g}: louder, its peaks would be above {CEILING:g} dBTP"
        )
    return gain, round(reached, 2)


def _metadata(
    spec: SoundtrackSpec,
    made: Mapping[str, str],
    placed: Sequence[Placed],
    reached: float | None,
    known: Sequence[Event],
) -> dict[str, str]:

    metadata = dict(made)
    if not metadata and placed:
        metadata = provenance(
            prompt=" ".join(one.line.text for one in placed),
            seed=spec.making.seed,
            model="speech",
            weights="none",
            composite=True,
            generator=f"phonofilm {__version__}",
        )
    metadata |= {"task": "soundtrack", "own_sound": "kept" if spec.keep else "replaced"}
    if made or placed:
        told = (spec.make, spec.say, spec.voices, spec.music_file is not None, spec.keep, spec.loudness)
        metadata["request"] = digest_of(metadata.get("request"), spec.making.to_json(), told)
    if reached is not None:
        metadata["lufs"] = str(reached)
    if placed:
        metadata["said"] = json.dumps(lines_told(placed), ensure_ascii=False)
    return metadata | {"events": events_text(known)} if known else metadata
