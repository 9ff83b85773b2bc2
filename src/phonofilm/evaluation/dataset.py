"""Folders of clips: which files are clips, what they are called, and which belong together.

A file is never replaced and never dropped in silence: whatever is not scored is listed with the reason.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from phonofilm.errors import PhonofilmError
from phonofilm.files import printable

FILMS = {
    ".mp4": "MP4", ".mov": "MP4", ".m4v": "MP4", ".mkv": "Matroska", ".webm": "Matroska", ".avi": "AVI", ".gif": "GIF",
    ".mpg": "", ".mpeg": "", ".ts": "", ".flv": "", ".wmv": "", ".3gp": "MP4", ".ogv": "Ogg",
}  # fmt: skip
SOUNDS = {
    ".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".m4a": "MP4", ".aac": "AAC", ".ogg": "Ogg", ".opus": "Ogg",
}  # fmt: skip
FAMILIES = FILMS | SOUNDS
"""Suffixes that are read as clips, with the container they promise ("" where its header is not checked)."""


@dataclass(frozen=True)
class Entry:
    """A file of a folder.

    Attributes:
        name: its path in the folder without the suffix, as `normal_name` makes it; clips of two folders pair by it.
        path: where it is.
        problem: why it cannot be scored, where that shows before it is opened.
    """

    name: str
    path: Path
    problem: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder, listed: `clips` in order of name, and files that are no clips (captions, pictures) as `others`."""

    path: Path
    clips: tuple[Entry, ...]
    others: tuple[str, ...]


def scan(folder: str | Path) -> Folder:
    """All files of a folder and its sub-folders, hidden ones omitted.

    Sub-folders that are symbolic links are read too; one whose folder is read already, or is not there, is among the
    `others` with the reason.

    Raises:
        PhonofilmError: there is no such folder, or no clip in it.
    """
    root = Path(folder)
    if not root.is_dir():
        found = f"{root} is a file" if root.is_file() else f"folder {root} does not exist"
        raise PhonofilmError(f"{found}; name a folder of clips")
    taken: dict[str, Entry] = {}
    clips: list[Entry] = []
    files, skipped = _files(root)
    others = [normal_name(line) for line in skipped]
    # films first, so that of a film and a sound of one name the film is taken
    for path in sorted(files, key=lambda p: (p.suffix.lower() not in FILMS, p.as_posix())):
        relative = path.relative_to(root)
        whole, name = normal_name(relative.as_posix()), normal_name(relative.with_suffix("").as_posix())
        held, suffix = _family(path), printable(path.suffix)
        if path.suffix.lower() not in FAMILIES:
            if held is None:
                others.append(whole)
            else:
                clips.append(Entry(whole, path, f"named {suffix or 'without a suffix'}, but holds {held}: rename it"))
        elif held is not None and FAMILIES[path.suffix.lower()] not in ("", held):
            clips.append(Entry(whole, path, f"named {suffix}, but holds {held}: rename it"))
        elif name in taken:
            problem = f"has the name of {printable(taken[name].path.name)}, which is taken: keep one of them"
            clips.append(Entry(whole, path, problem))
        else:
            taken[name] = Entry(name, path)
            clips.append(taken[name])
    if not clips:
        raise PhonofilmError(f"there is no clip in {root}; clips are named {' '.join(list(FAMILIES)[:6])} …")
    return Folder(root, tuple(sorted(clips, key=lambda entry: entry.name)), tuple(sorted(others)))


def normal_name(text: str) -> str:
    """A name in Unicode's normal form C, for macOS writes form D; bytes that are not UTF-8 become `\\xNN`."""
    return unicodedata.normalize("NFC", printable(text))


def _files(root: Path) -> tuple[list[Path], list[str]]:
    """Files that are not hidden, and a line for each link to a folder that is not followed."""
    found: list[Path] = []
    skipped: list[str] = []
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            real = os.path.realpath(start)
            if real in seen:
                skipped.append(f"{start.relative_to(root).as_posix()} (a link to a folder that is read already)")
                continue
            for folder, folders, files in os.walk(start):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                links += [Path(folder) / name for name in folders if (Path(folder) / name).is_symlink()]
                if (real := os.path.realpath(folder)) not in seen:
                    seen.add(real)
                    found += [Path(folder) / name for name in files if not name.startswith(".")]
        waiting = links  # after all that is no link, so that a folder is known by its own name where it has one
    return found, skipped


def _family(path: Path) -> str | None:
    """The container that a file's first bytes say it is, or None where they say nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        return "MP4"
    if head[:4] == b"RIFF":
        return {b"WAVE": "WAV", b"AVI ": "AVI"}.get(head[8:12])
    signs = {b"\x1aE\xdf\xa3": "Matroska", b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"GIF8": "GIF"}
    return next((family for sign, family in signs.items() if head.startswith(sign)), None)
