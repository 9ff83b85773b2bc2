"""Which layout a folder has, what is in it, and whether that is whole."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phonofilm.data.sets import captioned, tagged, timed
from phonofilm.data.sets.items import Item, Layout
from phonofilm.errors import PhonofilmError
from phonofilm.media import probe
from phonofilm.types import Progress

LAYOUTS: tuple[Layout, ...] = (*tagged.LAYOUTS, *timed.LAYOUTS, *captioned.LAYOUTS)
"""In the order in which they are tried: those first whose files are named by nobody else."""


def layout_of(folder: Path, name: str | None = None) -> Layout:
    """The layout of a folder: by name, or as its files tell.

    Raises:
        PhonofilmError: no folder, no layout of that name, or files that no layout has.
    """
    if not folder.is_dir():
        raise PhonofilmError(f"folder {folder} {'is a file' if folder.exists() else 'does not exist'}; name a data set")
    known = {layout.name: layout for layout in LAYOUTS}
    if name is not None:
        if name not in known:
            raise PhonofilmError(f"there is no layout {name!r}; choose from {', '.join(known)}")
        return known[name]
    for layout in LAYOUTS:
        if any(next(folder.rglob(mark), None) is not None for mark in layout.marks):
            return layout
    raise PhonofilmError(f"{folder} is no data set of a known layout; name one with --layout: {', '.join(known)}")


def read_items(folder: Path, layout: Layout) -> list[Item]:
    """All items of a set, in order.

    Raises:
        PhonofilmError: a table that is damaged, or a set without items.
    """
    items = list(layout.read(folder))
    if not items:
        raise PhonofilmError(f"{folder} holds no item of {layout.holds}; its tables are empty or missing")
    return items


@dataclass(frozen=True)
class Summary:
    """Counts of a set: items, those whose media is not there, by split, by class, texts and events."""

    items: int
    missing: int
    splits: dict[str, int]
    labels: dict[str, int]
    captions: int
    events: int


def summarise(items: Sequence[Item]) -> Summary:
    """Count a set; classes that occur most come first."""
    labels = Counter(label for item in items for label in item.labels)
    return Summary(
        items=len(items),
        missing=sum(item.missing for item in items),
        splits=dict(sorted(Counter(item.split for item in items).items())),
        labels=dict(sorted(labels.items(), key=lambda one: (-one[1], one[0]))),
        captions=sum(len(item.captions) for item in items),
        events=sum(len(item.events) for item in items),
    )


def faults_of(items: Sequence[Item], progress: Progress) -> dict[str, str]:
    """What is wrong with items, by name: media that is missing or damaged, times that cannot be, names twice."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    lengths: dict[Path, float | str] = {}
    for done, item in enumerate(items):
        progress("checking", done, len(items))
        if item.name in seen:
            found[item.name] = "there are two of this name"
        elif fault := _fault(item, lengths):
            found[item.name] = fault
        seen.add(item.name)
    progress("checking", len(items), len(items))
    return found


def _fault(item: Item, lengths: dict[Path, float | str]) -> str | None:
    if item.missing:
        return f"{item.file.name} is not there"
    for event in item.events:
        end = event.time if event.end is None else event.end
        if event.time < 0 or end < event.time:
            return f"an event lasts from {event.time:g} to {end:g} s"
    if item.start is not None and item.stop is not None and not 0 <= item.start < item.stop:
        return f"it lasts from {item.start:g} to {item.stop:g} s"
    if item.file.suffix == ".tar":
        return None
    if item.file not in lengths:
        try:
            lengths[item.file] = probe(item.file).seconds
        except PhonofilmError as error:
            lengths[item.file] = str(error)
    length = lengths[item.file]
    if isinstance(length, str):
        return length
    if item.start is not None and length > 0 and item.start >= length:
        return f"it begins at {item.start:g} s and {item.file.name} ends at {length:.1f} s"
    return None


def drawn(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """A random few, the same for the same seed."""
    return random.Random(seed).sample(list(items), min(count, len(items)))
