"""Where numbers go: one line on the terminal, JSON lines on disk, TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from phonofilm.files import write_bytes

VALIDATION = "validation/"
"""Begins the names of what validation measured."""


class RunLog:
    """Writes `log.jsonl` in a run's folder; on resume, lines later than the checkpoint are dropped.

    Each line is strict JSON: a number that is not finite is null.
    """

    def __init__(self, folder: Path, step: int = 0, terminal: TextIO | None = None) -> None:
        self.path = folder / "log.jsonl"
        self.terminal = terminal or sys.stderr
        self._kept = [line for line in _lines(self.path) if line["step"] <= step] if step else []
        write_bytes(self.path, "".join(_json(line) for line in self._kept).encode())
        self._board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            # TensorBoard drops the step given, too
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def validated(self, step: int) -> bool:
        """Whether the log as it was found holds the validation of a step."""
        lines = (line.keys() - {"step"} for line in self._kept if line["step"] == step)
        return any(all(name.startswith(VALIDATION) for name in names) for names in lines)

    def write(self, step: int, values: Mapping[str, float], *, prefix: str = "", line: str = "") -> None:
        """Record values of one step; `line` (or the values themselves) is what the terminal shows."""
        named = {f"{prefix}{name}": float(value) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_json({"step": step, **named}))
        if self._board is not None:
            for name, value in named.items():
                if math.isfinite(value):
                    self._board.add_scalar(name, value, step)
            self._board.flush()  # a run that is killed keeps what it wrote
        shown = line or "  ".join(f"{name} {value:.4g}" for name, value in named.items())
        self.say(f"step {step}  {shown}")

    def say(self, line: str) -> None:
        """A line for the terminal alone."""
        print(line, file=self.terminal, flush=True)


class NoLog:
    """What the other processes of a run log: nothing."""

    def __enter__(self) -> NoLog:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def validated(self, step: int) -> bool:
        return True

    def write(self, step: int, values: Mapping[str, float], *, prefix: str = "", line: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass


def _json(values: Mapping[str, Any]) -> str:
    finite = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _lines(path: Path) -> list[dict[str, Any]]:
    """Those that are whole: the last line of a killed run may be cut."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(json.JSONDecodeError):
            values = json.loads(line)
            if isinstance(values, dict) and isinstance(values.get("step"), int):
                found.append(values)
    return found
