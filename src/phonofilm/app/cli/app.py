"""The command line's table of contents."""

from __future__ import annotations

from typing import Annotated

import typer

from phonofilm.app.cli.calibrate import calibrate
from phonofilm.app.cli.common.command import CommandLine
from phonofilm.app.cli.data import data, finetune, plan_training, score, train, world
from phonofilm.app.cli.evaluate import compare, evaluate
from phonofilm.app.cli.generate import animate, extend, foley, generate, retake
from phonofilm.app.cli.inspect import doctor, info, onsets, sheet, verify
from phonofilm.app.cli.parity import parity
from phonofilm.app.cli.serve import keys, serve, worker
from phonofilm.app.cli.soundtrack import soundtrack
from phonofilm.app.cli.story import story
from phonofilm.app.cli.stream import stream
from phonofilm.app.cli.study import study
from phonofilm.app.cli.weights import models, weights

app = CommandLine(
    name="phonofilm",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
)

MAKE, LOOK, MEASURE, BUILD = "Make film with sound", "Look at it", "Measure it", "Build on it"
SERVE = "Let others make it"
for panel, commands in (
    (MAKE, (generate, foley, animate, extend, retake, soundtrack, story, stream)),
    (LOOK, (sheet, info, verify, onsets, doctor, models)),
    (MEASURE, (evaluate, compare, parity, calibrate)),
    (BUILD, (world, train, plan_training, finetune, score)),
    (SERVE, (serve, worker)),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(study, name="study", rich_help_panel=LOOK)
app.add_typer(weights, rich_help_panel=LOOK)
app.add_typer(data, name="data", rich_help_panel=BUILD)
app.add_typer(keys, name="keys", rich_help_panel=SERVE)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Video with sound, made together on one clock.

    [dim]$[/] phonofilm generate "a red ball bounces on wood" -o ball.mp4
    [dim]$[/] phonofilm foley silent.mp4 -o with-sound.mp4
    [dim]$[/] phonofilm sheet ball.mp4 -o ball.png

    Every command takes --json (one JSON object on standard output) and --debug (tracebacks).
    Ask any of them for --help: each shows examples.
    """
    if version:
        from phonofilm import __version__

        print(f"phonofilm {__version__}")
    elif ctx.invoked_subcommand is None:
        print(ctx.get_help())
