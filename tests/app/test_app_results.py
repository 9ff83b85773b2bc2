"""The report's comparison of one pass with two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from phonofilm.app.experiments.joint_vs_cascade import systems_table
from phonofilm.app.experiments.results import run_systems
from phonofilm.app.experiments.single_model_cascade import cascade
from phonofilm.backends.native import NativeBackend
from phonofilm.errors import PhonofilmError
from phonofilm.types import Latents, Request


class Watched(nn.Module):
    """A network that notes which streams are there, and which are given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.config, self.seen = network, network.config, []
        self.text_cache, self.text_cache_bytes = network.text_cache, network.text_cache_bytes

    def forward(self, latents: Latents, sigma: Latents, *rest: Any, **options: Any) -> Latents:
        def state(level: Tensor | None) -> str:
            return "absent" if level is None else "given" if not level.any() else "noisy"

        self.seen.append((state(sigma.video), state(sigma.audio)))
        return self.network(latents, sigma, *rest, **options)


def test_a_cascade_makes_the_picture_alone_and_then_sound_for_it(tiny_model: Path) -> None:
    backend = NativeBackend.load(tiny_model, device="cpu")
    watched = Watched(backend.parts.transformer)
    object.__setattr__(backend.parts, "transformer", watched)
    clip = cascade(backend, backend, "a red ball", seed=3)
    assert watched.seen == [("noisy", "absent")] * 3 + [("given", "noisy")] * 3
    assert clip.frames is not None
    assert clip.frames.shape == (48, 64, 64, 3)
    assert clip.waveform is not None
    assert clip.waveform.shape == (2, 64_000)
    assert clip.prompt == "a red ball"
    sound = backend.generate(Request(prompt="a red ball", task="foley", seed=3, source=clip.with_(waveform=None)))
    assert np.array_equal(sound.waveform, clip.waveform), "the second stage sees nothing but the picture"


def test_systems_stand_beside_each_other_with_truth_and_chance() -> None:
    row: dict[str, Any] = {
        "name": "AV-Align", "group": "sync", "unit": "", "better": "higher", "value": 0.5, "low": 0.4, "high": 0.6,
        "reference": 0.9, "control": 0.1, "n": 64,
    }  # fmt: skip
    joint = {"protocol": "quick", "scored": 64, "rows": [row], "missing": {"FVD": "no weights"}}
    cascaded = {**joint, "rows": [{**row, "value": 0.3, "low": None, "high": None}]}
    text = "\n".join(systems_table({"joint": joint, "cascaded": cascaded}))
    assert "| AV-Align | ↑ | 0.500 [0.400, 0.600] | 0.300 (n = 64) | 0.900 | 0.100 |" in text
    assert "FVD (no weights)" in text


def test_results_of_other_weights_are_not_mixed(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="of other weights"):
        run_systems(str(tiny_model), {"weights": "0" * 64, "clips": 2}, tmp_path, print)
