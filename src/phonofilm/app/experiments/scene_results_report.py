"""Results on scenes of edition 2 as a page: every number with its interval, its control, truth's and its floor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phonofilm.app.reports.intervals import interval_text
from phonofilm.app.reports.markdown import table_head

SYNC = {"bounce": 0.93, "strike": 0.93, "pass": 0.8, "blast": 0.8, "rain": 0.8, "talk": 0.8}
FLOORS = {"colour": 0.95, "material": 0.90, "pitch": 0.93, "pan_sign": 0.95, "family_seen": 0.95, "family_heard": 0.95}
GIVEN = {"foley": ("onset_f1", 0.9), "animate": ("sight_f1", 0.85)}
"""What the model is to reach, as shares of what true clips have."""
TITLES = {
    "generate": "Text to picture and sound",
    "foley": "Sound for a given picture",
    "animate": "Picture for a given sound",
}
ABOUT = (
    "Everything is measured from the written files, by",
    "[scorers that know nothing of the model](metrics.md#scorers-of-foley-world-edition-2);",
    "brackets hold 95 % intervals (bootstrap over clips), n is the number of clips that a measure applies to.",
    "*Shuffled*: with another clip's sound, or picture where that was made.",
    "*Floor*: what is aimed at, as a share of what true clips have.",
    "`sync`: seen and heard within 60 ms (F1), of what passes within 100 ms.",
    "`onset_f1`, `sight_f1`: moments that are heard, or seen, against the true clip's;",
    "where there are no single moments (pass, talk), `sync` with what was given says it.",
)
FIRST = ("sync", "onset_f1", "sight_f1", *FLOORS)


def write_report(results: dict[str, Any], folder: Path) -> Path:
    """results-NAME.md and results-NAME.json; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"results-{results['model']}.md"
    page.with_suffix(".json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    page.write_text("\n".join(lines(results)) + "\n", encoding="utf-8")
    return page


def lines(results: dict[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    steps = f"{results['steps']} steps" if results["steps"] else "the model's own steps"
    yield f"# Results of {results['model']}"
    yield ""
    yield f"Weights `{results['weights'][:12]}`, {steps}; {results['clips']} scenes a family of edition 2 of Foley"
    yield f"World, seeds from {results['first_seed']:,} on, which nothing was trained or chosen on."
    yield from ABOUT
    yield ""
    for task in (task for task in TITLES if task in results["scores"]):
        yield from task_table(results["scores"]["truth"], results["scores"][task], task)
    if seconds := results["seconds_a_clip"]:
        told = ", ".join(f"{task} {seconds[task]:.1f}" for task in ("truth", *TITLES) if task in seconds)
        yield f"Seconds to make a clip of four seconds, median, on the machine that made them: {told} (truth is drawn)."
        yield ""
    yield f"Made by `make results MODEL=FOLDER CLIPS={results['clips']}`."


def task_table(truth: dict[str, Any], made: dict[str, Any], task: str) -> Iterator[str]:
    """A line for every family and measure of one task."""
    yield from table_head(TITLES[task], "family", "measure", "model", "shuffled", "truth", "floor", "n")
    for family, measures in made.items():
        for name in sorted(measures, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
            value, true = measures[name], truth[family].get(name)
            least = floor_of(task, family, name, true)
            floor = "" if least is None else f"≥ {least:.2f}"
            shown = (interval_text(found, absent="") for found in (value, value.get("shuffled"), true))
            yield f"| {family} | {name} | {' | '.join(shown)} | {floor} | {value['clips']} |"
    yield ""


def floor_of(task: str, family: str, name: str, true: dict[str, float] | None) -> float | None:
    """What a measure is to reach; None where nothing is aimed at. Truth agrees with itself, so its onsets have 1."""
    given, share = GIVEN.get(task, ("", None))
    if share is not None:
        by_sync = family in ("pass", "talk") and name == "sync"
        wanted = share if name == given or by_sync else None
    else:
        wanted = SYNC[family] if name == "sync" else FLOORS.get(name)
    if wanted is None:
        return None
    if name == given:
        return wanted
    return None if true is None or true["value"] != true["value"] else wanted * true["value"]
