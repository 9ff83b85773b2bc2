"""MUSHRA: trials, post-screening and results, against raters whose truth is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_evaluation_study_design import study as plain_study

from phonofilm.config import from_dict, to_dict
from phonofilm.evaluation.study.analysis import analyse
from phonofilm.evaluation.study.mushra import (
    Score,
    letters,
    not_degraded,
    permutation_p,
    rater_differences,
    results,
    scores,
    screen,
    summary,
)
from phonofilm.evaluation.study.protocol import Mushra, Stimulus, Study
from phonofilm.evaluation.study.store import Happening, Rating

LOW, MIDDLE = "low-pass 3.5 kHz", "low-pass 7 kHz"


def study(systems: int = 3, items: int = 6, scenes: int = 4) -> Study:
    made = plain_study(systems, items, likert=0, pairs=2, anchors=0, catches=0, duplicates=0)
    extra = [
        Stimulus(f"m-{name}-{item}.mp4", name, item, kind, 2.0, "0" * 64)
        for item in made.items
        for name, kind in ((LOW, "mushra-anchor"), (MIDDLE, "mushra-anchor"), ("open reference", "open-reference"))
    ]
    return replace(made, stimuli=(*made.stimuli, *extra), mushra=Mushra(scenes))


def rated(made: Study, seat: int, value) -> list[Rating]:
    """Ratings of one seat: `value(system, item)` on the sliders, ties for pairs."""
    found = []
    for trial in made.trials(seat):
        if trial.role == "mushra":
            shown = [made.stimuli[i] for i in trial.stimuli[1:]]
            answers = {letter: value(s.system, s.item) for letter, s in zip(letters(trial), shown, strict=True)}
        else:
            answers = {scale.name: 0 for scale in made.pair_scales}
        found.append(Rating(seat, trial.index, answers, 0.0))
    return found


def able(seat: int) -> list[Happening]:
    return [Happening(seat, None, "headphones", {"right": 4, "asked": 4}, 0.0)]


def test_a_trial_has_every_version_once_and_the_open_reference_first():
    made = study()
    orders = Counter()
    for seat in range(30):
        mine = [t for t in made.trials(seat) if t.role == "mushra"]
        assert [t.role for t in made.trials(seat)][-4:] == ["mushra"] * 4
        for trial in mine:
            shown = [made.stimuli[i] for i in trial.stimuli]
            assert shown[0].kind == "open-reference"
            assert len({s.item for s in shown}) == 1
            assert sorted(s.system for s in shown[1:]) == sorted([*made.systems, LOW, MIDDLE])
            assert len({s.file for s in shown}) == len(shown), "the hidden reference has a file name of its own"
            orders[[s.system for s in shown].index("reference")] += 1
        assert len({made.stimuli[t.stimuli[0]].item for t in mine}) == 4
        assert made.trials(seat) == made.trials(seat)
    assert set(orders) == {1, 2, 3, 4, 5}
    assert min(orders.values()) > 10, "the hidden reference is anywhere"


def test_scenes_are_judged_equally_often():
    made = study()
    assert made.balanced_raters % 3 == 0
    trials = [t for seat in range(made.balanced_raters) for t in made.trials(seat) if t.role == "mushra"]
    seen = Counter(made.stimuli[t.stimuli[0]].item for t in trials)
    assert len(set(seen.values())) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, mushra=Mushra(7)), "1 to 6 scenes"),
        (lambda s: replace(s, mushra=Mushra(0)), "1 to 6 scenes"),
        (lambda s: replace(s, stimuli=s.stimuli[:-1]), "one for each scene"),
        (lambda s: replace(s, stimuli=(*s.stimuli, s.stimuli[0])), "one for each scene"),
        (lambda s: replace(s, mushra=None), "one for each scene"),
        (lambda s: replace(s, anchors=-1), "negative"),
    ],
)
def test_a_mushra_that_cannot_be(change, said):
    with pytest.raises(ValueError, match=said):
        change(study())
    with pytest.raises(ValueError, match="9 systems at most"):
        study(systems=11)


def test_studies_made_before_mushra_keep_their_hash():
    # of the program before it knew MUSHRA, so that its ratings stay usable
    assert plain_study().hash == "2f69f65e039181f3e70df0fa5f91cf96872cde242276d7488c5d971e6e00be04"
    values = to_dict(plain_study())
    del values["mushra"]
    assert from_dict(Study, values).hash == plain_study().hash
    assert study().hash != replace(study(), mushra=Mushra(3)).hash


@pytest.mark.parametrize(("low", "of", "out"), [(0, 4, False), (1, 4, True), (0, 6, False), (1, 6, True)])
def test_the_hidden_reference_below_90_in_more_than_15_percent_screens(low, of, out):
    made = study(scenes=of)
    counter = iter(range(99))
    ratings = rated(made, 0, lambda system, _: (89 if next(counter) < low else 90) if system == "reference" else 50)
    found = analyse(made, ratings, able(0))["raters"][0]
    assert found["mushra"]["reference_low"] == low
    assert found["mushra"]["reference_of"] == of
    assert any(f"hidden reference below 90 in {low} of {of}" in r for r in found["reasons"]) == out


def test_exactly_15_percent_is_still_taken():
    made = study(items=20, scenes=20)
    counter = iter(range(99))
    ratings = rated(made, 0, lambda system, _: (10 if next(counter) < 3 else 95) if system == "reference" else 50)
    assert analyse(made, ratings, able(0))["raters"][0]["reasons"] == ()


def test_the_mid_range_anchor_above_90_screens_unless_a_quarter_of_the_raters_agree():
    made = study(scenes=6)
    fine = {"reference": 100, MIDDLE: 60}
    ratings = [r for seat in range(8) for r in rated(made, seat, lambda s, _: fine.get(s, 40))]
    ratings += rated(made, 8, lambda s, _: 95 if s == MIDDLE else fine.get(s, 40))
    found = analyse(made, ratings, [e for seat in range(9) for e in able(seat)])
    assert found["counted"] == 8
    assert "mid-range anchor above 90 in 6 of 6" in found["raters"][8]["reasons"][0]
    assert found["mushra_not_degraded"] == []
    # a scene that the filter does not change: everybody scores its anchor high, and nobody is left out for it
    same = made.items[0]
    ratings = [
        r for seat in range(9) for r in rated(made, seat, lambda s, item: 97 if item == same else fine.get(s, 40))
    ]
    found = analyse(made, ratings, [e for seat in range(9) for e in able(seat)])
    assert found["mushra_not_degraded"] == [same]
    assert found["counted"] == 9
    assert not_degraded(made, scores(made, ratings)) == {same}
    assert screen(made, scores(made, ratings)[:0], frozenset()).reference_of == 0


def test_results_find_the_order_and_the_size_of_differences():
    made, rng = study(scenes=6), np.random.default_rng(0)
    truth = {"reference": 97, "system 0": 75, "system 1": 60, MIDDLE: 45, LOW: 20}
    ratings = []
    for seat in range(12):
        taste = rng.normal(0, 4)
        ratings += rated(made, seat, lambda s, _, t=taste: int(np.clip(truth[s] + t + rng.normal(0, 6), 0, 100)))
    found = results(made, scores(made, ratings))
    assert list(found["versions"]) == [*made.systems, *made.mushra.anchors]
    for name, row in found["versions"].items():
        assert row["value"] == pytest.approx(truth[name], abs=5)
        assert row["low"] < row["value"] < row["high"] <= 100
        assert row["quartiles"][0] <= row["median"] <= row["quartiles"][1]
        assert row["n"] == 72
    row = next(r for r in found["differences"] if (r["first"], r["second"]) == ("system 0", "system 1"))
    assert row["low"] < 15 < row["high"]
    assert row["holm"] < 0.05
    assert row["raters"] == 12
    assert results(plain_study(), []) is None


def test_equal_scores_have_no_interval_but_a_number():
    row = summary([Score(seat, "a", item, 100) for seat in range(2) for item in "xy"])
    assert (row["value"], row["low"], row["high"], row["n"]) == (100, None, None, 4)
    assert summary([Score(0, "a", "x", 40)])["low"] is None


def test_differences_pair_by_rater_and_scene():
    first = [Score(0, "a", "x", 80), Score(0, "a", "y", 60), Score(1, "a", "x", 50)]
    second = [Score(0, "b", "x", 70), Score(1, "b", "x", 55), Score(1, "b", "z", 0)]
    assert rater_differences(first, second) == [10, -5]


def share_as_far(values: np.ndarray, signs: np.ndarray) -> float:
    """Share of sign flips whose mean is at least as far from 0 as that of the values."""
    return float((np.abs((signs * values).mean(1)) >= abs(values.mean()) - 1e-12).mean())


def test_the_permutation_test_is_the_exact_one_for_few_raters_and_close_for_many():
    rng = np.random.default_rng(1)
    few = rng.normal(2, 4, 9)
    every_sign = np.array(list(product((-1, 1), repeat=9)))
    assert permutation_p(few) == pytest.approx(share_as_far(few, every_sign))
    many = rng.normal(1, 4, 40)
    some_signs = rng.choice((-1, 1), (20_000, 40))
    assert permutation_p(many) == pytest.approx(share_as_far(many, some_signs), abs=0.02)
    assert permutation_p([0.0, 0.0]) == 1


def test_without_any_difference_five_percent_are_found():
    rng = np.random.default_rng(2)
    ps = [permutation_p(rng.normal(0, 5, 8), seed) for seed in range(400)]
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.08
