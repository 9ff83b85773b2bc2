"""What a feature is: something computed once per clip that serves many metrics, and what it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.evaluation.features.decoded_clip import DECODING
from phonofilm.weights.public import MANIFEST

Extractor = Callable[[Any], Mapping[str, np.ndarray]]
"""Of a `Film`; of a prompt, where the feature's stream is "text"."""


@dataclass(frozen=True)
class Feature:
    """Something measured of one clip.

    Attributes:
        name: how metrics ask for it.
        version: raised whenever its numbers change, which makes the cache forget the old ones.
        stream: what it looks at; "text" for prompts.
        load: builds the function that takes it, given the file or folder of the published weights or None; where it
            has weights, also given the device.
        packages: distributions that its numbers come from (module name by distribution name).
        weights: name of the published weights that it needs.
        lacks: of given weights, what must still be put beside them, or None.
    """

    name: str
    version: int
    stream: str
    load: Callable[..., Extractor]
    packages: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    lacks: Callable[[Path], str | None] | None = None

    def missing(self) -> tuple[str, ...]:
        """Distributions that are not installed."""
        return tuple(name for name, module in self.packages.items() if util.find_spec(module) is None)

    def depends(self, weights: Path | None = None) -> dict[str, str]:
        """All that decides its numbers: versions, decoder, hash of weights."""
        versions = {name: _version(name) for name in ("av", "numpy", *self.packages)}
        found = {"feature": f"{self.name} v{self.version}", "decoding": DECODING, **versions}
        return found | ({"weights": weights_sha256(weights)} if weights is not None else {})

    def key(self, weights: Path | None = None) -> str:
        """Its name in the cache."""
        return key_of(self.depends(weights))


def key_of(depends: Mapping[str, str]) -> str:
    """The name in the cache of a feature that depends on these (`Feature.depends`)."""
    text = json.dumps({**depends, "numpy": ""}, sort_keys=True)
    return f"{depends['feature'].rpartition(' v')[0]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def weights_sha256(path: Path) -> str:
    """SHA-256 of a file of weights; of a folder, over the names and hashes of what a network is built from.

    Raises:
        PhonofilmError: it cannot be read.
    """
    parts = [path] if path.is_file() else sorted(part for part in path.iterdir() if part.suffix in WEIGHTS)
    stamps = tuple((part, part.stat().st_size, part.stat().st_mtime_ns) for part in parts)
    return _sha256(stamps, path.is_file())


WEIGHTS = {".safetensors", ".bin", ".pth", ".pt", ".json"}
"""Suffixes of what a folder in transformers' layout is built from; the note of a fetch is left out."""


@cache
def _sha256(stamps: tuple[tuple[Path, int, int], ...], alone: bool) -> str:
    if alone:
        return file_sha256(stamps[0][0])
    lines = [f"{file_sha256(path)}  {path.name}\n" for path, _, _ in stamps if path.name != MANIFEST]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
