"""Results as a page: every number with its interval, its reference and its control."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phonofilm.app.experiments.joint_vs_cascade import scores_table, systems_table
from phonofilm.app.reports.intervals import interval_text
from phonofilm.app.reports.markdown import table_head

Table = dict[str, dict[str, float]]


def write_report(results: dict[str, Any], folder: Path) -> Path:
    """docs/results.md and docs/results.json; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    page = folder / "results.md"
    page.write_text("\n".join(lines(results)) + "\n")
    return page


MARKS = ("<!-- results -->", "<!-- /results -->")


def update_readme(results: dict[str, Any], readme: Path) -> None:
    """Replace what stands between the two marks of a README, where there are any."""
    text = readme.read_text() if readme.exists() else ""
    if all(mark in text for mark in MARKS):
        before, rest = text.split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        readme.write_text("\n".join([before + MARKS[0], *short_table(results), MARKS[1] + after]))


def short_table(results: dict[str, Any]) -> Iterator[str]:
    """The rows of the README."""
    scored = results["generate"]
    rows = (
        ("text → both: sync F1 ±60 ms, bounce and strike", scored, "all", "sync_f1_60ms", 0.75),
        ("  its shuffled control (chance)", scored, "all", "sync_f1_60ms_shuffled", None),
        ("  colour", scored, "all", "colour", 0.95),
        ("  material, by ear (bounce)", scored, "bounce", "material", 0.85),
        ("  pitch of the bar that is seen struck (strike)", scored, "strike", "pitch", 0.85),
        ("  pan sign", scored, "all", "pan_sign", 0.90),
        ("  silent clips", scored, "all", "silent", None),
        ("video → sound: onsets against truth, F1 ±60 ms", results["foley"], "all", "heard_vs_truth_f1_60ms", 0.85),
        ("sound → video: impacts against truth, F1 ±80 ms", results["animate"], "all", "seen_vs_truth_f1_80ms", 0.65),
    )
    yield f"{results['clips']} held-out scenes a task, 95 % intervals, measured from the files by `make results`."
    yield ""
    yield "| what | nano | truth | aim |"
    yield "|---|---|---|---|"
    for title, source, family, name, aim in rows:
        true = source.get("reference", {}).get(family, {}).get(name)
        truth = "" if true is None else f"{true['value']:.2f}"
        least = "" if aim is None else f"≥ {aim:.2f}"
        yield f"| {title.replace('  ', '&emsp;')} | {show(source['scores'][family][name])} | {truth} | {least} |"
    yield ""


def lines(results: dict[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    yield "# Results"
    yield ""
    yield f"Model `{results['model']}`, weights `{results['weights'][:12]}`; {results['clips']} held-out scenes of"
    yield "Foley World per task, none of whose seeds training saw. Everything here is measured from the written"
    yield "files alone by `phonofilm score` and made again by `make results`. Brackets hold 95 % intervals"
    yield "(bootstrap over clips, pooled counts). *Truth* is the same measure on true clips, *shuffled* the sound of"
    yield "another clip of the same family."
    yield ""
    yield from codec_table(results["gate"])
    yield from generate_table(results)
    if "systems" in results:
        yield from systems_table(results["systems"])
        yield from scores_table(results)
    yield from control_table(results)
    yield from instrument(results["generate"]["self_test"])


def show(value: dict[str, float] | None) -> str:
    """Value and interval; nothing was seen or heard where there is none."""
    return interval_text(value, absent="no event")


def codec_table(gate: dict[str, Any]) -> Iterator[str]:
    yield from table_head("Codecs: truth through encode and decode", "family", "measure", "truth", "through the codecs")
    for family in ("bounce", "strike"):
        for name in ("sync_f1_60ms", "sync_f1_40ms", "colour", "material", "pitch", "pan_sign"):
            if name in gate["recoded"][family]:
                before, after = gate["truth"][family][name], gate["recoded"][family][name]
                yield f"| {family} | {name} | {before['value']:.2f} | {show(after)} |"
    yield ""
    yield f"Gate {'passed' if gate['passed'] else 'not passed'} on {gate['clips']} clips."
    yield ""


def generate_table(results: dict[str, Any]) -> Iterator[str]:
    scored = results["generate"]
    yield from table_head("Text to picture and sound", "family", "measure", "model", "truth")
    for family in ("all", "bounce", "strike"):
        for name, value in scored["scores"].get(family, {}).items():
            if not name.endswith("shuffled") and "truth" not in name:
                reference = scored["reference"][family].get(name)
                yield f"| {family} | {name} | {show(value)} | {reference['value']:.2f} |"
        shuffled = scored["scores"][family]["sync_f1_60ms_shuffled"]
        yield f"| {family} | sync_f1_60ms, shuffled | {show(shuffled)} | |"
    yield ""
    yield from table_head("One modality given", "task", "measure", "all", "bounce", "strike")
    for task, name in (("foley", "heard_vs_truth_f1_60ms"), ("animate", "seen_vs_truth_f1_80ms")):
        table = results[task]["scores"]
        yield f"| {task} | {name} | " + " | ".join(show(table[f][name]) for f in ("all", "bounce", "strike")) + " |"
    yield ""


def control_table(results: dict[str, Any]) -> Iterator[str]:
    yield from table_head("It is the model", "what", "sync F1 ±60 ms", "its shuffled control")
    for name in ("generate", "seed 2", "seed 3", "permuted exchange", "untrained"):
        table = results[name]["scores"]["all"]
        yield f"| {name} | {show(table.get('sync_f1_60ms'))} | {show(table.get('sync_f1_60ms_shuffled'))} |"
    yield ""
    seeds = results["seeds"]
    yield f"Three seeds of one prompt differ by {seeds['median']:.1f} grey levels a pixel (median),"
    yield f"{seeds['smallest']:.1f} at the least."
    yield ""
    copies = results["copies"]
    made, true = (
        f"{copies[f'{k}_median']:.1f} (median) and {copies[f'{k}_smallest']:.1f}" for k in ("output", "truth")
    )
    yield f"The nearest of {copies['looked_through']:.0f} training clips is {made} (smallest) grey levels away from an"
    yield f"output; from true held-out clips it is {true}. The eight outputs nearest to any training clip:"
    yield ""
    yield "![Outputs and their nearest training clips](images/nearest.png)"
    yield ""


def instrument(test: dict[str, Any]) -> Iterator[str]:
    yield from table_head("The instrument, on true clips", "check", "value")
    for name, value in test.items():
        if isinstance(value, dict):
            yield f"| {name} | {show(value)} |"
    yield ""
    yield f"Self-test {'passed' if test['passed'] else 'failed'}."
