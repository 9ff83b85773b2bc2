"""The commands that make film: each builds one `Request`, and all hand it to the same few lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from phonofilm.app.cli.options import Fps, GenerationOptions, Image, Output, Prompt, Size, expand_options, parse_size
from phonofilm.app.cli.session import Report, Session
from phonofilm.errors import PhonofilmError

MAX_COUNT = 10_000
SourceArgument = Annotated[Path, typer.Argument(metavar="CLIP", help="A film or sound file, of any common format.")]


@expand_options
def generate(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What is seen and heard, in prose.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="What to write: .mp4 .webm .mkv .mov .m4v .wav .gif"),
    ] = None,
    *,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="How long; longer than 4 s is continued.")] = None,
    size: Size = None,
    fps: Fps = None,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="COUNT", help="Make so many, with seeds from SEED on.")
    ] = 1,
    image: Image = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="JSONL", help="Many jobs: one a line, a prompt or {prompt, name, seed, …}.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --prompts: keep what is there already.")] = False,
    making: GenerationOptions,
) -> None:
    """Make a clip with sound from a prompt.

    [dim]$[/] phonofilm generate "a red ball bounces on wood" -o ball.mp4
    [dim]$[/] phonofilm generate "a mallet plays three notes" -o notes.webm --seconds 8 --size 320x320 --fps 24
    [dim]$[/] phonofilm generate "a blue box falls on stone" -o box.mp4 -n 4 --seed 7
    [dim]$[/] phonofilm generate "the ball falls" --image first.png -o falls.mkv
    [dim]$[/] phonofilm generate --prompts jobs.jsonl -o clips/ --resume
    """
    from phonofilm.app.jobs.batch import run_batch
    from phonofilm.types import Request

    session = Session.of(ctx)
    with session.report("generate") as report:
        if output is None:
            raise PhonofilmError("say what to write: -o clip.mp4")
        request = Request(
            prompt=prompt or "",
            seconds=seconds,
            size=parse_size(size),
            fps=_rate(fps),
            image=_picture(image),
            **making.request(),
        )
        loading = making.loading()
        if not 1 <= count <= MAX_COUNT:
            raise PhonofilmError(f"{count} clips cannot be made; choose -n 1 to {MAX_COUNT}")
        if prompts is not None:
            if prompt is not None:
                raise PhonofilmError("give one prompt or --prompts, not both")
            if making.dry_run:
                raise PhonofilmError("--dry-run plans one clip; leave --prompts away")
            return run_batch(session, report, request, prompts, output, count, making.device, resume, loading)
        if resume:
            raise PhonofilmError("--resume goes with --prompts")
        _make(session, report, [replace(request, seed=making.seed + n) for n in range(count)], output, making)
    return None


@expand_options
def foley(
    ctx: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film, silent or not, of any length and size.")],
    output: Output,
    *,
    prompt: Prompt = "",
    making: GenerationOptions,
) -> None:
    """Make the sound of a film of any length; its picture stays as it is, copied where the new file takes it.

    [dim]$[/] phonofilm foley silent.mp4 -o with-sound.mp4
    [dim]$[/] phonofilm foley silent.mp4 -p "a rubber ball on tiles" -o with-sound.mp4 --seed 3
    [dim]$[/] phonofilm foley silent.mp4 -o sound-alone.wav
    """
    from phonofilm.app.jobs.runner import Maker, say_plan
    from phonofilm.backends.streamed import check_film
    from phonofilm.media import check_output
    from phonofilm.media.film import Film
    from phonofilm.types import Request

    session = Session.of(ctx)
    with session.report("foley") as report:
        check_output(output)
        report.progress("reading", 0, 1)
        film = Film.open(video)
        request = check_film(Request(prompt=prompt, **making.request()), film, output)
        if making.dry_run:
            return say_plan(report, request, making.device, making.loading())
        maker = Maker(session, report, making.model, making.device, making.loading())
        made = maker.add_sound(film, request, output)
        report.print_line(str(output))
        report.set_fields(outputs=[made], model=making.model)
    return None


@expand_options
def animate(
    ctx: typer.Context,
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="A sound file, or a film whose sound is taken.")],
    output: Output,
    *,
    prompt: Prompt = "",
    image: Image = None,
    size: Size = None,
    fps: Fps = None,
    making: GenerationOptions,
) -> None:
    """Make the picture of a sound; the sound stays as it is.

    [dim]$[/] phonofilm animate knocks.wav -o film.mp4
    [dim]$[/] phonofilm animate knocks.wav -p "a green ball bounces" --image first.png -o film.mp4
    """
    picture = {"image": _picture(image), "size": parse_size(size), "fps": _rate(fps)}
    _rework(ctx, "animate", audio, output, making, prompt=prompt, **picture)


@expand_options
def extend(
    ctx: typer.Context,
    clip: SourceArgument,
    output: Output,
    *,
    seconds: Annotated[float, typer.Option(metavar="S", help="How much to add at the end.")],
    prompt: Prompt = "",
    making: GenerationOptions,
) -> None:
    """Go on where a clip ends, picture and sound. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm extend ball.mp4 --seconds 4 -o longer.mp4
    [dim]$[/] phonofilm extend ball.mp4 --seconds 2 -p "the ball comes to rest" -o longer.mp4
    """
    _rework(ctx, "extend", clip, output, making, prompt=prompt, seconds=seconds)


@expand_options
def retake(
    ctx: typer.Context,
    clip: SourceArgument,
    output: Output,
    *,
    start: Annotated[float, typer.Option("--from", metavar="S", help="Where the new take begins, in seconds.")],
    end: Annotated[float, typer.Option("--to", metavar="S", help="Where it ends.")],
    audio_only: Annotated[bool, typer.Option("--audio-only", help="Keep the picture.")] = False,
    video_only: Annotated[bool, typer.Option("--video-only", help="Keep the sound.")] = False,
    prompt: Prompt = "",
    making: GenerationOptions,
) -> None:
    """Make a part of a clip again; the rest stays as it is. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm retake ball.mp4 --from 1 --to 2.5 -o again.mp4 --seed 5
    [dim]$[/] phonofilm retake ball.mp4 --from 0 --to 4 --audio-only -o other-sound.mp4
    """
    if audio_only and video_only:
        raise PhonofilmError("--audio-only and --video-only exclude each other; leave both away to make both again")
    only: Literal["audio", "video"] | None = "audio" if audio_only else "video" if video_only else None
    _rework(ctx, "retake", clip, output, making, prompt=prompt, span=(start, end), only=only)


def _picture(path: Path | None) -> Any:
    if path is None:
        return None
    from phonofilm.media import read_image

    return read_image(path)


def _rate(text: str | None) -> Any:
    from phonofilm.backends.requests import frame_rate

    return None if text is None else frame_rate(text)


def _rework(ctx: typer.Context, task: Any, path: Path, output: Path, making: GenerationOptions, **fields: Any) -> None:
    """The common part of the commands that work on a clip."""
    from phonofilm.media import check_output, read_clip
    from phonofilm.types import Request

    session = Session.of(ctx)
    with session.report(task) as report:
        check_output(output)
        report.progress("reading", 0, 1)
        source = read_clip(path)
        if task in ("extend", "retake"):
            fields["prompt"] = fields["prompt"] or source.prompt or ""
        _make(session, report, [Request(task=task, source=source, **fields, **making.request())], output, making)


def _make(session: Session, report: Report, requests: list[Any], output: Path, making: GenerationOptions) -> None:
    """Check everything that can be checked before a model is loaded, then make and write one clip after another."""
    from phonofilm.app.jobs.runner import Maker, numbered, say_plan
    from phonofilm.backends.requests import check
    from phonofilm.media import check_output

    paths = numbered(output, len(requests))
    for request, path in zip(requests, paths, strict=True):
        check(request)
        check_output(path)
    if making.dry_run:
        return say_plan(report, requests[0], making.device, making.loading())
    maker = Maker(session, report, making.model, making.device, making.loading())
    made = [maker.make(request, path) for request, path in zip(requests, paths, strict=True)]
    for path in paths:
        report.print_line(str(path))
    report.set_fields(outputs=made, model=making.model)
    return None
