"""Where an installation keeps what is its own: its certificate, its private key of watermarks, and its log."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from phonofilm.errors import PhonofilmError

FOLDER = "PHONOFILM_HOME"


def home() -> Path:
    """$PHONOFILM_HOME, or a folder among the user's data; it may not be there yet."""
    chosen = os.environ.get(FOLDER)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(chosen) if chosen else data / "phonofilm"


def private_key() -> bytes:
    """32 bytes that this installation alone knows, drawn at first use.

    Raises:
        PhonofilmError: they can be neither read nor written.
    """
    return once(home() / "watermark.key", secrets.token_bytes(32))


def known_private_key() -> bytes | None:
    """The private key if one was drawn already; whoever only looks at files draws none."""
    try:
        return (home() / "watermark.key").read_bytes()
    except OSError:
        return None


def once(path: Path, content: bytes) -> bytes:
    """What a secret file holds; made with this content, for its owner's eyes alone, by whoever comes first.

    Raises:
        PhonofilmError: it can be neither read nor written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)  # unlike a rename it does not replace what another process made meanwhile
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                os.replace(temporary, path)
        return path.read_bytes()
    except OSError as error:
        raise PhonofilmError(
            f"{path} cannot be used: {error.strerror or error}; set {FOLDER} to a folder that can be written"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
