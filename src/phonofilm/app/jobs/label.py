"""Labels for people: a word on the picture, and words or a signal in the sound, of what a model made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phonofilm.errors import PhonofilmError
from phonofilm.perception.speech.plan import speak, stem
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.perception.speech.script import script
from phonofilm.types import Clip, Made

WORD, WORDS = "AI", "Made by AI."
SHARE = 0.09
"""Height of the letters against the picture's shorter side; never less than nine pixels."""
LEVEL = 0.25
PITCHES, BEEP = (880.0, 660.0, 880.0), 0.14
"""Hz and seconds of each tone of the signal, where no voice is installed or the clip is too short for words."""


def labelled(clip: Clip, made: Made) -> Clip:
    """The clip with a word in the lower left corner of the frames that were made."""
    start, end = made.frames
    if clip.frames is None or end <= start:
        return clip
    _, height, width, _ = clip.frames.shape
    font = ImageFont.load_default(max(9, round(SHARE * min(height, width))))
    box = font.getbbox(WORD)
    margin = max(2, round(box[3] / 4))
    plate = Image.new("L", (round(box[2]) + 2 * margin, round(box[3]) + 2 * margin), 0)
    ImageDraw.Draw(plate).text((margin, margin), WORD, 255, font)
    letters = np.asarray(plate)[:height, :width, None].astype(np.float32) / 255
    frames = clip.frames.copy()
    place = frames[start:end, height - letters.shape[0] :, : letters.shape[1]]
    place[:] = np.rint(0.4 * place * (1 - letters) + 255 * letters).astype(np.uint8)
    return replace(clip, frames=frames)


def noticed(clip: Clip, made: Made) -> Clip:
    """The clip with a notice at the beginning of the sound that was made, mixed into it and into a stem of it."""
    start, end = made.samples
    if clip.waveform is None or not clip.sample_rate or end <= start:
        return clip
    said = notice(clip.sample_rate, (end - start) / clip.sample_rate)[: end - start]
    waveform = clip.waveform.copy()
    part = waveform[:, start : start + len(said)]
    np.clip(part + said, -1, 1, out=part)
    stems = dict(clip.stems)
    if made.stems:
        name = "speech" if "speech" in made.stems else made.stems[0]
        stems[name] = stems[name].copy()
        stems[name][:, start : start + len(said)] += said
    return replace(clip, waveform=waveform, stems=stems)


def noticed_pieces(clips: Iterator[Clip]) -> Iterator[Clip]:
    """Pieces of a sound that follow one another, the first with the notice."""
    for number, clip in enumerate(clips):
        length = 0 if clip.waveform is None else clip.waveform.shape[1]
        yield clip if number else noticed(clip, Made(samples=(0, length), stems=tuple(clip.stems)))


def notice(rate: int, seconds: float) -> np.ndarray:
    """float32 [N]: spoken where there is a voice and time for it, else three tones."""
    try:
        placed = tuple(one.at_rate(rate) for one in speak(script("", [f"{WORDS}@0"]), (), seconds, TextToSpeech()))
        spoken = stem(placed, 0, round(max(one.end for one in placed) * rate), rate)[0]
        return (spoken * (LEVEL / max(1e-6, float(np.abs(spoken).max())))).astype(np.float32)
    except PhonofilmError:
        return _tones(rate)


def _tones(rate: int) -> np.ndarray:
    moments = np.arange(round(BEEP * rate)) / rate
    shape = np.sin(np.pi * moments / BEEP) ** 0.5
    return np.concatenate([LEVEL * shape * np.sin(2 * np.pi * pitch * moments) for pitch in PITCHES]).astype(np.float32)
