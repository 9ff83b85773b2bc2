"""The parts that a run is made of: keys, results, work in processes, rules, splits, decisions by hand."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.data.curate import review
from phonofilm.data.curate.common.records import Rights, Shot
from phonofilm.data.curate.common.results import Entry, Results
from phonofilm.data.curate.common.step import Step, in_order, keys_of, plain
from phonofilm.data.curate.common.work import run_all
from phonofilm.data.curate.duplicates import find_duplicates, picture_distance
from phonofilm.data.curate.registry import STEPS, chosen_steps
from phonofilm.data.curate.rules import TESTS, THRESHOLDS, Rules, does, measures
from phonofilm.data.curate.shots import shots_between
from phonofilm.data.curate.sources import find_films, identify, rights_of
from phonofilm.data.curate.splits import split_sources

SHOT = Shot("a" * 64, 0, Fraction(1, 3), Fraction(7, 3))


def step(name: str, version: int = 1, needs: tuple[str, ...] = ()) -> Step:
    return Step(name, version, lambda material, known: {}, needs)


def test_a_changed_step_changes_its_own_key_and_those_of_what_depends_on_it():
    before = keys_of((step("a"), step("b", needs=("a",)), step("c")), SHOT, {})
    after = keys_of((step("a", 2), step("b", needs=("a",)), step("c")), SHOT, {})
    assert [name for name in before if before[name] != after[name]] == ["a", "b"]
    other = keys_of((step("a"),), Shot("b" * 64, 0, SHOT.start, SHOT.stop), {})
    assert other["a"] != before["a"]


def test_steps_come_after_what_they_need():
    ordered = in_order((step("b", needs=("a",)), step("a")))
    assert [one.name for one in ordered] == ["a", "b"]
    with pytest.raises(ValueError, match="need"):
        in_order((step("a", needs=("b",)), step("b", needs=("a",))))


def test_a_step_that_is_left_out_takes_along_what_needs_it():
    chosen, absent = chosen_steps(("picture",))
    assert absent["picture"] == "left out"
    assert absent["hashes"] == "needs picture"
    assert "sound" in {one.name for one in chosen}
    with pytest.raises(PhonofilmError, match="no step 'nothing'; choose from picture"):
        chosen_steps(("nothing",))


def test_results_are_kept_under_their_keys(tmp_path):
    results = Results(tmp_path)
    results.add(SHOT, {"a": Entry("k1", {"x": 1.5}, 0.1)})
    results.add(SHOT, {"b": Entry("k2", {"y": [1, 2]}, 0.2)})
    assert results.fresh(SHOT, {"a": "k1", "b": "k2"}) == {"a": {"x": 1.5}, "b": {"y": [1, 2]}}
    assert results.fresh(SHOT, {"a": "other", "b": "k2"}) == {"b": {"y": [1, 2]}}
    next(tmp_path.rglob("*.json")).write_text('{"a": {"key"')  # as a disk that failed leaves it
    assert results.read(SHOT) == {}
    assert results.remove(SHOT.source) == 1
    assert results.remove(SHOT.source) == 0


def test_a_result_is_as_json_gives_it_back():
    assert plain({"x": np.float32(0.5), "y": (1, float("nan")), "z": np.arange(2)}) == {
        "x": 0.5, "y": [1, None], "z": [0, 1],
    }  # fmt: skip
    with pytest.raises(TypeError):
        plain({"x": object()})


def work(task: str) -> str:
    if task == "refuse":
        raise PhonofilmError("it is damaged")
    if task == "fail":
        raise KeyError("x")
    if task == "crash":
        os._exit(11)
    return task.upper()


def test_what_ends_its_process_is_told_and_the_rest_goes_on():
    tasks = ["a", "refuse", "crash", "b", "fail", "c"]
    found = dict(run_all(work, tasks, workers=1))
    assert [found[number].value for number in (0, 3, 5)] == ["A", "B", "C"]
    assert found[1].error == "it is damaged"
    assert "ended the process" in found[2].error
    assert found[4].error.startswith("internal error, KeyError")


def test_work_in_this_process():
    found = dict(run_all(work, ["a", "refuse"], workers=0))
    assert (found[0].value, found[1].error) == ("A", "it is damaged")


def test_shots_lie_between_cuts_and_outside_of_dissolves():
    times = [Fraction(number, 10) for number in range(101)]
    shots = shots_between("f" * 64, times, [30, 52], [(50, 60)], longest=2.5)
    spans = [(float(shot.start), float(shot.stop), shot.opened_by, shot.closed_by) for shot in shots]
    assert spans == [
        (0.0, 1.5, "end", "split"), (1.5, 3.0, "split", "cut"), (3.0, 5.1, "cut", "dissolve"),
        (6.0, 8.0, "dissolve", "split"), (8.0, 10.0, "split", "end"),
    ]  # fmt: skip
    assert [shot.number for shot in shots] == list(range(5))
    assert [Shot.from_json(shot.to_json()) for shot in shots] == shots


FINE = {
    "shot": {"seconds": 4.0},
    "picture": {"black": 0.0, "frozen": 0.0, "combed": 0.0, "crop": [0, 0, 1, 1]},
    "sound": {"heard": True, "lacks": 0.0, "silent": 0.0, "cutout": 0.0, "clipped": 0.0, "clicks": 0.0, "apart": -3.0,
              "highest": 1.0},
    "sync": {"known": True, "offset_ms": -12.0, "drift": 0.5, "drift_known": True},
    "lips": {"known": False, "offset_ms": 300.0},
    "text": {"share": 0.0}, "unsafe": {"score": 0.01}, "aesthetic": {"score": 5.5}, "marks": {"made": 0.0},
    "desync": {"seconds": 0.2}, "against": {"likeness": 0.7},
}  # fmt: skip


@pytest.mark.parametrize(
    ("step_name", "change", "reason", "what"),
    [
        ("picture", {"black": 0.6}, "black", "drop"),
        ("picture", {"frozen": 1.5}, "frozen", "drop"),
        ("picture", {"combed": 0.9}, "interlaced", "drop"),
        ("picture", {"crop": [0.0, 0.1, 1.0, 0.9]}, "bars", "keep"),
        ("sound", {"heard": False}, "no sound", "drop"),
        ("sound", {"silent": 0.95}, "silence", "drop"),
        ("sound", {"cutout": 0.5}, "gap", "drop"),
        ("sound", {"clipped": 0.01}, "clipping", "drop"),
        ("sound", {"clicks": 2.0}, "clicks", "drop"),
        ("sound", {"apart": -90.0}, "one channel twice", "keep"),
        ("sound", {"highest": 0.3}, "lower rate", "drop"),
        ("sound", {"lacks": 1.0}, "short sound", "drop"),
        ("shot", {"seconds": 0.5}, "short", "drop"),
        ("sync", {"offset_ms": 120.0}, "offset", "drop"),
        ("sync", {"drift": -60.0}, "drift", "drop"),
        ("sync", {"known": False, "offset_ms": None}, "sync unknown", "aside"),
        ("text", {"share": 0.75}, "burnt-in text", "drop"),
        ("unsafe", {"score": 0.9}, "unsafe", "drop"),
        ("aesthetic", {"score": 2.0}, "aesthetic", "keep"),
        ("marks", {"made": 1.0}, "made by a model", "aside"),
        ("lips", {"known": True, "offset_ms": -160.0}, "lip offset", "drop"),
        ("lips", {"known": True, "offset_ms": 160.0}, "lip offset", "drop"),
        ("desync", {"seconds": 1.2}, "desync", "keep"),
        ("against", {"likeness": 0.97}, "like test set", "aside"),
    ],
)
def test_each_rule_finds_its_fault_and_no_other(step_name, change, reason, what):
    rules = Rules.of()
    assert rules.findings(FINE) == ()
    findings = rules.findings({**FINE, step_name: {**FINE[step_name], **change}})
    assert [finding.reason for finding in findings] == [reason]
    assert does(findings) == what


def test_rules_are_set_by_name():
    assert set(THRESHOLDS) == {test.reason for test in TESTS}
    rules = Rules.of(["offset=200", "sync_unknown=keep", "frozen=aside"])
    late = {**FINE, "sync": {**FINE["sync"], "offset_ms": 120.0}}
    assert rules.findings(late) == ()
    assert does(rules.findings({**FINE, "sync": {**FINE["sync"], "known": False}})) == "keep"
    assert does(rules.findings({**FINE, "picture": {**FINE["picture"], "frozen": 3.0}})) == "aside"
    for wrong in ("nothing=1", "offset", "offset=far"):
        with pytest.raises(PhonofilmError, match="rule"):
            Rules.of([wrong])


def test_an_offset_that_lips_tell_is_known():
    lost = {**FINE["sync"], "known": False, "offset_ms": None}
    told = {"known": True, "offset_ms": 20.0}
    assert Rules.of().findings({**FINE, "sync": lost, "lips": told}) == ()
    assert Rules.of(["burnt_in_text=0.9"]).thresholds["burnt-in text"] == 0.9


def test_every_measure_of_a_rule_is_one_that_a_step_makes():
    assert {test.step for test in TESTS} - {"shot", "duplicates", "against", "review"} <= {one.name for one in STEPS}
    assert measures(FINE)["offset"] == 12.0


def bits(seed: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 256)) > 0.5


def hashed(pictures: np.ndarray) -> dict[str, object]:
    return {"pictures": [np.packbits(one).tobytes().hex() for one in pictures], "sound": "", "loud": ""}


def test_duplicates_are_told_of_the_first_and_chains_have_one_original():
    noisy = bits(1) ^ (np.random.default_rng(5).random((8, 256)) < 0.05)
    stock = {"a": hashed(bits(1)), "b": hashed(bits(2)), "c": hashed(noisy), "d": hashed(bits(1)[2:])}
    found = find_duplicates(stock)
    assert {key: same.original for key, same in found.items()} == {"c": "a", "d": "a"}
    assert find_duplicates({"x": hashed(bits(2))}, stock)["x"].original == "b"
    assert find_duplicates({"x": hashed(bits(9))}, stock) == {}


def test_pictures_match_at_a_lag_only_where_enough_overlaps():
    one = bits(1, 10)
    assert picture_distance(one, one[3:]) == 0
    assert picture_distance(one, np.concatenate([one[8:], bits(4, 8)])) > 0.3
    assert picture_distance(one[:0], one) == 1


def test_linked_sources_lie_in_one_split_and_others_stay_where_they_are():
    names = [f"{number:064x}" for number in range(300)]
    shares = {"validation": 0.2, "test": 0.2}
    alone = split_sources(names, [], shares)
    assert {"train", "validation", "test"} == set(alone.values())
    assert 30 < sum(split == "test" for split in alone.values()) < 90
    assert split_sources(names[:100], [], shares) == {name: alone[name] for name in names[:100]}
    pairs = [(names[0], names[7]), (names[7], names[9]), (names[20], names[21])]
    linked = split_sources(names, pairs, shares)
    assert linked[names[0]] == linked[names[7]] == linked[names[9]]
    assert linked[names[20]] == linked[names[21]]
    assert all(linked[name] == alone[name] for name in names[30:])


def test_decisions_by_hand_are_remembered(tmp_path):
    assert review.decisions(tmp_path) == {}
    assert review.decide(tmp_path, {"a": "drop", "b": "keep"}) == {"a": "drop", "b": "keep"}
    assert review.decide(tmp_path, {"a": "undecided"}) == {"b": "keep"}
    with pytest.raises(PhonofilmError, match="none of keep, drop, undecided"):
        review.decide(tmp_path, {"a": "perhaps"})
    (tmp_path / review.FILE).write_text('{"key": 1}\n')
    with pytest.raises(PhonofilmError, match="line 1 is no decision"):
        review.decisions(tmp_path)


def test_rights_come_from_the_folder_the_film_or_the_command(tmp_path):
    (tmp_path / "rights.toml").write_text('[default]\nlicense = "CC0"\n["b.mp4"]\nconsent = "signed"\n')
    given = Rights(origin="an archive", license="unknown")
    assert rights_of(tmp_path / "a.mp4", given) == Rights("CC0", "an archive", "")
    assert rights_of(tmp_path / "b.mp4", given) == Rights("CC0", "an archive", "signed")
    for wrong in ("[default]\nprice = 'much'\n", "[default\n", "[default]\nlicense = 3\n"):
        (tmp_path / "rights.toml").write_text(wrong)
        with pytest.raises(PhonofilmError, match=r"rights\.toml"):
            rights_of(tmp_path / "a.mp4", given)


def test_films_are_found_in_folders_and_the_same_content_counts_once(tmp_path):
    for name, content in {"a/x.mp4": b"1", "a/.hidden.mp4": b"2", "a/b/y.MKV": b"3", "a/z.txt": b"4"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "copy.mp4").write_bytes(b"1")
    films = find_films([tmp_path / "a", tmp_path / "copy.mp4"])
    assert [film.name for film in films] == ["y.MKV", "x.mp4", "copy.mp4"]
    sources, skipped = identify(films, tmp_path / "memory.json", Rights(), lambda done, total: None)
    assert [source.path.name for source in sources] == ["y.MKV", "x.mp4"]
    assert "the same file as" in skipped[0].reason
    with pytest.raises(PhonofilmError, match="is not there"):
        find_films([tmp_path / "none.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhonofilmError, match="holds no film"):
        find_films([tmp_path / "empty"])


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(PhonofilmError, match="rule offset = 'nan' is no threshold"):
        Rules.of(["offset=nan"])
