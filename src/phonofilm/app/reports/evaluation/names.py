"""What folders and results are called in tables: no longer than it takes to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def told_apart(folders: Sequence[Path]) -> tuple[str, ...]:
    """Names of absolute folders, with as many of the folders above them as make all names differ."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = tuple(str(Path(*folder.parts[-depth:])) for folder in folders)
        if len(set(names)) == len(names):
            return names
    return tuple(map(str, folders))


def result_names(files: Sequence[Path]) -> tuple[str, ...]:
    """Names of results: those of the files where these differ, else those of their folders."""
    stems = tuple(path.stem for path in files)
    return stems if len(set(stems)) == len(stems) else told_apart([path.resolve().parent for path in files])
