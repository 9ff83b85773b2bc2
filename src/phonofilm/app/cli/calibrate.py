"""The command that measures the metrics themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonofilm.app.cli.evaluate import _split
from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.session import Report, Session
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_folder
from phonofilm.workers import cores

if TYPE_CHECKING:
    from phonofilm.evaluation.calibration.plan import Settings


def calibrate(
    ctx: typer.Context,
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B…", help="Only these; without brackets: all of that kind.")
    ] = None,
    film: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Real film of 20 s or more, too; may be given again.")
    ] = None,
    film_seconds: Annotated[
        float | None, typer.Option(metavar="S", help="How much of each film, from its start; all if not said.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of plots, README.md and calibration.json.")
    ] = Path("docs/calibration"),
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Reels of Foley World; 20, or 4 if --quick.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer levels and seeds, and only what needs no extras.")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes; 0 is one per core.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where results are kept; default ~/.cache/phonofilm/features.")
    ] = None,
) -> None:
    """Measure the metrics: known changes to clips whose truth is known, and the curves that must come out.

    [dim]$[/] phonofilm calibrate --quick -o calibration/
    [dim]$[/] phonofilm calibrate --film bbb.mp4 --workers 2
    [dim]$[/] phonofilm calibrate --metrics offset,drift -o calibration/

    Exit code 1: a metric that must hold does not. A stopped run goes on where it was.
    """
    from phonofilm.app.reports.calibration.plots import draw
    from phonofilm.evaluation.calibration.plan import Settings
    from phonofilm.evaluation.calibration.run import TITLES, UNITS
    from phonofilm.evaluation.calibration.run import calibrate as run
    from phonofilm.evaluation.features.cache import default_cache
    from phonofilm.evaluation.suite.registry import choose
    from phonofilm.evaluation.suite.runner import write_json

    with Session.of(ctx).report("calibrate") as report:
        for folder in (output, cache or default_cache()):
            check_folder(folder)
        _check(seeds, workers, film_seconds, film or [])
        chosen = choose("quick" if quick else "full", _split(metrics))
        settings = Settings(
            metrics=tuple(metric.name for metric in chosen),
            seeds=seeds or (4 if quick else 20),
            quick=quick,
            films=tuple(film or []),
            seconds=film_seconds,
            cache=cache or default_cache(),
            workers=workers or cores(),
        )
        result = run(settings, report.progress)
        output.mkdir(parents=True, exist_ok=True)
        write_json(result, output / "calibration.json")
        plots = {}
        knobs = [knob for knob in TITLES if any(curve["knob"] == knob for curve in result["curves"])]
        for done, knob in enumerate(knobs):
            report.progress("drawing", done, len(knobs))
            plots[knob] = f"{knob.replace(' ', '-')}.png"
            mine = [curve for curve in result["curves"] if curve["knob"] == knob]
            try:
                draw(knob, TITLES[knob], UNITS[knob], mine, output / plots[knob])
            except PhonofilmError as error:
                report.warn(str(error))
                plots = {}
                break
        _tell(report, result, settings, plots, output)
    if not result["passed"]:
        raise typer.Exit(1)


def _check(seeds: int | None, workers: int, seconds: float | None, films: list[Path]) -> None:
    check_limits(Limit("--workers", workers, 0), Limit("--seeds", seeds, 4), Limit("--film-seconds", seconds, 20))
    for path in films:
        if not path.is_file():
            raise PhonofilmError(f"there is no film {path}; docs/metrics.md says where to get one")


def _tell(
    report: Report, result: Mapping[str, Any], settings: Settings, plots: Mapping[str, str], output: Path
) -> None:
    from phonofilm.app.reports.calibration.page import write_page

    words = ["phonofilm calibrate", *(["--quick"] if settings.quick else []), f"--seeds {settings.seeds}"]
    words += [f"--film {path.name}" for path in settings.films]
    words += [f"--film-seconds {settings.seconds:g}"] if settings.seconds else []
    write_page(result, plots, " ".join(words), output / "README.md")
    report.set_fields(folder=str(output), passed=result["passed"], offset=result["offset"])
    judged = [curve for curve in result["curves"] if curve["verdict"]]
    report.set_fields(held=sum(c["verdict"]["passed"] for c in judged), judged=len(judged), not_run=result["not_run"])
    for curve in judged:
        if curve["must"]:
            word = "pass" if curve["verdict"]["passed"] else "FAIL"
            report.print_line(f"{word}  {curve['metric']} · {curve['knob']}: {curve['verdict']['measured']}")
    others = [c for c in judged if not c["must"]]
    report.print_line(f"{sum(c['verdict']['passed'] for c in others)} of {len(others)} other curves have their shape")
    if result["not_run"]:
        report.print_line(f"not run: {len(result['not_run'])} metrics; see {output / 'README.md'}")
    report.print_line(str(output / "README.md"))
