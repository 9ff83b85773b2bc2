"""Where a command writes: a file, or standard output as "-" (.mp4) or "-.webm"."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phonofilm.app.session import Report
from phonofilm.errors import PhonofilmError


def is_pipe(output: Path) -> bool:
    """Whether a name stands for standard output."""
    return str(output) == "-" or (output.stem == "-" and str(output.parent) == ".")


@contextmanager
def destination(output: Path, report: Report, suffix: str = ".mp4") -> Iterator[Path]:
    """The file to write: the one named, or one whose bytes go to standard output when all went well.

    Containers are written with their index at the front, which takes a file that can be rewound; so the whole clip
    goes into a temporary one first.

    Raises:
        PhonofilmError: standard output is a terminal, or is to take JSON.
    """
    if not is_pipe(output):
        yield output
        return
    if report.session.json:
        raise PhonofilmError("-o - and --json both write to standard output; name a file, or leave out --json")
    if sys.stdout.isatty():
        raise PhonofilmError("standard output is a terminal; send it on, as in: phonofilm … -o - | ffplay -")
    report.results_to = sys.stderr
    with tempfile.TemporaryDirectory(prefix="phonofilm-") as folder:
        path = Path(folder) / f"clip{output.suffix or suffix}"
        yield path
        with path.open("rb") as written:
            shutil.copyfileobj(written, sys.stdout.buffer)
        sys.stdout.buffer.flush()
