"""Damaged files by the thousand: every one must be read, or refused in one line, soon and in little memory.

A `Target` says which files are damaged and what is done with them; `run` does it in processes of their own, so that a
crash or a hang of a decoder is a finding and not an end. Case n of a seed is always the same file. What was done is
noted in a folder, so that an interrupted run goes on where it was, and every file that is a finding is kept there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.damage import damaged
from phonofilm.errors import PhonofilmError

READ, REFUSED = "read", "refused"
FOREIGN, UNCLEAR, HANG, CRASH = "foreign", "unclear", "hang", "crash"
PATIENCE = 30
FINDINGS = (FOREIGN, UNCLEAR, HANG, CRASH)


@dataclass(frozen=True)
class Target:
    """What is damaged, and what is done with it.

    Attributes:
        seeds: undamaged contents by file name; the suffix is kept.
        use: called with the path of each damaged file, in a folder of its own; must be importable by name. It may
            return anything, or raise `PhonofilmError` with one line.
        damage: (content, generator, other contents) -> damaged content.
        seconds: of processor time, after which a file counts as a hang. One that waits without working, and the
            start of a process, have `PATIENCE` times as long by the clock, since others may use the processor too.
        memory: bytes that a process may have.
    """

    name: str
    seeds: Mapping[str, bytes]
    use: Callable[[Path], Any]
    damage: Callable[[bytes, np.random.Generator, Sequence[bytes]], bytes] = damaged
    seconds: float = 20.0
    memory: int = 6 * 2**30


@dataclass
class Report:
    """How many files ended how, and what was found: (case, outcome, the error and where it was raised)."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, said: str) -> None:
        self.outcomes[outcome] += 1
        if outcome in FINDINGS:
            self.findings.append((number, outcome, said))

    def __str__(self) -> str:
        counts = " · ".join(f"{name} {self.outcomes[name]}" for name in (READ, REFUSED, *FINDINGS))
        return f"{sum(self.outcomes.values())} files · {counts}"


def case(target: Target, seed: int, number: int) -> tuple[str, bytes]:
    """File name and content of one damaged file."""
    names = sorted(target.seeds)
    name = names[number % len(names)]
    generator = np.random.default_rng([seed, number])
    return name, target.damage(target.seeds[name], generator, [target.seeds[other] for other in names])


def run(
    target: Target,
    count: int,
    seed: int = 0,
    folder: Path | None = None,
    workers: int = 1,
    progress: Callable[[Report, int], None] | None = None,
) -> Report:
    """Try `count` damaged files; with a folder, go on where an earlier run with this seed stopped.

    Args:
        progress: told now and then what there is so far, and of how many.
    """
    report = Report()
    log = None if folder is None else folder / f"{target.name}-{seed}.jsonl"
    done = _resume(report, log, count)
    numbers = iter([number for number in range(count) if number not in done])
    running = [worker for _ in range(workers) if (worker := _Worker.start(target, seed, numbers)) is not None]
    told = 0.0
    while running:
        wait([worker.pipe for worker in running], timeout=1.0)
        for worker in list(running):
            for number, outcome, said in worker.collect(target, seed, numbers):
                report.add(number, outcome, said)
                _note(target, seed, folder, log, number, outcome, said)
            if worker.process is None:
                running.remove(worker)
        if progress is not None and time.monotonic() - told > 5:
            progress(report, count)
            told = time.monotonic()
    if progress is not None:
        progress(report, count)
    return report


class _Worker:
    """A process that is told one case after another and watched while it works."""

    def __init__(self, target: Target, seed: int) -> None:
        self.number = -1
        self.since = 0.0
        self._spawn(target, seed)

    @staticmethod
    def start(target: Target, seed: int, numbers: Iterator[int]) -> _Worker | None:
        worker = _Worker(target, seed)
        return worker if worker.next(numbers) else None

    def _spawn(self, target: Target, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: Any = context.Process(target=_work, args=(target, seed, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def next(self, numbers: Iterator[int]) -> bool:
        """Send the next case; False, and the process is ended, where there is none."""
        number = next(numbers, None)
        self.since = time.monotonic()
        if number is None:
            self._end()
            return False
        self.number = number
        self.pipe.send(number)
        return True

    def collect(self, target: Target, seed: int, numbers: Iterator[int]) -> Iterator[tuple[int, str, str]]:
        """What was found since the last call; a process that hangs or died is replaced."""
        try:
            while self.process is not None and self.pipe.poll():
                outcome, said = self.pipe.recv()
                yield self.number, outcome, said
                self.next(numbers)
            late = self.process is not None and time.monotonic() - self.since > PATIENCE * target.seconds
            if not late:
                return
            found = HANG, f"nothing for {PATIENCE * target.seconds:g} s"
        except (EOFError, OSError):
            self.process.join(10)
            code = self.process.exitcode
            hung = code == -signal.SIGPROF
            found = (HANG, f"more than {target.seconds:g} s") if hung else (CRASH, f"the process ended with {code}")
        yield self.number, *found
        self._end()
        self._spawn(target, seed)
        self.next(numbers)

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.process = None


def _work(target: Target, seed: int, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (target.memory, target.memory))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                number = pipe.recv()
            except EOFError:
                return
            name, content = case(target, seed, number)
            path = Path(folder) / name
            path.write_bytes(content)
            # once the processor has worked so long for one file, the system ends the process
            signal.setitimer(signal.ITIMER_PROF, target.seconds)
            outcome = outcome_of(target.use, path)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send(outcome)
            path.unlink(missing_ok=True)


def outcome_of(use: Callable[[Path], Any], path: Path) -> tuple[str, str]:
    """How one file ends: read, refused, refused in more than one line, or an exception that is not ours."""
    try:
        use(path)
    except PhonofilmError as error:
        said = str(error)
        return (REFUSED, said) if said.strip() and "\n" not in said else (UNCLEAR, repr(said))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-3:]
        return FOREIGN, f"{type(error).__name__}: {error} in " + " < ".join(
            f"{Path(line.filename).name}:{line.lineno} {line.name}" for line in reversed(where)
        )
    return READ, ""


def _resume(report: Report, log: Path | None, count: int) -> set[int]:
    done = set()
    if log is not None and log.exists():
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if entry["case"] < count and entry["case"] not in done:
                done.add(entry["case"])
                report.add(entry["case"], entry["outcome"], entry["said"])
    return done


def _note(
    target: Target, seed: int, folder: Path | None, log: Path | None, number: int, outcome: str, said: str
) -> None:
    if folder is None or log is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(json.dumps({"case": number, "outcome": outcome, "said": said}) + "\n")
    if outcome in FINDINGS:
        name, content = case(target, seed, number)
        (folder / f"{target.name}-{seed}-{number}-{outcome}-{name}").write_bytes(content)
