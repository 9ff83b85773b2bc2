"""Files of jobs, on this disk or on any that fsspec knows: inputs/JOB/NAME and results/JOB/ATTEMPT/NAME.

Names come from here alone, never from a client.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from phonofilm.app.server.base.failpoints import failpoint
from phonofilm.errors import PhonofilmError

INPUTS, RESULTS = "inputs", "results"
CHUNK = 2**18


class Files:
    """A place for files.

    Args:
        url: a folder, or an address as fsspec has them, as "s3://bucket/phonofilm".

    Raises:
        PhonofilmError: a place that fsspec does not know, or whose driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self.fs, self.base = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise PhonofilmError(f"--files cannot be {url}: {error}") from error
        self.is_local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))

    def put(self, source: Path, *parts: str) -> int:
        """Move a local file to its place, where it is whole or not at all; returns its size once it is on disk."""
        size = source.stat().st_size
        if not self.is_local:
            self.fs.makedirs(self._at(*parts[:-1]), exist_ok=True)
            self.fs.put_file(str(source), self._at(*parts))
            source.unlink()
            return size
        target = Path(self._at(*parts))
        made = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(source)
        failpoint("rename")
        try:
            os.replace(source, target)
        except OSError:  # another disk
            beside = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, beside)
            _sync(beside)
            os.replace(beside, target)
            source.unlink()
        for folder in {target.parent, *(folder.parent for folder in made)}:
            _sync(folder)
        return size

    def local(self, folder: Path, *parts: str) -> Path:
        """A path at which a file can be read: its own, or a copy in `folder`."""
        if self.is_local:
            return Path(self._at(*parts))
        copy = folder / parts[-1]
        self.fs.get_file(self._at(*parts), str(copy))
        return copy

    def copy(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        """The same content under another name, by a link where that is possible."""
        if not self.is_local:
            self.fs.makedirs(self._at(*target[:-1]), exist_ok=True)
            self.fs.cp_file(self._at(*source), self._at(*target))
            return
        place = Path(self._at(*target))
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._at(*source), place)
        except OSError:
            shutil.copyfile(self._at(*source), place)
        _sync(place)
        _sync(place.parent)

    def size(self, *parts: str) -> int | None:
        """Bytes of a file, or None where there is none."""
        try:
            return int(self.fs.size(self._at(*parts)))
        except OSError:
            return None

    def read(self, start: int, end: int, *parts: str) -> Iterator[bytes]:
        """Bytes `start` to `end`, the last one not included, piece by piece."""
        with self.fs.open(self._at(*parts), "rb") as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(CHUNK, end - start))):
                start += len(chunk)
                yield chunk

    def folders(self, *parts: str) -> dict[str, float]:
        """Names in a folder, and when each was last changed (0 where nobody knows)."""
        try:
            self.fs.invalidate_cache()
            found = self.fs.ls(self._at(*parts), detail=True)
        except OSError:
            return {}
        return {entry["name"].rstrip("/").rsplit("/", 1)[-1]: _changed(entry) for entry in found}

    def remove(self, *parts: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        with suppress(FileNotFoundError):
            self.fs.rm(self._at(*parts), recursive=True)

    def _at(self, *parts: str) -> str:
        if any(not part or part in (".", "..") or "/" in part or "\\" in part or "\0" in part for part in parts):
            raise PhonofilmError("this is no name of a file here")
        return "/".join((str(self.base).rstrip("/"), *parts))


def _changed(entry: dict[str, Any]) -> float:
    when = entry.get("mtime") or entry.get("LastModified") or entry.get("created") or 0.0
    return float(when.timestamp() if hasattr(when, "timestamp") else when)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
