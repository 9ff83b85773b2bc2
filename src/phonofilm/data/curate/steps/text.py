"""Text that lies on the picture: subtitles, captions and logos that stay in their place while the picture goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.perception.vision.text import Line, TextReader

SURE, LETTERS = 0.6, 2
"""How surely a line is read at least, and the letters and digits that it has: textures are read as one letter."""

SAME_PLACE = 0.5
"""Share of the area of two boxes together that they share, if a line stays where it is."""

TOLD = 8
"""Different lines that are written down."""


def _text(material: Material, known: Mapping[str, Value]) -> Value:
    return overlaid(_reader()(material.looks))


def overlaid(looks: Sequence[Sequence[Line]]) -> Value:
    """Of pictures in order: the share in which a line stands where one stands in a neighbouring picture too, the mean
    share of their area that such lines take, and what they say."""
    sure = [[line for line in look if line.score >= SURE and _letters(line) >= LETTERS] for look in looks]
    stay = [
        [line for line in look if any(overlap(line, other) >= SAME_PLACE for other in _beside(sure, place))]
        for place, look in enumerate(sure)
    ]
    area = sum((line.box[2] - line.box[0]) * (line.box[3] - line.box[1]) for look in stay for line in look)
    said = dict.fromkeys(line.text for look in stay for line in look)
    return {
        "share": sum(map(bool, stay)) / max(len(looks), 1), "area": float(area / max(len(looks), 1)),
        "seen": sum(map(bool, sure)) / max(len(looks), 1), "lines": list(said)[:TOLD],
    }  # fmt: skip


def overlap(one: Line, other: Line) -> float:
    """Area that two boxes share over the area that they cover together, 0 … 1."""
    left, top = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    right, bottom = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    both = sum((line.box[2] - line.box[0]) * (line.box[3] - line.box[1]) for line in (one, other)) - shared
    return shared / both if both > 0 else 0.0


def _beside(looks: Sequence[Sequence[Line]], place: int) -> list[Line]:
    return [line for near in (place - 1, place + 1) if 0 <= near < len(looks) for line in looks[near]]


def _letters(line: Line) -> int:
    return sum(letter.isalnum() for letter in line.text)


@cache
def _reader() -> TextReader:
    return TextReader.load()


TEXT = Step("text", 1, _text, modules=("rapidocr_onnxruntime",), packages=("rapidocr-onnxruntime",), costly=True)
