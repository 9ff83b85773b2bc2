"""Says in prose what happens in a composed scene: the whole, and speech, effects and music apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from phonofilm.world.scenes.scene import Scene


def write(rng: np.random.Generator, family: str, scene: Scene) -> dict[str, str]:
    return {"whole": family, "speech": "", "effects": "", "music": ""}
