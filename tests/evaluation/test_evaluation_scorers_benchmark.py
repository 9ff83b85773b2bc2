"""The benchmark of the scorers prints a line for every measure, and its faults are faults."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from phonofilm import world
from phonofilm.types import Clip

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scorers.py"


@pytest.fixture(scope="module")
def scorers():
    spec = importlib.util.spec_from_file_location("scorers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_scenes_make_a_table(scorers, tmp_path):
    one = scorers.table(["strike"], 1, None, tmp_path)
    text = scorers.table(["strike"], 2, None, tmp_path)
    kept = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert len(kept) == 2, "the first clip was measured once"
    (tmp_path / "scores.jsonl").write_text("\n".join(kept) + '\n{"family": "str')
    assert scorers.table(["strike"], 2, None, tmp_path) == text, "nothing is measured again, nor a line cut off read"
    assert "| strike | sync | 1 |" in one
    rows = text.splitlines()
    measures = {row.split(" | ")[1]: row.split(" | ")[2:] for row in rows[2:]}
    assert rows[0].count("|") == rows[2].count("|") == 8
    clips, truth, _, fault, _ = measures["order"]
    assert (clips, truth[:4], fault) == ("2", "1.00", "0.00: order reversed")
    assert measures["sync"][3].endswith("sound 120 ms late")


def test_planted_faults(scorers):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    sound = rng.standard_normal((2, 24_000)).astype(np.float32) * 0.1
    clip = Clip(frames, 24, sound, 24_000, stems={"speech": np.zeros_like(sound), "effects": sound})
    later = scorers.late(clip)
    np.testing.assert_array_equal(later.waveform[:, 2880:], sound[:, :-2880])
    np.testing.assert_array_equal(later.stems["effects"], later.waveform)
    assert not later.waveform[:, :2880].any()
    np.testing.assert_array_equal(scorers.mirrored(clip).frames[:, :, 0], frames[:, :, -1])
    np.testing.assert_array_equal(scorers.turned(clip).stems["effects"], sound[::-1])
    np.testing.assert_array_equal(scorers.recoloured(clip).frames[..., 0], frames[..., 1])
    np.testing.assert_allclose(scorers.leaking(clip).stems["speech"], 0.1 * sound)


def test_a_body_less(scorers):
    truths = (world.sample("bounce", scorers.FIRST_SEED + i, 1.0, edition=2) for i in range(20))
    truth = next(t for t in truths if len(t.params["objects"]) == 2)
    before = world.render([truth], 32, 4, 8000).frames[0].numpy().astype(int)
    after = world.render([scorers.without_last(truth)], 32, 4, 8000).frames[0].numpy().astype(int)
    gone = truth.params["objects"][-1]
    x, other = (int(32 * thing["start"]) for thing in (gone, truth.params["objects"][0]))
    change = np.abs(after[0] - before[0]).max(-1).max(0)  # of columns of the first picture
    assert change[x] > 60
    assert change[other] < change[x] / 2
