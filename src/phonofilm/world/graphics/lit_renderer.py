"""Draws scenes in light: rounded bodies with materials and shadows, seen by a camera with a shutter and a lens.

Layers are those of the flat renderer. Here a layer's rounding is also the rounding of its edge towards the viewer (a
disc is a ball, a stick a cylinder), so it has a normal and is lit by a key light, the sky and the ground. Colours are
mixed in linear light. An edge that moves while the shutter is open is smeared by as much as it moves along its own
normal: the exact answer for straight edges, without drawing a frame more than once.

Every scene is drawn by itself, all of its frames at once: what is drawn beside it cannot change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from phonofilm.world.graphics.lens import Bloom, defocus, expose
from phonofilm.world.graphics.rasterizer import NAMES, Layer
from phonofilm.world.graphics.textures import surface

SHUTTER = 0.5  # share of a frame that the shutter is open: 180 degrees
JUMP = 0.10  # what moves farther than this while the shutter is open has been put elsewhere, and is not smeared
Paint = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Light:
    """Where light comes from and in which colours.

    Attributes:
        side: of the key light, -1 left to 1 right. key, sky, ground: colours, about 1. share: of the key in all light.
    """

    side: float
    key: tuple[float, float, float] = (1.10, 1.02, 0.92)
    sky: tuple[float, float, float] = (0.92, 1.06, 1.26)
    ground: tuple[float, float, float] = (0.86, 0.76, 0.66)
    share: float = 0.66

    def direction(self) -> tuple[float, float, float]:
        x, y, z = 0.62 * self.side, -0.72, 0.66
        size = math.sqrt(x * x + y * y + z * z)
        return x / size, y / size, z / size


@dataclass(frozen=True)
class Defocus:
    """Blurs all that was drawn before it: sigma in world units."""

    sigma: float


@dataclass(frozen=True)
class Mirror:
    """A glossy floor below y: mirrors what is above it, weaker the farther down; reach in world units."""

    y: float
    strength: float
    reach: float = 0.16


@dataclass(frozen=True, eq=False)
class Picture:
    """A scene to draw: how its backdrop is painted, what stands before it at times [3 T], and its light.

    Attributes:
        paint: from x [1, W] and y [H, 1] in world units to a colour [H, W, 3] in sRGB.
        stack: from back to front; layers over 3 T times: opening, middle and closing of the shutter of each frame.
    """

    paint: Paint
    stack: Sequence[Layer | Defocus | Mirror]
    light: Light
    bloom: Bloom = field(default_factory=Bloom)


def shutter_times(frames: int, fps: float) -> np.ndarray:
    """float64 [3 T]: for each frame the opening, the middle and the closing of its shutter; the middle is its time."""
    middle = np.arange(frames) / fps
    half = SHUTTER / fps / 2
    return np.stack([middle - half, middle, middle + half], -1).reshape(-1)


def draw(picture: Picture, frames: int, width: int, height: int, device: str | torch.device = "cpu") -> Tensor:
    """uint8 [T, height, width, 3]."""
    device = torch.device(device)
    scale = min(width, height)
    x = (torch.arange(width, device=device) + 0.5 - (width - scale) / 2) / scale
    y = (torch.arange(height, device=device) + 0.5 - (height - scale) / 2) / scale
    canvas = picture.paint(x[None, :], y[:, None]).clamp(min=0).square()[None].contiguous()
    for item in picture.stack:
        if isinstance(item, Defocus):
            canvas = defocus(canvas, item.sigma * scale)
        elif isinstance(item, Mirror):
            _mirror(canvas, item, y)
        else:
            canvas = _add(canvas, item, frames, scale, picture.light)
    return expose(canvas, picture.bloom, frames)


def _mirror(canvas: Tensor, mirror: Mirror, y: Tensor) -> None:
    below = int((y < mirror.y).sum())
    rows = min(canvas.shape[1] - below, below)
    if rows <= 0:
        return
    fade = (1 - (y[below : below + rows] - mirror.y) / mirror.reach).clamp(0, 1) * mirror.strength
    above = canvas[:, below - rows : below].flip(1)
    canvas[:, below : below + rows].lerp_(above, fade[None, :, None, None])


def _add(canvas: Tensor, layer: Layer, frames: int, scale: int, light: Light) -> Tensor:
    """Composite a layer; the canvas is one frame as long as nothing moved."""
    packed = layer.pack(3 * frames)
    if len(packed) == 1:
        rows, velocity = packed, np.zeros((1, 2), np.float32)
    else:
        rows = packed[1::3]
        velocity = packed[2::3, :2] - packed[::3, :2]
        velocity = np.where(np.abs(velocity).max(1, keepdims=True) > JUMP, 0.0, velocity).astype(np.float32)
        if (packed == packed[:1]).all():
            rows, velocity = rows[:1], velocity[:1] * 0
    opacity = rows[:, NAMES.index("opacity")]
    if opacity.max() <= 0.004:
        return canvas
    if len(rows) > canvas.shape[0]:
        canvas = canvas.expand(len(rows), -1, -1, -1).contiguous()
    if len(rows) < canvas.shape[0]:
        rows = np.broadcast_to(rows, (canvas.shape[0], rows.shape[1]))
        velocity = np.broadcast_to(velocity, (canvas.shape[0], 2))
    seen = np.flatnonzero(rows[:, NAMES.index("opacity")] > 0.004)
    _paint(canvas, rows[seen], velocity[seen], seen, scale, light, layer)
    return canvas


def _paint(
    canvas: Tensor, rows: np.ndarray, velocity: np.ndarray, seen: np.ndarray, scale: int, light: Light, layer: Layer
) -> None:
    _, height, width, _ = canvas.shape
    device = canvas.device
    column = {name: rows[:, i] for i, name in enumerate(NAMES)}
    reach = column["radius"] + column["soft"] + column["ring"]
    reach = reach + np.hypot(column["half_x"] + column["apart"], column["half_y"]) + np.abs(velocity).max(1)
    x = column["x"] * scale + (width - scale) / 2
    y = column["y"] * scale + (height - scale) / 2
    left, upper = np.floor(x - reach * scale - 1), np.floor(y - reach * scale - 1)
    right, lower = np.ceil(x + reach * scale + 1), np.ceil(y + reach * scale + 1)
    inside = (right > 0) & (lower > 0) & (left < width) & (upper < height)
    if not inside.any():
        return
    keep = np.flatnonzero(inside)
    left, upper = np.clip(left, 0, width)[keep], np.clip(upper, 0, height)[keep]
    right, lower = np.clip(right, 0, width)[keep], np.clip(lower, 0, height)[keep]
    wide, tall = int((right - left).max()), int((lower - upper).max())
    if wide == 0 or tall == 0:
        return
    still = (right.max() - left.min()) * (lower.max() - upper.min()) <= 1.7 * wide * tall
    if still:
        wide, tall = int(right.max() - left.min()), int(lower.max() - upper.min())
        left, upper = np.full(1, left.min()), np.full(1, upper.min())
    first_x = torch.from_numpy(np.minimum(left, width - wide)).to(device).long()
    first_y = torch.from_numpy(np.minimum(upper, height - tall)).to(device).long()
    p = {name: torch.from_numpy(column[name][keep].copy()).to(device)[:, None, None] for name in NAMES}
    colour = torch.from_numpy(rows[keep, -3:].copy()).to(device)[:, None, None, :]
    moved = torch.from_numpy(velocity[keep].copy()).to(device)
    across = first_x[:, None, None] + torch.arange(wide, device=device)
    down = first_y[:, None, None] + torch.arange(tall, device=device)[:, None]
    dx = (across + 0.5 - (width - scale) / 2) / scale - p["x"]
    dy = (down + 0.5 - (height - scale) / 2) / scale - p["y"]
    alpha, lit = shade(dx, dy, p, colour, moved, 1.0 / scale, light, layer.texture)
    alpha = alpha[..., None]
    if still:
        whole = len(seen) == canvas.shape[0] and len(keep) == len(seen)
        frames = slice(None) if whole else torch.from_numpy(seen[keep]).to(device)
        rows_, columns_ = slice(int(upper[0]), int(upper[0]) + tall), slice(int(left[0]), int(left[0]) + wide)
        under = canvas[frames, rows_, columns_]
        canvas[frames, rows_, columns_] = _over(under, lit, alpha, layer.emission)
        return
    index = (down * width + across).reshape(len(keep), -1)
    flat = canvas.view(canvas.shape[0], height * width, 3)
    frame = torch.from_numpy(seen[keep]).to(device)[:, None]
    under = flat[frame, index].view(len(keep), tall, wide, 3)
    flat[frame, index] = _over(under, lit, alpha, layer.emission).view(len(keep), -1, 3)


def _over(under: Tensor, lit: Tensor, alpha: Tensor, emission: float) -> Tensor:
    return under + lit * alpha if emission else torch.lerp(under, lit, alpha)


def shade(
    dx: Tensor,
    dy: Tensor,
    p: dict[str, Tensor],
    colour: Tensor,
    moved: Tensor,
    pixel: float,
    light: Light,
    texture: str = "",
) -> tuple[Tensor, Tensor]:
    """Coverage [n, h, w] and linear colour [n, h, w, 3] of one primitive.

    Args:
        dx [n, 1, w], dy [n, h, 1]: from its centre. p: its values [n, 1, 1]. colour: sRGB [n, 1, 1, 3].
        moved: how far it moves while the shutter is open, [n, 2] in world units. pixel: size of one.
    """
    has = {name: bool((p[name] != 0).any()) for name in ("angle", "apart", "ring", "soft", "shade", "gloss", "band")}
    cos, sin = torch.cos(p["angle"]), torch.sin(p["angle"])
    along, across = (dx * cos + dy * sin, dy * cos - dx * sin) if has["angle"] else (dx, dy)
    folded = torch.where(p["apart"] > 0, along.abs() - p["apart"], along) if has["apart"] else along
    out_x, out_y = folded.abs() - p["half_x"], across.abs() - p["half_y"]
    beyond_x, beyond_y = out_x.clamp(min=0), out_y.clamp(min=0)
    corner = torch.hypot(beyond_x, beyond_y)
    distance = corner + torch.maximum(out_x, out_y).clamp(max=0) - p["radius"]
    solid = has["shade"] or has["gloss"] or texture in ("metal", "glass")
    moving = bool((moved.abs() > 0.3 * pixel).any())
    grad_x = grad_y = torch.zeros(())
    if solid or moving:
        at_corner = corner > 1e-7
        grad_x = torch.where(at_corner, beyond_x / corner.clamp(min=1e-7), (out_x > out_y).float())
        grad_y = torch.where(at_corner, beyond_y / corner.clamp(min=1e-7), (out_x <= out_y).float())
    if has["ring"]:
        distance = torch.where(p["ring"] > 0, distance.abs() - p["ring"], distance)
    edge = pixel + p["soft"]
    if moving:
        vx, vy = moved[:, 0, None, None], moved[:, 1, None, None]
        edge = edge + (grad_x * (vx * cos + vy * sin)).abs() + (grad_y * (vy * cos - vx * sin)).abs()
    alpha = (0.5 - distance / edge).clamp(0, 1)
    if has["soft"]:
        alpha = torch.where(p["soft"] > 0, alpha * alpha * (3 - 2 * alpha), alpha)
    alpha = alpha * p["opacity"]

    albedo = colour.clamp(min=0).square()
    body_x, body_y = (p["half_x"] + p["radius"]).clamp(min=1e-4), (p["half_y"] + p["radius"]).clamp(min=1e-4)
    small, large = torch.minimum(body_x, body_y), torch.maximum(body_x, body_y)
    if not solid and not texture and not has["band"]:
        return alpha, albedo

    factor = torch.ones(1, 1, 1, 1, device=dx.device)
    glint = torch.zeros(1, 1, 1, device=dx.device)
    normal = (torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    if solid:
        slope = (1 + distance / p["radius"].clamp(min=0.5 * pixel)).clamp(0, 1)
        body_u, body_v = grad_x * slope * folded.sign(), grad_y * slope * across.sign()
        if has["apart"]:
            body_u = torch.where(p["apart"] > 0, body_u * along.sign(), body_u)
        normal_x = body_u * cos - body_v * sin if has["angle"] else body_u
        normal_y = body_u * sin + body_v * cos if has["angle"] else body_v
        normal = (normal_x, normal_y, (1 - slope * slope).clamp(min=0).sqrt())
        factor, glint = _lighting(dx, dy, p, normal, small, large, light)
    if has["band"]:
        dark = torch.where((p["band"] > 0) & (across.abs() < p["band"]), 0.45, 1.0)
        factor = factor * dark[..., None]
    if texture:
        # a body smaller than a few pixels shows no grain
        seed = (p["half_x"][:1] + p["radius"][:1]) * 97.0
        made = surface(texture, along / large, across / large, _facing(normal, dx, dy, body_x, body_y, p), seed)
        if made.pale is not None:
            albedo = torch.lerp(albedo, torch.full_like(albedo, 0.88), made.pale[..., None])
        if made.tone is not None:
            factor = factor * made.tone[..., None]
        if made.cover is not None:
            alpha = alpha * made.cover
        if made.glint is not None:
            glint = glint + made.glint
    return alpha, albedo * factor + glint[..., None]


def _facing(
    normal: tuple[Tensor, Tensor, Tensor], dx: Tensor, dy: Tensor, body_x: Tensor, body_y: Tensor, p: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The normal, and for the flat face of a box that of a slightly domed one, so that it mirrors something."""
    round_ = (p["radius"] / torch.minimum(body_x, body_y)).clamp(0, 1)
    flat = 1 - round_
    nx, ny = normal[0] + flat * 0.45 * dx / body_x, normal[1] + flat * 0.45 * dy / body_y
    return nx.clamp(-1, 1), ny.clamp(-1, 1), normal[2]


def _lighting(
    dx: Tensor,
    dy: Tensor,
    p: dict[str, Tensor],
    normal: tuple[Tensor, Tensor, Tensor],
    small: Tensor,
    large: Tensor,
    light: Light,
) -> tuple[Tensor, Tensor]:
    """Factor of the colour [n, h, w, 3] and highlight [n, h, w]; a face towards the viewer has factor 1."""
    x, y, z = light.direction()
    nx, ny, nz = normal
    key = light.share * ((nx * x + ny * y + nz * z).clamp(min=0) / z)
    colours = [torch.tensor(c, device=dx.device) for c in (light.key, light.sky, light.ground)]
    up = (1 - light.share) * (0.5 - 0.5 * ny)
    down = (1 - light.share) * (0.5 + 0.5 * ny)
    full = key[..., None] * colours[0] + up[..., None] * colours[1] + down[..., None] * colours[2]
    strength = (3.2 * p["shade"]).clamp(0, 1)
    even = p["shade"] * 0.55 * ((dx * light.side - dy) / large)
    factor = 1 + strength[..., None] * (full - 1) + even[..., None]
    size = math.sqrt(x * x + y * y + (z + 1) ** 2)
    facing = (nx * x + ny * y + nz * (z + 1)) / size
    spot = ((facing - 0.90) / 0.10).clamp(0, 1)
    round_ = (p["radius"] / small).clamp(0, 1)
    sheen = 0.22 * torch.exp(-((((dx * light.side - dy) / small - 0.7) / 0.4) ** 2)) * (1 - round_)
    return factor.clamp(min=0.03), p["gloss"] * (0.85 * spot * spot + sheen)
