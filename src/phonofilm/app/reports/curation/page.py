"""The report of a funnel: one HTML file, and a folder of clips beside it that it plays.

Thresholds can be moved in the page, and the counts follow; the command line that would do the same is shown.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.records import Skipped
from phonofilm.data.curate.pipeline import Funnel, Verdict
from phonofilm.data.curate.rules import TESTS, Rules, measures
from phonofilm.errors import PhonofilmError
from phonofilm.files import folder_for, write_bytes
from phonofilm.media.shots.cutting import copy_part
from phonofilm.types import Progress

EACH = 4
"""Clips that are shown of what was kept, and of each reason."""

HERE = Path(__file__).parent


def write_report(
    path: Path, funnel: Funnel, rules: Rules, written: int, seed: int = 0, progress: Progress | None = None
) -> Path:
    """Write the report and the folder of clips of its name beside it."""
    chosen = samples(funnel, seed)
    clips = path.parent / f"{path.stem}-clips"
    players = _players({one.shot.key: one for some in chosen.values() for one in some}, clips, progress)
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "\n".join(_body(funnel, rules, written, chosen, players))
    data = json.dumps(_data(funnel, rules), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{view}<title>Curation</title>'
        f"<style>{style}</style></head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>\n</body></html>\n'
    )
    return write_bytes(path, page.encode())


def samples(funnel: Funnel, seed: int) -> dict[str, list[Verdict]]:
    """A random few of what was kept, and of what has each reason, the same for the same seed."""
    groups: dict[str, list[Verdict]] = {"kept": funnel.kept}
    for reason in funnel.reasons():
        groups[reason] = [one for one in funnel.verdicts if any(found.reason == reason for found in one.findings)]
    return {
        name: random.Random(f"{seed} {name}").sample(some, min(EACH, len(some)))
        for name, some in groups.items()
        if some
    }


def _players(wanted: Mapping[str, Verdict], folder: Path, progress: Progress | None) -> dict[str, str]:
    """A player for each shot that can be copied."""
    found: dict[str, str] = {}
    with folder_for(folder):
        for old in folder.glob("*"):
            if old.stem not in wanted:
                old.unlink()
        for done, (key, one) in enumerate(wanted.items()):
            if progress is not None:
                progress("report", done, len(wanted))
            try:
                part = copy_part(one.source.path, one.shot.start, one.shot.stop)
            except PhonofilmError:
                continue
            write_bytes(folder / f"{key}{part.suffix}", part.content)
            where = f"{folder.name}/{key}{part.suffix}#t={float(part.start):.3f},{float(part.stop):.3f}"
            found[key] = f'<video controls preload="metadata" src="{escape(where)}"></video>'
    return found


def _data(funnel: Funnel, rules: Rules) -> dict[str, Any]:
    """What the page computes with: the numbers of every shot, and the rules."""
    tests = [
        {
            "reason": test.reason, "above": test.above, "unit": test.unit, "says": test.says,
            "threshold": rules.thresholds[test.reason], "does": rules.actions[test.reason],
        }
        for test in TESTS
    ]  # fmt: skip
    shots = [
        {"key": one.shot.key, "seconds": round(one.shot.seconds, 3), "measures": measures(one.results), "was": one.does,
         "hand": one.results.get("review", {}).get("decision", "")}
        for one in funnel.verdicts
    ]  # fmt: skip
    return {"tests": tests, "shots": shots}


def _body(
    funnel: Funnel, rules: Rules, written: int, chosen: Mapping[str, Sequence[Verdict]], players: Mapping[str, str]
) -> Iterator[str]:
    yield "<h1>What was kept, and why the rest was not</h1>"
    yield from _facts(funnel, written)
    yield from _reasons(funnel, rules)
    yield from _clips(chosen, players)
    yield from _unread(funnel.skipped)
    yield from _rights(funnel)
    yield from _steps(funnel)


def _facts(funnel: Funnel, written: int) -> Iterator[str]:
    seconds = sum(one.shot.seconds for one in funnel.verdicts)
    counts = {name: sum(one.does == name for one in funnel.verdicts) for name in ("keep", "aside", "drop")}
    facts = [
        (str(len(funnel.sources)), "films", ""), (f"{seconds / 60:.1f}", "minutes", ""),
        (str(len(funnel.verdicts)), "shots", ""), (str(counts["keep"]), "kept", "keep"),
        (str(counts["aside"]), "aside", "aside"), (str(counts["drop"]), "thrown out", "drop"),
        (str(written), "clips in shards", ""),
    ]  # fmt: skip
    cells = "".join(
        f"<div><b{f' data-count={mark}' if mark else ''}>{value}</b>{label}</div>" for value, label, mark in facts
    )
    yield f'<div class="facts">{cells}</div><div class="bar" id="bar"></div>'


def _reasons(funnel: Funnel, rules: Rules) -> Iterator[str]:
    yield "<h2>Reasons</h2>"
    yield (
        "<p>Each line is one measure of all shots. The mark is the threshold: move it, and all counts follow. A shot "
        "may have several reasons; <b>alone</b> counts those that it would be kept without.</p>"
    )
    yield '<p class="command" id="command" hidden></p>'
    yield '<div class="wide"><table class="reasons"><tr><th>reason</th><th>does</th><th class="n">shots</th>'
    yield '<th class="n">alone</th><th>how the measure is spread</th><th>threshold</th></tr>'
    for test in TESTS:
        does = rules.actions[test.reason]
        yield (
            f'<tr data-reason="{escape(test.reason)}"><td><b>{escape(test.reason)}</b>'
            f'<small>{escape(test.says)}</small></td><td class="does {does}">{does}</td><td class="n count"></td>'
            '<td class="n alone"></td><td class="spread"></td><td class="move"></td></tr>'
        )
    yield "</table></div>"


def _clips(chosen: Mapping[str, Sequence[Verdict]], players: Mapping[str, str]) -> Iterator[str]:
    yield "<h2>A random few of each</h2>"
    for name, some in chosen.items():
        yield f"<h3>{escape(name)}</h3><div class='clips'>"
        yield from (_clip(one, players) for one in some)
        yield "</div>"


def _clip(one: Verdict, players: Mapping[str, str]) -> str:
    found = ", ".join(f"{finding.reason} {finding.value:.4g}" for finding in one.findings)
    caption = one.results.get("caption", {}).get("prompt", "")
    sync = one.results.get("sync", {})
    offset = f"offset {sync['offset_ms']:+.0f} ms" if sync.get("known") else ""
    notes = "".join(f"<small>{escape(part)}</small>" for part in (found, offset, caption) if part)
    return (
        f"<figure>{players.get(one.shot.key, '<p>cannot be copied</p>')}<figcaption>"
        f"<b>{escape(one.source.path.name)}</b> {float(one.shot.start):.2f} – {float(one.shot.stop):.2f} s "
        f"<code>{one.shot.key}</code>{notes}</figcaption></figure>"
    )


def _unread(skipped: Sequence[Skipped]) -> Iterator[str]:
    if skipped:
        lines = "".join(f"<li><code>{escape(one.name)}</code> {escape(one.reason)}</li>" for one in skipped)
        yield f"<h2>Not read</h2><ul>{lines}</ul>"


def _rights(funnel: Funnel) -> Iterator[str]:
    yield "<h2>Films and their rights</h2><div class='wide'><table><tr><th>film</th><th>split</th><th>shots</th>"
    yield "<th>licence</th><th>from</th><th>consent</th></tr>"
    counts: dict[str, int] = {}
    for one in funnel.verdicts:
        counts[one.shot.source] = counts.get(one.shot.source, 0) + 1
    for source in funnel.sources:
        rights = source.rights
        said = (rights.license, rights.origin, rights.consent)
        cells = "".join(f"<td>{escape(text) or '<i>not said</i>'}</td>" for text in said)
        split, count = funnel.splits.get(source.digest, ""), counts.get(source.digest, 0)
        yield f"<tr><td>{escape(source.name)}</td><td>{split}</td><td class='n'>{count}</td>{cells}</tr>"
    yield "</table></div>"


def _steps(funnel: Funnel) -> Iterator[str]:
    yield "<h2>Steps</h2><div class='wide'><table><tr><th>step</th><th class='n'>seconds of this run</th><th></th></tr>"
    for name, spent in funnel.cost.items():
        yield f"<tr><td>{escape(name)}</td><td class='n'>{spent:.1f}</td><td></td></tr>"
    for name, why in funnel.absent.items():
        yield f"<tr><td>{escape(name)}</td><td></td><td>did not run: {escape(why)}</td></tr>"
    yield "</table></div>"
