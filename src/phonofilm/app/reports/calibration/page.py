"""The page of a calibration: what holds, what does not, and the table of offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phonofilm.evaluation.calibration.run import TITLES
from phonofilm.files import write_bytes


def write_page(result: Mapping[str, Any], plots: Mapping[str, str], command: str, path: Path) -> None:
    """README.md beside the plots; `plots` has the file of each knob."""
    parts = [
        "# Calibration",
        f"Made by `{command}`; every number is in [calibration.json](calibration.json). "
        "Green: the curve has its required shape (shaded). Red: it has not, and the metric is not reliable there.",
        f"Clips last {result['clips']['seconds']:g} s at {result['clips']['pixels']} pixels of the short side. "
        "Sound is shifted by cutting picture and sound from different places of longer films, never by padding. "
        f"Sources: {_sources(result)}.",
        "## What must hold",
        *_table(("metric", "knob", "on", "required", "measured", ""), _musts(result["curves"])),
        "## Offset",
        "*Found*: estimates less than 100 ms from the truth; beyond it, another event was taken for the right one. "
        "*Sure*: estimates with a confidence of 0.3 or more. Real film has its own offset, which is taken as 0, and "
        "stretches where nothing seen is heard.",
        *_table(OFFSET, [_offset(row) for row in result["offset"]]),
        "## Curves",
        "A metric that is not reliable here is one that no conclusion should be drawn from under that knob, on that "
        "kind of film. DeSync[phonofilm-sync] was trained on Foley World, and on *Big Buck Bunny* but for minutes 6 "
        "to 8: what it shows there it mostly shows of films that it knows.",
    ]
    for knob, name in plots.items():
        parts += [f"### {TITLES[knob]}", f"![{TITLES[knob]}]({name})"]
        parts += _table(("metric", "on", "required", "measured", ""), _lines(result["curves"], knob))
    parts += ["## Not run", *_table(("metric", "why"), list(result["not_run"].items()))]
    if not result["films"]:
        parts.append("Real film was not run: give one with `--film`, as docs/metrics.md says.")
    write_bytes(path, ("\n\n".join(parts) + "\n").encode())


OFFSET = ("on", "by", "condition", "estimates", "slope", "bias, ms", "SD, ms", "median, ms", "found",
          "bias and SD of found", "sure", "found of sure", "bias and SD of sure", "")  # fmt: skip


def _offset(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["source"], row["by"], row["condition"], str(row["estimates"]), f"{row['slope']:.3f}", f"{row['bias']:+.1f}",
        f"{row['sd']:.1f}", f"{row['median_absolute']:.1f}", f"{row['found']:.0%}", _pair(row, "found"),
        f"{row['sure']:.0%}" if "sure" in row else "0%", f"{row['found_sure']:.0%}" if "sure" in row else "",
        _pair(row, "sure"), "pass" if row["passed"] else "**not met**",
    )  # fmt: skip


def _pair(row: Mapping[str, Any], which: str) -> str:
    return f"{row[f'bias_{which}']:+.1f}, {row[f'sd_{which}']:.1f}" if f"bias_{which}" in row else ""


def _sources(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{len(seeds)} of {name}" for name, seeds in result["sources"].items())


def _musts(curves: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(c["metric"], c["knob"], c["source"], *_said(c)) for c in curves if c["must"] and c["verdict"]]


def _lines(curves: Sequence[Mapping[str, Any]], knob: str) -> list[tuple[str, ...]]:
    return [(c["metric"], c["source"], *_said(c)) for c in curves if c["knob"] == knob and c["verdict"]]


def _said(curve: Mapping[str, Any]) -> tuple[str, str, str]:
    verdict = curve["verdict"]
    word = "pass" if verdict["passed"] else "**FAIL**" if curve["must"] else "**not reliable here**"
    return verdict["required"], verdict["measured"], word


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = [head, ["---"] * len(head), *rows]
    return ["\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)]
