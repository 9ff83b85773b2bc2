#!/usr/bin/env python3
"""Make the spoken phrases that the faces of Foley World say: src/phonofilm/assets/speech.

A synthesiser says each phrase, forced alignment with its text finds when each word and each phoneme is
said, and each phrase becomes an Opus file beside a table of all times.

pip install -e '.[speech]' && python scripts/make_speech.py
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src" / "phonofilm" / "assets" / "speech"
RATE, HOP = 24_000, 300  # of the synthesiser; one value of pitch per hop
ALIGNED_RATE, ALIGNED_FRAMES = 16_000, 100  # what the aligner hears, and its frames a second
KBPS = 18
ATTEMPTS = 12
LOUDNESS = 0.1  # RMS of the loudest tenth of a second of every phrase

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
THINGS = ("ball", "box", "boat", "bird", "apple", "hat", "car", "map")
PLACES = ("table", "floor", "bed", "roof")
FOOD = ("bread", "milk", "tea", "water", "soup", "coffee")
MOODS = ("happy", "tired", "hungry", "sorry", "ready", "busy", "lost", "well")
WEATHER = ("cold", "warm", "raining", "sunny", "dark", "late")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
NAMES = ("Anna", "Ben", "Emma", "Tom", "Mary", "Paul", "Peter", "Bob")
FIXED = """
Hello. Hello there. Hi. Good morning. Good evening. Good night. Goodbye. Bye for now. Welcome. Thank you. Thank
you very much. Yes. No. Maybe. Please. Of course. Not now. Why not? How are you? Nice to meet you. See you
tomorrow. See you soon. Come in. Sit down, please. Listen to me. Look at me. Look up. Wait a moment. What a day.
What a beautiful morning. What time is it? Where are you? Where is my mother? Who is there? What do you mean? I
do not know. I know. I see. I think so. I hope so. I remember. I am here. I am home. I am fine. I am your
friend. I love you. I love music. I love this movie. Open the door. Close the window. Turn on the light. Play
some music. Stop the music. Tell me more. Tell me a story. Show me the way. Help me, please. Be careful. Be
quiet, please. Keep moving. Do you hear me? Do you hear the music? Can you help me? Can you see me? May I come
in? Let me think. Let us begin. Let us go home. Let us make a movie. It is time to go. That is a big problem.
That is wonderful. This is my house. This is a new day. We are moving. We made it. We have no time. My mother
makes bread. My father is at home. My brother plays the piano. Bob bought a big blue boat. Peter picked a ripe
apple. Mary has a map of Rome. The baby wants more milk. Five fine fish swim away. Both boys jump. Show the
shoes to the judge. Push the button. Please move the box. Put the book back. People pass by. Remember my name.
Maybe tomorrow. One moment, please. Once upon a time. The film begins. The sound is in the picture. Now you see
it, now you hear it.
"""


def phrases() -> list[str]:
    """All that can be said, each once."""
    fixed = re.findall(r"\S[^.?!]*[.?!]", FIXED.replace("\n", " "))
    made: list[str] = []
    for colour, thing in product(COLOURS, THINGS):
        turn = (COLOURS.index(colour) + 3 * THINGS.index(thing)) % 4
        a = f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {thing}"
        made.append(
            (f"I see {a}.", f"The {thing} is {colour}.", f"Where is my {colour} {thing}?", f"I have {a}.")[turn]
        )
    made += [f"I see {number} {thing}s." for number, thing in zip(NUMBERS * 2, _turned(THINGS), strict=False) if thing]
    made += [f"The {thing} is on the {place}." for thing, place in product(THINGS[:6], PLACES)]
    made += [text.format(food) for food in FOOD for text in ("I want some {}.", "Would you like some {}?")]
    made += [text.format(mood) for mood in MOODS for text in ("I am {}.", "Are you {}?", "We are {} today.")]
    made += [text.format(w) for w in WEATHER for text in ("It is {} outside.", "It is {} again.")]
    named = ("My name is {}.", "Hello, {}.", "Where is {}?", "Thank you, {}.")
    made += [text.format(name) for name in NAMES for text in named]
    made += [f"There are {number} {thing}." for number, thing in product(NUMBERS, ("people", "men", "birds"))]
    made += [f"Please give me the {colour} one." for colour in COLOURS]
    return list(dict.fromkeys(fixed + made))


def _turned(things: Sequence[str]) -> list[str]:
    """The plural takes an s for all but a box."""
    plural = [thing for thing in things if thing != "box"]
    return [plural[(3 * i) % len(plural)] for i in range(2 * len(NUMBERS))]


@dataclass(frozen=True)
class Spoken:
    """A phrase: sound [N] at RATE, pitch [F] in Hz a hop (0 unvoiced), words and phonemes with start and end in s."""

    text: str
    sound: np.ndarray
    pitch: np.ndarray
    words: list[tuple[str, float, float]]
    phonemes: list[tuple[str, float, float]]


class Speaker:
    """The synthesiser, which also says at which pitch it speaks."""

    def __init__(self) -> None:
        from hibari import Hibari, dsp

        self.tts, self.dsp = Hibari(), dsp

    def say(self, text: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Sound [N] at RATE and pitch [F]."""
        ids = [number for part in self.tts.phonemize(text) for number in self.tts.ids(part)]
        given = {"ids": np.array([ids], np.int64), "speed": np.ones(1, np.float32)}
        *spectra, pitch = (value[0] for value in self.tts.sess.run(None, given))
        sound = self.dsp.synth(*spectra, pitch, np.random.default_rng(seed))
        return sound, np.where(pitch > 40, pitch, 0.0)


class Aligner:
    """Forced alignment in two passes: words, and then the phonemes within them."""

    def __init__(self) -> None:
        from pocketsphinx import Config, Decoder

        self.decoder = Decoder(Config(loglevel="FATAL", samprate=float(ALIGNED_RATE), frate=ALIGNED_FRAMES))

    def align(self, sound: np.ndarray, text: str) -> tuple[list, list]:
        """Words and phonemes with start and end in s; silences are left out."""
        words = "".join(c for c in text.lower() if c.isalpha() or c in " '").split()
        self._search(sound, words)
        found, phonemes = [], []
        for word in self.decoder.get_alignment():
            if word.name.startswith("<") or word.name.startswith("[") or word.name.startswith("+"):
                continue
            parts = [(p.name, p.start / ALIGNED_FRAMES, (p.start + p.duration) / ALIGNED_FRAMES) for p in word]
            phonemes += parts
            found.append((word.name.split("(")[0], parts[0][1], parts[-1][2]))
        if [name for name, _, _ in found] != words:
            raise SystemExit(f"{text!r} was aligned as {' '.join(name for name, _, _ in found)!r}")
        return found, phonemes

    def _search(self, sound: np.ndarray, words: list[str]) -> None:
        """Its models know no digital silence, so noise is laid under the voice; other noise where no path is found."""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng(attempt)
            heard = sound + (2 + attempt % 3) * 5e-4 * rng.standard_normal(len(sound))
            pcm = (np.clip(heard, -1, 1) * 32_767).astype("<i2").tobytes()
            try:
                self.decoder.set_align_text(" ".join(words))
                self._pass(pcm)
                self.decoder.set_alignment()
                self._pass(pcm)
            except RuntimeError:
                continue
            return
        raise SystemExit(f"{' '.join(words)!r} could not be aligned in {ATTEMPTS} attempts")

    def _pass(self, pcm: bytes) -> None:
        self.decoder.start_utt()
        self.decoder.process_raw(pcm, full_utt=True)
        self.decoder.end_utt()


def speak(text: str, speaker: Speaker, aligner: Aligner, seed: int) -> Spoken:
    """Say a phrase at an even loudness, cut it close, and align it."""
    from scipy.signal import resample_poly

    sound, pitch = speaker.say(text, seed)
    power = np.convolve(sound.astype(np.float64) ** 2, np.ones(RATE // 10) / (RATE // 10), "same")
    sound = sound * (LOUDNESS / np.sqrt(power.max()))
    edges = np.flatnonzero(np.sqrt(power) * LOUDNESS / np.sqrt(power.max()) > 0.003)
    first = max(0, edges[0] // HOP - 2)
    last = min(len(pitch), edges[-1] // HOP + 4)
    sound, pitch = sound[first * HOP : last * HOP].astype(np.float32), pitch[first:last]
    fade = np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / (0.01 * RATE)
    sound = sound * np.clip(fade, 0, 1).astype(np.float32)
    padded = np.pad(sound, RATE // 5)  # the aligner wants silence at both ends
    words, phonemes = aligner.align(resample_poly(padded, ALIGNED_RATE, RATE), text)

    def back(items: list) -> list:
        end = len(sound) / RATE
        return [(n, float(np.clip(s - 0.2, 0, end)), float(np.clip(e - 0.2, 0, end))) for n, s, e in items]

    return Spoken(text, sound, pitch, back(words), back(phonemes))


def level(sound: np.ndarray, start: float, end: float) -> float:
    """RMS of an interval, in dB relative to full scale."""
    piece = sound[int(start * RATE) : max(int(end * RATE), int(start * RATE) + 1)]
    return float(10 * np.log10(np.mean(piece.astype(np.float64) ** 2) + 1e-8))


def write(spoken: Sequence[Spoken], folder: Path) -> None:
    """An Opus file for each phrase, and a table of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.opus"):
        old.unlink()
    rows = []
    for phrase in spoken:
        phonemes = [[n, round(s, 3), round(e, 3), round(level(phrase.sound, s, e))] for n, s, e in phrase.phonemes]
        row = {"text": phrase.text, "file": f"{slug(phrase.text)}.opus", "samples": len(phrase.sound)}
        row["words"] = [[n, round(s, 3), round(e, 3)] for n, s, e in phrase.words]
        row |= {"phonemes": phonemes, "pitch": [round(float(hertz)) for hertz in phrase.pitch]}
        rows.append(json.dumps(row, separators=(",", ":")))
        encode(phrase.sound, folder / row["file"])
    facts = json.dumps({"rate": RATE, "hop": HOP, "provenance_metadata": versions()})
    text = f'{{"facts":{facts},\n"phrases":[\n' + ",\n".join(rows) + "\n]}\n"
    (folder / "phrases.json").write_text(text, encoding="utf-8")


def slug(text: str) -> str:
    return "-".join("".join(c for c in text.lower() if c.isalpha() or c == " ").split())


def encode(sound: np.ndarray, path: Path) -> None:
    import av

    with av.open(str(path), "w", format="ogg", options={"serial_offset": "1"}) as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", bit_rate=KBPS * 1000)
        stream.options = {"application": "audio", "frame_duration": "60", "compression_level": "10"}
        frame = av.AudioFrame.from_ndarray((np.clip(sound, -1, 1) * 32_767).astype("<i2")[None], "s16", "mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("hibari-tts", "pocketsphinx", "av")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    given = parser.parse_args()
    try:
        speaker, aligner = Speaker(), Aligner()
    except ModuleNotFoundError as error:
        raise SystemExit(f"making speech needs {error.name}: pip install -e '.[speech]'") from error
    texts = phrases()
    spoken = []
    for number, text in enumerate(texts):
        spoken.append(speak(text, speaker, aligner, number))
        if sys.stderr.isatty():
            print(f"\r{number + 1}/{len(texts)} phrases", end="", file=sys.stderr, flush=True)
    write(spoken, given.output)
    seconds = sum(len(phrase.sound) for phrase in spoken) / RATE
    size = sum(file.stat().st_size for file in given.output.iterdir())
    print(f"{len(spoken)} phrases, {seconds:.0f} s, {size / 1e6:.2f} MB in {given.output}")


if __name__ == "__main__":
    main()
