"""Which films there are: found in folders, named by their content, with what is known of their rights."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from phonofilm.checkpoint import file_sha256
from phonofilm.data.curate.common.records import Rights, Skipped, Source
from phonofilm.data.curate.common.results import read_json, write_json
from phonofilm.errors import PhonofilmError
from phonofilm.files import printable

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv", ".wmv")
RIGHTS = "rights.toml"


def find_films(given: Iterable[Path]) -> list[Path]:
    """Films named one by one, and all in folders, in order of their names.

    Raises:
        PhonofilmError: a path that is not there, or a folder without films.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(one for one in _walk(path) if one.suffix.lower() in SUFFIXES and one.is_file())
            if not inside:
                raise PhonofilmError(f"folder {path} holds no film ({' '.join(SUFFIXES)})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PhonofilmError(f"{path} is not there; name films or folders of films")
    return list(dict.fromkeys(found))


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def identify(
    films: list[Path], memory: Path, default: Rights, progress: Callable[[int, int], None]
) -> tuple[list[Source], list[Skipped]]:
    """Sources by content, and the files that cannot be read or are there twice.

    Args:
        memory: a file in which digests are remembered by path, size and time of change.
        default: rights of films of which no `rights.toml` speaks.
    """
    remembered = read_json(memory)
    remembered = remembered if isinstance(remembered, dict) else {}
    known: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    skipped: list[Skipped] = []
    for number, path in enumerate(films):
        progress(number, len(films))
        name = printable(str(path))
        try:
            state = path.stat()
            stamp = f"{name} {state.st_size} {state.st_mtime_ns}"
            digest = remembered.get(stamp) or file_sha256(path)
        except OSError as error:
            skipped.append(Skipped(name, f"it cannot be read: {error.strerror}"))
            continue
        known[stamp] = digest
        if digest in sources:
            skipped.append(Skipped(name, f"the same file as {sources[digest].name}"))
            continue
        sources[digest] = Source(path, digest, name, rights_of(path, default))
    progress(len(films), len(films))
    if known != remembered:
        write_json(memory, {**remembered, **known})
    return list(sources.values()), skipped


def rights_of(path: Path, default: Rights) -> Rights:
    """What the `rights.toml` beside a film says of it: under its name, else under "default", else what is given.

        [default]
        license = "CC-BY-4.0"
        ["interview.mp4"]
        consent = "signed 2026-03-01"

    Raises:
        PhonofilmError: a file that is no such table.
    """
    file = path.parent / RIGHTS
    if not file.is_file():
        return default
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"{file} is not TOML: {error}") from error
    said = {**asdict(default), **_entry(table, "default", file), **_entry(table, path.name, file)}
    return Rights(**said)


def _entry(table: Mapping[str, Any], name: str, file: Path) -> dict[str, str]:
    entry = table.get(name, {})
    names = [field.name for field in fields(Rights)]
    if not isinstance(entry, dict) or any(
        key not in names or not isinstance(value, str) for key, value in entry.items()
    ):
        raise PhonofilmError(f"{file}: [{name}] may hold texts named {', '.join(names)}, and nothing else")
    return entry
