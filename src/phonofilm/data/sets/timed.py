"""Sets whose clips have times within: Greatest Hits, LRS, GRID."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from phonofilm.data.sets.items import Item, Layout, Media
from phonofilm.errors import PhonofilmError
from phonofilm.types import Event

GRID_UNITS = 25_000
"""Of GRID's alignments a second: thousandths of a frame at 25 frames a second."""

WORD = re.compile(r"^(\S+)\s+([\d.]+)\s+([\d.]+)(\s+-?[\d.]+)?$")


def greatest_hits(folder: Path) -> Iterator[Item]:
    """`NAME_times.txt`: time, material, action and what happens then, of `NAME_denoised.mp4` or `NAME_mic.mp4`."""
    media = Media(folder)
    for path in sorted(folder.rglob("*_times.txt")):
        name = path.stem.removesuffix("_times")
        events = []
        for number, line in _lines(path):
            parts = line.split()
            time = _number(parts[0], path, number)
            material, action = [*parts[1:3], "", ""][:2]
            events.append(Event(time, "impact", label=f"{action} {material}".strip()))
        labels = tuple(sorted({event.label for event in events if event.label}))
        file = media.find(f"{name}_denoised", f"{name}_mic", name)
        yield Item(name, file, labels=labels, events=tuple(events))


def lrs(folder: Path) -> Iterator[Item]:
    """LRS2 and LRS3: `SPLIT/ID/00001.mp4` with `00001.txt`, a line of which is the text, others words with times."""
    for path in sorted(folder.rglob("*.txt")):
        lines = [line for _, line in _lines(path)]
        said = next((line.partition(":")[2].strip() for line in lines if line.startswith("Text:")), None)
        if said is None:
            continue
        words = tuple(
            Event(float(found[2]), "word", end=float(found[3]), label=found[1])
            for line in lines
            if (found := WORD.match(line))
        )
        inside = path.relative_to(folder).with_suffix("")
        split = inside.parts[0] if len(inside.parts) > 2 else ""
        yield Item(str(inside), path.with_suffix(".mp4"), captions=(said,), events=words, split=split)


def grid(folder: Path) -> Iterator[Item]:
    """`sN/NAME.mpg` with `sN/align/NAME.align` or `align/sN/NAME.align`: start, end and word, silence as "sil"."""
    for path in sorted(folder.rglob("*.align")):
        speaker = next((part for part in path.parts[::-1] if re.fullmatch(r"s\d+", part)), "")
        words = []
        for number, line in _lines(path):
            parts = line.split()
            if len(parts) != 3:
                raise PhonofilmError(f"{path} line {number} is not START END WORD")
            start, end = (_number(part, path, number) / GRID_UNITS for part in parts[:2])
            if parts[2] not in ("sil", "sp"):
                words.append(Event(start, "word", end=end, label=parts[2]))
        files = [found for found in folder.rglob(f"{path.stem}.*") if found.suffix in (".mpg", ".mp4", ".avi")]
        own = [found for found in files if speaker in found.parts]
        file = next(iter(own or files), folder / speaker / f"{path.stem}.mpg")
        said = " ".join(word.label or "" for word in words)
        yield Item(f"{speaker}/{path.stem}".strip("/"), file, captions=(said,), events=tuple(words))


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        whole = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"{path} cannot be read as text: {error}") from error
    return [(number, line.strip()) for number, line in enumerate(whole.split("\n"), 1) if line.strip()]


def _number(said: str, path: Path, line: int) -> float:
    try:
        return float(said)
    except ValueError as error:
        raise PhonofilmError(f"{path} line {line}: {said!r} is no time") from error


LAYOUTS: tuple[Layout, ...] = (
    Layout("greatest-hits", "Greatest Hits", ("*_times.txt",), greatest_hits),
    Layout("grid", "GRID", ("*.align",), grid),
    Layout("lrs", "LRS2, LRS3", ("main/*/*.txt", "pretrain/*/*.txt", "trainval/*/*.txt", "test/*/*.txt"), lrs),
)
