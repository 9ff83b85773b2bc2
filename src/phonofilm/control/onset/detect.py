"""From a silent film to the times and strengths of its events."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.checkpoint import load_module
from phonofilm.control.foleycrafter import refuse_foleycrafter
from phonofilm.control.onset.network import RATE, Marks, OnsetNet
from phonofilm.errors import PhonofilmError

THRESHOLD = 0.5
"""How likely an event must be to be named, unless asked otherwise."""

FLOOR = -40.0
"""dB of full scale that stand for a strength of 0."""


@dataclass(frozen=True)
class Onset:
    """Something that begins: seconds from the film's start, how strong from 0 to 1, how sure from 0 to 1."""

    time: float
    strength: float
    confidence: float


def to_strength(loudness: float) -> float:
    """dB of full scale as a strength from 0 to 1."""
    return min(max(1 - loudness / FLOOR, 0.0), 1.0)


def to_detector_frames(frames: Tensor, size: int) -> Tensor:
    """uint8 [T, H, W, 3] of any size to float32 [T, 3, size, size] in [-1, 1]."""
    x = frames.permute(0, 3, 1, 2)
    height, width = x.shape[2:]
    if (height, width) == (2 * size, 2 * size):  # the world's clips: the same means, quickly
        return F.avg_pool2d(x.float(), 2).mul_(2 / 255).sub_(1)
    if (height, width) != (size, size):
        small = [F.interpolate(one.float(), (size, size), mode="area") for one in x.split(32)]
        return torch.cat(small).mul_(2 / 255).sub_(1)
    return x.float().mul_(2 / 255).sub_(1)


def at_rate(frames: np.ndarray, fps: Fraction) -> np.ndarray:
    """The picture that is seen at each 24th of a second."""
    count = max(1, round(len(frames) / fps * RATE))
    shown = (np.arange(count) * float(fps / RATE) + 1e-6).astype(int).clip(0, len(frames) - 1)
    return frames[shown]


def peaks(marks: Marks, threshold: float = THRESHOLD) -> list[Onset]:
    """The events of one film's marks [1, T] or [T]: pictures that are likelier than their neighbours."""
    likely, offset, strength = (
        part.reshape(-1).double().numpy() for part in marks._replace(logits=marks.logits.sigmoid())
    )
    left, right = np.concatenate([[0.0], likely[:-1]]), np.concatenate([likely[1:], [0.0]])
    found = np.flatnonzero((likely >= threshold) & (likely >= left) & (likely > right))
    return [
        Onset(float(max(0.0, (at + offset[at]) / float(RATE))), float(strength[at].clip(0, 1)), float(likely[at]))
        for at in found
    ]


@dataclass(frozen=True)
class Detector:
    """A network that is ready to look at films."""

    network: OnsetNet

    @staticmethod
    def load(path: str | Path, device: str = "cpu") -> Detector:
        """Read its weights.

        Raises:
            PhonofilmError: weights that are missing, corrupt, or of another network.
        """
        refuse_foleycrafter(path)
        return Detector(load_module(OnsetNet, path, device).requires_grad_(False))

    @torch.inference_mode()
    def marks(self, frames: np.ndarray, fps: Fraction) -> Marks:
        """What it says of each 24th of a second of frames uint8 [T, H, W, 3].

        Raises:
            PhonofilmError: a film without pictures.
        """
        if frames.ndim != 4 or not len(frames):
            raise PhonofilmError("there are no pictures to look at; name a film")
        device = next(self.network.parameters()).device
        seen = to_detector_frames(torch.from_numpy(at_rate(frames, fps)), self.network.config.size)
        return Marks(*(part.cpu() for part in self.network(seen[None].to(device))))

    def onsets(self, frames: np.ndarray, fps: Fraction, threshold: float = THRESHOLD) -> list[Onset]:
        """The film's events in order; see `marks`.

        Raises:
            PhonofilmError: a film without pictures, or a threshold that is no share.
        """
        if not 0 < threshold < 1:
            raise PhonofilmError(f"a threshold of {threshold:g} is not between 0 and 1")
        return peaks(self.marks(frames, fps), threshold)
