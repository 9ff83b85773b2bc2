"""The benchmark of how stems hang together: without attention between them, none can know of another."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from phonofilm.backends.native import NativeBackend
from phonofilm.types import Clip, Request

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coupling.py"


@pytest.fixture(scope="module")
def coupling():
    spec = importlib.util.spec_from_file_location("coupling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["coupling"] = module  # its dataclass looks its annotations up there
    spec.loader.exec_module(module)
    return module


def test_stems_apart_know_nothing_of_one_another(coupling, tiny_stems_model: Path):
    model = NativeBackend.load(tiny_stems_model, device="cpu")
    network = model.parts.transformer
    times = np.arange(24_000) / 24_000

    def music(pitch: float) -> np.ndarray:
        words = np.stack([0.02 * np.sin(2 * np.pi * pitch * times)] * 2).astype(np.float32)
        given = {"speech": Clip(waveform=words, sample_rate=24_000)}
        request = Request("x", only=("music",), given_stems=given, gain={"music": -40.0}, seed=1, steps=2)
        return model.generate(request).stems["music"]

    before = music(200), music(800)
    assert np.abs(before[0] - before[1]).max() > 1e-5, "music hears the speech that is given"
    join = coupling.isolate(network)
    apart = music(200), music(800)
    assert np.abs(apart[0] - apart[1]).max() < 1e-7
    join()
    assert (music(200) == before[0]).all(), "it is as it was"


def test_scenes_are_coupled(coupling):
    for name in coupling.COUPLINGS:
        family, _, truth, clip = next(coupling.scenes(name))
        measure, given = coupling.COUPLINGS[name].measure, coupling.COUPLINGS[name].given
        assert measure(clip.stems[given], clip.stems["music"]) >= coupling.COUPLED
        assert family == truth.family


def test_a_line_has_the_paired_difference(coupling):
    rows = [{"truth": 8.0, "model": 5.0 + n, "apart": 1.0 + n} for n in range(6)]
    rows.append({"truth": 8.0, "model": None, "apart": 0.0})
    cells = coupling.line("ducking", rows).split(" | ")
    assert cells[:3] == ["| ducking", "6", "+8.00 [+8.00, +8.00]"]
    assert cells[-1] == "+4.00 [+4.00, +4.00] |"
    assert coupling.line("ducking", rows[:1]).endswith("| 1 | – | – | – | – |")


def test_what_was_measured_is_kept(coupling, tmp_path: Path):
    (family, seed, *_) = next(islice(coupling.scenes("ducking"), 1))
    kept = tmp_path / "kept.jsonl"
    kept.write_text(f'{{"family": "{family}", "seed": {seed}, "truth": 5.0, "model": 4.0, "apart": 0.0}}\n')

    def load():
        raise AssertionError("nothing is made again")

    assert [row["model"] for row in coupling.measured(load, "ducking", 1, None, kept)] == [4.0]
