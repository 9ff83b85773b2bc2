"""Text in any script: each letter in the first font that has it, and its number where none has.

Pillow's own font has Latin letters alone. Others are looked for where the system keeps them and among installed
packages of fonts (matplotlib brings DejaVu; Noto comes in many), and only once a text needs them.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import ImageDraw, ImageFont

SUFFIXES = (".ttf", ".otf", ".ttc")
LIKELY = ("notosans-regular", "notosanscjk", "notosans", "dejavusans", "unifont", "arial unicode", "noto", "dejavu")
"""Families that have many scripts, the likeliest first; in others is looked afterwards."""
PACKAGES = ("*noto*", "*font*", "justmytype*", "matplotlib/mpl-data/fonts/ttf")
MOST_FONTS = 600
JOINING = ("Mn", "Mc", "Me", "Cf")
Font = Any
"""Pillow's FreeTypeFont, or its plain ImageFont where Pillow was built without FreeType."""


def draw_text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, fill: Any, size: int) -> None:
    """Draw one line with its top left corner at (x, y), as `ImageDraw.text` does."""
    x, own = at[0], _default(size)
    for part, font in runs(text, size):
        if font is own:
            draw.text((x, at[1]), part, fill, font)
        else:  # on the same line of letters, however high the font is
            draw.text((x, at[1] + _ascent(own)), part, fill, font, anchor="ls")
        x += draw.textlength(part, font)


def text_length(text: str, size: int) -> float:
    """How many pixels wide a line is."""
    return sum(font.getlength(part) for part, font in runs(text, size))


def wrapped(text: str, size: int, width: float, most: int) -> list[str]:
    """Lines of at most so many pixels, broken between words or, where one is longer than a line, within; the last of
    `most` lines ends with dots where something is left out."""
    lines, line = [], ""
    for piece in _pieces(" ".join(text.split()), size, width):
        if line and text_length((line + piece).rstrip(), size) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
            if len(lines) > most:
                break
        else:
            line += piece
    lines += [line.rstrip()] if line.strip() else []
    if len(lines) > most:
        last = lines[most - 1]
        while last and text_length(last + "…", size) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last + "…"]
    return lines


def _pieces(text: str, size: int, width: float) -> Iterator[str]:
    """Words with the space before them; single letters of words that fill a line (Chinese has no spaces)."""
    for number, word in enumerate(text.split(" ")):
        spaced = f" {word}" if number else word
        if len(spaced) < width and text_length(spaced, size) <= width / 3:
            yield spaced
        else:
            yield from _clusters(spaced)


def _clusters(text: str) -> Iterator[str]:
    """Letters with the marks that belong to them."""
    cluster = ""
    for letter in text:
        if cluster and unicodedata.category(letter) not in JOINING:
            yield cluster
            cluster = ""
        cluster += letter
    if cluster:
        yield cluster


def runs(text: str, size: int) -> list[tuple[str, Font]]:
    """Parts of a line with the font that has them; a letter that no font has becomes its number, as in [U+7403]."""
    found: list[tuple[str, str | None]] = []
    for cluster in _clusters(text):
        # a space, or a mark whose font has no such letter, stays with what is before it
        before = found[-1][1] if found else None
        name = before if cluster.isspace() and found else _font_of(cluster, before)
        shown = cluster if name is not None else "".join(f"[U+{ord(letter):04X}]" for letter in cluster)
        found.append((shown, name or ""))
    parts = groupby(found, key=lambda entry: entry[1])
    return [("".join(shown for shown, _ in part), _opened(name, size)) for name, part in parts]


@lru_cache(maxsize=4096)
def _font_of(cluster: str, preferred: str | None) -> str | None:
    """The name of the first font that has all letters of a cluster: "" is Pillow's own; None where there is none."""
    for name in ("", *([preferred] if preferred else [])):
        if _has(name, cluster):
            return name
    return next((name for name in _installed() if _has(name, cluster)), None)


@lru_cache(maxsize=20_000)
def _has(name: str, cluster: str) -> bool:
    letters = [letter for letter in cluster if unicodedata.category(letter) != "Cf"]
    if any(unicodedata.category(letter).startswith("C") for letter in letters):
        return False  # control characters, lone surrogates: nothing that could be drawn
    font = _opened(name, 16)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return all(letter.isascii() for letter in letters)
    missing = _shape(font, "\uffff")
    return all(letter.isspace() or _shape(font, letter) not in (missing, None) for letter in letters)


def _shape(font: Font, letter: str) -> tuple[tuple[int, int], bytes] | None:
    """What a letter looks like; what a font lacks all looks like the letter that is none."""
    try:
        mask = font.getmask(letter, mode="L")
    except (OSError, ValueError):
        return None
    return mask.size, bytes(mask)


@lru_cache(maxsize=64)
def _opened(name: str, size: int) -> Font:
    if not name:
        return _default(size)
    font = ImageFont.truetype(name, size)
    with suppress(OSError, ValueError):  # of a font of many weights, which opens with the thinnest
        font.set_variation_by_name("Regular")
    return font


@lru_cache(maxsize=16)
def _default(size: int) -> Font:
    return ImageFont.load_default(size)


def _ascent(font: Font) -> int:
    return int(font.getmetrics()[0]) if isinstance(font, ImageFont.FreeTypeFont) else 0


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Fonts that are here and can be opened, those with many scripts first."""
    paths = sorted({path for folder in _folders() for path in _fonts_in(folder)}, key=_rank)
    return tuple(str(path) for path in paths[:MOST_FONTS] if _opens(path))


def _folders() -> Iterator[Path]:
    home = Path.home()
    yield from (home / ".fonts", home / ".local/share/fonts", home / "Library/Fonts")
    shared = os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(os.pathsep)
    yield from (Path(folder) / "fonts" for folder in shared if folder)
    yield from map(Path, ("/System/Library/Fonts", "/Library/Fonts", r"C:\Windows\Fonts"))
    for folder in {Path(entry) for entry in sys.path if entry.endswith("site-packages")}:
        for pattern in PACKAGES:
            yield from folder.glob(pattern)


def _fonts_in(folder: Path) -> Sequence[Path]:
    try:
        # a font of last resort has a box for every letter
        found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        return [path for path in found if "lastresort" not in path.name.lower()]
    except OSError:
        return []


def _rank(path: Path) -> tuple[int, bool, str]:
    name = path.name.lower().replace("_", "")
    family = next((number for number, likely in enumerate(LIKELY) if likely in name), len(LIKELY))
    slanted_or_bold = any(word in name for word in ("bold", "italic", "oblique", "mono", "light", "thin", "black"))
    return family, slanted_or_bold, str(path)


def _opens(path: Path) -> bool:
    try:
        ImageFont.truetype(str(path), 16)
    except (OSError, ValueError):
        return False
    return True
