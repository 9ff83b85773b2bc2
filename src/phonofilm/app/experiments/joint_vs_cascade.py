"""The same weights in one pass and as a cascade, on every metric of `phonofilm evaluate`, beside ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phonofilm.app.reports.evaluation.table import ARROWS, number
from phonofilm.app.reports.intervals import interval_text

SYSTEMS = {"generate": "joint", "cascaded": "cascaded"}
"""Folders of clips, and what their column is called."""

KEPT = ("name", "group", "unit", "better", "value", "low", "high", "reference", "control", "n")


def evaluated(work: Path, workers: int) -> dict[str, Any]:
    """Each system's clips against the true clips of the same scenes, by preset quick."""
    from phonofilm.evaluation.suite.runner import Settings, evaluate

    settings = Settings(preset="quick", workers=workers, cache=work / "features")
    found = {}
    for folder, name in SYSTEMS.items():
        result = evaluate(work / folder, work / "truth", settings=settings)
        rows = [{key: row[key] for key in KEPT} for row in result["metrics"] if row["status"] == "ok"]
        missing = {row["name"]: row["reason"] for row in result["metrics"] if row["status"] != "ok"}
        found[name] = {
            "protocol": result["protocol"], "scored": result["generated"]["scored"], "rows": rows, "missing": missing,
        }  # fmt: skip
    return found


def systems_table(systems: dict[str, Any]) -> Iterator[str]:
    """One line for each metric: joint, cascaded, what true clips get, and what chance gives."""
    joint, cascaded = systems["joint"], systems["cascaded"]
    others = {row["name"]: row for row in cascaded["rows"]}
    yield "## One pass or two: every metric of `phonofilm evaluate`"
    yield ""
    yield f"{joint['scored']} held-out prompts, protocol `{joint['protocol']}`. *Joint* is nano as it generates;"
    yield "*cascaded* the same weights with the same noise, picture first with sound absent, then sound for that"
    yield "picture. Both against the true clips of the same scenes. *Truth* is what true clips get, *shuffled* each"
    yield "picture with the sound of another clip."
    yield ""
    yield "Two rows need care. *Onset accuracy* and its AP compare with the times of the true clip of the same"
    yield "prompt. A prompt does not say when things happen, so text to both is at chance there, as the shuffled"
    yield "control shows; the row means something for `foley`. *Truth* of a distance lies between two halves of the"
    yield "true clips: half as many clips, so more bias, and of other scenes, where the generated ones are of the"
    yield "same scenes as the reference. It is no lower bound, and a smaller distance does not mean better than"
    yield "truth."
    yield ""
    yield "| metric | unit | joint | cascaded | truth | shuffled |"
    yield "|---|---|---|---|---|---|"
    for row in joint["rows"]:
        unit = f"{row['unit']} {ARROWS[row['better']]}".strip()
        cells = [
            interval_text(row, number),
            interval_text(others.get(row["name"]), number),
            number(row["reference"]),
            number(row["control"]),
        ]
        yield f"| {row['name']} | {unit} | {' | '.join(cells)} |"
    yield ""
    if joint["missing"]:
        yield f"Not measured: {', '.join(f'{name} ({reason})' for name, reason in joint['missing'].items())}."
        yield ""


def scores_table(results: dict[str, Any]) -> Iterator[str]:
    """The same two by `phonofilm score`."""
    yield "| measure of `phonofilm score` | joint | cascaded |"
    yield "|---|---|---|"
    for name in ("sync_f1_60ms", "sync_f1_60ms_shuffled", "sync_f1_40ms", "colour", "material", "pitch", "pan_sign"):
        cells = []
        for folder in SYSTEMS:
            value = results[folder]["scores"]["all"].get(name)
            cells.append(interval_text(value, absent="no event"))
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
