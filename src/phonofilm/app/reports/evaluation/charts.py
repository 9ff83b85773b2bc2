"""Small drawings that say what a row of numbers means, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonofilm.app.reports.evaluation.table import number

WIDTH, HEIGHT, MARGIN = 190, 30, 8
BINS = 24


def strip(row: Mapping[str, Any]) -> str:
    """A metric on its own line: value with its interval, the reference and the shuffled control."""
    marks = [row[key] for key in ("value", "low", "high", "reference", "control") if row.get(key) is not None]
    low, high = min(marks), max(marks)
    if high - low <= 1e-12:
        low, high = low - 0.5, high + 0.5

    def x(value: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low)

    middle = HEIGHT / 2
    parts = [f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{middle}" y2="{middle}"/>']
    if row.get("low") is not None:
        parts.append(
            f'<line class="whisker" x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="{middle}" y2="{middle}"/>'
        )
    for key in ("reference", "control"):
        if row.get(key) is not None:
            place = x(row[key])
            parts.append(f'<line class="{key}" x1="{place:.1f}" x2="{place:.1f}" y1="5" y2="{HEIGHT - 5}"/>')
    parts.append(f'<circle class="dot" cx="{x(row["value"]):.1f}" cy="{middle}" r="5"/>')
    label = (
        f"{row['name']} {number(row['value'])}, reference {number(row['reference'])}, shuffled {number(row['control'])}"
    )
    return _svg(parts, label)


def histogram(values: Sequence[float], reference: Sequence[float], name: str) -> str:
    """How the clips' values are spread, and the outline of the reference's; nothing for a single value."""
    together = np.array([*values, *reference], dtype=np.float64)
    if len(values) < 3 or np.ptp(together) <= 1e-12:
        return ""
    low, high = np.quantile(together, (0.005, 0.995))
    if high - low <= 1e-12:
        low, high = together.min(), together.max()
    edges = np.linspace(low, high, BINS + 1)
    step, base = (WIDTH - 2 * MARGIN) / BINS, HEIGHT - 1
    mine = np.histogram(np.clip(values, low, high), edges)[0]
    parts = []
    for index, count in enumerate(mine):
        tall = (HEIGHT - 4) * count / mine.max()
        parts.append(
            f'<rect class="bar" x="{MARGIN + index * step:.1f}" y="{base - tall:.1f}" width="{step - 0.8:.1f}" '
            f'height="{tall:.1f}"/>'
        )
    if len(reference) > 2:
        theirs = np.histogram(np.clip(reference, low, high), edges)[0]
        corners = []
        for index, count in enumerate(theirs):
            y = base - (HEIGHT - 4) * count / theirs.max()
            corners += [f"{MARGIN + index * step:.1f},{y:.1f}", f"{MARGIN + (index + 1) * step:.1f},{y:.1f}"]
        parts.append(f'<polyline class="outline" points="{" ".join(corners)}"/>')
    parts.append(f'<text x="{MARGIN}" y="{HEIGHT + 11}">{number(low)}</text>')
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT + 11}" text-anchor="end">{number(high)}</text>')
    return _svg(parts, f"distribution of {name} over {len(values)} clips", HEIGHT + 13)


def _svg(parts: Sequence[str], label: str, height: int = HEIGHT) -> str:
    from html import escape

    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
