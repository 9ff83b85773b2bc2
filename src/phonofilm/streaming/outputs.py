"""Where the bytes of a film go while it is made."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from phonofilm.errors import PhonofilmError, Unwritable
from phonofilm.files import atomic, check_file

SUFFIXES = (".mp4", ".m4v")
"""Files that grow fragment by fragment."""


class Output(Protocol):
    """Takes piece after piece."""

    def write(self, piece: bytes) -> None:
        """Write a piece whole, or leave nothing of it.

        Raises:
            PhonofilmError: it cannot be written; what was written before is whole.
        """

    def close(self) -> None: ...


def check_stream_output(path: str | Path) -> Path:
    """The path, once it is known that a film could grow there.

    Raises:
        PhonofilmError: another kind of file, or a folder that is not to be written in.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise PhonofilmError(f"{path.name}: a film that grows is an .mp4; name one, or - for standard output")
    check_file(path)
    if path.exists() and not os.access(path, os.W_OK):  # it grows where it is, and is not replaced
        raise PhonofilmError(f"{path} is not writable; name another file")
    return path


class FileOutput:
    """A file that is a whole film after every piece. Nothing is touched before the first one comes.

    Args:
        keep: pieces of the film that is there, after which it goes on; without, that film is replaced.
    """

    def __init__(self, path: str | Path, keep: int = 0) -> None:
        self.path, self._keep = check_stream_output(path), keep
        self._handle: int | None = None
        self._size = 0

    def write(self, piece: bytes) -> None:
        """See `Output.write`."""
        handle = self._open()
        try:
            left = memoryview(piece)
            while left:
                left = left[os.write(handle, left) :]
        except OSError as error:
            with suppress(OSError):  # a device has no length
                os.ftruncate(handle, self._size)
            raise self._unwritable(error) from error
        self._size += len(piece)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self._keep:
                    self._size = shorten(self.path, self._keep)
                self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | (0 if self._keep else os.O_TRUNC), 0o666)
                os.lseek(self._handle, self._size, os.SEEK_SET)
            except OSError as error:
                raise self._unwritable(error) from error
        return self._handle

    def _unwritable(self, error: OSError) -> Unwritable:
        known = "the disk is full" if error.errno == errno.ENOSPC else f"it cannot be written ({error.strerror})"
        return Unwritable(f"{self.path}: {known}; the film up to there is whole and can be played")


class PipeOutput:
    """Standard output, or any other stream of bytes: whoever reads it slowly makes the source wait."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> None:
        """See `Output.write`; of a closed pipe the reader has all that it read."""
        try:
            self._stream.write(piece)
            self._stream.flush()
        except BrokenPipeError as error:
            raise PhonofilmError("the reader closed the pipe, so nothing more is made") from error

    def close(self) -> None:
        """The stream stays open for whoever opened it."""


class Tee:
    """Several outputs at once."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs

    def write(self, piece: bytes) -> None:
        """See `Output.write`."""
        for output in self._outputs:
            output.write(piece)

    def close(self) -> None:
        """Close all."""
        for output in self._outputs:
            output.close()


def shorten(path: Path, pieces: int) -> int:
    """Cut a film that grew after some of its pieces, and take a manifest out that no longer holds; returns its size.

    Raises:
        PhonofilmError: it is no such film, or has fewer pieces.
    """
    if not path.is_file():
        raise PhonofilmError(f"{path} is not there, so it cannot go on; name another file with -o to begin one")
    with path.open("rb") as file:
        found = list(_boxes_of(file, path.stat().st_size))
    kept: list[tuple[int, int]] = []
    signed, count = False, 0
    for name, start, end in found:
        if name == "uuid":
            signed = True
        elif name in ("ftyp", "moov", "moof", "mdat") and count < pieces:
            kept.append((start, end))
            count += name == "mdat"
    if count < pieces:
        raise PhonofilmError(f"{path} holds {count} pieces of the film, and the state stands after {pieces}; omit -o")
    if signed:
        with atomic(path) as temporary, path.open("rb") as file, temporary.open("wb") as unsigned:
            for start, end in kept:
                file.seek(start)
                unsigned.write(file.read(end - start))
    size = sum(end - start for start, end in kept)
    os.truncate(path, size)
    return size


def _boxes_of(file: BinaryIO, size: int) -> list[tuple[str, int, int]]:
    found, start = [], 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(8)
        end = start + int.from_bytes(header[:4], "big")
        if end < start + 8 or end > size:
            break
        found.append((header[4:].decode("latin-1"), start, end))
        start = end
    return found
