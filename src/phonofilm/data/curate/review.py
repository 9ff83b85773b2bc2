"""Decisions by hand: kept in a file of the set, one line each, the last of a shot holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from phonofilm.errors import PhonofilmError
from phonofilm.files import text_lines, write_bytes

FILE = "review.jsonl"
DECISIONS = ("keep", "drop", "undecided")


def decisions(folder: Path) -> dict[str, str]:
    """What was decided of shots, "keep" or "drop" by key.

    Raises:
        PhonofilmError: a line that is no decision.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(text_lines(path.read_text(encoding="utf-8", errors="replace")), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            key, decision = str(said["key"]), str(said["decision"])
        except (ValueError, KeyError, TypeError) as error:
            raise PhonofilmError(
                f'{path} line {number} is no decision; write {{"key": "…", "decision": "keep"}}'
            ) from error
        if decision not in DECISIONS:
            raise PhonofilmError(f"{path} line {number}: {decision!r} is none of {', '.join(DECISIONS)}")
        found[key] = decision
    return {key: decision for key, decision in found.items() if decision != "undecided"}


def decide(folder: Path, made: Mapping[str, str]) -> dict[str, str]:
    """Add decisions, and return all that hold.

    Raises:
        PhonofilmError: a decision that is none.
    """
    for key, decision in made.items():
        if decision not in DECISIONS:
            raise PhonofilmError(f"{decision!r} of {key} is none of {', '.join(DECISIONS)}")
    held = {**decisions(folder), **made}
    lines: Iterable[str] = (
        json.dumps({"key": key, "decision": decision}) + "\n"
        for key, decision in sorted(held.items())
        if decision != "undecided"
    )
    write_bytes(folder / FILE, "".join(lines).encode())
    return decisions(folder)
