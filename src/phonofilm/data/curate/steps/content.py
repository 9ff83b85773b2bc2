"""What is seen: light, colour, how much moves, what the camera does, and whether there is a face and how large."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.perception.vision.faces import FaceTracker
from phonofilm.signals.camera_motion import camera_shift, translated
from phonofilm.signals.motion import SIDE, luminance

RATE = 6.0
"""Pictures a second between which motion is measured."""

LOOKS = 8
"""Pictures of a shot in which faces are looked for."""

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
HUES = (0.0, 30.0, 55.0, 120.0, 180.0, 225.0, 275.0, 320.0)
"""Degrees of hue that the names stand for."""

VIVID, COVERS = 0.35, 0.15
"""Saturation from which on a pixel has a colour, and the share of all pixels that a colour has which is told."""


def _content(material: Material, known: Mapping[str, Value]) -> Value:
    step = max(1, round(material.fps / RATE))
    images = luminance(material.frames[::step], SIDE)
    colours = colours_of(material.frames[:: max(1, len(material.frames) // LOOKS)])
    if len(images) < 2:
        return {"light": float(images.mean()), "colours": colours, "moves": 0.0, "pan": 0.0, "tilt": 0.0}
    shift = camera_shift(images[:-1], images[1:])
    left = np.abs(translated(images[1:], shift) - images[:-1]).mean()
    seconds = len(shift) * step / material.fps
    # what is seen goes the other way than the camera
    pan, tilt = -shift[:, 0].sum() / images.shape[2] / seconds, -shift[:, 1].sum() / images.shape[1] / seconds
    return {
        "light": float(images.mean()), "colours": colours, "moves": float(left),
        "pan": float(pan), "tilt": float(tilt), "shake": float(np.diff(shift, axis=0).std()) if len(shift) > 2 else 0.0,
    }  # fmt: skip


def colours_of(frames: np.ndarray) -> list[str]:
    """Names of the colours that cover much of pictures uint8 [T, h, w, 3], the greatest first."""
    rgb = frames.reshape(-1, 3)[::7].astype(np.float32) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    spread = high - low
    vivid = (spread > VIVID * np.maximum(high, 1e-6)) & (high > 0.15)
    red, green, blue = rgb.T
    scale = np.maximum(spread, 1e-6)
    hue = np.where(
        high == red,
        (green - blue) / scale % 6,
        np.where(high == green, (blue - red) / scale + 2, (red - green) / scale + 4),
    )
    away = np.abs((60 * hue[:, None] - np.array(HUES) + 180) % 360 - 180)
    shares = np.bincount(away.argmin(axis=1)[vivid], minlength=len(HUES)) / max(len(rgb), 1)
    return [COLOURS[place] for place in np.argsort(-shares, kind="stable") if shares[place] >= COVERS]


def _faces(material: Material, known: Mapping[str, Value]) -> Value:
    frames = material.frames[np.linspace(0, len(material.frames) - 1, LOOKS).round().astype(int)]
    found = face_tracker()(frames)
    seen = found.found
    if not seen.any():
        return {"share": 0.0, "height": None, "mouth": None}
    points = found.landmarks[seen]
    height = np.ptp(points[:, :, 1], axis=1) / frames.shape[1]
    return {
        "share": float(seen.mean()),
        "height": float(np.median(height)),
        "mouth": float(found.mouth_opening[seen].std()),
    }


@cache
def face_tracker() -> FaceTracker:
    return FaceTracker.load()


CONTENT = Step("content", 1, _content, costly=True)
FACES = Step(
    "faces", 1, _faces, modules=("mediapipe", "ai_edge_litert"), packages=("mediapipe", "ai-edge-litert"), costly=True
)
