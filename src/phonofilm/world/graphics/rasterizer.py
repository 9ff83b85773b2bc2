"""Draws scenes: one primitive, a shaded rounded box with a soft edge, evaluated as a signed distance.

A disc is a rounded box without sides, a stick one without width, a ring the shell of one. Every layer
is computed only in a window around it, for all clips and frames of a batch at once, on CPU or GPU.
Signed distance of the rounded box: Inigo Quilez, "2D distance functions".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layer:
    """One primitive over time; each value is a number or an array [T], colours are [3] or [T, 3].

    Lengths are in world units, angles in radians.

    Attributes:
        x, y: centre.
        half_x, half_y: half sides before rounding; radius: of the rounding.
        angle: rotation.
        opacity: 0 to 1.
        soft: width of the edge beyond anti-aliasing, for shadows and glows.
        ring: half thickness of the shell if positive, else the body is filled.
        apart: if positive, the primitive is drawn twice, mirrored, this far to either side.
        shade: how much the side away from the light darkens.
        gloss: strength of a highlight towards the light.
        band: half height of a darker band along the body's own x axis, which shows its rotation.
        light: direction of the light, -1 from the left to 1 from the right.
        colour: RGB in 0..1 (may exceed 1 for light).
        texture: name of a surface in `graphics.textures`; only the lit renderer draws it.
        emission: 1 adds the colour as light instead of covering what lies behind; only the lit renderer.
    """

    x: np.ndarray | float
    y: np.ndarray | float
    half_x: np.ndarray | float = 0.0
    half_y: np.ndarray | float = 0.0
    radius: np.ndarray | float = 0.0
    angle: np.ndarray | float = 0.0
    opacity: np.ndarray | float = 1.0
    soft: np.ndarray | float = 0.0
    ring: np.ndarray | float = 0.0
    apart: np.ndarray | float = 0.0
    shade: np.ndarray | float = 0.0
    gloss: np.ndarray | float = 0.0
    band: np.ndarray | float = 0.0
    light: np.ndarray | float = 0.0
    colour: np.ndarray | Sequence[float] = (1.0, 1.0, 1.0)
    texture: str = ""
    emission: float = 0.0

    def pack(self, frames: int) -> np.ndarray:
        """float32 [T or 1, 17]: one row per frame, or a single row for what does not move."""
        values = [np.asarray(getattr(self, name), np.float32) for name in (*NAMES, "colour")]
        still = all(v.ndim == 0 for v in values[:-1]) and values[-1].ndim == 1
        count = 1 if still else frames
        columns = [np.broadcast_to(v, (count,)) for v in values[:-1]]
        return np.concatenate([np.stack(columns, -1), np.broadcast_to(values[-1], (count, 3))], -1)


HIDDEN = Layer(0.5, 0.5, opacity=0.0)  # keeps the number of layers the same where there is nothing to draw
NAMES = tuple(f.name for f in fields(Layer))[:-3]


def draw(
    backdrops: np.ndarray,
    layers: Sequence[Sequence[Layer]],
    frames: int,
    width: int,
    height: int,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Draw a batch of scenes.

    Args:
        backdrops: float [B, 2, 3], colours of the top and the bottom of the backdrop.
        layers: for each of B scenes its layers from back to front; all scenes have equally many.
        frames: T.

    Returns:
        uint8 [B, T, height, width, 3].
    """
    scale = min(width, height)
    device = torch.device(device)
    top, bottom = torch.from_numpy(np.asarray(backdrops, np.float32)).to(device).unbind(1)
    down = torch.linspace(0, 1, height, device=device)[:, None]
    canvas = torch.lerp(top[:, None, None, None], bottom[:, None, None, None], down[None, None, :, :, None])
    canvas = canvas.expand(-1, -1, -1, width, -1).contiguous()
    for slot in zip(*layers, strict=True):
        packed = [layer.pack(frames) for layer in slot]
        count = max(len(p) for p in packed)
        rows = np.stack([np.broadcast_to(p, (count, p.shape[1])) for p in packed])
        if count > canvas.shape[1]:
            canvas = canvas.expand(-1, count, -1, -1, -1).contiguous()
        rows = np.array(np.broadcast_to(rows, (len(rows), canvas.shape[1], rows.shape[2])))
        if rows[..., NAMES.index("opacity")].max() > 0:
            paint(canvas, torch.from_numpy(rows).to(device), scale)
    canvas = canvas.expand(-1, frames, -1, -1, -1)
    return (canvas.clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous()


def paint(canvas: Tensor, rows: Tensor, scale: int) -> None:
    """Composite one layer of every clip and frame onto canvas [B, T, H, W, 3] in place; rows [B, T, 17]."""
    batch, frames, height, width, _ = canvas.shape
    p = dict(zip(NAMES, rows[..., :-3].reshape(batch * frames, -1, 1).unbind(1), strict=True))
    seen = (p["opacity"][:, 0] > 0).nonzero()[:, 0]
    p = {name: value[seen] for name, value in p.items()}
    colour = rows[..., -3:].reshape(batch * frames, 1, 3)[seen]

    reach = p["radius"] + p["soft"] + p["ring"] + torch.hypot(p["half_x"] + p["apart"], p["half_y"])
    side = 2 * math.ceil(float(reach.max()) * scale + 1) + 1
    tall, wide = min(side, height), min(side, width)
    to_pixel_x, to_pixel_y = (width - scale) / 2, (height - scale) / 2
    left = (p["x"] * scale + to_pixel_x - wide / 2).round().long().clamp(0, width - wide)
    upper = (p["y"] * scale + to_pixel_y - tall / 2).round().long().clamp(0, height - tall)
    column = left[:, :, None] + torch.arange(wide, device=canvas.device)
    row = upper[:, :, None] + torch.arange(tall, device=canvas.device)[:, None]
    dx = (column.float() + 0.5 - to_pixel_x) / scale - p["x"][..., None]
    dy = (row.float() + 0.5 - to_pixel_y) / scale - p["y"][..., None]
    alpha, light, gloss = primitive(dx, dy, p, 1.0 / scale)

    index = (row * width + column).reshape(len(seen), -1)
    flat = canvas.view(batch * frames, height * width, 3)
    under = flat[seen[:, None], index]
    alpha, light, gloss = (v.reshape(len(seen), -1, 1) for v in (alpha, light, gloss))
    lit = colour * light
    flat[seen[:, None], index] = torch.lerp(under, lit + gloss * (1 - lit), alpha)


def primitive(dx: Tensor, dy: Tensor, p: dict[str, Tensor], pixel: float) -> tuple[Tensor, Tensor, Tensor]:
    """Coverage, lighting factor and highlight of a primitive; dx [n, 1, w], dy [n, h, 1], p values [n, 1].

    Each is [n, h, w]; lighting and highlight are [n, 1, 1] where they do not vary.
    """
    q = {name: value[..., None] for name, value in p.items()}
    cos, sin = torch.cos(q["angle"]), torch.sin(q["angle"])
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    # most primitives are plain: what none of these has is not computed
    has = {name: bool((q[name] != 0).any()) for name in ("apart", "ring", "soft", "shade", "gloss", "band")}
    folded = torch.where(q["apart"] > 0, along.abs() - q["apart"], along) if has["apart"] else along
    out_x, out_y = folded.abs() - q["half_x"], across.abs() - q["half_y"]
    distance = torch.hypot(out_x.clamp(min=0), out_y.clamp(min=0)) + torch.maximum(out_x, out_y).clamp(max=0)
    distance = distance - q["radius"]
    if has["ring"]:
        distance = torch.where(q["ring"] > 0, distance.abs() - q["ring"], distance)
    alpha = (0.5 - distance / (pixel + q["soft"])).clamp(0, 1) * q["opacity"]
    if has["soft"]:
        alpha = torch.where(q["soft"] > 0, alpha * alpha * (3 - 2 * alpha / q["opacity"].clamp(min=1e-6)), alpha)

    body_x, body_y = (q["half_x"] + q["radius"]).clamp(min=1e-4), (q["half_y"] + q["radius"]).clamp(min=1e-4)
    body = torch.minimum(body_x, body_y)
    light, gloss = torch.ones_like(body), torch.zeros_like(body)
    if has["shade"]:
        light = 1 + q["shade"] * ((dx * q["light"] - dy) / torch.maximum(body_x, body_y))
    if has["band"]:
        light = light * torch.where((q["band"] > 0) & (across.abs() < q["band"]), 0.62, 1.0)
    if has["gloss"]:
        spot = ((dx - 0.4 * body * q["light"]) ** 2 + (dy + 0.4 * body) ** 2) / (0.35 * body) ** 2
        gloss = q["gloss"] * torch.exp(-spot)
    return alpha, light, gloss
