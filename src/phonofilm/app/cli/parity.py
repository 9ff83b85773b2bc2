"""The command that proves networks: ports against the outputs of their references, without any checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from phonofilm.app.session import Session


def parity(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of fixtures, NAME.json with NAME.npz each.")],
    only: Annotated[str | None, typer.Option(metavar="A,B…", help="Only the fixtures of these names.")] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")] = "cpu",
) -> None:
    """Check our ports of published networks against their references' outputs, under weights drawn by a recipe.

    [dim]$[/] phonofilm parity fixtures/
    [dim]$[/] phonofilm parity fixtures/ --only vggish,i3d --json

    Exits with 1 if any difference passes its tolerance, if a fixture is damaged, or if none could be checked.
    Networks that Phonofilm has no port of are listed, and fail nothing.
    """
    from phonofilm.device import pick_device
    from phonofilm.parity import ltx2, mmaudio
    from phonofilm.parity.fixtures import check_folder, fixtures_of
    from phonofilm.parity.runners import RUNNERS

    session = ctx.obj if isinstance(ctx.obj, Session) else Session()
    with session.report("parity") as report:
        names = [name.strip() for name in only.split(",") if name.strip()] if only else None
        total = len(names or (fixtures_of(folder) if folder.is_dir() else ()))
        done = iter(range(total))
        reports = check_folder(
            folder,
            {**RUNNERS, **ltx2.RUNNERS, **mmaudio.RUNNERS},
            names=names,
            device=pick_device(device),
            progress=lambda name: report.progress(f"checking {name}", next(done, total), total),
        )
        bad = [row["name"] for row in reports if row["status"] in ("fail", "error")]
        counts = Counter(row["status"] for row in reports)
        report.set_fields(folder=str(folder), ok=not bad and counts["pass"] > 0, counts=dict(counts), fixtures=reports)
        for line in parity_lines(reports):
            report.print_line(line)
    if bad or not counts["pass"]:
        raise typer.Exit(1)


def parity_lines(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of what was checked, worst output first, and a line that sums it up."""
    from phonofilm.app.reports.evaluation.table import escaped, plain_table, rendered

    table = plain_table("network", "", "outputs", "largest difference", "allowed", "of", "seconds")
    for row in reports:
        compared = [output for output in row["outputs"] if output["ok"] is not None]
        worst = max(compared, key=_share, default=None)
        colour = {"pass": "green", "no port": "dim"}.get(row["status"], "red bold")
        cells = ["", "", "", ""]
        if worst is not None:
            shown = worst["problem"] or f"{worst['max_abs_diff']:.1e}"
            cells = [str(len(compared)), shown, f"{worst['atol']:.1e}", worst["name"]]
        verdict = f"[{colour}]{row['status']}[/]"
        table.add_row(escaped(row["name"]), verdict, *map(escaped, cells), f"{row['seconds']:.1f}")
    lines = rendered(table)
    lines += [f"{row['name']}: {row['error']}" for row in reports if row["error"] and row["status"] != "no port"]
    for row in reports:
        reasons: dict[str, list[str]] = {}
        for output in row["outputs"]:
            if output["ok"] is None:
                reasons.setdefault(output["problem"], []).append(output["name"])
        lines += [f"{row['name']}: {', '.join(names)} not compared: {why}" for why, names in reasons.items()]
    return [*lines, _summary(reports)]


def _share(output: Mapping[str, Any]) -> float:
    """How much of its tolerance an output uses; one that is missing is worse than any that differs."""
    if output["problem"] is not None or isnan(output["max_abs_diff"]):
        return float("inf")
    return float(output["max_abs_diff"] / output["atol"])


def _summary(reports: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(row["status"] for row in reports)
    parts = [f"{counts['pass']} of {len(reports)} fixtures pass"]
    parts += [f"{counts[kind]} {words}" for kind, words in (("fail", "differ"), ("error", "damaged")) if counts[kind]]
    absent = [row["name"] for row in reports if row["status"] == "no port"]
    return "; ".join(parts + ([f"no port here of {', '.join(absent)}"] if absent else []))
