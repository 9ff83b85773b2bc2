"""Training: one loop, small tasks, recipes in `recipes/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["train"]


def train(recipe: str | Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    """Train what a recipe says and return the path of the exported weights; see `training.loop.train`."""
    from phonofilm.training.loop import train as run

    return run(recipe, overrides, resume)
