"""The commands that make film: each builds one `Request`, and all hand it to the same few lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from phonofilm.app.options import (
    Debug,
    Device,
    DryRun,
    Fps,
    Guidance,
    Image,
    Json,
    Loading,
    Lora,
    Model,
    Negative,
    Network,
    Offload,
    Output,
    Prompt,
    Seed,
    Size,
    Steps,
    parse_guidance,
    parse_size,
)
from phonofilm.app.session import Report, Session
from phonofilm.errors import PhonofilmError

SourceArgument = Annotated[Path, typer.Argument(metavar="CLIP", help="A film or sound file, of any common format.")]


def generate(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="What is seen and heard, in prose.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="What to write: .mp4 .webm .mkv .mov .m4v .wav .gif"),
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="How long; longer than 4 s is continued.")] = None,
    size: Size = None,
    fps: Fps = None,
    seed: Seed = 0,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="COUNT", help="Make so many, with seeds from SEED on.")
    ] = 1,
    steps: Steps = None,
    guidance: Guidance = None,
    image: Image = None,
    negative: Negative = "",
    model: Model = "nano",
    device: Device = "auto",
    lora: Lora = None,
    offload: Offload = None,
    network: Network = None,
    dry_run: DryRun = False,
    prompts: Annotated[
        Path | None, typer.Option(metavar="JSONL", help="Many jobs: one a line, a prompt or {prompt, name, seed, …}.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --prompts: keep what is there already.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a clip with sound from a prompt.

    [dim]$[/] phonofilm generate "a red ball bounces on wood" -o ball.mp4
    [dim]$[/] phonofilm generate "a mallet plays three notes" -o notes.webm --seconds 8 --size 320x320 --fps 24
    [dim]$[/] phonofilm generate "a blue box falls on stone" -o box.mp4 -n 4 --seed 7
    [dim]$[/] phonofilm generate "the ball falls" --image first.png -o falls.mkv
    [dim]$[/] phonofilm generate --prompts jobs.jsonl -o clips/ --resume
    """
    from phonofilm.app.batch import run_batch
    from phonofilm.types import Request

    session = _session(ctx)
    with session.report("generate") as report:
        if output is None:
            raise PhonofilmError("say what to write: -o clip.mp4")
        request = Request(
            prompt=prompt or "",
            seconds=seconds,
            size=parse_size(size),
            fps=_rate(fps),
            seed=seed,
            steps=steps,
            guidance=parse_guidance(guidance),
            image=_picture(image),
            negative=negative,
            model=model,
        )
        loading = Loading.of(device, offload, network, lora, dry_run)
        if count < 1:
            raise PhonofilmError(f"{count} clips cannot be made; choose -n 1 or more")
        if prompts is not None:
            if prompt is not None:
                raise PhonofilmError("give one prompt or --prompts, not both")
            if dry_run:
                raise PhonofilmError("--dry-run plans one clip; leave --prompts away")
            return run_batch(session, report, request, prompts, output, count, device, resume, loading.options)
        if resume:
            raise PhonofilmError("--resume goes with --prompts")
        _make(session, report, [replace(request, seed=seed + n) for n in range(count)], output, loading)
    return None


def foley(
    ctx: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A film, silent or not, of any length and size.")],
    output: Output,
    prompt: Prompt = "",
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    model: Model = "nano",
    device: Device = "auto",
    lora: Lora = None,
    offload: Offload = None,
    network: Network = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the sound of a film; its picture stays as it is.

    [dim]$[/] phonofilm foley silent.mp4 -o with-sound.mp4
    [dim]$[/] phonofilm foley silent.mp4 -p "a rubber ball on tiles" -o with-sound.mp4 --seed 3
    [dim]$[/] phonofilm foley silent.mp4 -o sound-alone.wav
    """
    fields = _common(prompt, seed, steps, guidance, negative, model)
    loading = Loading.of(device, offload, network, lora, dry_run)
    _rework(ctx, "foley", video, output, loading, fields)


def animate(
    ctx: typer.Context,
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="A sound file, or a film whose sound is taken.")],
    output: Output,
    prompt: Prompt = "",
    image: Image = None,
    size: Size = None,
    fps: Fps = None,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    model: Model = "nano",
    device: Device = "auto",
    lora: Lora = None,
    offload: Offload = None,
    network: Network = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the picture of a sound; the sound stays as it is.

    [dim]$[/] phonofilm animate knocks.wav -o film.mp4
    [dim]$[/] phonofilm animate knocks.wav -p "a green ball bounces" --image first.png -o film.mp4
    """
    fields = _common(prompt, seed, steps, guidance, negative, model)
    fields |= {"image": _picture(image), "size": parse_size(size), "fps": _rate(fps)}
    loading = Loading.of(device, offload, network, lora, dry_run)
    _rework(ctx, "animate", audio, output, loading, fields)


def extend(
    ctx: typer.Context,
    clip: SourceArgument,
    output: Output,
    seconds: Annotated[float, typer.Option(metavar="S", help="How much to add at the end.")],
    prompt: Prompt = "",
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    model: Model = "nano",
    device: Device = "auto",
    lora: Lora = None,
    offload: Offload = None,
    network: Network = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on where a clip ends, picture and sound. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm extend ball.mp4 --seconds 4 -o longer.mp4
    [dim]$[/] phonofilm extend ball.mp4 --seconds 2 -p "the ball comes to rest" -o longer.mp4
    """
    fields = _common(prompt, seed, steps, guidance, negative, model)
    loading = Loading.of(device, offload, network, lora, dry_run)
    _rework(
        ctx,
        "extend",
        clip,
        output,
        loading,
        {**fields, "seconds": seconds},
    )


def retake(
    ctx: typer.Context,
    clip: SourceArgument,
    output: Output,
    start: Annotated[float, typer.Option("--from", metavar="S", help="Where the new take begins, in seconds.")],
    end: Annotated[float, typer.Option("--to", metavar="S", help="Where it ends.")],
    audio_only: Annotated[bool, typer.Option("--audio-only", help="Keep the picture.")] = False,
    video_only: Annotated[bool, typer.Option("--video-only", help="Keep the sound.")] = False,
    prompt: Prompt = "",
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    model: Model = "nano",
    device: Device = "auto",
    lora: Lora = None,
    offload: Offload = None,
    network: Network = None,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a part of a clip again; the rest stays as it is. Without a prompt, the clip's own is used.

    [dim]$[/] phonofilm retake ball.mp4 --from 1 --to 2.5 -o again.mp4 --seed 5
    [dim]$[/] phonofilm retake ball.mp4 --from 0 --to 4 --audio-only -o other-sound.mp4
    """
    if audio_only and video_only:
        raise PhonofilmError("--audio-only and --video-only exclude each other; leave both away to make both again")
    only: Literal["audio", "video"] | None = "audio" if audio_only else "video" if video_only else None
    fields = _common(prompt, seed, steps, guidance, negative, model)
    loading = Loading.of(device, offload, network, lora, dry_run)
    _rework(
        ctx,
        "retake",
        clip,
        output,
        loading,
        {**fields, "span": (start, end), "only": only},
    )


def _session(ctx: typer.Context) -> Session:
    return ctx.obj if isinstance(ctx.obj, Session) else Session()


def _common(
    prompt: str, seed: int, steps: int | None, guidance: str | None, negative: str, model: str
) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "seed": seed,
        "steps": steps,
        "guidance": parse_guidance(guidance),
        "negative": negative,
        "model": model,
    }


def _picture(path: Path | None) -> Any:
    if path is None:
        return None
    from phonofilm.media import read_image

    return read_image(path)


def _rate(text: str | None) -> Any:
    from phonofilm.backends.requests import frame_rate

    return None if text is None else frame_rate(text)


def _rework(ctx: typer.Context, task: Any, path: Path, output: Path, loading: Loading, fields: dict[str, Any]) -> None:
    """The common part of the commands that work on a clip."""
    from phonofilm.media import check_output, read_clip
    from phonofilm.types import Request

    session = _session(ctx)
    with session.report(task) as report:
        check_output(output)
        report.progress("reading", 0, 1)
        source = read_clip(path)
        if task in ("extend", "retake"):
            fields["prompt"] = fields["prompt"] or source.prompt or ""
        _make(session, report, [Request(task=task, source=source, **fields)], output, loading)


def _make(session: Session, report: Report, requests: list[Any], output: Path, loading: Loading) -> None:
    """Check everything that can be checked before a model is loaded, then make and write one clip after another."""
    from phonofilm.app.make import Maker, numbered, say_plan
    from phonofilm.backends.requests import check
    from phonofilm.media import check_output

    paths = numbered(output, len(requests))
    for request, path in zip(requests, paths, strict=True):
        check(request)
        check_output(path)
    if loading.dry_run:
        return say_plan(report, requests[0], loading.device, loading.options)
    maker = Maker(session, report, requests[0].model, loading.device, loading.options)
    made = [maker.make(request, path) for request, path in zip(requests, paths, strict=True)]
    for path in paths:
        report.say(str(path))
    report.add(outputs=made, model=requests[0].model)
    return None
