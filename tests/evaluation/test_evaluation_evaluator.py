"""The benchmark of what `evaluate` can be trusted with: its bars can be missed, and its table says how many clips."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import EXTRAPOLATED
from phonofilm.signals.sync.alignment import Alignment

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evaluator.py"


@pytest.fixture(scope="module")
def evaluator():
    spec = importlib.util.spec_from_file_location("evaluator", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluator"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["evaluator"]


class FakeScenes:
    """Features of clips without the clips: rows of one clip lie near one another, and some clips far out."""

    families = ("bounce", "strike")

    def __init__(self, width: int = 6, late: float = 0.0, known: bool = True) -> None:
        self.rng, self.width, self.late, self.known = np.random.default_rng(0), width, late, known

    def kept(self, family: str, number: int, measure: str) -> dict[str, np.ndarray]:
        middle = self.rng.standard_t(5, self.width) * np.linspace(0.2, 2, self.width)
        rows = middle + 0.5 * self.rng.normal(size=(4, self.width))
        return {"patches": np.repeat(rows[:, None], 2, axis=1)}

    def offset(self, family: str, seen: int, heard: int, shift: float = 0.0) -> Alignment:
        return Alignment(1000 * shift - self.late + self.rng.normal(), self.known, 0.9, "events")


def test_splits_of_one_set_cover_0_from_the_size_on_at_which_it_is_given(evaluator):
    lines = list(evaluator.extrapolation(FakeScenes(), EXTRAPOLATED, 100))
    assert [line.passed for line in lines] == [True, True]
    assert "of 100" in lines[0].value
    assert "share clips" in lines[1].value
    few = list(evaluator.extrapolation(FakeScenes(), 20, 5))
    assert all("200 clips" in line.value for line in few)


def test_sets_that_are_not_one_are_not_covered(evaluator):
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(4, 6)) + 3 * (index % 2) for index in range(2 * EXTRAPOLATED)]
    apart = evaluator.FeatureSet(), evaluator.FeatureSet()
    for index, rows in enumerate(parts):
        apart[index % 2].add(f"{index:064x}", rows)
    assert evaluator.distance("frechet-infinity", *apart).interval.low > 10
    assert abs(evaluator.split_distance(parts, EXTRAPOLATED, 0).value) < 1


@pytest.mark.parametrize(("late", "known", "met"), [(2.0, True, True), (18.0, True, False), (2.0, False, False)])
def test_offsets_are_held_against_their_bars(evaluator, late, known, met):
    lines = list(evaluator.offsets(FakeScenes(late=late, known=known), 4, 4))
    assert len(lines) == 2 * len(evaluator.SHIFTS)
    assert {line.passed for line in lines} == {met}
    assert all("of 4" in line.value for line in lines)
    if known:
        assert f"median error +{late:.0f}"[:14] in lines[0].value


def test_labels_are_exchanged_whole(evaluator):
    names = [f"{n}.mp4" for n in range(40)]
    sides = [
        {
            "clips": {name: {"offset": side} for name in names},
            "generated": {"hashes": {name: f"{side}{name}" for name in names}},
        }
        for side in "ab"
    ]
    mixed = evaluator.exchanged(*sides, np.random.default_rng(0))
    moved = [name for name in names if mixed[0]["clips"][name]["offset"] == "b"]
    assert 8 < len(moved) < 32
    for name in names:
        for side, other in ((0, 1), (1, 0)):
            mine = "ab"[other if name in moved else side]
            assert mixed[side]["clips"][name]["offset"] == mine
            assert mixed[side]["generated"]["hashes"][name] == f"{mine}{name}"


def test_two_scenes_make_a_table_that_a_second_run_takes_from_the_cache(evaluator, tmp_path, monkeypatch, capsys):
    words = ["evaluator", "--clips", "2", "--shifted", "1", "--pairs", "2", "--part", "offsets,swapped"]
    words += ["--families", "strike", "--cache", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", words)
    evaluator.main()
    first = json.loads(capsys.readouterr().out)
    assert first["clips"] == 2
    assert len(first["lines"]) == len(evaluator.SHIFTS) + 2
    assert "of 2" in first["lines"][0]["value"]
    monkeypatch.setattr(evaluator.world, "clips", lambda *given: pytest.fail("a scene was drawn again"))
    evaluator.main()
    assert json.loads(capsys.readouterr().out) == first
    monkeypatch.setattr(sys, "argv", [*words[:-1], "--families", "cloud"])
    with pytest.raises(PhonofilmError, match="no family 'cloud'"):
        evaluator.main()
