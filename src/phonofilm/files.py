"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phonofilm.errors import PhonofilmError

OF_WRITING = (errno.EFBIG, errno.EDQUOT)
"""Only who writes meets these, whichever file the error names, if any."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with its suffix; it becomes `path` when all went well.

    Whatever goes wrong, an interrupt included, the temporary file is removed and `path` is as it was.

    Raises:
        PhonofilmError: the folder is not there or cannot be written, or the disk is full.
        OSError: no fault of the file's, such as one of another file that was read meanwhile.
    """
    target = check_file(path)
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _readable(error, target, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_file(path: str | Path) -> Path:
    """The path, once it is known that a file could be made of this name; ask before hours of work, not after.

    Raises:
        PhonofilmError: a folder of this name, one that is not there to make it in, or one that lets nobody write.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise PhonofilmError(f"folder {path.parent} does not exist; create it first: mkdir -p {path.parent}")
    if path.is_dir():
        raise PhonofilmError(f"{path} is a folder; name a file to write")
    if not os.access(path.parent, os.W_OK):
        raise PhonofilmError(f"folder {path.parent} lets nobody write; choose another one for {path.name}")
    return path


def check_folder(path: str | Path) -> Path:
    """The path, once it is known to be a folder or that one could be made; ask before hours of work, not after.

    Raises:
        PhonofilmError: a file of this name, or nothing to make it in.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise PhonofilmError(f"{path} is a file; name a folder")
    if not path.parent.is_dir():
        raise PhonofilmError(f"folder {path.parent} does not exist; create it first: mkdir -p {path.parent}")
    return path


@contextmanager
def folder_for(path: str | Path) -> Iterator[Path]:
    """A folder to write several files into, made if need be; where an error leaves it empty it is not left at all.

    Raises:
        PhonofilmError: a file of this name, or nothing to make it in.
    """
    folder = check_folder(path)
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException:
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a small file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def _readable(error: OSError, target: Path, temporary: Path) -> Exception:
    if error.errno == errno.ENOSPC:
        return PhonofilmError(f"the disk is full: {target} was not written; free some space and try again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PhonofilmError(f"{target} cannot be written: {error.strerror}; choose another folder")
    if error.errno in OF_WRITING or str(error.filename) in (str(target), str(temporary)):
        return PhonofilmError(f"{target} cannot be written: {error.strerror}; choose another name or folder")
    return error
