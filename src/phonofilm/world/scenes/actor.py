"""What takes part in a scene: a thing with facts, events, a look and a sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Score
from phonofilm.world.graphics.lit_renderer import Defocus, Mirror
from phonofilm.world.graphics.rasterizer import Layer

Stack = Sequence[Layer | Defocus | Mirror]


class Actor(Protocol):
    """Bodies, instruments, vehicles, explosions, rain or people.

    Attributes:
        facts: plain facts, as JSON can hold them. events: what it does, in order of time.
    """

    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def events(self) -> tuple[Event, ...]: ...

    def layers(self, times: np.ndarray) -> Stack:
        """How it looks at times [T], from back to front."""

    def score(self) -> Score:
        """How it sounds, all the scene long."""
