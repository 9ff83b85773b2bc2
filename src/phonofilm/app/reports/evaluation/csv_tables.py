"""Evaluations and comparisons as CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonofilm.files import write_bytes

if TYPE_CHECKING:
    from phonofilm.evaluation.suite.compare import Difference

PAIR_COLUMNS = (
    "name", "group", "category", "first", "second", "difference", "p", "adjusted", "test", "better", "n", "reason",
)  # fmt: skip
METRIC_COLUMNS = ("name", "group", "status", "value", "low", "high", "n", "reference", "control", "unit", "better")


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    """Write rows, the first of which is the head; None becomes an empty cell."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(["" if cell is None else cell for cell in row] for row in rows)
    return write_bytes(path, text.getvalue().encode())


def metric_rows(result: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row a metric."""
    return [METRIC_COLUMNS, *([row.get(key) for key in METRIC_COLUMNS] for row in result["metrics"])]


def clip_rows(result: Mapping[str, Any]) -> list[Sequence[Any]]:
    """One row a clip: its category, and its value by every metric that is one of clips."""
    clips, categories = result["clips"], result["categories"]
    measured = {name for values in clips.values() for name in values}
    names = [row["name"] for row in result["metrics"] if row["name"] in measured]
    head = ("clip", *(["category"] if categories else []), *names)
    body = [
        (clip, *([categories.get(clip)] if categories else []), *(values.get(name) for name in names))
        for clip, values in clips.items()
    ]
    return [head, *body]


def comparison_rows(differences: Sequence[Difference], names: Sequence[str]) -> list[Sequence[Any]]:
    """One row a comparison; `first_system` and `second_system` say of which two."""
    body = []
    for row in differences:
        values = asdict(row)
        values["better"] = None if row.better is None else names[row.systems[row.better == "second"]]
        body.append((*(names[place] for place in row.systems), *(values[key] for key in PAIR_COLUMNS)))
    return [("first_system", "second_system", *PAIR_COLUMNS), *body]
