"""Writing a file so that it is either whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonofilm.errors import PhonofilmError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with its suffix; it becomes `path` when all went well.

    Whatever goes wrong, an interrupt included, the temporary file is removed and `path` is as it was.

    Raises:
        PhonofilmError: the folder is not there or cannot be written, or the disk is full.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise PhonofilmError(f"folder {target.parent} does not exist; create it first: mkdir -p {target.parent}")
    if target.is_dir():
        raise PhonofilmError(f"{target} is a folder; name a file to write")
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _readable(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a small file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def _readable(error: OSError, target: Path) -> Exception:
    if error.errno == errno.ENOSPC:
        return PhonofilmError(f"the disk is full: {target} was not written; free some space and try again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PhonofilmError(f"{target} cannot be written: {error.strerror}; choose another folder")
    return error
