"""Curating films, and telling of it."""

from __future__ import annotations

from collections.abc import Iterable
from glob import escape
from pathlib import Path

from phonofilm.app.reports.curation.page import write_report
from phonofilm.app.session import Report
from phonofilm.data.curate.pipeline import WORK, Forecast, Funnel, Job, curate, forecast, summary, write_set
from phonofilm.errors import PhonofilmError

SHOWN = 12
"""Films and shots that cannot be read are told one by one up to so many."""


def run(job: Job, report: Report, dry_run: bool) -> None:
    """Curate films, or with `dry_run` say what that would take.

    Raises:
        PhonofilmError: no film could be read; nothing is written then but what was measured.
    """
    if dry_run:
        _tell_forecast(forecast(job, report.progress), report)
        return
    funnel = curate(job, report.progress)
    if not funnel.verdicts and funnel.skipped:
        _tell_skipped([f"{one.name}: {one.reason}" for one in funnel.skipped], report)
        raise PhonofilmError(f"none of these films could be read, so {job.output} got no set; name films")
    written, lost = write_set(job, funnel, report.progress)
    page = write_report(job.output / "report.html", funnel, job.rules, written, job.seed, report.progress)
    for step, why in funnel.absent.items():
        report.warn(f"step {step} did not run: {why}")
    _tell_skipped([f"{one.name}: {one.reason}" for one in (*funnel.skipped, *lost)], report)
    report.set_fields(folder=str(job.output), **summary(funnel, written))
    report.set_fields(cost={name: round(spent, 3) for name, spent in funnel.cost.items()})
    report.set_fields(report=str(page))
    report.print_line(str(page))
    for line in _lines(funnel, written):
        report.print_line(line)


def check_keys(folder: Path, keys: Iterable[str]) -> None:
    """Refuse keys that no shot of a set has.

    Raises:
        PhonofilmError: there is no set, or such a key.
    """
    results = folder / WORK / "results"
    if not results.is_dir():
        raise PhonofilmError(f"{folder} is no set; name the folder that phonofilm data curate wrote")
    for key in keys:
        if Path(key).name != key or not any(results.glob(f"*/{escape(key)}.json")):
            raise PhonofilmError(f"no shot of {folder} has the key {key}; keys are in report.html and in the index")


def _tell_forecast(found: Forecast, report: Report) -> None:
    report.set_fields(films=found.sources, shots=found.shots, missing=dict(found.missing))
    report.set_fields(skipped=[vars(one) for one in found.skipped])
    _tell_skipped([f"{one.name}: {one.reason}" for one in found.skipped], report)
    for line in forecast_lines(found):
        report.print_line(line)


def forecast_lines(found: Forecast) -> list[str]:
    """What a run would do, for people."""
    cut = found.sources - found.without_shots
    lines = [f"{found.sources} films: {cut} were cut into {found.shots} shots before, {found.without_shots} will be"]
    if found.without_shots:
        lines.append("how many shots those have is known once they are cut; the steps run on each of them")
    for name, count in found.missing.items():
        done = f"done for {found.shots - count} of {found.shots} shots, {count} left"
        lines.append(f"{name:>12}  {done if found.shots else 'runs'}")
    lines += [f"{name:>12}  will not run: {why}" for name, why in found.absent.items()]
    return [*lines, "this was --dry-run: nothing is cut or measured yet; leave it out to do it"]


def _tell_skipped(lines: list[str], report: Report) -> None:
    for line in lines[:SHOWN]:
        report.warn(f"left out: {line}")
    if len(lines) > SHOWN:
        report.warn(f"left out: {len(lines) - SHOWN} more, listed in funnel.json")


def _lines(funnel: Funnel, written: int) -> list[str]:
    counts = {name: sum(one.does == name for one in funnel.verdicts) for name in ("keep", "aside", "drop")}
    seconds = sum(one.shot.seconds for one in funnel.verdicts)
    lines = [
        f"{len(funnel.sources)} films, {len(funnel.verdicts)} shots, {seconds / 60:.1f} min",
        f"{counts['keep']} kept, {counts['aside']} aside, {counts['drop']} thrown out; {written} clips in shards",
    ]
    lines += [f"{count:>7}  {reason}" for reason, count in funnel.reasons().items()]
    spent = sum(funnel.cost.values())
    if spent > 0:
        parts = " · ".join(f"{name} {cost:.1f} s" for name, cost in funnel.cost.items())
        lines.append(f"{parts} ({seconds / spent:.1f} × real time on one core)")
    return lines
