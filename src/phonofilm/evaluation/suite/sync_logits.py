"""What the sync network answers about a picture and the sound that it is shown with."""

from __future__ import annotations

from functools import cache

import numpy as np

from phonofilm.evaluation.features.sync_network import network
from phonofilm.evaluation.suite.sample import AbsentError, Sample
from phonofilm.signals.validation import Floats


def sync_logits(sample: Sample) -> Floats:
    """Logits [2·lags + 1] over `sync_grid()` of a picture and the sound that it is shown with."""
    if not sample.swapped:
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
