"""What a model made is handed on only where it is finite: half-precision overflow or damaged weights make the rest."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor

from phonofilm.codecs.pixels import all_finite
from phonofilm.errors import PhonofilmError
from phonofilm.types import Latents

Stream = Literal["picture", "sound"]


def check_finite(values: Tensor | np.ndarray, stream: Stream) -> None:
    """Refuse numbers that are infinite or no numbers; call it before they are clamped or rounded.

    Raises:
        PhonofilmError: there are such.
    """
    whole = all_finite(values) if isinstance(values, Tensor) else bool(np.isfinite(values).all())
    if not whole:
        raise PhonofilmError(
            f"the {stream} holds values that are not finite; nothing was written: try another precision "
            f"(--device cpu), or check the weights"
        )


def checked(latents: Latents) -> Latents:
    """The latents, once both streams are known to be finite.

    Raises:
        PhonofilmError: one is not.
    """
    for values, stream in ((latents.video, "picture"), (latents.audio, "sound")):
        if values is not None:
            check_finite(values, stream)  # type: ignore[arg-type]
    return latents
