"""Lines on the clock of a clip: one after the other, never two at once, and as sound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import resample_audio
from phonofilm.perception.speech.script import Line, cast
from phonofilm.perception.speech.voice import Spoken
from phonofilm.types import Event

PAUSES = (0.3, 0.15, 0.05)
"""Seconds before the first line and between two; the longest with which all fit."""
SLACK = 0.005
LOUDNESS = 0.1
"""RMS of the loudest tenth of a second of every line, as in Foley World: voices are recorded at any level."""

Speak = Callable[[str, str], Spoken]
"""Text and the name of a voice to what is said, as `TextToSpeech`."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A line that was said.

    Attributes:
        start: of its sound, in seconds.
        waveform: float32 [N] at `sample_rate`.
        words: an `Event` of kind "word" each, in seconds of the clip.
    """

    line: Line
    voice: str
    start: float
    seconds: float
    waveform: np.ndarray
    sample_rate: int
    words: tuple[Event, ...]

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def at_rate(self, rate: int) -> Placed:
        """The same line at another sample rate."""
        waveform = resample_audio(self.waveform[None], self.sample_rate, rate)[0]
        return replace(self, waveform=waveform, sample_rate=rate)

    @property
    def event(self) -> Event:
        """The line as an `Event` of kind "line"."""
        return Event(self.start, "line", end=self.end, label=self.line.text)


def speak(
    lines: Sequence[Line], voices: Sequence[str], seconds: float, say: Speak, moved: bool = False
) -> tuple[Placed, ...]:
    """Say lines within a clip.

    Args:
        voices: one for each speaker, in their order; usual ones for the rest.
        seconds: of the clip.
        moved: a line whose time comes before the one before it ends waits for that, as subtitles may ask for.

    Returns:
        The lines in order of time, each at the rate of its voice.

    Raises:
        PhonofilmError: a voice that is missing, words that it cannot say, or lines that do not fit.
    """
    chosen = cast(lines, voices)
    spoken = [say(line.text, chosen[line.speaker]) for line in lines]
    lengths, asked = [one.seconds for one in spoken], [line.at for line in lines]
    texts = [line.text for line in lines]
    starts = (after_one_another if moved else place)(lengths, asked, seconds, texts)
    made = []
    for line, one, start in zip(lines, spoken, starts, strict=True):
        waveform = leveled(one.waveform, one.sample_rate)
        words = tuple(replace(word, time=word.time + start, end=(word.end or word.time) + start) for word in one.words)
        made.append(Placed(line, chosen[line.speaker], start, one.seconds, waveform, one.sample_rate, words))
    return tuple(sorted(made, key=lambda placed: placed.start))


def place(
    lengths: Sequence[float], asked: Sequence[float | None], seconds: float, texts: Sequence[str] = ()
) -> list[float]:
    """When each line starts: where it was asked for, the others in their order in the first room that is left.

    Args:
        lengths: seconds of each line.
        asked: its start, or None.
        seconds: of the clip.
        texts: what is said, for messages.

    Raises:
        PhonofilmError: two lines that were asked for at once, or lines that do not fit.
    """
    names = [_short(text) for text in texts] or [f"line {number + 1}" for number in range(len(lengths))]
    fixed = sorted(
        (at, at + length, name) for at, length, name in zip(asked, lengths, names, strict=True) if at is not None
    )
    for start, end, name in fixed:
        if end > seconds + SLACK:
            raise PhonofilmError(
                f"{name} at {start:g} s takes {end - start:.1f} s and the clip ends at {seconds:g} s; "
                "say it earlier, in fewer words, or make the clip longer where it is made"
            )
    for (start, end, name), (later, _, other) in itertools.pairwise(fixed):
        if later < end - SLACK:
            raise PhonofilmError(
                f"{other} at {later:g} s begins before {name} at {start:g} s ends, at {end:.2f} s; say it later"
            )
    for pause in PAUSES:
        starts = _placed(lengths, asked, seconds, [(start, end) for start, end, _ in fixed], pause)
        if starts is not None:
            return starts
    needed = sum(lengths) + PAUSES[-1] * len(lengths)
    room = f"the clip has {seconds:g} s" + (", less what is placed in between" if fixed else "")
    raise PhonofilmError(f"the words take {needed:.1f} s and {room}; use fewer words or a longer clip (--seconds)")


def after_one_another(
    lengths: Sequence[float], asked: Sequence[float | None], seconds: float, texts: Sequence[str] = ()
) -> list[float]:
    """When each line starts: where it was asked for, or after the one before, where that still speaks.

    Args: as for `place`.

    Raises:
        PhonofilmError: lines that go on after the end of the clip.
    """
    starts, now = [], 0.0
    for number, (length, at) in enumerate(zip(lengths, asked, strict=True)):
        start = max(now, at or 0.0)
        if start + length > seconds + SLACK:
            name = _short(texts[number]) if texts else f"line {number + 1}"
            raise PhonofilmError(f"{name} would end at {start + length:.1f} s, after the clip's end at {seconds:g} s")
        starts.append(start)
        now = start + length + PAUSES[-1]
    return starts


def _placed(
    lengths: Sequence[float],
    asked: Sequence[float | None],
    seconds: float,
    taken: Sequence[tuple[float, float]],
    pause: float,
) -> list[float] | None:
    """Starts with a pause before each line that is free to move, or None where they do not fit."""
    starts, now = [], 0.0
    for length, at in zip(lengths, asked, strict=True):
        if at is None:
            at = now + pause
            for start, end in taken:
                if start < at + length + pause and end > at - pause:
                    at = end + pause
            if at + length > seconds + SLACK:
                return None
        starts.append(at)
        now = max(now, at + length)
    return starts


def leveled(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Speech float32 [N] at an even loudness: the RMS of its loudest tenth of a second is `LOUDNESS`."""
    size = max(1, round(0.1 * rate))
    padded = np.pad(waveform.astype(np.float64) ** 2, (0, max(0, size - len(waveform))))
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    loudest = np.sqrt((sums[size:] - sums[:-size]).max() / size)
    return (waveform * (LOUDNESS / loudest)).astype(np.float32) if loudest > 0 else waveform


def stem(placed: Sequence[Placed], start: int, samples: int, rate: int) -> np.ndarray:
    """The speech float32 [2, samples] of a clip from its sample `start` on: every voice in the middle.

    Args:
        placed: lines at `rate` (see `Placed.at_rate`).
    """
    sound = np.zeros((2, samples), np.float32)
    for one in placed:
        first = round(one.start * rate) - start
        low, high = max(first, 0), min(first + len(one.waveform), samples)
        if low < high:
            sound[:, low:high] += one.waveform[low - first : high - first]
    return sound


def events(placed: Sequence[Placed]) -> tuple[Event, ...]:
    """All lines and words that are said, in order of time."""
    found = [event for one in placed for event in (one.event, *one.words)]
    return tuple(sorted(found, key=lambda event: event.time))


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:29] + "…")
