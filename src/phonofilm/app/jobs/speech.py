"""The words of a job: said, given to the model or laid over its sound, and written as subtitles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.backends.base import Backend, JobContext
from phonofilm.backends.canvas.stems import stems_of, wanted
from phonofilm.backends.streamed import window_of
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_file, check_not_read, write_bytes
from phonofilm.media import read_metadata
from phonofilm.media.metadata import to_events
from phonofilm.media.subtitles.cues import Cue, webvtt
from phonofilm.perception.speech.plan import Placed, events, speak, stem
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.perception.speech.script import Line, cast, quoted_lines, script
from phonofilm.signals.ducking import Ducking, ducking_gain
from phonofilm.signals.limiting import limited
from phonofilm.types import Clip, Event, Request

STEM_RATE = 24_000
"""Of the speech that is given to a model that does not say its own."""
PEAK = 0.89
"""Sound is held below this (-1 dB) where words are laid over it."""


def lines_of(request: Request, says: Sequence[str] = ()) -> tuple[Line, ...]:
    """What is said in a job: where speech is to be made, the words in quotes, and lines besides.

    Raises:
        PhonofilmError: a line that cannot be said, or lines where no speech is made.
    """
    if request.task == "generate" and "speech" in wanted(request).made:
        return script(request.prompt, says)
    if says:
        given = "is given" if "speech" in request.given_stems else "is not made"
        raise PhonofilmError(f"there are words to say, and speech {given}; leave one out")
    return ()


def check_words(request: Request, says: Sequence[str], voices: Sequence[str]) -> None:
    """Refuse words that cannot be said, before anything is computed.

    Raises:
        PhonofilmError: as `speak`, all but what does not fit in the clip.
    """
    lines = lines_of(request, says)
    chosen, say = cast(lines, voices), TextToSpeech()
    for line in lines:
        say.check(line.text, chosen[line.speaker])


def spoken(
    request: Request, says: Sequence[str], voices: Sequence[str], backend: Backend, job: JobContext
) -> tuple[Placed, ...]:
    """The words of a job on the clock of its clip.

    Raises:
        PhonofilmError: a voice that is missing, words that it cannot say, or that do not fit.
    """
    lines = lines_of(request, says)
    if not lines:
        if voices:
            raise PhonofilmError("a voice is given and nobody speaks; write the words in quotes, or give --say")
        if request.task in ("foley", "extend", "retake") and quoted_lines(request.prompt):
            job.warn("words in quotes are spoken by generate and soundtrack; here they only describe what is heard")
        elif request.task == "generate" and "speech" not in request.given_stems and quoted_lines(request.prompt):
            job.warn("words in quotes are not spoken, since no speech is made")
        return ()
    job("speaking", 0, 1)
    return speak(lines, voices, _seconds(request, backend), TextToSpeech())


def _seconds(request: Request, backend: Backend) -> float:
    """How long the clip will be: as asked for, or the model's own length."""
    return float(window_of(backend).seconds if request.seconds is None else request.seconds)


def with_speech(request: Request, words: Sequence[Placed], backend: Backend) -> Request:
    """The request with the words as its speech, where the model has one."""
    if not words or "speech" not in stems_of(backend):
        return request
    seconds = max([_seconds(request, backend), *(one.end for one in words)])
    rate = rate_of(backend)
    given = Clip(waveform=speech_stem(words, seconds, rate), sample_rate=rate)
    return replace(request, given_stems={**request.given_stems, "speech": given})


def rate_of(backend: Backend) -> int:
    """The sample rate of a model's sound, where it says so."""
    trained = getattr(backend, "trained", None) or getattr(getattr(backend, "parts", None), "trained", None)
    return STEM_RATE if trained is None else int(trained.geometry.sample_rate)


def speech_stem(words: Sequence[Placed], seconds: float, rate: int) -> np.ndarray:
    """The speech float32 [2, N] of a clip."""
    return stem([one.at_rate(rate) for one in words], 0, round(seconds * rate), rate)


def told(clip: Clip, words: Sequence[Placed], backend: Backend, job: JobContext) -> Clip:
    """The clip as it says its words: with their times, and laid over the sound of a model that has no speech."""
    if not words:
        return clip
    said = json.dumps(lines_told(words), ensure_ascii=False)
    clip = clip.with_(
        events=tuple(sorted((*clip.events, *events(words)), key=lambda event: event.time)),
        metadata={**clip.metadata, "said": said},
    )
    if "speech" in stems_of(backend):
        return clip
    job.warn("the model has no speech of its own: the words are laid over its sound, and no mouth moves to them")
    return laid_over(clip, words)


def laid_over(clip: Clip, words: Sequence[Placed]) -> Clip:
    """A clip whose sound gives way to words, which are put in."""
    rate = clip.sample_rate or STEM_RATE
    length = round(clip.picture_seconds * rate) if clip.waveform is None else clip.waveform.shape[1]
    speech = speech_stem(words, length / rate, rate)[:, :length]
    speech = np.pad(speech, ((0, 0), (0, length - speech.shape[1])))
    if clip.waveform is None:
        return clip.with_(waveform=speech, sample_rate=rate)
    step = round(0.01 * rate)
    gain, _ = ducking_gain(np.pad(speech, ((0, 0), (0, step))), rate, Ducking())
    voices = speech if len(clip.waveform) == 2 else np.repeat(speech[:1], len(clip.waveform), axis=0)
    mixed = clip.waveform * gain[:length] + voices
    if np.abs(mixed).max(initial=0.0) > PEAK:
        mixed = np.concatenate(list(limited(lambda start, stop: mixed[:, start:stop], length, rate)), axis=1)
    return clip.with_(waveform=mixed.astype(np.float32))


def lines_told(words: Iterable[Placed]) -> list[dict[str, Any]]:
    """The lines with their voices and times, as plain values."""
    return [
        {"text": one.line.text, "voice": one.voice, "start": round(one.start, 3), "end": round(one.end, 3)}
        for one in words
    ]


def sounds_of(path: Path) -> tuple[Event, ...]:
    """What is heard in a film that Phonofilm made, by the events written into it, without what is said."""

    return tuple(event for event in to_events(read_metadata(path)) if event.kind not in ("word", "line", "phoneme"))


def check_subtitles(path: Path, read: Iterable[str | Path | None] = ()) -> Path:
    """The file of subtitles beside a film, once it is known that it can be written.

    Raises:
        PhonofilmError: it cannot, or it is a file that is read, or the subtitles of one.
    """
    files = [Path(one) for one in read if one]
    return check_not_read(check_file(path.with_suffix(".vtt")), [*files, *(file.with_suffix(".vtt") for file in files)])


def write_subtitles(cues: Sequence[Cue], path: Path, job: JobContext) -> str | None:
    """Write the subtitles of a film beside it as WebVTT; returns the file, or None where there is nothing to tell."""
    if not cues:
        job.warn("nothing is known of what is said or heard, so there are no subtitles")
        return None
    return str(write_bytes(path.with_suffix(".vtt"), webvtt(cues).encode()))
