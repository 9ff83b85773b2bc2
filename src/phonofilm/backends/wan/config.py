"""What a published Wan says of itself, in our terms: the clock, its experts, and how it wants to be sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.errors import PhonofilmError
from phonofilm.types import Geometry

Picture = Literal["none", "channels", "tokens"]
"""How a first picture is told: not at all; as more input channels, beside the latents (I2V-A14B); or as tokens whose
noise level is 0 (TI2V-5B)."""


@dataclass(frozen=True)
class Settings:
    """One model of the family.

    Attributes:
        trained: the grid it was trained on, and its sampling. Its guidance is that of the high-noise expert.
        picture: how it is given a first picture.
        boundary: the noise level from which on `transformer` works, `transformer_2` below; None is one network.
        low_guidance: the scale of the low-noise expert.
    """

    trained: ModelDefaults
    picture: Picture
    boundary: float | None
    low_guidance: float


@dataclass(frozen=True)
class _Recipe:
    """The original's choices (Wan-Video/Wan2.2, wan/configs)."""

    size: tuple[int, int]
    fps: int
    steps: int
    shift: float
    guidance: tuple[float, float]


_RECIPES: dict[Picture, _Recipe] = {
    "none": _Recipe((832, 480), 16, 40, 12.0, (4.0, 3.0)),
    "channels": _Recipe((832, 480), 16, 40, 5.0, (3.5, 3.5)),
    "tokens": _Recipe((1280, 704), 24, 50, 5.0, (5.0, 5.0)),
}
SECONDS = Fraction(5)
"""All were trained on five seconds and one frame; longer films fall apart."""


def settings(index: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]], where: str) -> Settings:
    """From model_index.json and the config.json of each component.

    Raises:
        PhonofilmError: a member of the family that is not supported.
    """
    network, vae = configs["transformer"], configs["vae"]
    latents, taken = vae["z_dim"], network["in_channels"]
    step = vae.get("scale_factor_temporal", 4)
    if network.get("image_dim") is not None:
        raise PhonofilmError(f"{where} sees pictures through CLIP, as Wan 2.1 does; Wan 2.2 is supported")
    if taken == latents:
        picture: Picture = "tokens" if index.get("expand_timesteps") else "none"
    elif taken == 2 * latents + step:
        picture = "channels"
    else:
        known = f"{latents} or {2 * latents + step}"
        raise PhonofilmError(f"the components in {where} do not belong together: channels are {taken}, not {known}")
    recipe = _RECIPES[picture]
    trained = ModelDefaults(
        size=recipe.size,
        fps=Fraction(recipe.fps),
        seconds=SECONDS,
        prediction="velocity",
        sampler="unipc",
        steps=recipe.steps,
        shift=recipe.shift,
        guidance=(recipe.guidance[0], 1.0),
        geometry=Geometry(
            video_time=step, video_space=vae.get("scale_factor_spatial", 8), patch=tuple(network["patch_size"])
        ),
    )
    return Settings(trained, picture, index.get("boundary_ratio"), recipe.guidance[1])
