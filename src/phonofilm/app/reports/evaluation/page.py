"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from phonofilm.app.reports.evaluation.categories import category_means
from phonofilm.app.reports.evaluation.charts import histogram, strip
from phonofilm.app.reports.evaluation.names import told_apart
from phonofilm.app.reports.evaluation.table import interval, number, weights_line
from phonofilm.app.reports.evaluation.worst import embedded, ranked
from phonofilm.files import find_printable, write_bytes
from phonofilm.types import Progress


def write_page(result: Mapping[str, Any], path: Path, worst: int = 10, progress: Progress | None = None) -> Path:
    """Write the report of a result; the worst clips are read again from where they were measured."""
    title = f"Evaluation of {_folders(result)[0]}"
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    body = "\n".join(_body(result, title, worst, progress or (lambda stage, done, total: None)))
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{view}<title>{escape(title)}</title>'
    page = (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{style}</style></head>\n<body>\n{body}\n</body></html>\n'
    )
    return write_bytes(path, page.encode())


def _body(result: Mapping[str, Any], title: str, worst: int, progress: Progress) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    against = f" against {escape(_folders(result)[1])}" if result["reference"] else ""
    yield f'<p class="soft">Protocol {escape(result["protocol"])}{against}. Measured from the files alone.</p>'
    yield from _facts(result)
    yield from _numbers(result)
    yield from _categories(result)
    yield from _worst(result, worst, progress)
    yield from _left_out(result)
    yield from _blocked(result)
    yield from _made_of(result)


def _folders(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What the folders are called: their names, or as much of their paths as tells them apart."""
    sides = [result["generated"], *([result["reference"]] if result["reference"] else [])]
    return told_apart([Path(side["folder"]).resolve() for side in sides])


def _facts(result: Mapping[str, Any]) -> Iterator[str]:
    mine, real = result["generated"], result["reference"]
    facts = [(f"{mine['scored']} / {mine['files']}", "clips scored")]
    if real:
        facts += [(f"{real['scored']} / {real['files']}", "reference clips"), (str(result["paired"]), "pairs by name")]
    done = sum(row["status"] == "ok" for row in result["metrics"])
    facts.append((f"{done} / {len(result['metrics'])}", "metrics"))
    facts.append((str(mine["left_out"] + (real["left_out"] if real else 0)), "clips left out"))
    cells = "".join(f"<div><b>{value}</b>{label}</div>" for value, label in facts)
    yield f'<div class="facts">{cells}</div>'


def _numbers(result: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Numbers</h2>"
    yield (
        "<p>A dot is the value, its bar the 95 % bootstrap interval over clips. "
        '<b class="real">Gold</b> is the reference: the same measure on real clips (for distances, between two halves '
        "of them, which have half as many clips and so more bias). "
        '<b class="chance">Red, dashed</b> is the shuffled control: every picture with the sound of another '
        "clip. A number that does not stand clear of its control says nothing.</p>"
    )
    rows = [row for row in result["metrics"] if row["status"] == "ok"]
    for group in dict.fromkeys(row["group"] for row in rows):
        yield f'<h3>{escape(group)}</h3><div class="wide"><table class="numbers"><colgroup>'
        yield '<col style="width:25%"><col style="width:10%"><col style="width:15%"><col style="width:18%"><col '
        yield 'style="width:8%"><col style="width:8%"><col style="width:16%"></colgroup><tr><th>metric</th>'
        yield '<th class="n">value</th><th class="n">95 %</th><th></th><th class="n">reference</th>'
        yield '<th class="n">shuffled</th><th>clips</th></tr>'
        yield from (_number_row(row, result) for row in rows if row["group"] == group)
        yield "</table></div>"


def _number_row(row: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    better = "" if row["better"] == "neither" else f"{row['better']} is better"
    unit = ", ".join(part for part in (row["unit"], better) if part)
    flag = ' <span class="flag" title="the judge is a network the system learned from">circular</span>'
    notes = "".join(f'<small class="note">{escape(note)}</small>' for note in row["notes"])
    missing = sum(len(names) for names in row["absent"].values())
    notes += f'<small class="note">{missing} clips without a value</small>' if missing else ""
    values = [scores[row["name"]] for scores in result["clips"].values() if row["name"] in scores]
    spread = histogram(values, list(row["reference_clips"].values()), row["name"]) or f"<small>n = {row['n']}</small>"
    return (
        f"<tr><td><b>{escape(row['name'])}</b>{flag if row['circular'] else ''}<small>{escape(row['protocol'])}</small>"
        f'{notes}</td><td class="n"><b class="value">{number(row["value"])}</b><small>{escape(unit)}</small></td>'
        f'<td class="n" data-label="95 %">{interval(row)}</td><td class="strip">{strip(row)}</td>'
        f'<td class="n real" data-label="reference">{number(row["reference"])}</td>'
        f'<td class="n chance" data-label="shuffled">{number(row["control"])}</td><td class="spread">{spread}</td></tr>'
    )


def _categories(result: Mapping[str, Any]) -> Iterator[str]:
    """Means of each category of prompts, a row a metric."""
    found = category_means(result)
    if not found:
        return
    names = list(dict.fromkeys(result["categories"].values()))
    yield "<h2>By category of prompt</h2><p>Means over the clips of each category; distances are of whole sets.</p>"
    heads = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    yield f'<div class="wide"><table class="categories"><tr><th>metric</th>{heads}</tr>'
    for metric, means in found.items():
        cells = "".join(
            f'<td class="n" data-label="{escape(name)}">{number(means[name].value) if name in means else "–"}'
            f"<small>{f'n = {means[name].n}' if name in means else ''}</small></td>"
            for name in names
        )
        yield f"<tr><td><b>{escape(metric)}</b></td>{cells}</tr>"
    yield "</table></div>"


def _worst(result: Mapping[str, Any], count: int, progress: Progress) -> Iterator[str]:
    bad = ranked(result, count)
    if not bad:
        return
    folder = Path(result["generated"]["folder"])
    yield f"<h2>The {len(bad)} worst clips</h2>" if len(bad) > 1 else "<h2>The worst clip</h2>"
    yield (
        "<p>Ranked by the mean share of clips that score better, over every metric that is known of the clip and has a "
        "better and a worse; of offset and drift the size counts.</p>"
    )
    for done, clip in enumerate(bad):
        progress("report", done, len(bad))
        player, sheet = embedded(find_printable(folder, result["generated"]["paths"][clip.name]))
        why = "".join(
            f'<li><span>{escape(metric)}</span><span class="rank"><b>{number(value)}</b> '
            f'<span class="soft">worse than {round(100 * share)} %</span></span></li>'
            for metric, value, share in clip.why
        )
        heading = f"<h3>{escape(clip.name)}</h3>"
        yield f'<div class="clip"><div>{heading}{player}<ul>{why}</ul></div><div>{sheet}</div></div>'
    progress("report", len(bad), len(bad))


def _left_out(result: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Files that need a look</h2>"
    for side in ("generated", "reference"):
        part = result[side]
        if not part:
            continue
        counts = ", ".join(f"{count} {kind}" for kind, count in part["counts"].items()) or "nothing to report"
        yield f"<p><b>{side.capitalize()}</b>: {part['files']} clips, {part['scored']} scored; {counts}.</p>"
        for scored, heading in ((False, "left out of every metric"), (True, "scored, with a remark")):
            items = [item for item in part["listed"] if item["scored"] == scored]
            if items:
                lines = "".join(f"<li><code>{escape(i['name'])}</code> {escape(i['reason'])}</li>" for i in items)
                shown = " open" if len(items) <= 12 and not scored else ""
                yield f"<details{shown}><summary>{len(items)} {heading}</summary>"
                yield f"<ul>{lines}</ul></details>"
        if part["no_clips"]:
            lines = "".join(f"<li><code>{escape(name)}</code></li>" for name in part["no_clips"])
            beside = f"Beside them {len(part['no_clips'])} that are no clips by name or content"
            yield f"<details><summary>{beside}</summary>"
            yield f"<ul>{lines}</ul></details>"


def _blocked(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for row in result["metrics"] if row["status"] != "ok"]
    rows += [{**row, "status": "absent"} for row in result["lacking"]]
    if rows:
        yield "<h2>Not measured</h2><table><tr><th>metric</th><th>status</th><th></th></tr>"
        for row in rows:
            yield (
                f"<tr><td><b>{escape(row['name'])}</b></td><td>{escape(row['status'])}</td>"
                f"<td>{escape(row['reason'])}</td></tr>"
            )
        yield "</table>"


def _made_of(result: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>What the numbers depend on</h2>"
    versions = " · ".join(f"{name} {version}" for name, version in result["versions"].items())
    judged = f" Conditioned on: {escape(', '.join(result['conditioned_on']))}." if result["conditioned_on"] else ""
    yield f"<p>{escape(versions)}. Decoding {escape(result['decoding'])}. Seed {result['seed']}.{judged}</p>"
    for name, part in result["weights"].items():
        yield f"<p>Weights of {escape(name)}: <code>{escape(weights_line(part))}</code></p>"
    for side in ("generated", "reference"):
        if result[side]:
            yield f"<p>{side.capitalize()} <code>{result[side]['digest']}</code></p>"
    yield '<details><summary>Protocol of every metric</summary><div class="wide"><table>'
    yield "<tr><th>metric</th><th>range</th><th>protocol</th><th>source</th><th>depends on</th></tr>"
    for row in result["metrics"]:
        depends = "; ".join(", ".join(f"{key} {value[:16]}" for key, value in part.items()) for part in row["depends"])
        cells = (row["name"], row["range"], row["protocol"], row["source"], depends)
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table></div></details>"
