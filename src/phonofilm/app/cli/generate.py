"""The commands that make film: each builds one `RequestSpec`, and all hand it to the same few lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonofilm.app.cli.common.options import (
    FORMATS_HELP,
    ControlOptions,
    Fps,
    GenerationOptions,
    Image,
    Live,
    LiveOptions,
    Output,
    Prompt,
    RawFrames,
    Say,
    Size,
    SoundingOutput,
    StemOptions,
    Subtitles,
    Voice,
    expand_options,
)
from phonofilm.app.cli.common.output import destination, is_pipe
from phonofilm.app.session import Report, Session
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_not_read

if TYPE_CHECKING:
    from phonofilm.app.jobs.spec import RequestSpec

MAX_COUNT = 10_000
SourceArgument = Annotated[Path, typer.Argument(metavar="CLIP", help="A film or sound file, of any common format.")]


@expand_options
def generate(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What is seen and heard, in prose.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE|DIR", help=f"What to write: {FORMATS_HELP}; - is standard output."
        ),
    ] = None,
    *,
    said: Annotated[
        str | None, typer.Option("--prompt", "-p", metavar="TEXT", help="The same as PROMPT, as for every command.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="How long; longer than 4 s is continued.")] = None,
    size: Size = None,
    fps: Fps = None,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="COUNT", help="Make so many, with seeds from SEED on.")
    ] = 1,
    image: Image = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="JSONL", help="Many jobs: one a line, a prompt or {prompt, name, task, seed, …}."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --prompts: keep what is there already.")] = False,
    say: Say = None,
    voice: Voice = None,
    subtitles: Subtitles = False,
    control: ControlOptions,
    parts: StemOptions,
    options: GenerationOptions,
) -> None:
    """Make a clip with sound from a prompt; words in quotes are spoken.

    [dim]$[/] phonofilm generate "a red ball bounces on wood" -o ball.mp4
    [dim]$[/] phonofilm generate "a mallet plays three notes" -o notes.webm --seconds 8 --size 320x320 --fps 24
    [dim]$[/] phonofilm generate "a blue box falls on stone" -o box.mp4 -n 4 --seed 7
    [dim]$[/] phonofilm generate "the ball falls" --image first.png -o falls.mkv
    [dim]$[/] phonofilm generate "rain" --only effects,music --stems parts -o rain.wav --model DIR
    [dim]$[/] phonofilm generate 'A woman says "hello there", and a man answers "hi".' -o talk.mp4 --subtitles
    [dim]$[/] phonofilm generate "a ball falls" --hits 0.5,1.25@0.8 --adapter hits.safetensors -o hits.mp4
    [dim]$[/] phonofilm generate --prompts jobs.jsonl -o clips/ --resume
    """
    with Session.of(ctx).report("generate") as report:
        if output is None:
            raise PhonofilmError("say what to write: -o clip.mp4")
        if prompt is not None and said is not None:
            raise PhonofilmError("give the prompt once, as PROMPT or with -p")
        prompt = said if prompt is None else prompt
        given = (
            parts.values() | control.values() | {"seconds": seconds, "size": size, "fps": fps, "image": _text(image)}
        )
        given |= {"say": say, "voices": voice, "subtitles": subtitles}
        if prompts is not None:
            if prompt is not None:
                raise PhonofilmError("give one prompt or --prompts, not both")
            _make_batch(report, options, given, prompts, output, count, resume)
        elif resume:
            raise PhonofilmError("--resume goes with --prompts")
        else:
            _make(report, options, output, count, prompt=prompt or "", **given)
    if report.errors:
        raise typer.Exit(1)


@expand_options
def foley(
    ctx: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film, silent or not, of any length and size.")],
    output: SoundingOutput,
    *,
    prompt: Prompt = "",
    subtitles: Subtitles = False,
    live: Live = False,
    raw: RawFrames = None,
    control: ControlOptions,
    parts: StemOptions,
    options: GenerationOptions,
) -> None:
    """Make the sound of a film of any length; its picture stays as it is, copied where the new file takes it.

    [dim]$[/] phonofilm foley silent.mp4 -o with-sound.mp4
    [dim]$[/] phonofilm foley silent.mp4 -p "a rubber ball on tiles" -o with-sound.mp4 --seed 3
    [dim]$[/] phonofilm foley silent.mp4 -o sound-alone.wav
    [dim]$[/] phonofilm foley silent.mp4 --sync on --adapter sync.safetensors -o with-sound.mp4
    [dim]$[/] camera | phonofilm foley - --live --raw 320x240@30 -o with-sound.mp4
    """
    if live or raw is not None:
        steered = {name: value for name, value in vars(control).items() if value != getattr(ControlOptions(), name)}
        _follow(ctx, "foley", video, output, options, parts, live, raw, prompt, subtitles=subtitles, **steered)
        return
    told = control.values() | {"prompt": prompt, "subtitles": subtitles}
    _rework(ctx, "foley", video, output, options, parts, **told)


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
    live: Live = False,
    parts: StemOptions,
    options: GenerationOptions,
) -> None:
    """Make the picture of a sound; the sound stays as it is, and stems that are named are made or given beside it.

    [dim]$[/] phonofilm animate knocks.wav -o film.mp4
    [dim]$[/] phonofilm animate knocks.wav -p "a green ball bounces" --image first.png -o film.mp4
    [dim]$[/] phonofilm animate voice.wav --effects "rain" --music "a slow waltz" -o film.mp4 --model DIR
    [dim]$[/] phonofilm animate voice.wav --only video,effects --given music=song.wav -o film.mp4 --model DIR
    [dim]$[/] microphone | phonofilm animate - --live -o face.mp4
    """
    if live:
        _follow(ctx, "animate", audio, output, options, parts, live, None, prompt, size, image=image, fps=fps)
        return
    _rework(ctx, "animate", audio, output, options, parts, prompt=prompt, image=_text(image), size=size, fps=fps)


@expand_options
def extend(
    ctx: typer.Context,
    clip: SourceArgument,
    output: Output,
    *,
    seconds: Annotated[float, typer.Option(metavar="S", help="How much to add at the end.")],
    prompt: Prompt = "",
    parts: StemOptions,
    options: GenerationOptions,
) -> None:
    """Go on where a clip ends, picture and sound. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm extend ball.mp4 --seconds 4 -o longer.mp4
    [dim]$[/] phonofilm extend ball.mp4 --seconds 2 -p "the ball comes to rest" -o longer.mp4
    [dim]$[/] phonofilm extend ball.mkv --seconds 4 --given music=song.wav -o longer.mkv --model DIR
    """
    _rework(ctx, "extend", clip, output, options, parts, prompt=prompt, seconds=seconds)


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
    parts: StemOptions,
    options: GenerationOptions,
) -> None:
    """Make a part of a clip again; the rest stays as it is. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm retake ball.mp4 --from 1 --to 2.5 -o again.mp4 --seed 5
    [dim]$[/] phonofilm retake ball.mp4 --from 0 --to 4 --audio-only -o other-sound.mp4
    [dim]$[/] phonofilm retake talk.mkv --from 1 --to 3 --speech words.wav -o said-again.mkv --model DIR
    """
    if audio_only and video_only:
        raise PhonofilmError("--audio-only and --video-only exclude each other; without them both are made again")
    if (audio_only or video_only) and parts.only is not None:
        raise PhonofilmError(f"--{'audio' if audio_only else 'video'}-only and --only say the same; leave one out")
    only = "audio" if audio_only else "video" if video_only else parts.only
    _rework(ctx, "retake", clip, output, options, parts, prompt=prompt, span=[start, end], only=only)


def _rework(
    ctx: typer.Context,
    task: str,
    source: Path,
    output: Path,
    options: GenerationOptions,
    parts: StemOptions,
    **fields: Any,
) -> None:
    """The common part of the commands that work on a clip."""
    with Session.of(ctx).report(task) as report:
        _make(report, options, output, task=task, source=str(source), **parts.values() | fields)


def _follow(
    ctx: typer.Context,
    task: str,
    given: Path,
    output: Path,
    options: GenerationOptions,
    parts: StemOptions,
    live: bool,
    raw: str | None,
    prompt: str,
    size: str | None = None,
    **others: Any,
) -> None:
    """The commands that work on a clip, while it still comes."""
    from phonofilm.app.cli.stream import follow

    if not live:
        raise PhonofilmError("--raw goes with --live, for frames that come without a container")
    usual = GenerationOptions()
    taken = ("seed", "model", "device", "sign", "watermark", "log", "publish_prompt", "c2pa_cert", "c2pa_key")
    changed = {name: value for name, value in vars(options).items() if name not in taken}
    changed = {name: value for name, value in changed.items() if value != getattr(usual, name)}
    changed |= {name: value for name, value in vars(parts).items() if value != getattr(StemOptions(), name)}
    changed |= {name: value for name, value in others.items() if value}
    if changed:
        raise PhonofilmError(f"--{min(changed).replace('_', '-')} is for whole clips; leave it out with --live")
    follow(ctx, task, given, output, prompt, size, raw, LiveOptions(**{name: getattr(options, name) for name in taken}))


def _make(report: Report, options: GenerationOptions, output: Path, count: int = 1, **fields: Any) -> None:
    """Check what can be checked, then make one clip after another; with --dry-run say what that would take."""
    from phonofilm.app.jobs.pool import BackendPool
    from phonofilm.app.jobs.runner import numbered, run
    from phonofilm.app.jobs.spec import RequestSpec
    from phonofilm.media import check_output

    if not 1 <= count <= MAX_COUNT:
        raise PhonofilmError(f"{count} clips cannot be made; choose -n 1 to {MAX_COUNT}")
    if count > 1 and is_pipe(output):
        raise PhonofilmError("standard output takes one clip; leave out -n, or name a file")
    if fields.get("subtitles") and is_pipe(output):
        raise PhonofilmError("--subtitles writes a file beside the clip; name a file in place of -")
    spec = RequestSpec.from_json(options.values() | fields)
    _note_omitted(report, spec)
    with destination(output, report) as target:
        paths = [check_not_read(check_output(path), spec.files) for path in numbered(target, count)]
        if options.dry_run:
            return _say_plan(report, spec)
        pool, made = BackendPool(), []
        report.begin()
        for number, path in enumerate(paths):
            job = report.job(path.name if count > 1 else "")
            made.append(run(replace(spec, seed=spec.seed + number), path, job, pool))
            if count > 1:
                report.finished(path.name, number + 1, count)
    names = ["-"] if is_pipe(output) else [str(path) for path in paths]
    for facts, name in zip(made, names, strict=True):
        if name != "-":
            report.print_files(facts)
        facts["path"] = name
    report.set_fields(outputs=made, model=options.model)
    return None


def _make_batch(
    report: Report,
    options: GenerationOptions,
    given: dict[str, Any],
    prompts: Path,
    folder: Path,
    count: int,
    resume: bool,
) -> None:
    from phonofilm.app.jobs.batch import run_batch
    from phonofilm.app.jobs.spec import RequestSpec

    if options.dry_run:
        raise PhonofilmError("--dry-run plans one clip; leave out --prompts")
    if is_pipe(folder):
        raise PhonofilmError("--prompts writes a folder of clips; name one")
    if not 1 <= count <= MAX_COUNT:
        raise PhonofilmError(f"{count} clips cannot be made; choose -n 1 to {MAX_COUNT}")
    # a prompt, which each line has for itself, is all that the options may lack
    base = RequestSpec.from_json(options.values() | given | {"prompt": "-"})
    _note_omitted(report, base)
    run_batch(report, replace(base, prompt=""), prompts, folder, count, resume)


def _note_omitted(report: Report, spec: RequestSpec) -> None:
    """Say what a film will lack because of --only."""
    if absent := spec.omitted:
        words = absent[0] if len(absent) == 1 else f"{', '.join(absent[:-1])} and {absent[-1]}"
        report.warn(f"--only {','.join(spec.only or ())} leaves out {words}")


def _say_plan(report: Report, spec: RequestSpec) -> None:
    """What making a clip with a public model would take on this machine.

    Raises:
        PhonofilmError: a model of our own, which needs no plan, or one that is not here.
    """
    from phonofilm.backends.registry import plan

    report.progress("planning", 0, 1)
    found = plan(spec.outline(), spec.device, **dict(spec.loading.options))
    report.set_fields(plan=found.facts(), model=spec.model)
    for line in found.lines():
        report.print_line(line)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
