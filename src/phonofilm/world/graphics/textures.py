"""Procedural surfaces: smooth noise, and what wood, rubber, metal and glass do to the light.

Value noise over a fixed lattice (Perlin, "An image synthesizer", SIGGRAPH 1985), so that a surface is the same
at every resolution. Contrasts are low and grains coarse: a surface must be seen at 128 pixels, and survive a codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

LATTICE = 64  # cells before the noise repeats


@dataclass(frozen=True)
class Surface:
    """What a texture makes of a body.

    Attributes:
        tone: factor of the colour. pale: 0 to 1, share of white mixed in. cover: factor of the opacity.
        glint: light added, in 0..1. Each broadcasts against [n, h, w]; None leaves things as they are.
    """

    tone: Tensor | None = None
    pale: Tensor | None = None
    cover: Tensor | None = None
    glint: Tensor | None = None


@lru_cache(maxsize=4)
def _lattice(device: torch.device) -> Tensor:
    values = np.random.default_rng(1919).random((LATTICE, LATTICE), np.float32)
    return torch.from_numpy(values).to(device).reshape(-1)


def noise(x: Tensor, y: Tensor, octaves: int = 1) -> Tensor:
    """Smooth noise in 0..1 at places x, y in cells of the lattice; octaves double in detail, halve in weight."""
    table = _lattice(x.device)
    total, weight, whole = torch.zeros(()), 1.0, 0.0
    for octave in range(octaves):
        left, upper = torch.floor(x), torch.floor(y)
        u, v = x - left, y - upper
        u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
        i, j = left.long() % LATTICE, upper.long() % LATTICE
        i1, j1 = (i + 1) % LATTICE * LATTICE, (j + 1) % LATTICE
        i = i * LATTICE
        top = torch.lerp(table[i + j], table[i1 + j], u)
        low = torch.lerp(table[i + j1], table[i1 + j1], u)
        total = total + weight * torch.lerp(top, low, v)
        x, y, whole, weight = x * 2 + 17.3 * (octave + 1), y * 2 + 5.7, whole + weight, weight / 2
    return total / whole


def surface(name: str, u: Tensor, v: Tensor, normal: tuple[Tensor, Tensor, Tensor], seed: Tensor) -> Surface:
    """A named texture on a body.

    Args:
        u, v: place on the body in half lengths, turning with it. normal: x, y, z of the surface, in the picture.
        seed: shifts the grain from body to body.
    """
    if name == "wood":
        return _wood(u, v, seed)
    if name == "rubber":
        return _rubber(v)
    if name == "metal":
        return _metal(u, v, normal)
    if name == "glass":
        return _glass(normal)
    if name == "cloth":
        return Surface(tone=0.93 + 0.14 * noise(u * 5 + seed, v * 5, 2))
    if name == "hair":
        return Surface(tone=0.82 + 0.36 * noise(u * 9 + seed, v * 1.3))
    if name == "leaves":
        return Surface(tone=0.62 + 0.72 * noise(u * 3.2 + seed, v * 3.2, 2))
    if name == "smoke":
        return Surface(cover=(1.9 * noise(u * 1.7 + seed, v * 1.7, 2) - 0.25).clamp(0, 1), tone=1.15 - 0.22 * v)
    raise ValueError(f"there is no texture {name!r}")


def _wood(u: Tensor, v: Tensor, seed: Tensor) -> Surface:
    """Growth rings cut lengthwise: bands along the grain that bend a little."""
    bend = 0.5 * noise(u * 1.1 + seed, v * 1.6 + seed)
    rings = torch.sin((v * 1.55 + bend) * (2 * torch.pi))
    return Surface(tone=0.90 + 0.13 * rings + 0.10 * (noise(u * 2.0, v * 9 + seed) - 0.5))


def _rubber(v: Tensor) -> Surface:
    """Matte, with a pale stripe around it that shows how it turns."""
    return Surface(pale=0.78 * ((0.27 - v.abs()) / 0.07).clamp(0, 1))


def _metal(u: Tensor, v: Tensor, normal: tuple[Tensor, Tensor, Tensor]) -> Surface:
    """A polished body mirrors a bright sky, a dark horizon and a lit floor."""
    up = -normal[1]
    sky = ((up + 0.05) / 0.75).clamp(0, 1)
    horizon = torch.exp(-(((up + 0.12) / 0.17) ** 2))
    floor = ((-up - 0.25) / 0.6).clamp(0, 1)
    return Surface(tone=0.62 + 0.62 * sky - 0.40 * horizon + 0.30 * floor, glint=0.16 * sky * sky)


def _glass(normal: tuple[Tensor, Tensor, Tensor]) -> Surface:
    """Clear in the middle and dense at the rim, as Fresnel says; light gathers on the far side."""
    rim = (1 - normal[2]) ** 2
    gathered = ((normal[1] - 0.35) / 0.5).clamp(0, 1) * (1 - rim)
    return Surface(cover=0.42 + 0.58 * rim.sqrt(), tone=0.85 + 0.55 * gathered, glint=0.22 * gathered + 0.20 * rim)
