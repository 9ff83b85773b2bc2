"""Writes the tables of docs/metrics.md from the registry of metrics.

python -m phonofilm.evaluation.suite.metric_docs docs/metrics.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from phonofilm.evaluation.suite.registry import CORE_FEATURES, METRICS, Metric
from phonofilm.files import write_bytes

MARKS = "<!-- metrics -->", "<!-- /metrics -->"
HEAD = "| metric | what is computed | range | better | source | known failure |\n|---|---|---|---|---|---|"


def tables() -> Iterator[str]:
    """One table a group; ᶠ marks metrics outside the preset quick."""
    for group in dict.fromkeys(metric.group for metric in METRICS):
        yield f"### {group}\n\n{HEAD}\n" + "\n".join(_line(m) for m in METRICS if m.group == group)


def _line(metric: Metric) -> str:
    mark = "" if set(metric.features) <= CORE_FEATURES else " ᶠ"
    protocol = metric.protocol + "".join(f"; needs --{need}" for need in metric.needs)
    span = f"{metric.range} {metric.unit}".strip()
    cells = (f"**{metric.name}**{mark}", protocol, span, metric.better, metric.source, metric.failure)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def refresh(page: str) -> str:
    """The page with its tables between the marks made anew.

    Raises:
        ValueError: the page has no marks.
    """
    start, end = (re.escape(mark) for mark in MARKS)
    fresh, count = re.subn(f"{start}.*{end}", lambda _: "\n\n".join((MARKS[0], *tables(), MARKS[1])), page, flags=re.S)
    if count != 1:
        raise ValueError(f"the page needs {MARKS[0]} and {MARKS[1]} once each")
    return fresh


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_bytes(target, refresh(target.read_text(encoding="utf-8")).encode())
