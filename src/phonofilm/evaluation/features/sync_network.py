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
from phonofilm.evaluation.suite.sample import AbsentError, Sample
from phonofilm.signals.validation import Floats
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


def logits_of(sample: Sample) -> Floats:
    """Logits [2·lags + 1] over `sync_grid()` of a picture and the sound that it is shown with."""
    if sample.picture is sample.sound:
        return sample.picture("syncnet")["logits"]
    import torch

    seen, heard = (torch.from_numpy(x.astype(np.float32))[None] for x in _pair(sample))
    with torch.inference_mode():
        try:
            return network().compare(seen, heard)[0].double().numpy()
        except ValueError as error:
            raise AbsentError(str(error)) from error


def _pair(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    return sample.picture("syncnet")["seen"], sample.sound("syncnet")["heard"]


@cache
def sync_grid() -> Floats:
    """Offsets in seconds that the network answers with, positive = audio early."""
    from phonofilm.perception.audiovisual.syncnet import offset_grid

    return offset_grid(network().config.lags)


@dataclass(frozen=True)
class Shipped(Feature):
    """A feature of weights that ship."""

    def depends(self, weights: Path | None = None) -> dict[str, str]:
        return super().depends(weights) | {"weights": FILES["syncnet"]}


OWN = (Shipped("syncnet", 1, "both", load_syncnet, {"torch": "torch"}),)
