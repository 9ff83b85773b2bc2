"""What a condition is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from phonofilm.model.config import ConditionInput
from phonofilm.types import Latents


@dataclass(frozen=True)
class Condition:
    """One thing that a network can be told, and how training finds it.

    Attributes:
        input: its name, the stream that it reaches, its width, and where it comes in.
        measure: clean latents to float32 [B, tokens of that stream, width], or [B, 1, width] for all tokens alike; None
            where the batch lacks what it is measured on.
    """

    input: ConditionInput
    measure: Callable[[Latents], Tensor | None]
