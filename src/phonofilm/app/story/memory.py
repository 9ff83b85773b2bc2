"""What a model must have to keep a cast and its places the same from shot to shot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from phonofilm.backends.base import Cancel
from phonofilm.types import Clip, Progress, Request


@runtime_checkable
class Remembering(Protocol):
    """A backend with memory tokens: clean latents of first appearances, which later shots attend to."""

    def remember(self, clip: Clip) -> Any:
        """The memory of what appears in a clip."""

    def generate_with(
        self,
        request: Request,
        memories: Mapping[str, Any],
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Clip:
        """As `Backend.generate`, for a shot with these of the cast and this place."""


def told_without(model: str, names: tuple[str, ...]) -> str:
    """The line for a model that has no memory."""
    return (
        f"{model} has no memory of {' and '.join(names)}: each shot is told of them in words alone, and they may "
        "look and sound different"
    )
