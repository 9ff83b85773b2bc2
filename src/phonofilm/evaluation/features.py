"""What is taken of a clip once and serves many metrics, and what each of it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.evaluation.film import DECODING, Film

Taker = Callable[[Film], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Feature:
    """Something measured of one clip.

    Attributes:
        name: how metrics ask for it.
        version: raised whenever its numbers change, which makes the cache forget the old ones.
        stream: what it looks at.
        load: builds the function that takes it, given the file of the published weights or None.
        packages: distributions that its numbers come from (module name by distribution name).
        weights: name of the published weights that it needs.
    """

    name: str
    version: int
    stream: str
    load: Callable[[Path | None], Taker]
    packages: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None

    def missing(self) -> tuple[str, ...]:
        """Distributions that are not installed."""
        return tuple(name for name, module in self.packages.items() if util.find_spec(module) is None)

    def depends(self, weights: Path | None = None) -> dict[str, str]:
        """All that decides its numbers: versions, decoder, hash of weights."""
        versions = {name: _version(name) for name in ("av", "numpy", *self.packages)}
        found = {"feature": f"{self.name} v{self.version}", "decoding": DECODING, **versions}
        return found | ({"weights": file_sha256(weights)} if weights is not None else {})

    def key(self, weights: Path | None = None) -> str:
        """Its name in the cache."""
        text = json.dumps({**self.depends(weights), "numpy": ""}, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def catalogue() -> dict[str, Feature]:
    """Every feature by name."""
    from phonofilm.evaluation.features_core import CORE
    from phonofilm.evaluation.features_embedded import EMBEDDED
    from phonofilm.evaluation.features_published import PUBLISHED

    return {feature.name: feature for feature in (*CORE, *EMBEDDED, *PUBLISHED)}
