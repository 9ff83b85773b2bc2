"""TransNet V2 on films whose cuts and dissolves are known, and how what it says becomes shots."""

from __future__ import annotations

import random

import numpy as np
import torch

from curate_films import scene
from phonofilm.data.curate.shots import changes_of
from phonofilm.media import resize_frames
from phonofilm.perception.vision import transnet


def small(*frames: np.ndarray) -> np.ndarray:
    return resize_frames(np.concatenate(frames), transnet.SIZE, crop=False)


def test_cuts_and_dissolves_are_found() -> None:
    one, two, three = (scene(seed, 3.0) for seed in (41, 42, 43))
    share = ((np.arange(12) + 0.5) / 12)[:, None, None, None]
    middle = (two[-12:] * (1 - share) + three[:12] * share).round().astype(np.uint8)
    seeds = torch.initial_seed(), np.random.get_state()[1][0], random.getstate()[1][0]
    cuts, mixed = changes_of(*transnet.shot_changes(small(one, two[:-12], middle, three[12:])))
    assert cuts == [36]
    assert len(mixed) == 1
    assert abs(sum(mixed[0]) / 2 - 66) < 4
    assert (torch.initial_seed(), np.random.get_state()[1][0], random.getstate()[1][0]) == seeds
    assert not torch.are_deterministic_algorithms_enabled(), "the package's own set-up would change the process"


def test_what_it_says_becomes_cuts_and_mixtures() -> None:
    middle, member = np.zeros(60), np.zeros(60)
    middle[20], member[20] = 0.9, 0.9  # a cut between frames 20 and 21
    middle[40], member[35:46] = 0.8, 0.9  # a dissolve of frames 35 to 45
    member[50:55] = 0.9  # without a middle that is sure
    assert changes_of(middle, member) == ([21], [(34, 46)])
    assert changes_of(np.zeros(3), np.zeros(3)) == ([], [])
