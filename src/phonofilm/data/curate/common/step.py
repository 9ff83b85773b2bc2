"""A step: a pure function of a shot and of what other steps found, with a name, a version and a key."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot
from phonofilm.weights import fetched_judges
from phonofilm.weights.public import quick_digest

Value = Mapping[str, Any]
"""What a step found, as JSON holds it."""


@dataclass(frozen=True)
class Step:
    """One measurement of a shot.

    Attributes:
        name: under which its result is kept, and by which others need it.
        version: raised whenever its result would change; then it and all that need it are worked out again.
        run: the measurement. It reads nothing but its arguments.
        needs: steps whose results it takes.
        takes: steps whose results it also takes where they ran. settings: names of settings that it reads.
        modules: what must be installed for it. packages: distributions whose version changes its result.
        weights: published networks that must have been fetched (`phonofilm weights get NAME`).
        costly: left until cheap steps and near-duplicates have thrown out what they throw out.
    """

    name: str
    version: int
    run: Callable[[Material, Mapping[str, Value]], Value]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    costly: bool = False

    def missing(self) -> str | None:
        """What it needs and is not here, in words; None where it can run."""
        modules = [module for module in self.modules if importlib.util.find_spec(module) is None]
        if modules:
            return f"needs {', '.join(modules)}, not installed"
        lacking = [name for name in self.weights if name not in fetched_judges()]
        return f"not measured: needs weights (phonofilm weights get {' '.join(lacking)})" if lacking else None

    def key(self, shot: Shot, keys: Mapping[str, str], settings: Mapping[str, str]) -> str:
        """Hash of everything that the result depends on: the shot's content, this step, and the steps it needs."""
        parts = [
            self.name, str(self.version), shot.source, str(shot.start), str(shot.stop),
            *(f"{name}={metadata.version(name)}" for name in self.packages),
            *(f"{name}={_weights_digest(fetched_judges()[name])}" for name in self.weights),
            *(keys[name] for name in self.needs),
            *(f"{name} {keys.get(name, '')}" for name in self.takes),
            *(f"{name}: {settings.get(name, '')}" for name in self.settings),
        ]  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


@cache
def _weights_digest(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return quick_digest(files)


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Steps so that each comes after those it needs, otherwise as they are given.

    Raises:
        ValueError: a step needs another that is not there, or that needs it in turn.
    """
    waiting, done = list(steps), dict[str, Step]()
    while waiting:
        later = {step.name for step in waiting}
        ready = [step for step in waiting if all(name in done for name in step.needs) and not later & set(step.takes)]
        if not ready:
            raise ValueError(f"steps {', '.join(step.name for step in waiting)} need what is not there")
        done |= {step.name: step for step in ready}
        waiting = [step for step in waiting if step.name not in done]
    return tuple(done.values())


def keys_of(steps: Sequence[Step], shot: Shot, settings: Mapping[str, str]) -> dict[str, str]:
    """The key of each step for a shot; steps must be `in_order`."""
    keys: dict[str, str] = {}
    for step in steps:
        keys[step.name] = step.key(shot, keys, settings)
    return keys


def plain(value: Any) -> Any:
    """A result as JSON gives it back, so that a fresh one is the same as one that was kept; NaN becomes None."""
    return json.loads(json.dumps(_without_nan(value), default=_number, allow_nan=False))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _without_nan(value.tolist())
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def _number(value: Any) -> Any:
    raise TypeError(f"a step's result holds {type(value).__name__}, which JSON does not")
