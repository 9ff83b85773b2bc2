"""Rows of JSON that a run appends to a file one by one, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(kept: Path) -> list[Row]:
    """What an earlier run left; a last line that was cut off as it was written is made again."""
    if not kept.exists():
        return []
    text = kept.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        kept.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def append_row(kept: Path, row: Row) -> None:
    """Add a row; the folder is made where there is none."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(row) + "\n")
