"""The design is balanced for any size, and says nothing about who made what."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from phonofilm.config import from_dict, to_dict
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.study.latin_square import balanced_seats, cell, seat_cells, williams
from phonofilm.evaluation.study.protocol import Rules, Stimulus, Study, load_study, save_study

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 12))


def study(systems: int = 3, items: int = 6, **options) -> Study:
    names = [f"system {i}" for i in range(systems - 1)] + ["reference"]
    scenes = [f"scene {i}" for i in range(items)]
    stimuli = [
        Stimulus(f"{i}-{j}.mp4", a, b, "reference" if a == "reference" else "system", 2.0, "0" * 64)
        for i, a in enumerate(names)
        for j, b in enumerate(scenes)
    ]
    for scene in scenes[:2]:
        stimuli.append(Stimulus(f"c-{scene}.mp4", "catch", scene, "catch", 2.0, "0" * 64))
        stimuli += [Stimulus(f"{a}-{scene}.mp4", f"anchor {a}", scene, "anchor", 2.0, "0" * 64) for a in range(3)]
    chosen = {"likert": 6, "pairs": 4, "anchors": 3, "catches": 2, "duplicates": 2} | options
    return Study("Test", 1, tuple(names), tuple(scenes), tuple(stimuli), **chosen)


@given(SIZES)
@settings(max_examples=60)
def test_every_cell_is_judged_equally_often_and_at_every_position(sizes):
    rows, columns, block = sizes
    assume(block <= rows * columns)
    period, full = balanced_seats(block, rows, columns)
    judged = Counter(c for seat in range(period) for c in seat_cells(seat, block, rows, columns))
    assert len(judged) == rows * columns
    assert len(set(judged.values())) == 1
    placed = Counter((p, c) for seat in range(full) for p, c in enumerate(seat_cells(seat, block, rows, columns)))
    assert len(placed) == rows * columns * block
    assert len(set(placed.values())) == 1


@given(SIZES, st.integers(1, 40))
@settings(max_examples=60)
def test_whenever_raters_stop_coming_no_cell_is_more_than_one_ahead(sizes, seats):
    rows, columns, block = sizes
    assume(block <= rows * columns)
    judged = Counter(c for seat in range(seats) for c in seat_cells(seat, block, rows, columns))
    counts = [judged[row, column] for row in range(rows) for column in range(columns)]
    assert max(counts) - min(counts) <= 1


@given(SIZES, st.integers(0, 60))
@settings(max_examples=60)
def test_one_rater_sees_systems_evenly_and_no_clip_twice(sizes, seat):
    rows, columns, block = sizes
    assume(block <= rows * columns)
    mine = seat_cells(seat, block, rows, columns)
    assert len(set(mine)) == block
    scenes = Counter(row for row, _ in mine)
    assert max(scenes.values()) <= -(-block // rows) + (block % rows > 0 or block > rows)
    systems = Counter(column for _, column in mine)
    laps = 2 + block // rows
    assert max(systems.values()) - min(systems[c] for c in range(columns)) <= laps


@pytest.mark.parametrize("size", [2, 4, 6, 8])
def test_in_an_even_square_each_system_follows_each_other_one_once(size):
    square = [[(column + row) % size for column in williams(size)] for row in range(size)]
    assert all(sorted(row) == list(range(size)) for row in square)
    assert all(sorted(column) == list(range(size)) for column in zip(*square, strict=True))
    followers = Counter(pair for row in square for pair in pairwise(row))
    assert len(followers) == size * (size - 1)
    assert set(followers.values()) == {1}


def test_the_walk_visits_each_cell_once_in_any_full_round():
    for start in (0, 7, 23):
        assert len({cell(step, 5, 4) for step in range(start, start + 20)}) == 20


def test_a_block_larger_than_the_table_is_refused():
    with pytest.raises(ValueError, match="1 to 6"):
        seat_cells(0, 7, 2, 3)


@pytest.mark.parametrize("seat", range(12))
def test_control_trials_are_where_they_should_be(seat):
    made = study()
    trials = made.trials(seat)
    assert [t.index for t in trials] == list(range(len(trials)))
    assert Counter(t.role for t in trials) == {"main": 6, "anchor": 3, "catch": 2, "duplicate": 2, "pair": 4}
    assert trials[0].role == "main"
    assert [t.role for t in trials[-4:]] == ["pair"] * 4
    for trial in trials:
        if trial.repeats is not None:
            assert trials[trial.repeats].role == "main"
            assert trials[trial.repeats].stimuli == trial.stimuli
            assert trial.index - trial.repeats >= 3
    kinds = [made.stimuli[t.stimuli[0]].system for t in trials if t.role == "anchor"]
    assert len(set(kinds)) == 3, "one of each anchor"
    assert made.trials(seat) == trials


def test_both_orders_of_a_pair_are_equally_common():
    made = study(likert=0, anchors=0, catches=0, duplicates=0)
    pairs = Counter(
        tuple(made.stimuli[i].system for i in trial.stimuli) for seat in range(9) for trial in made.trials(seat)
    )
    assert len(pairs) == 6
    assert len(set(pairs.values())) == 1
    same_scene = all(len({made.stimuli[i].item for i in t.stimuli}) == 1 for t in made.trials(5))
    assert same_scene


def test_a_study_survives_its_file_and_its_hash_covers_everything(tmp_path):
    made = study()
    save_study(made, tmp_path)
    assert load_study(tmp_path) == made
    assert load_study(tmp_path).hash == made.hash
    changed = from_dict(Study, {**to_dict(made), "rules": to_dict(Rules(catches_missed=1))})
    assert changed.hash != made.hash


def test_files_that_hold_no_study_are_named(tmp_path):
    with pytest.raises(PhonofilmError, match="holds no study"):
        load_study(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(PhonofilmError, match="damaged"):
        load_study(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({"version": 9}))
    with pytest.raises(PhonofilmError, match="version"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    "options", [{"likert": 99}, {"likert": 0, "pairs": 0}, {"duplicates": 4}, {"likert": 0, "pairs": 2}]
)
def test_studies_that_cannot_be(options):
    with pytest.raises(ValueError, match=r"."):
        study(**options)
