"""The commands that show: a clip as one picture, what made a file, what works here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_not_read

ClipArgument = Annotated[Path, typer.Argument(metavar="CLIP", help="A film or sound file, of any common format.")]


def sheet(
    ctx: typer.Context,
    clip: ClipArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PNG", help="The picture to write.")],
) -> None:
    """Draw a clip on one page: frames on a time axis, waveform, spectrogram, events.

    [dim]$[/] phonofilm sheet ball.mp4 -o ball.png
    """
    from phonofilm.media import read_clip
    from phonofilm.media import sheet as sheets

    with Session.of(ctx).report("sheet") as report:
        check_not_read(sheets.check_sheet(output), [clip])
        report.progress("reading", 0, 1)
        source = read_clip(clip)
        report.progress("drawing", 0, 1)
        sheets.sheet(source, output)
        report.set_fields(path=str(output))
        report.print_line(str(output))


def info(ctx: typer.Context, clip: ClipArgument) -> None:
    """Say what is in a file and what made it: prompt, seed, model, weights.

    [dim]$[/] phonofilm info ball.mp4
    [dim]$[/] phonofilm info ball.mp4 --json
    """
    from phonofilm.media import probe

    with Session.of(ctx).report("info") as report:
        found = dataclasses.asdict(probe(clip))
        known = {name: value for name, value in found.items() if value is not None and name != "metadata"}
        known = {
            name: list(v) if isinstance(v, tuple) else v if isinstance(v, (int, float)) else str(v)
            for name, v in known.items()
        }
        report.set_fields(**known, metadata=found["metadata"])
        for name, value in known.items():
            text = "x".join(map(str, value)) if isinstance(value, list) else value
            report.print_line(f"{name.replace('_', ' '):>14}  {f'{text:g}' if isinstance(text, float) else text}")
        for name, value in found["metadata"].items():
            for line in str(value).splitlines() or [""]:
                report.print_line(f"{name.replace('_', ' '):>14}  {line}")


def verify(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A film or sound file, of any common format.")],
) -> None:
    """Say who made a file, as its signed manifest, its marks and this machine's log tell; nothing is written.

    [dim]$[/] phonofilm verify ball.mp4
    [dim]$[/] phonofilm verify ball.mp4 --json
    """
    from phonofilm.provenance.verify import verify as look

    with Session.of(ctx).report("verify") as report:
        report.progress("looking", 0, 1)
        layers = look(file)
        for layer in layers:
            for number, line in enumerate(layer.lines):
                report.print_line(f"{layer.name if number == 0 else '':>10}  {line}")
        report.set_fields(file=str(file), layers=[dataclasses.asdict(layer) for layer in layers])


def onsets(
    ctx: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film, silent or not, of any size and frame rate.")],
    weights: Annotated[
        Path, typer.Option(metavar="FILE", help="The detector, as recipes/onset.toml makes it (none ships yet).")
    ],
    threshold: Annotated[
        float, typer.Option(metavar="P", help="How likely an event must be, above 0 and below 1.")
    ] = 0.5,
) -> None:
    """Say when something happens in a film that ought to be heard: seconds, strength and likelihood of each.

    [dim]$[/] phonofilm train recipes/onset.toml
    [dim]$[/] phonofilm onsets silent.mp4 --weights runs/onset/onset.safetensors --json
    """
    from phonofilm.control.onset.detect import Detector
    from phonofilm.media import read_clip

    with Session.of(ctx).report("onsets") as report:
        detector = Detector.load(weights)
        report.progress("reading", 0, 1)
        clip = read_clip(video, size=2 * detector.network.config.size)
        if clip.frames is None or clip.fps is None:
            raise PhonofilmError(f"{video} has no picture; name a film")
        report.progress("looking", 0, 1)
        found = detector.onsets(clip.frames, clip.fps, threshold)
        report.set_fields(onsets=[{n: round(v, 4) for n, v in dataclasses.asdict(one).items()} for one in found])
        for one in found:
            report.print_line(f"{one.time:9.3f} s  strength {one.strength:.2f}  likelihood {one.confidence:.2f}")


def doctor(ctx: typer.Context) -> None:
    """Say what works on this machine, and for what does not, how to get it.

    [dim]$[/] phonofilm doctor
    """
    from phonofilm.app.jobs.diagnostics import examine

    with Session.of(ctx).report("doctor") as report:
        checks = examine()
        for check in checks:
            mark = "ok  " if check.works else ("MISS" if check.needed else "-   ")
            report.print_line(f"{mark} {check.name:<14} {check.found}")
        broken = [check.name for check in checks if check.needed and not check.works]
        report.set_fields(healthy=not broken, checks=[dataclasses.asdict(check) for check in checks])
        report.print_line(
            "everything that generation needs is there" if not broken else f"missing: {', '.join(broken)}"
        )
    if broken:
        raise typer.Exit(1)
