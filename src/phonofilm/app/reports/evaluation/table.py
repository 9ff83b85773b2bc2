"""Evaluations in the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from phonofilm.app.reports.evaluation.categories import category_means

if TYPE_CHECKING:
    from rich.table import Table

    from phonofilm.evaluation.suite.compare import Difference

ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
WIDEST = 130
ROOMY = 106
"""Columns of a terminal that every column of the table fits in."""


def number(value: float | None) -> str:
    """Three or four digits that matter, as people write them."""
    if value is None:
        return "–"
    size = abs(value)
    if size < 1e-9:  # what rounding leaves of 0
        return "0.000"
    if size < 0.001:
        return f"{value:.0e}".replace("-", "−")
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:.{places}f}".replace("-", "−")


def interval(row: Mapping[str, Any]) -> str:
    """ "[low, high]", or nothing."""
    return "" if row.get("low") is None else f"{number(row['low'])} … {number(row['high'])}"


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """The table of a result, and below it what was left out and what is missing."""
    rows = [row for row in result["metrics"] if row["status"] == "ok"]
    roomy = _width() >= ROOMY
    table = plain_table(*_fitting(roomy, "metric", "", "value", "95 %", "reference", "shuffled", "n"))
    group = None
    for row in rows:
        if row["group"] != group:
            if group is not None:
                table.add_section()
            group = row["group"]
            table.add_row(f"[dim]{group}[/]")
        name = f"  {escaped(row['name'])}{' [yellow]⟲[/]' if row['circular'] else ''}"
        unit = f"{row['unit']} {ARROWS[row['better']]}".strip()
        cells = (
            name, unit, f"[bold]{number(row['value'])}[/]", interval(row), number(row["reference"]),
            number(row["control"]), str(row["n"]),
        )  # fmt: skip
        table.add_row(*_fitting(roomy, *cells))
    lines = [*rendered(table), *_category_lines(result)]
    if any(row["circular"] for row in rows):
        lines.append("⟲ circular: the judge is a network that the system was conditioned on or trained with")
    for side in ("generated", "reference"):
        if result[side]:
            lines += _left_out(side, result[side])
    used = ", ".join(f"{name} {weights_line(part)}" for name, part in result["weights"].items())
    lines += [f"weights: {used}"] if used else []
    blocked = [row for row in result["metrics"] if row["status"] != "ok"]
    lines += _blocked(blocked)
    return [*lines, *(f"absent: {row['name']}: {row['reason']}" for row in result["lacking"])]


def _category_lines(result: Mapping[str, Any]) -> list[str]:
    """A table of means by category of prompt, where prompts have categories."""
    found = category_means(result)
    if not found:
        return []
    names = list(dict.fromkeys(result["categories"].values()))
    table = plain_table("by category of prompt", *names)
    for metric, means in found.items():
        cells = (number(means[name].value) if name in means else "–" for name in names)
        table.add_row(escaped(metric), *cells)
    return rendered(table)


def weights_line(part: Mapping[str, str]) -> str:
    """Which file was used, and which checkpoint it is where a fetch noted it."""
    return part["path"] + (f" ({part['checkpoint']})" if "checkpoint" in part else "")


def _fitting(roomy: bool, *cells: str) -> list[str]:
    """A row without its interval and its count where the terminal is narrow: names are not to be broken."""
    return [cell for place, cell in enumerate(cells) if roomy or place not in (3, 6)]


def _left_out(side: str, part: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in part["counts"].items())
    lines = [f"{side}: {part['scored']} of {part['files']} clips scored{f'; {counts}' if counts else ''}"]
    if part["no_clips"]:
        lines[0] += f"; beside them {len(part['no_clips'])} that are no clips"
    shown = [item for item in part["listed"] if item["kind"] != "unpaired"][:5]
    lines += [f"  {item['name']}: {item['reason']}" for item in shown]
    more = len(part["listed"]) - len(shown)
    rest = f"… and {more} more, all listed" if shown else "all listed"
    return [*lines, f"  {rest} in results.json and report.html"] if more > 0 else lines


def _blocked(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(f"{row['status']}: {row['reason']}", []).append(row["name"])
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def comparison_lines(differences: Sequence[Difference], names: Sequence[str]) -> list[str]:
    """The tables of a comparison: one for all clips, one for each category, and what was not compared and why."""
    lines: list[str] = []
    for category in dict.fromkeys(row.category for row in differences):
        part = [row for row in differences if row.category == category]
        table = _two_systems(part, names) if len(names) == 2 else _many_systems(part, names)
        if table.row_count:
            lines += [f"category {category}"] if category else []
            lines += rendered(table)
    skipped: dict[str, dict[str, None]] = {}
    for row in differences:
        if row.p is None and not (row.category and row.reason.startswith("a distance between sets")):
            skipped.setdefault(row.reason, {})[row.name] = None
    return lines + [f"not compared, {reason}: {', '.join(found)}" for reason, found in skipped.items()]


def _two_systems(rows: Sequence[Difference], names: Sequence[str]) -> Table:
    table = plain_table("metric", *names, "difference", "p (Holm)", "test", "")
    for row in rows:
        if row.p is None:
            continue
        sure = "[bold]differs[/]" if row.adjusted is not None and row.adjusted < 0.05 else "[dim]could be chance[/]"
        verdict = f"[bold]{escaped(_better(row, names))} better[/]" if row.better else sure
        table.add_row(
            escaped(row.name), number(row.first), number(row.second), number(row.difference), number(row.adjusted),
            f"{row.test}, n = {row.n}", verdict,
        )  # fmt: skip
    return table


def _many_systems(rows: Sequence[Difference], names: Sequence[str]) -> Table:
    """One row a metric: the value of every system, and each pair that differs."""
    table = plain_table("metric", *names, "differ (p after Holm)")
    by_name: dict[str, list[Difference]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    for name, pairs in by_name.items():
        if all(row.p is None for row in pairs):
            continue
        values = {row.systems[0]: row.first for row in pairs} | {row.systems[1]: row.second for row in pairs}
        found = [_finding(row, names) for row in pairs if row.adjusted is not None and row.adjusted < 0.05]
        cells = (number(values[place]) for place in range(len(names)))
        table.add_row(escaped(name), *cells, escaped("; ".join(found)) or "[dim]could be chance[/]")
    return table


def _finding(row: Difference, names: Sequence[str]) -> str:
    first, second = (names[place] for place in row.systems)
    if row.better is None:
        return f"{first}, {second} ({number(row.adjusted)})"
    worse = first if row.better == "second" else second
    return f"{_better(row, names)} better than {worse} ({number(row.adjusted)})"


def _better(row: Difference, names: Sequence[str]) -> str:
    return names[row.systems[0 if row.better == "first" else 1]]


def plain_table(*heads: str) -> Table:
    """An empty table: the first column to the left, numbers to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        table.add_column(escaped(head), justify="left" if place == 0 else "right", overflow="fold", no_wrap=place != 0)
    return table


def escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _width() -> int:
    return min(shutil.get_terminal_size((WIDEST, 40)).columns, WIDEST)


def rendered(table: Table) -> list[str]:
    """The lines of a table, coloured only where a terminal shows them."""
    from rich.console import Console

    text = StringIO()
    colour = sys.stdout.isatty()
    Console(file=text, width=_width(), force_terminal=colour, no_color=not colour, highlight=False).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
