"""Where numbers go: one line on the terminal, JSON lines on disk, TensorBoard where it is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO


class RunLog:
    """Writes `log.jsonl` in a run's folder; on resume, lines later than the checkpoint are dropped."""

    def __init__(self, folder: Path, step: int = 0, terminal: TextIO | None = None) -> None:
        self.path = folder / "log.jsonl"
        self.terminal = terminal or sys.stderr
        kept = [line for line in _lines(self.path) if line.get("step", 0) <= step] if step else []
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, step: int, values: Mapping[str, float], *, prefix: str = "", line: str = "") -> None:
        """Record values of one step; `line` (or the values themselves) is what the terminal shows."""
        named = {f"{prefix}{name}": float(value) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **named}) + "\n")
        if self._board is not None:
            for name, value in named.items():
                self._board.add_scalar(name, value, step)
        shown = line or "  ".join(f"{name} {value:.4g}" for name, value in named.items())
        print(f"step {step}  {shown}", file=self.terminal, flush=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):  # the last line of a killed run may be cut
            found.append(json.loads(line))
    return found
