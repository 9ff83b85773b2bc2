"""A title in any script is drawn where a font has its letters, and legible where none has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from phonofilm.media import fonts
from phonofilm.media.fonts import draw_text, runs, text_length, wrapped


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What a test says of the installed fonts is forgotten after it."""
    fonts._font_of.cache_clear()
    yield
    fonts._font_of.cache_clear()


def drawn(text: str) -> np.ndarray:
    image = Image.new("L", (900, 60))
    draw_text(ImageDraw.Draw(image), (10, 10), text, 255, 26)
    return np.asarray(image)


def test_latin_is_drawn_as_before() -> None:
    text = "A red ball bounces: 12 of 3 (twice)"
    image = Image.new("L", (900, 60))
    ImageDraw.Draw(image).text((10, 10), text, 255, ImageFont.load_default(26))
    assert np.array_equal(drawn(text), np.asarray(image))
    assert [part for part, _ in runs(text, 26)] == [text]


def test_letters_that_no_font_has_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_installed", lambda: ())
    assert "".join(part for part, _ in runs("a 球 b", 20)) == "a [U+7403] b"
    assert "".join(part for part, _ in runs("न\u093f", 20)) == "[U+0928][U+093F]"
    for odd in ("\ud800", "\x07", "\U0010fffe", "\ue000"):
        assert "".join(part for part, _ in runs(f"a{odd}", 20)) == f"a[U+{ord(odd):04X}]"
    assert drawn("球").max() > 200


@pytest.mark.parametrize("text", ["красный мяч", "κόκκινη μπάλα", "球が跳ねる", "كرة حمراء", "लाल गेंद", "🎬 film"])
def test_any_script_is_drawn_by_a_font_that_has_it_or_as_numbers(text: str) -> None:
    missing = {fonts._shape(font, "\uffff") for _, font in runs(text, 16)}
    for part, font in runs(text, 16):
        shapes = [fonts._shape(font, letter) for letter in part if not letter.isspace() and letter.isalpha()]
        assert not missing & set(shapes)
    assert (drawn(text) > 128).sum() > 50


def test_lines_fit() -> None:
    text = "a word " * 60 + "球" * 300 + " unbroken" * 3 + "x" * 500
    lines = wrapped(text, 20, 400, 500)
    assert max(text_length(line, 20) for line in lines) <= 400
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    few = wrapped(text, 20, 400, 3)
    assert (len(few), few[:2], few[2][-1]) == (3, lines[:2], "…")
    assert text_length(few[2], 20) <= 400
    assert wrapped("", 20, 400, 3) == []
    assert wrapped("two  \n words", 20, 400, 3) == ["two words"]
