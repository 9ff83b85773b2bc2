"""Plots of a study as inline SVG: dots with intervals, answers as shares, points, all readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

ROW, LABEL, WIDTH, RIGHT = 30, 190, 720, 96
SHADES = ("#7a2e1d", "#c4704a", "#d9d3c3", "#6f9fa8", "#1f5a68")
"""From "1" to "5": dark ends, light middle, and told apart with any colour vision."""


def dots(
    rows: Mapping[str, Mapping[str, Any]],
    low: float,
    high: float,
    title: str,
    ticks: Sequence[float],
    quiet: Sequence[str] = (),
    marks: Mapping[str, float] | None = None,
) -> str:
    """One row a system: a dot at its value, a line over its interval, the number beside it.

    Args:
        rows: {name: {value, low, high}}; an interval may be None.
        quiet: names drawn lighter (anchors).
        marks: {name: value} of another source, drawn as a small upright line.
    """
    height = len(rows) * ROW + 34
    parts = [_ticks(ticks, low, high, height)]
    for place, (name, row) in enumerate(rows.items()):
        y = 18 + place * ROW
        tone = ' class="quiet"' if name in quiet else ""
        parts.append(f'<g{tone}><text x="{LABEL - 12}" y="{y + 5}" text-anchor="end">{escape(name)}</text>')
        if row.get("low") is not None and row.get("high") is not None:
            x0, x1 = (_x(min(max(row[end], low), high), low, high) for end in ("low", "high"))
            parts.append(f'<line class="whisker" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y}" y2="{y}"/>')
        x = _x(min(max(row["value"], low), high), low, high)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y}" r="5.5"/>')
        if marks and name in marks:
            x = _x(marks[name], low, high)
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 9}" y2="{y + 9}"/>')
        parts.append(f'<text class="value" x="{WIDTH - RIGHT + 14}" y="{y + 5}">{row["value"]:.2f}</text></g>')
    return _svg(height, title, parts)


def shares(rows: Mapping[str, Sequence[int]], title: str) -> str:
    """One bar a system, cut into the shares of its answers 1 … 5."""
    height = len(rows) * ROW + 8
    parts = []
    for place, (name, counts) in enumerate(rows.items()):
        y, x, total = 6 + place * ROW, float(LABEL), max(sum(counts), 1)
        parts.append(f'<text x="{LABEL - 12}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        for answer, count in enumerate(counts):
            width = (WIDTH - RIGHT - LABEL) * count / total
            if count:
                said = f"<title>{escape(name)}: {count} of {total} answered {answer + 1}</title>"
                box = f'x="{x:.1f}" y="{y}" width="{max(width - 1, 0.5):.1f}" height="21" rx="2"'
                parts.append(f'<rect {box} fill="{SHADES[answer]}">{said}</rect>')
            if width > 20:
                tone = "#14151a" if answer in (2, 3) else "#fff"
                middle = f'x="{x + width / 2:.1f}" y="{y + 15}" text-anchor="middle" style="fill:{tone}"'
                parts.append(f"<text {middle}>{answer + 1}</text>")
            x += width
        parts.append(f'<text class="value" x="{WIDTH - RIGHT + 14}" y="{y + 15}">n = {sum(counts)}</text>')
    return _svg(height, title, parts)


def scatter(points: Sequence[Sequence[Any]], title: str, across: str) -> str:
    """Clips as points: a metric across, mean opinion upwards; each system has a mark and a shade of its own."""
    width, height, edge = 340, 260, 40
    xs, ys = [float(p[1]) for p in points], [float(p[2]) for p in points]
    x0, x1 = min(xs), max(xs)
    reach = (x1 - x0) or 1.0
    parts = [
        f'<text x="{edge}" y="{height - 6}">{_short(x0)}</text>',
        f'<text x="{width - 8}" y="{height - 6}" text-anchor="end">{_short(x1)}</text>',
        f'<text x="{(width + edge) / 2}" y="{height - 6}" text-anchor="middle">{escape(across)}</text>',
    ]
    for opinion in range(1, 6):
        y = height - 28 - (height - 44) * (opinion - 1) / 4
        parts.append(f'<line class="grid" x1="{edge}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="value" x="{edge - 10}" y="{y + 4:.1f}" text-anchor="end">{opinion}</text>')
    names = sorted({str(p[0]) for p in points})
    for (name, *_), x, y in zip(points, xs, ys, strict=True):
        at = edge + 6 + (width - edge - 20) * (x - x0) / reach, height - 28 - (height - 44) * (y - 1) / 4
        parts.append(_mark(names.index(str(name)), *at, str(name)))
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _mark(kind: int, x: float, y: float, name: str) -> str:
    shade = SHADES[(kind * 3 + 4) % 5]
    shapes = (
        f'circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        f'rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"',
        f'path d="M{x:.1f} {y - 5:.1f}l5 5-5 5-5-5z"',
        f'path d="M{x:.1f} {y - 5:.1f}l5 9h-10z"',
    )
    shape = shapes[kind % len(shapes)]
    return f'<{shape} fill="{shade}" fill-opacity=".8"><title>{escape(name)}</title></{shape.split()[0]}>'


def _ticks(ticks: Sequence[float], low: float, high: float, height: int) -> str:
    found = []
    for tick in ticks:
        x = _x(tick, low, high)
        found.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 22}"/>')
        found.append(f'<text class="value" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick:g}</text>')
    return "".join(found)


def _x(value: float, low: float, high: float) -> float:
    return LABEL + (WIDTH - RIGHT - LABEL) * (value - low) / (high - low)


def _short(value: float) -> str:
    return f"{value:.3g}"


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
