"""Finished numbers kept on disk: the second evaluation of folders that did not change takes seconds.

A number is named by everything it depends on: the content of every clip on both sides, the prompts, the seed, the
features with their versions and weights, and the code of this package. Metrics of other packages are not kept, for
their code is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

from phonofilm.evaluation.features.extraction import ExtractedClip, Plan
from phonofilm.evaluation.prompts import Prompt
from phonofilm.evaluation.suite.aggregate import Measured
from phonofilm.evaluation.suite.registry import Metric
from phonofilm.files import write_bytes


class ResultCache:
    """The numbers of one evaluation in a folder, by metric."""

    def __init__(
        self,
        plan: Plan,
        generated: Sequence[ExtractedClip],
        real: Sequence[ExtractedClip],
        prompts: Mapping[str, Prompt],
        seed: int,
    ) -> None:
        self._plan = plan
        texts = {name: asdict(prompt) for name, prompt in sorted(prompts.items())}
        self._inputs = _digest([_clips(generated), _clips(real), texts, seed, code_digest()])

    def path(self, metric: Metric) -> Path:
        keys = [self._plan.keys[name] for name in metric.features]
        name = _digest([metric.name, metric.protocol, keys, self._inputs])
        return self._plan.cache / "results" / name[:2] / f"{name}.json"

    def get(self, metric: Metric) -> Measured | None:
        """The number, or None where it is not kept or not readable."""
        if metric.package is not None:
            return None
        try:
            kept = json.loads(self.path(metric).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return _measured(kept)

    def put(self, metric: Metric, found: Measured) -> None:
        """Keep a number.

        Raises:
            PhonofilmError: the folder cannot be written, or the disk is full.
        """
        if metric.package is None:
            path = self.path(metric)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, json.dumps(asdict(found)).encode())


def _measured(kept: Any) -> Measured | None:
    if not isinstance(kept, dict) or kept.keys() != {field.name for field in fields(Measured)}:
        return None
    return Measured(**{**kept, "notes": tuple(kept["notes"])})


def _clips(clips: Iterable[ExtractedClip]) -> list[tuple[str, str | None]]:
    return [(clip.name, clip.digest) for clip in clips]


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 of the source of evaluation and perception: when the code changes, cached numbers are computed again."""
    whole = hashlib.sha256()
    for room in ("evaluation", "perception"):
        folder = Path(__file__).parents[1] / room
        for path in sorted(folder.rglob("*.py")):
            whole.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return whole.hexdigest()
