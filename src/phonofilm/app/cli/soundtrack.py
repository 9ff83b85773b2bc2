"""The command that gives a film a sound track."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from phonofilm.app.cli.common.options import GenerationOptions, Say, SoundingOutput, Subtitles, Voice, expand_options
from phonofilm.app.cli.common.output import destination, is_pipe
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError

FILE = re.compile(r"\.[A-Za-z0-9]{2,4}")
"""The ending of a name of a file, which no description of music has."""


@expand_options
def soundtrack(
    ctx: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film, silent or not, of any length and size.")],
    output: SoundingOutput,
    *,
    effects: Annotated[str | None, typer.Option(metavar="TEXT", help="What the picture sounds like, in prose.")] = None,
    music: Annotated[
        str | None, typer.Option(metavar="TEXT|FILE", help="What music a model makes, or a sound file to lay under.")
    ] = None,
    say: Say = None,
    voice: Voice = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the film's own sound; effects are then made only if --effects asks."),
    ] = False,
    subtitles: Subtitles = False,
    web: Annotated[bool, typer.Option("-14", "--web", help="As loud as on the web, -14 LUFS.")] = False,
    loudness: Annotated[float | None, typer.Option(metavar="LUFS", help="How loud it is; -23 as films are.")] = None,
    options: GenerationOptions,
) -> None:
    """Give a film of any length a sound track: effects for its picture, words, music; everything gives way to words.

    [dim]$[/] phonofilm soundtrack film.mp4 --say "Hello there.@1.5" -o with-words.mp4
    [dim]$[/] phonofilm soundtrack film.mp4 --keep --say "man: What was that?@2" --subtitles -o told.mkv
    [dim]$[/] phonofilm soundtrack film.mp4 --effects "a rubber ball on tiles" --music song.wav -14 -o for-web.mp4
    [dim]$[/] phonofilm soundtrack film.mp4 --say subtitles -o spoken.mp4
    """
    from phonofilm.app.jobs.pool import BackendPool
    from phonofilm.app.jobs.soundtrack import FILM, WEB, SoundtrackSpec, make_soundtrack
    from phonofilm.app.jobs.spec import RequestSpec

    with Session.of(ctx).report("soundtrack") as report:
        if web and loudness is not None:
            raise PhonofilmError("-14 and --loudness say the same; leave one out")
        if options.dry_run:
            raise PhonofilmError("--dry-run plans what generate and foley make; leave it out")
        if subtitles and is_pipe(output):
            raise PhonofilmError("--subtitles writes a file beside the film; name a file in place of -")
        file = music if music is not None and Path(music).is_file() else None
        if music is not None and file is None and FILE.fullmatch(Path(music).suffix):
            raise PhonofilmError(f"--music {music}: there is no such file; check the path, or describe the music")
        asked: dict[str, Any] = {"task": "foley", "source": str(video), "prompt": effects or ""}
        asked |= {"music": music or ""} if file is None else {}
        spec = SoundtrackSpec(
            RequestSpec.from_json(options.values() | asked),
            make=effects is not None or not keep,
            say=tuple(say or ()),
            voices=tuple(voice or ()),
            music_file=file,
            keep=keep,
            subtitles=subtitles,
            loudness=WEB if web else FILM if loudness is None else loudness,
        )
        with destination(output, report) as target:
            made = make_soundtrack(spec, target, report.job(), BackendPool())
        name = "-" if is_pipe(output) else str(output)
        if name != "-":
            report.print_files(made)
        report.set_fields(outputs=[made | {"path": name}], model=options.model)
