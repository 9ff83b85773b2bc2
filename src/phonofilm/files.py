"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phonofilm.errors import PhonofilmError, Unwritable

OF_WRITING = (errno.EFBIG, errno.EDQUOT)
"""Only who writes meets these, whichever file the error names, if any."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with its suffix; it becomes `path` when all went well.

    Missing folders are made. Whatever goes wrong, an interrupt included, the temporary file and the folders made are
    removed, and `path` is as it was.

    Raises:
        PhonofilmError: the folder cannot be made or written, or the disk is full.
        OSError: no fault of the file's, such as one of another file that was read meanwhile.
    """
    target = check_file(path)
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        with folder_for(target.parent):
            try:
                yield temporary
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _readable(error, target, temporary) from error


def check_file(path: str | Path) -> Path:
    """The path, once it is known that a file could be made of this name; ask before hours of work, not after.

    Raises:
        PhonofilmError: a folder of this name, or a folder above it that is a file, is not writable or is not there.
    """
    path = Path(path)
    _check_place(path.parent, path.name)
    if path.is_dir():
        raise PhonofilmError(f"{path} is a folder; name a file to write")
    return path


def check_not_read(output: str | Path, inputs: Iterable[str | Path | None]) -> Path:
    """The output, once it is known to be none of the files that are read, by a link or in other letter case either.

    Raises:
        PhonofilmError: it is one of them, which writing would replace.
    """
    written = identity(output)
    for path in inputs:
        if path is not None and written is not None and identity(path) == written:
            known = "" if Path(output) == Path(path) else f" as {path}"
            raise PhonofilmError(f"{output} is read{known} and would be replaced; name another file to write")
    return Path(output)


def identity(path: str | Path) -> tuple[int, int] | None:
    """Device and number of a file, the same under all its names; None where there is no such file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def check_folder(path: str | Path) -> Path:
    """The path, once it is known to be a folder or that one could be made; ask before hours of work, not after.

    Raises:
        PhonofilmError: it or a folder above it is a file or is not writable.
    """
    path = Path(path)
    _check_place(path, path.name)
    return path


def _check_place(folder: Path, name: str) -> None:
    """Refuse a folder in which nothing could be written; missing ones will be made in the nearest that is there."""
    try:
        place = next(part for part in (folder, *folder.parents) if _is_there(part) or part == part.parent)
        there, is_folder = place.exists(), place.is_dir()
    except OSError as error:  # a folder that is not to be looked into, a name that is too long, a drive that is gone
        raise PhonofilmError(f"{folder} cannot be reached: {error.strerror}; choose another folder") from error
    if not there:
        said = "is a link to what is not there" if place.is_symlink() else "is not there"
        raise PhonofilmError(f"{place} {said}; choose another folder for {name}")
    if not is_folder:
        raise PhonofilmError(f"{place} is a file; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PhonofilmError(f"folder {place} is not writable; choose another one for {name}")


def _is_there(path: Path) -> bool:
    """Whether anything has this name, a link to nothing too; errors other than that nothing has are raised."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextmanager
def folder_for(path: str | Path) -> Iterator[Path]:
    """A folder to write into, made with those above it if need be; those that an error leaves empty are removed.

    Raises:
        PhonofilmError: it or a folder above it is a file or is not writable.
    """
    folder = check_folder(path)
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except BaseException:
        for part in made:
            with suppress(OSError):  # it is not empty, or was never made
                part.rmdir()
        raise


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a small file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def _readable(error: OSError, target: Path, temporary: Path) -> Exception:
    if error.errno == errno.ENOSPC:
        return Unwritable(f"the disk is full: {target} was not written; free some space and try again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Unwritable(f"{target} cannot be written: {error.strerror}; choose another folder")
    if error.errno in OF_WRITING or str(error.filename) in (str(target), str(temporary)):
        return Unwritable(f"{target} cannot be written: {error.strerror}; choose another name or folder")
    return error


def text_lines(text: str) -> list[str]:
    """Lines of a text file. `str.splitlines` also cuts at U+2028, U+0085 and others, which are text inside a line."""
    return text.replace("\r\n", "\n").split("\n")


def printable(text: str) -> str:
    """A name as text that can be written as UTF-8: bytes of a file name that are not UTF-8 become `\\xNN`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_printable(folder: str | Path, name: str) -> Path:
    """The file of a folder whose relative path is `name`, or becomes it by `printable`."""
    path = Path(folder)
    for part in Path(name).parts:
        found = path / part
        if not found.exists() and path.is_dir():
            found = next((child for child in path.iterdir() if printable(child.name) == part), found)
        path = found
    return path
