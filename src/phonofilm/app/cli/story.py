"""The command that makes a film of several shots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonofilm.app.cli.common.options import GenerationOptions, expand_options
from phonofilm.app.cli.common.output import is_pipe
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError


@expand_options
def story(
    ctx: typer.Context,
    board: Annotated[Path, typer.Argument(metavar="TOML", help="The storyboard: [\\[shot]] prompt = … seconds = …")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="What to write: .mp4 .webm .mkv (lossless) .mov .m4v."),
    ],
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the shots that an earlier run made.")] = False,
    take: Annotated[
        list[str] | None,
        typer.Option("--retake", metavar="N[:SEED]", help="Make shot N again, with another seed; the others stay."),
    ] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw all shots on one page, too.")] = None,
    options: GenerationOptions,
) -> None:
    """Make a film of several shots from a storyboard: cut or dissolved, with the music going on over the cuts.

    The shots lie beside it, in NAME.story, so that each can be made again without the others.

    [dim]$[/] phonofilm story film.toml -o film.mp4 --sheet film.png
    [dim]$[/] phonofilm story film.toml -o film.mp4 --retake 3 --retake 5:17
    [dim]$[/] phonofilm story film.toml -o film.mp4 --resume
    """
    from phonofilm.app.jobs.spec import RequestSpec
    from phonofilm.app.story.board import read_story
    from phonofilm.app.story.making import StorySpec, make_story
    from phonofilm.files import check_not_read

    with Session.of(ctx).report("story") as report:
        if is_pipe(output):
            raise PhonofilmError("a story is a file with its shots beside it; name one in place of -")
        if options.dry_run:
            raise PhonofilmError("--dry-run plans one clip; leave it out")
        base = RequestSpec.from_json(options.values() | {"prompt": "-"})
        retakes = dict(_retake(one) for one in take or ())
        check_not_read(output, [board])
        spec = StorySpec(read_story(board), base, board.parent, resume, retakes, sheet)
        facts = make_story(spec, output, report.job())
        report.print_line(str(output))
        if sheet is not None:
            report.print_line(str(sheet))
        report.set_fields(**facts, model=options.model)


def _retake(text: str) -> tuple[int, int | None]:
    number, colon, seed = text.partition(":")
    if not number.isdecimal() or (colon and not seed.isdecimal()):
        raise PhonofilmError(
            f"--retake {text[:40]!r} is not possible; write the number of a shot, as 3, or 3:17 with a seed"
        )
    return int(number), int(seed) if colon else None
