"""Perceptual hashes of picture and sound, by which the same content is known again after it was coded or cut anew."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.signals.fingerprint import SAMPLE_RATE, sound_fingerprint

RATE = 4
"""Pictures a second that are hashed."""

BITS = 16
"""Side of the hash: 256 bits."""

FLAT = 0.02
"""Deviation of luminance below which a picture has nothing to be known by."""


def _hashes(material: Material, known: Mapping[str, Value]) -> Value:
    imagehash = importlib.import_module("imagehash")
    frames = inside_bars(material.frames, known["picture"]["crop"])
    count = max(1, round(material.shot.seconds * RATE))
    ticks = np.minimum(((np.arange(count) + 0.5) / RATE * material.fps).astype(int), len(frames) - 1)
    pictures = [
        str(imagehash.phash(Image.fromarray(frames[tick]), hash_size=BITS))
        for tick in ticks
        if material.images[tick].std() > FLAT
    ]
    bits, loud = sound_fingerprint(material.mono(SAMPLE_RATE))
    packed = np.packbits(bits, axis=1) if len(bits) else np.zeros((0, 4), np.uint8)
    return {"pictures": pictures, "sound": packed.tobytes().hex(), "loud": np.packbits(loud).tobytes().hex()}


def inside_bars(frames: np.ndarray, crop: list[float]) -> np.ndarray:
    """What lies inside the bars around pictures [T, H, W, 3], by the crop that the step "picture" found."""
    height, width = frames.shape[1:3]
    left, top, right, bottom = crop
    return frames[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def pictures_of(value: Value) -> np.ndarray:
    """bool [T, 256] of the result of this step."""
    packed = [np.frombuffer(bytes.fromhex(one), np.uint8) for one in value["pictures"]]
    return np.unpackbits(np.stack(packed), axis=1).astype(bool) if packed else np.zeros((0, BITS * BITS), bool)


def sound_of(value: Value) -> np.ndarray:
    """bool [T, 32] of the moments in which anything is heard."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(value["sound"]), np.uint8).reshape(-1, 4), axis=1).astype(bool)
    loud = np.unpackbits(np.frombuffer(bytes.fromhex(value["loud"]), np.uint8))[: len(bits)].astype(bool)
    return bits[loud]


HASHES = Step("hashes", 1, _hashes, needs=("picture",), modules=("imagehash",), packages=("imagehash",))
