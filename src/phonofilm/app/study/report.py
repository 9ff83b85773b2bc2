"""The results of a study as one HTML file that needs nothing else, and its raw logs as one JSON file."""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from phonofilm import strict_json
from phonofilm.app.reports.intervals import interval_text
from phonofilm.app.study.plots import dots, scatter, shares
from phonofilm.config import to_dict
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import normal_name
from phonofilm.evaluation.study.analysis import Metrics, analyse
from phonofilm.evaluation.study.protocol import Study, load_study
from phonofilm.evaluation.study.store import RATINGS_FILE, Rater, Ratings
from phonofilm.files import text_lines, write_bytes

PUBLISHED_SYNC = {
    "sound 125 ms early": 4.138,
    "sound 125 ms late": 4.566,
    "sound 500 ms early": 1.869,
    "sound 500 ms late": 1.868,
}
"""Mean opinions of synchrony that PEAVS' raters gave these anchors (Goncalves et al. 2024)."""
LEAST_METRIC_COLUMNS = {"system", "clip"}

STYLE = Path(__file__).parent / "page" / "report.css"


def report(folder: Path, output: Path, metrics: Path | None, seed: int = 0) -> dict[str, Any]:
    """Analyse a study and write the page; returns the analysis.

    Raises:
        PhonofilmError: no study, nobody has answered yet, or a file of metrics that cannot be used.
    """
    study, ratings = _opened(folder)
    found = analyse(study, ratings.ratings(), ratings.events(), read_metrics(metrics) if metrics else None, seed)
    found["withdrawn"] = sum(rater.withdrawn is not None for rater in ratings.raters())
    if not found["ratings"]:
        raise PhonofilmError(f"nobody has rated anything in {folder} yet: phonofilm study serve {folder}")
    write_bytes(output, "".join(page(study, found)).encode())
    return found


def export(folder: Path, output: Path) -> dict[str, int]:
    """Write the study, every rating and every event as one JSON file; only the raters' secret tokens stay behind.

    Raises:
        PhonofilmError: no study there.
    """
    study, ratings = _opened(folder)
    plans = {rater.seat: study.trials(rater.seat) for rater in ratings.raters()}
    everything: dict[str, Any] = {
        "hash": study.hash,
        "seed": study.seed,
        "study": to_dict(study),
        "raters": [_without_token(rater) for rater in ratings.raters()],
        "trials": {seat: [asdict(trial) for trial in trials] for seat, trials in plans.items()},
        "ratings": [asdict(r) for r in ratings.ratings()],
        "events": [asdict(e) for e in ratings.events()],
    }
    write_bytes(output, strict_json.dumps(everything, indent=1).encode())
    return {name: len(everything[name]) for name in ("raters", "ratings", "events")}


def signed_links(folder: Path, names: Sequence[str], address: str) -> dict[str, str]:
    """{name: link} for raters by name; "@FILE" stands for the lines of a file.

    Raises:
        PhonofilmError: no study, a file that cannot be read, or a name that no link can have.
    """
    study = load_study(folder)
    ratings = Ratings(folder, study.hash)
    found = {}
    for name in (part for text in names for part in (_lines(Path(text[1:])) if text.startswith("@") else [text])):
        plain = unicodedata.normalize("NFC", name).strip()
        if not plain or not plain.isprintable() or len(plain) > 200:
            raise PhonofilmError(f"{name!r} is no name for a link: use 1 to 200 printable characters")
        found[plain] = f"{address.rstrip('/')}/?{urlencode({'id': plain, 'key': ratings.link_key(plain)})}"
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"names {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return [line for line in text_lines(text) if line.strip()]


def _without_token(rater: Rater) -> dict[str, Any]:
    """A rater as others may know him: by the code he was shown at the end, not by the key to his answers."""
    return {name: value for name, value in asdict(rater).items() if name != "token"} | {"code": rater.code}


def _opened(folder: Path) -> tuple[Study, Ratings]:
    study = load_study(folder)
    if not (folder / RATINGS_FILE).is_file():
        raise PhonofilmError(f"nobody has rated anything in {folder} yet: phonofilm study serve {folder}")
    return study, Ratings(folder, study.hash)


def read_metrics(path: Path) -> Metrics:
    """Metrics of clips from a CSV file with the columns system, clip and one for each metric.

    Raises:
        PhonofilmError: the file cannot be read or lacks these columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(reader.fieldnames or ()) >= LEAST_METRIC_COLUMNS:
                raise PhonofilmError(f"{path} needs the columns system, clip, and one for each metric")
            names = [name for name in reader.fieldnames or () if name not in LEAST_METRIC_COLUMNS]
            found: dict[str, dict[tuple[str, str], float]] = {name: {} for name in names}
            for row in reader:
                for name in names:
                    if row[name] and row[name].strip():
                        found[name][row["system"], normal_name(row["clip"])] = _finite(row[name])
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise PhonofilmError(f"metrics {path} cannot be read: {error}") from error
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()!r} is no finite number; leave the field empty where there is none")
    return value


def page(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    """The report, piece by piece."""
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>{escape(study.title)}: results</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
    yield from _head(study, found)
    yield from _opinions(study, found)
    yield from _differences(study, found)
    yield from _preferences(found)
    yield from _mushra(study, found)
    yield from _agreement(found)
    yield from _metrics(found)
    yield from _raters(study, found)
    yield from _method(study, found)
    yield "</html>\n"


def _head(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    left_out = sum(bool(rater["reasons"]) for rater in found["raters"])
    yield f"<h1>{escape(study.title)}</h1><p class=soft>What people said of {len(study.systems)} systems on "
    yield f"{len(study.items)} scenes.</p><div class=facts>"
    facts = {
        "raters who count": found["counted"],
        "left out by the rules": left_out,
        "withdrew": found["withdrawn"],
        "answered trials": found["ratings"],
        "systems": len(study.systems),
        "scenes": len(study.items),
    }
    yield "".join(f"<div><b>{n}</b>{name}</div>" for name, n in facts.items() if n or name != "withdrew") + "</div>"
    if found["counted"] < 2:
        yield "<p class=out>Fewer than two raters count: values below have no intervals and mean little.</p>"


def _opinions(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    if not found["opinions"]:
        return
    anchors = [s.system for s in study.stimuli if s.kind == "anchor"]
    yield "<h2>Mean opinions</h2><p class=soft>One to five, higher is better. Lines are 95 % intervals over raters and "
    yield "scenes like these. Grey rows are clips damaged on purpose.</p>"
    for scale in study.scales:
        rows = found["opinions"].get(scale.name)
        if not rows:
            continue
        marks = PUBLISHED_SYNC if scale.name == "sync" else None
        yield f"<h3>{escape(scale.name.capitalize())}</h3><figure>"
        yield dots(rows, 1, 5, f"Mean opinion, {scale.name}", (1, 2, 3, 4, 5), anchors, marks)
        yield f"<figcaption>{escape(scale.question)} 1 = {escape(scale.ends[0])}, 5 = {escape(scale.ends[1])}."
        if marks and set(marks) & set(rows):
            yield " Upright lines: what PEAVS' raters gave the same shifts."
        yield "</figcaption></figure>"
    yield "<details><summary>All answers, and the same values with nobody left out</summary>"
    for scale in study.scales:
        if counts := found["answers"].get(scale.name):
            yield f"<h3>{escape(scale.name.capitalize())}</h3>{shares(counts, f'Answers, {scale.name}')}"
    head = ["system", *[s.name for s in study.scales]]
    systems = list(dict.fromkeys(name for rows in found["opinions_of_all"].values() for name in rows))
    body = [
        [name, *[interval_text(found["opinions_of_all"].get(s.name, {}).get(name)) for s in study.scales]]
        for name in systems
    ]
    yield f"<h3>With nobody left out</h3>{_table(head, body)}</details>"


def _differences(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    if not found["differences"]:
        return
    yield "<h2>Who is better</h2><p class=soft>Differences of mean opinion. Bold where Holm's p, over this whole "
    yield "table, is below 0.05.</p>"
    body = [
        [
            row["scale"],
            f"{row['first']} − {row['second']}",
            interval_text(row, "{:+.2f}"),
            _p(row["p"]),
            _p(row["holm"]),
        ]
        for row in found["differences"]
    ]
    strong = [row["holm"] < 0.05 for row in found["differences"]]
    yield _table(["scale", "systems", "difference, 95 %", "p", "Holm"], body, strong)


def _preferences(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["preferences"]:
        return
    yield "<h2>Which of two</h2><p class=soft>Log-strengths by Davidson's model (Bradley–Terry with ties), clustered "
    yield "by rater and scene; 0 is the mean of all systems, one step of 1 is odds of 2.7 to 1.</p>"
    for name, part in found["preferences"].items():
        rows = dict(zip(part["systems"], part["strengths"], strict=True))
        reach = max(0.5, *(max(abs(r["low"]), abs(r["high"])) for r in rows.values()))
        ticks = [t for t in (-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4) if abs(t) <= reach]
        yield f"<h3>{escape(name.capitalize())}</h3><figure>"
        yield dots(rows, -reach, reach, f"Strengths, {name}", ticks)
        yield f"<figcaption>{part['choices']} choices, {part['ties']} of them ties.</figcaption></figure>"
        body = [
            [
                f"{c['first']} over {c['second']}",
                f"{100 * c['share']:.0f} % [{100 * c['share_low']:.0f}, {100 * c['share_high']:.0f}]",
                _p(c["p"]),
                _p(c["adjusted"]),
            ]
            for c in part["contests"]
        ]
        strong = [c["adjusted"] < 0.05 for c in part["contests"]]
        yield _table(["contest", "first is chosen, 95 %", "p", "Holm"], body, strong)


def _mushra(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    part = found["mushra"]
    if not part or study.mushra is None:
        return
    yield f"<h2>MUSHRA: {escape(part['scale'])}</h2><p class=soft>All versions of a scene beside its open reference, 0 "
    yield f"to 100, by {part['raters']} raters on {part['scenes']} scenes (ITU-R BS.1534-3). Lines are 95 % intervals "
    yield "over raters and scenes like these. Grey rows are the anchors.</p><figure>"
    yield dots(part["versions"], 0, 100, "MUSHRA scores", (0, 20, 40, 60, 80, 100), study.mushra.anchors)
    yield f"<figcaption>{escape(study.mushra.scale.question)} 0–20 bad, 20–40 poor, 40–60 fair, 60–80 good, 80–100 "
    yield "excellent.</figcaption></figure>"
    body = [
        [
            name,
            interval_text(row, "{:.1f}"),
            f"{row['median']:.0f}",
            f"{row['quartiles'][0]:.0f} to {row['quartiles'][1]:.0f}",
            str(row["n"]),
        ]
        for name, row in part["versions"].items()
    ]
    yield _table(["version", "mean, 95 %", "median", "middle half", "scores"], body)
    if part["differences"]:
        body = [
            [
                f"{row['first']} − {row['second']}",
                interval_text(row, "{:+.1f}"),
                str(row["raters"]),
                _p(row["p"]),
                _p(row["holm"]),
            ]
            for row in part["differences"]
        ]
        strong = [row["holm"] < 0.05 for row in part["differences"]]
        yield "<p class=soft>Differences of systems; p by exchanging the signs of the raters' mean differences. Bold "
        yield "where Holm's p is below 0.05.</p>"
        yield _table(["systems", "difference, 95 %", "raters", "p", "Holm"], body, strong)
    if found["mushra_not_degraded"]:
        yield "<p class=soft>More than a quarter of the raters scored the mid-range anchor above "
        yield f"{study.mushra.anchor_most} in these scenes, which therefore screen nobody by it: "
        yield f"{escape(', '.join(found['mushra_not_degraded']))}.</p>"


def _agreement(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["agreement"]:
        return
    yield "<h2>Do raters agree?</h2><p class=soft>Krippendorff's α for ordinal answers: 1 is full agreement, 0 is "
    yield "chance, below 0 is worse than chance.</p>"
    rows = {name: row for name, row in found["agreement"].items() if row["value"] is not None}
    if rows:
        clips = ", ".join(f"{name} {row['clips']}" for name, row in rows.items())
        yield f"<figure>{dots(rows, -0.25, 1, 'Krippendorff alpha', (0, 0.25, 0.5, 0.75, 1))}"
        yield f"<figcaption>Clips that two raters or more judged: {escape(clips)}.</figcaption></figure>"


def _metrics(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["metrics"]:
        return
    yield "<h2>Do metrics see what people see?</h2><p class=soft>Spearman's rank correlation of each metric with mean "
    yield "opinions; over systems only where there are four or more.</p>"
    body = [[r["metric"], r["scale"], interval_text(r["clips"]), interval_text(r["systems"])] for r in found["metrics"]]
    yield _table(["metric", "scale", "over clips", "over systems"], body)
    best: dict[str, Any] = {}
    for row in found["metrics"]:
        if row["clips"] and abs(row["clips"]["value"]) > abs(
            best.get(row["metric"], {"clips": {"value": 0}})["clips"]["value"]
        ):
            best[row["metric"]] = row
    yield "<div class=pairs>"
    for name, row in best.items():
        yield f"<figure>{scatter(row['points'], name + ' and ' + row['scale'], name)}"
        yield f"<figcaption>{escape(name)} against {escape(row['scale'])}</figcaption></figure>"
    yield "</div>"


def _raters(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Raters</h2><p class=soft>Left out by rules that were fixed before anybody answered.</p>"
    body = []
    for r in found["raters"]:
        body.append(
            [
                str(r["seat"] + 1),
                f"{r['answered']} of {r['trials']}",
                f"{r['missed']} of {r['catches']}",
                _maybe(r["apart"], "{:.1f}"),
                _maybe(None if r["heard"] is None else 100 * r["heard"], "{:.0f} %"),
                _maybe(None if r["latency"] is None else 1000 * r["latency"], "{:+.0f} ms"),
                _maybe(r["spread"], "{:.2f}"),
                "; ".join(r["reasons"]) or "counts",
            ]
        )
    head = [
        "rater",
        "answered",
        "catches missed",
        "duplicates apart",
        "left/right",
        "device delay",
        "spread",
        "verdict",
    ]
    yield _table(head, body, out=[bool(r["reasons"]) for r in found["raters"]])


def _method(study: Study, found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>How it was done</h2>"
    asked = []
    if study.likert:
        controls = f"{study.anchors} anchors, {study.catches} catch trials and {study.duplicates} duplicates"
        asked.append(f"rates {study.likert} clips, {controls}")
    if study.pairs:
        asked.append(f"makes {study.pairs} pairwise choices")
    if study.mushra:
        asked.append(f"judges all versions of {study.mushra.scenes} scenes")
    yield f"<p>Each rater {'; '.join(asked)}. Names are blinded; order and blocks follow a Latin square; a clip can be "
    yield "rated once it has played to its end. Intervals are two-way cluster bootstraps over raters and scenes "
    yield "(Cameron, Gelbach and Miller 2011) with Student's t.</p><details><summary>Rules of exclusion</summary>"
    yield _table(["rule", "value"], [[k.replace("_", " "), f"{v:g}"] for k, v in _rules(study).items()])
    yield "</details>"
    if found["left_out"]:
        yield f"<details><summary>{len(found['left_out'])} files or scenes could not be used</summary><ul>"
        yield "".join(f"<li>{escape(line)}</li>" for line in found["left_out"]) + "</ul></details>"
    yield f"<p class=soft>Study <code>{study.hash}</code>, seed {study.seed}. The hash covers every clip, question, "
    yield "order and rule. Raw logs: <code>phonofilm study export</code>.</p>"


def _rules(study: Study) -> dict[str, float]:
    rules = asdict(study.rules)
    if study.mushra is not None:
        rules["MUSHRA: hidden reference below"] = study.mushra.reference_least
        rules["MUSHRA: mid-range anchor above"] = study.mushra.anchor_most
        rules["MUSHRA: in more than this share of scenes"] = study.mushra.failures_most
    return rules


def _table(
    head: Sequence[str], body: Sequence[Sequence[str]], strong: Sequence[bool] = (), out: Sequence[bool] = ()
) -> str:
    rows = []
    for i, row in enumerate(body):
        tone = " class=yes" if i < len(strong) and strong[i] else " class=out" if i < len(out) and out[i] else ""
        rows.append(f"<tr{tone}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    heads = "".join(f"<th scope=col>{escape(h)}</th>" for h in head)
    return f"<div class=wide><table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _maybe(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
