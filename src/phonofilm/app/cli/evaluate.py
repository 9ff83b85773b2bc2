"""The commands that measure: a folder of clips, and two results against each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_file, check_folder, check_not_read
from phonofilm.workers import cores

WRITTEN = ("results.json", "report.html", "metrics.csv", "clips.csv")


def evaluate(
    ctx: typer.Context,
    generated: Annotated[Path, typer.Argument(metavar="GENERATED", help="A folder of clips, made by any system.")],
    reference: Annotated[
        Path | None, typer.Option("--reference", "-r", metavar="REAL", help="Real clips; those of the same name pair.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What was asked for: .json .jsonl .csv .tsv, by clip name.")
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="quick (no extras), full, javis, avbench or vbench.")
    ] = "quick",
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B…", help="Single metrics instead; without brackets: all of that kind.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of report and results; evaluation-NAME if not said."
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="Weights of a network that judges, as i3d=i3d.pt or clip=DIR; else those fetched."
        ),
    ] = None,
    conditioned_on: Annotated[
        str | None,
        typer.Option(metavar="A,B…", help="Networks the system was conditioned on: their verdict is flagged circular."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where published networks compute: cpu, cuda, mps or auto.")
    ] = "auto",
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that decode; 0 is one per core.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where features are kept; default ~/.cache/phonofilm/features.")
    ] = None,
    keep_mismatched: Annotated[
        bool, typer.Option("--keep-mismatched", help="Score clips of other rates than the rest.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Also write metrics.csv and clips.csv.")] = False,
    worst: Annotated[int, typer.Option(metavar="N", help="Clips to show in the report, the worst first.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the shuffled control and the intervals.")] = 0,
) -> None:
    """Measure a folder of clips: sync, space, picture, sound, speech, distance to real clips.

    [dim]$[/] phonofilm evaluate clips/
    [dim]$[/] phonofilm evaluate clips/ --reference real/ -o evaluation/
    [dim]$[/] phonofilm evaluate clips/ -r real/ --prompts prompts.csv --preset full
    [dim]$[/] phonofilm evaluate clips/ -r real/ --metrics offset,FAD --weights vggish=vggish.safetensors

    What was measured once is kept by content, so a stopped run goes on, and a second one takes seconds.
    """
    from phonofilm.app.reports.evaluation.csv_tables import clip_rows, metric_rows, write_csv
    from phonofilm.app.reports.evaluation.page import write_page
    from phonofilm.app.reports.evaluation.table import result_lines
    from phonofilm.evaluation.suite.registry import metrics as known_metrics
    from phonofilm.evaluation.suite.runner import Settings, unused_weights, write_json
    from phonofilm.evaluation.suite.runner import evaluate as run

    with Session.of(ctx).report("evaluate") as report:
        check_limits(Limit("--workers", workers, 0), Limit("--worst", worst, 0), Limit("--seed", seed, 0))
        folder = check_folder(output or Path(f"evaluation-{generated.resolve().name}"))
        for name in WRITTEN:
            check_not_read(check_file(folder / name), [prompts, *_weights(weights or []).values()])
        settings = Settings(
            preset=preset,
            metrics=_split(metrics),
            cache=cache,
            workers=workers or cores(),
            weights=_weights(weights or []),
            conditioned_on=_split(conditioned_on),
            keep_mismatched=keep_mismatched,
            seed=seed,
            device=device,
        )
        if reference is not None and reference.resolve() == generated.resolve():
            report.warn(f"{generated} is compared with itself: distances between the same clips say nothing of them")
        judges = {metric.network for metric in known_metrics()} - {None}
        for name in sorted(set(settings.conditioned_on) - judges):
            report.warn(f"no metric is judged by {name}; those that judge are {', '.join(sorted(map(str, judges)))}")
        result = run(generated, reference, prompts, settings, report.progress)
        for name in unused_weights(settings):
            report.warn(
                f"--weights {name} is not read: no metric that was asked for takes it; ask with --preset or --metrics"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(result, folder / "results.json")
        write_page(result, folder / "report.html", worst, report.progress)
        if csv:
            write_csv(folder / "metrics.csv", metric_rows(result))
            write_csv(folder / "clips.csv", clip_rows(result))
        report.set_fields(results=str(folder / "results.json"), report=str(folder / "report.html"), **result)
        for line in result_lines(result):
            report.print_line(line)
        report.print_line(str(folder / "report.html"))


def compare(
    ctx: typer.Context,
    results: Annotated[
        list[Path], typer.Argument(metavar="A.json B.json …", help="results.json of two systems or more.")
    ],
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B…", help="Compare these only: fewer tests need less correction.")
    ] = None,
    categories: Annotated[
        bool, typer.Option("--categories", help="Also compare within each category of prompts.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where features are kept; default ~/.cache/phonofilm/features.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write every row as CSV.")] = None,
) -> None:
    """Say where systems really differ: paired tests over the same clips, corrected for how many there are.

    [dim]$[/] phonofilm compare ours/results.json theirs/results.json
    [dim]$[/] phonofilm compare ours/results.json theirs/results.json --metrics offset,FAD
    [dim]$[/] phonofilm compare a/results.json b/results.json c/results.json --categories
    """
    from dataclasses import asdict

    from phonofilm.app.reports.evaluation.csv_tables import comparison_rows, write_csv
    from phonofilm.app.reports.evaluation.names import result_names
    from phonofilm.app.reports.evaluation.table import comparison_lines
    from phonofilm.evaluation.suite.compare import ComparisonSettings, read_result
    from phonofilm.evaluation.suite.compare import compare as run

    with Session.of(ctx).report("compare") as report:
        if csv is not None:
            check_not_read(check_file(csv), results)
        names = result_names(results)
        differences = run(
            [read_result(path) for path in results], ComparisonSettings(_split(metrics), categories, cache)
        )
        if not differences:
            raise PhonofilmError(
                f"{', '.join(map(str, results))} share no metric; evaluate all with the same --metrics or --preset"
            )
        report.set_fields(
            results=[str(path) for path in results], names=list(names), differences=[asdict(row) for row in differences]
        )
        if csv is not None:
            write_csv(csv, comparison_rows(differences, names))
        for line in comparison_lines(differences, names):
            report.print_line(line)


def _split(text: str | None) -> tuple[str, ...]:
    """Names between commas; commas inside brackets belong to a name."""
    if not text:
        return ()
    names, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            names.append("")
        else:
            names[-1] += letter
    return tuple(name.strip() for name in names if name.strip())


def _weights(given: Sequence[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    if any(not separator or not path for _, separator, path in pairs):
        raise PhonofilmError("--weights takes NAME=FILE, as in --weights i3d=i3d.pt")
    return {name.strip(): Path(path) for name, _, path in pairs}
