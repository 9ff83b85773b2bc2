"""The conditions that recipes can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.training.conditions.condition import Condition
from phonofilm.training.conditions.motion import MOTION
from phonofilm.types import Latents

CONDITIONS: Sequence[Condition] = (
    MOTION,
)  # fmt: skip


def conditions_named(names: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of these names.

    Raises:
        PhonofilmError: there is none of that name, or one is named twice.
    """
    known = {one.input.name: one for one in CONDITIONS}
    for place, name in enumerate(names):
        if name not in known:
            raise PhonofilmError(f"there is no condition {name!r}; choose from {', '.join(known)}")
        if name in names[:place]:
            raise PhonofilmError(f"condition {name} is named twice")
    return tuple(known[name] for name in names)


def measured(conditions: Sequence[Condition], clean: Latents) -> Mapping[str, Tensor]:
    """By name, what a network is told of a batch of clean latents; what cannot be measured is left out."""
    found = {one.input.name: one.measure(clean) for one in conditions}
    return {name: value for name, value in found.items() if value is not None}
