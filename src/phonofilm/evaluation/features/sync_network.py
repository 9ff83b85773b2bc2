"""The feature of our own sync network, whose weights ship: embeddings of picture and sound, and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.weights.shipped import FILES

if TYPE_CHECKING:
    from phonofilm.perception.audiovisual.syncnet import SyncNet

LEAST = 2.0
"""Seconds of both that an answer needs: at the largest lag only one is left to compare."""


@cache
def network() -> SyncNet:
    """The network, loaded once a process."""
    from phonofilm.perception.audiovisual.syncnet import SyncNet

    return SyncNet.load()


def load_syncnet(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.audiovisual.syncnet import RATE, log_mel, prepare_frames

    judge = network()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            frames = prepare_frames(film.frames, film.fps, judge.config.size)
            seen = judge.vision(frames[None])
            heard = judge.hearing(log_mel(torch.from_numpy(film.mono)[None], judge.config.bands))
            if min(seen.shape[1], heard.shape[1]) < LEAST * RATE:
                raise UnfitError(f"the sync network needs {LEAST:g} s of picture and sound")
            logits = judge.compare(seen, heard)[0]
        return {"seen": seen[0].half().numpy(), "heard": heard[0].half().numpy(), "logits": logits.double().numpy()}

    return take


@dataclass(frozen=True)
class Shipped(Feature):
    """A feature of weights that ship."""

    def depends(self, weights: Path | None = None) -> dict[str, str]:
        return super().depends(weights) | {"weights": FILES["syncnet"]}


OWN = (Shipped("syncnet", 1, "both", load_syncnet, {"torch": "torch"}),)
