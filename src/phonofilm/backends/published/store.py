"""Sampled latents on disk: when decoding fails or is cut off, the same job goes on from them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.types import Latents

KEEP = 24
"""So many windows are kept; older ones go."""

RANKS = {"video": 5, "audio": 4}
"""Dimensions of what `Latents` holds; files of earlier versions have others."""


def work_home() -> Path:
    """Where unfinished work lies: $PHONOFILM_WORK, or a folder in the user's cache."""
    chosen = os.environ.get("PHONOFILM_WORK")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else cache / "phonofilm" / "latents"


@dataclass(frozen=True)
class Store:
    """The windows of one job, named by all that decides them."""

    home: Path
    job: str

    @staticmethod
    def of(decided: str) -> Store:
        """The store of a job that `decided` describes in full."""
        return Store(work_home(), hashlib.sha256(decided.encode()).hexdigest()[:32])

    def path(self, window: int, stage: str = "") -> Path:
        return self.home / f"{self.job}-{window:03d}{stage and '-'}{stage}.safetensors"

    def load(self, window: int, stage: str = "") -> Latents | None:
        """What an earlier run sampled, or None; a damaged file, or one of another layout of latents, counts as none."""
        path = self.path(window, stage)
        if not path.is_file():
            return None
        try:
            tensors, _ = load_tensors(path)
        except PhonofilmError:
            return None
        as_now = all(name in RANKS and tensor.ndim == RANKS[name] for name, tensor in tensors.items())
        return Latents(tensors.get("video"), tensors.get("audio")) if as_now else None

    def save(self, window: int, latents: Latents, stage: str = "") -> Path:
        """Keep a window, and forget the oldest of all jobs."""
        self.home.mkdir(parents=True, exist_ok=True)
        present = {"video": latents.video, "audio": latents.audio}
        path = save_tensors(self.path(window, stage), {name: t for name, t in present.items() if t is not None})
        kept = sorted(self.home.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-KEEP]:
            old.unlink(missing_ok=True)
        return path
