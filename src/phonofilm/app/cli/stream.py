"""The command that makes film without end."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonofilm.app.cli.common.options import LiveOptions, Size, expand_options
from phonofilm.app.cli.common.output import is_pipe
from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.session import Report, Session
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional

if TYPE_CHECKING:
    from phonofilm.app.live.making import Making, StreamSpec
    from phonofilm.streaming.control import Control
    from phonofilm.streaming.loop import MadeChunk

ENDLESS = "endless"
LOG_SECONDS = 10.0
SHOW_SECONDS = 0.25


@expand_options
def stream(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What is seen and heard, in prose.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="An .mp4 that grows; - is standard output."),
    ] = None,
    *,
    until: Annotated[str, typer.Option(metavar="S|endless", help="How long the film is, in seconds.")] = ENDLESS,
    script: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Prompts and their times: [\\[prompt]] at = 4 text = …")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show it in the browser, on this machine alone.")] = False,
    port: Annotated[int, typer.Option(metavar="N", help="With --serve; 0 takes any free one.")] = 8730,
    paced: Annotated[bool, typer.Option("--paced", help="As fast as it is played, and no faster.")] = False,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the state here, now and then and at the end.")
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="With --state: save it after so many chunks.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --state, in the same file.")] = False,
    size: Size = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Evaluations of the network for each chunk; by default the model's."),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Quick and rough: 4 steps and no guidance, unless --steps says how many.")
    ] = False,
    options: LiveOptions,
) -> None:
    """Make film with sound that goes on: to a file that plays at any moment, a pipe, or the browser.

    While it runs, a line on standard input is a new prompt; :pause, :go and :stop are obeyed, and Ctrl-C ends it.

    [dim]$[/] phonofilm stream "rain on a roof" -o rain.mp4 --until 600
    [dim]$[/] phonofilm stream "a street" --script film.toml -o street.mp4 --state street.state
    [dim]$[/] phonofilm stream --state street.state --resume -o street.mp4 --until 1200
    [dim]$[/] phonofilm stream "a ball bounces" -o - --model fake | ffplay -
    [dim]$[/] phonofilm stream "a woman speaks" --serve
    """
    with Session.of(ctx).report("stream") as report:
        piped = output is not None and is_pipe(output)
        if output is None and not serve:
            raise PhonofilmError("say where the film goes: -o film.mp4, -o - for a pipe, or --serve for the browser")
        if prompt is None and not resume:
            raise PhonofilmError('say what is seen and heard: phonofilm stream "rain on a roof" …')
        if resume and state is None:
            raise PhonofilmError("--resume goes on from a saved state; name it with --state")
        if piped and report.session.json:
            raise PhonofilmError("-o - and --json both write to standard output; name a file, or leave out --json")
        if piped and sys.stdout.isatty():
            raise PhonofilmError("standard output is a terminal; send it on, as in: phonofilm stream … -o - | ffplay -")
        check_limits(Limit("--every", every, 1), Limit("--port", port, 0, 65535), Limit("--steps", steps, 1, 1000))
        if resume and (draft or steps is not None):
            raise PhonofilmError("a film that goes on is made as it was begun; omit --steps and --draft")
        if piped:
            report.results_to = sys.stderr
        report.progress("loading", 0, 1)
        from phonofilm.app.live.making import StreamSpec
        from phonofilm.streaming.outputs import check_stream_output
        from phonofilm.streaming.prompts import check_prompt, read_script

        file = None if output is None or piped else check_stream_output(output)
        spec = StreamSpec(
            prompt if prompt is None else check_prompt(prompt),
            options.seed,
            _seconds(until),
            () if script is None else read_script(script),
            file,
            paced or serve,
            state,
            every,
            resume,
            options.layers,
            _sampling(steps, draft),
        )
        facts = _make(report, spec, options, size, piped, port if serve else None)
        if file is not None:
            report.print_line(str(file))
            facts["path"] = str(file)
        report.set_fields(**facts)


def _sampling(steps: int | None, draft: bool) -> dict[str, Any]:
    """What a source is told of how to sample."""
    told: dict[str, Any] = {} if steps is None else {"steps": steps}
    none = [1.0, 1.0]
    return {"steps": 4, "guidance": none, "modality_guidance": none, **told} if draft else told


def _seconds(until: str) -> Fraction | None:
    from phonofilm.app.live.making import MAX_SECONDS

    if until == ENDLESS:
        return None
    try:
        seconds = float(until)
    except ValueError as error:
        raise PhonofilmError(f"--until {until[:40]!r} is no time; write seconds, as 600, or {ENDLESS}") from error
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise PhonofilmError(f"--until {until[:40]} is not possible; choose more than 0, up to {MAX_SECONDS} s")
    return Fraction(str(seconds))


def _make(
    report: Report, spec: StreamSpec, options: LiveOptions, size: str | None, piped: bool, port: int | None
) -> dict[str, Any]:
    from phonofilm.app.jobs.fields import size as read_size
    from phonofilm.app.live.lines import listening
    from phonofilm.app.live.making import Making
    from phonofilm.streaming.outputs import Output, PipeOutput
    from phonofilm.streaming.registry import open_source

    source = open_source(options.model, options.device, None if size is None else read_size(size, "size"))
    making = Making(spec, source, report.warn, report.session.started)
    line = ProgressLine(report, making)
    outputs: list[Output] = [PipeOutput(sys.stdout.buffer)] if piped else []
    told: list[Callable[[MadeChunk], None]] = [line]

    def each(made: MadeChunk) -> None:
        for tell in told:
            tell(made)

    with ExitStack() as stack:
        if port is not None:
            with optional("showing it in the browser"):
                from phonofilm.app.live.server import serving
            viewers = stack.enter_context(serving(making, port, alone=bool(outputs) or spec.file is not None))
            outputs.append(viewers)
            told.append(viewers.told)
            print(viewers.url, file=sys.stderr if piped or report.session.json else sys.stdout, flush=True)
        stack.enter_context(stopping(making.control))
        stack.enter_context(listening(_typed(), making.control, line.note))
        report.stage("streaming")
        try:
            return making.go(outputs, each)
        finally:
            line.close()


def follow(
    ctx: typer.Context,
    task: str,
    given: Path,
    output: Path,
    prompt: str,
    size: str | None,
    raw: str | None,
    options: LiveOptions,
) -> None:
    """`foley --live` and `animate --live`: make one part of a film while the other one comes."""
    from phonofilm.app.jobs.fields import size as read_size
    from phonofilm.app.live.following import UNSAID, FollowSpec, follow_input
    from phonofilm.media.live.reading import Raw
    from phonofilm.streaming.control import Control

    with Session.of(ctx).report(task) as report:
        file = None if is_pipe(output) else output
        if file is None and report.session.json:
            raise PhonofilmError("-o - and --json both write to standard output; name a file, or leave out --json")
        if file is None:
            report.results_to = sys.stderr
        sides = None if size is None else read_size(size, "size")
        takes: Any = "frames" if task == "foley" else "sound"
        frames = None if raw is None else Raw.of(raw)
        spec = FollowSpec(
            takes, given, file, prompt, options.seed, options.model, options.device, sides, frames, options.layers
        )
        control = Control(prompt.strip() or UNSAID, tell=report.warn)
        report.stage("following")
        with stopping(control):
            facts = follow_input(spec, report.warn, report.session.started, control)
        numbers = facts["statistics"]
        if file is not None:
            report.print_line(str(file))
        for line in _latency_told(numbers):
            report.print_line(line)
        report.set_fields(**facts, **({} if file is None else {"path": str(file)}))


def _latency_told(numbers: dict[str, Any]) -> list[str]:
    """How soon what was made followed what came, in words."""
    last, first = numbers["latency"], numbers["latency_of_the_oldest"]
    lines = [f"{1000 * last['p50']:.0f} ms after the last input of a chunk (99 %: {1000 * last['p99']:.0f} ms)"]
    lines[0] += f", {1000 * first['p50']:.0f} ms after its first"
    late = f"{numbers['input_late']} of {numbers['chunks']} chunks had input that came late"
    return [*lines, f"{numbers['underruns']} underruns; {late}; {numbers['most_waiting']} pieces waited at most"]


def _typed() -> int | None:
    """Standard input, where somebody may type."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def stopping(control: Control) -> Iterator[None]:
    """Ctrl-C and a polite kill end the film, which is then finished like any other; a second one interrupts that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        control.stop()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressLine:
    """How far a film is, on standard error: a line that changes in a terminal, else one now and then."""

    def __init__(self, report: Report, making: Making) -> None:
        self._report, self._making = report, making
        self._terminal = sys.stderr.isatty()
        self._shown = time.perf_counter()
        self._open = False

    def __call__(self, made: MadeChunk) -> None:
        """Tell of a chunk, if it is time to."""
        now = time.perf_counter()
        if self._report.session.json or now - self._shown < (SHOW_SECONDS if self._terminal else LOG_SECONDS):
            return
        self._shown = now
        chunk, statistics = made.chunk, self._making.statistics
        seconds = float(chunk.start + len(chunk.frames) / self._making.source.format.fps)
        speed = f"{statistics.speed:.1f} x real time" if statistics.costs else ""
        late = f" · {statistics.playing.underruns} late" if statistics.playing.underruns else ""
        self._write(f"{seconds:.1f} s of film · {speed}{late} · {chunk.prompt[:60]}")

    def note(self, line: str) -> None:
        """Say something between."""
        if not self._report.session.json:
            self.close()
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line that changes."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False

    def _write(self, line: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            print(line, file=sys.stderr, flush=True)
