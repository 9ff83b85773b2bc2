"""One run of the command line: its clock, its interrupts, and what it tells to people and to programs."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from phonofilm.files import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from phonofilm.backends.base import JobContext

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOG_SECONDS = 10
"""Where there is no terminal, a stage that takes long is told of this often."""
OVERALL = "clips"


class Session:
    """Passed to every command as `ctx.obj`.

    Attributes:
        json: one JSON object on standard output, and no progress.
        debug: show tracebacks.
        signal: the signal that asked to stop, if any did.
    """

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.json = self.debug = False
        self.signal: int | None = None

    @staticmethod
    def of(context: Any) -> Session:
        """The session of a command, which its context carries."""
        if not isinstance(context.obj, Session):
            context.obj = Session()
        return context.obj

    def cancelled(self) -> bool:
        """Whether somebody asked to stop, even where a library swallowed the exception that said so."""
        return self.signal is not None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C and a polite kill raise KeyboardInterrupt, once: cleaning up is not interrupted again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._interrupt) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            raise KeyboardInterrupt

    @contextmanager
    def report(self, command: str) -> Iterator[Report]:
        """Report on one command: its last line is said when all went well."""
        report = Report(self, command)
        try:
            yield report
        finally:
            report.close()
        report.finish()

    def fail(self, message: str, code: int) -> int:
        """Say what went wrong in one line; returns the exit code."""
        line = " ".join(message.split())
        with suppress(OSError):
            print(f"phonofilm: {line}", file=sys.stderr, flush=True)
        with suppress(OSError):
            if self.json:
                print_json({"ok": False, "error": line, "exit_code": code})
        drop_untold()
        return code


class Report:
    """What one command tells: progress and notices on standard error, results on standard output."""

    def __init__(self, session: Session, command: str) -> None:
        self.session = session
        self.result: dict[str, Any] = {"ok": True, "command": command}
        self.stages: dict[str, float] = {}
        self.notices: list[str] = []
        self.errors: list[str] = []
        self.results_to: TextIO | None = None
        self._lines: list[str] = []
        self._logged = time.perf_counter()
        self._stage, self._since = "start-up", session.started
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._began = session.started

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note where the work is: `done` of `total` steps of a stage."""
        if stage != self._stage:
            self._clock(stage)
        if self.session.json:
            return
        if not sys.stderr.isatty():
            self._log_stage(stage, done, total)
            return
        bar = self._bar = self._bar or _bar()
        if stage not in self._tasks:
            self._tasks[stage] = bar.add_task(stage, total=max(total, 1))
        bar.update(self._tasks[stage], completed=done, total=max(total, 1))
        for name, task in self._tasks.items():
            bar.update(task, visible=name in (stage, OVERALL))

    def stage(self, stage: str) -> None:
        """From now on time counts for this stage, of which nobody knows how long it takes."""
        self._clock(stage)

    def warn(self, line: str) -> None:
        """One line that the user should read, once, and that stops nothing."""
        if line in self.notices:
            return
        self.notices.append(line)
        self._tell(f"note: {line}")

    def error(self, line: str) -> None:
        """One part of the work that is not possible, while the rest goes on; the command will have failed."""
        self.errors.append(line)
        self._tell(f"phonofilm: {line}")

    def finished(self, what: str, done: int, total: int) -> None:
        """Note that one of several equal pieces of work is done: a bar, or a line where there is no terminal."""
        left = (time.perf_counter() - self._began) / max(done, 1) * (total - done)
        if self.session.json:
            return
        if sys.stderr.isatty():
            bar = self._bar = self._bar or _bar()
            if OVERALL not in self._tasks:
                self._tasks[OVERALL] = bar.add_task(OVERALL, total=total)
            bar.update(self._tasks[OVERALL], completed=done, total=total)
        else:
            _to_stderr(f"{done} of {total}: {what}{f', about {_time(left)} left' if done < total else ''}")

    def begin(self) -> None:
        """From now on `finished` counts the time that a piece takes."""
        self._began = time.perf_counter()

    def job(self, name: str = "") -> JobContext:
        """What a job reports to; its notices begin with its name."""
        from phonofilm.backends.base import JobContext

        def tell(line: str) -> None:
            self.warn(f"{name}: {line}" if name else line)

        return JobContext(self.progress, self.session.cancelled, tell)

    def _tell(self, line: str) -> None:
        if not self.session.json:
            (self._bar.console.print if self._bar else _to_stderr)(line)

    def _log_stage(self, stage: str, done: int, total: int) -> None:
        """Where there is no terminal, a line now and then about a stage that takes long."""
        now = time.perf_counter()
        if done and now - max(self._since, self._logged) >= LOG_SECONDS:
            self._logged = now
            left = (now - self._since) / done * (total - done)
            _to_stderr(f"{stage} {done} of {total}, about {_time(left)} left")

    def print_line(self, line: str) -> None:
        """A line of the result, for people."""
        self._lines.append(line)

    def print_files(self, facts: Mapping[str, Any]) -> None:
        """Lines that name the files that a job wrote, by the facts of it: its clip, the subtitles and the stems."""
        for name in (facts["path"], facts.get("subtitles"), *facts.get("stems", {}).values()):
            if name is not None:
                self.print_line(str(name))

    def set_fields(self, **facts: Any) -> None:
        """Facts of the result, for programs."""
        self.result.update(facts)

    def close(self) -> None:
        """Stop the clock and take the progress bar away."""
        self._clock("")
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def finish(self) -> None:
        """Print the result."""
        if self.session.json:
            stages = {name: round(seconds, 3) for name, seconds in self.stages.items()}
            facts = {**self.result, "notices": self.notices, "stages": stages}
            if self.errors:
                facts |= {"ok": False, "error": self.errors[0], "errors": self.errors, "exit_code": 1}
            print_json(facts)
            return
        for line in self._lines:
            print(printable(line), file=self.results_to)
        if len(self.stages) > 1:
            total = sum(self.stages.values())
            parts = " · ".join(f"{name} {seconds:.1f} s" for name, seconds in self.stages.items())
            _to_stderr(f"{parts} · in all {total:.1f} s")

    def _clock(self, stage: str) -> None:
        now = time.perf_counter()
        if self._stage:
            self.stages[self._stage] = self.stages.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def finite(value: Any) -> Any:
    """Plain values as strict JSON takes them: a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(values: Mapping[str, Any]) -> None:
    """One line on standard output, in letters that it takes."""
    values = finite(values)
    line = json.dumps(values, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(values)
    print(line)


def drop_untold() -> None:
    """Where standard output takes no more, let Python not try either when it flushes at the end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    bar = Progress(*columns, console=Console(stderr=True, highlight=False, markup=False), transient=True)
    bar.start()
    return bar
