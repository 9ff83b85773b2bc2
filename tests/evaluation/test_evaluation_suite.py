"""From two folders to numbers: what is left out, what stays the same, and what every number stands beside."""

import json
import re
import tomllib
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from folders import fill, knocks, spoil

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import scan
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.features.signal import places
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import FeatureSet, distance
from phonofilm.evaluation.metrics.distribution.frechet import frechet_distance
from phonofilm.evaluation.metrics.distribution.kernel import kernel_audio_distance, polynomial_distance
from phonofilm.evaluation.prompts import read_prompts
from phonofilm.evaluation.suite.clip_metrics import spatially_aligned
from phonofilm.evaluation.suite.compare import ComparisonSettings, compare, read_result
from phonofilm.evaluation.suite.failures import FAILURES
from phonofilm.evaluation.suite.metric_docs import refresh
from phonofilm.evaluation.suite.registry import METRICS, PRESETS, choose
from phonofilm.evaluation.suite.runner import Settings, evaluate, unused_weights, write_json
from phonofilm.evaluation.suite.sample import AbsentError, Sample
from phonofilm.media import write_clip
from phonofilm.types import Clip

CLIPS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("suite")
    # both are heard where the square is seen, left of the middle, so that every offset is known
    fill(root / "real", CLIPS, pan=-0.6)
    fill(root / "late", CLIPS, pan=0.05, delay=0.2)
    return root


@pytest.fixture(scope="module")
def clean(place):
    return evaluate(place / "late", place / "real", settings=Settings(cache=place / "cache"))


def rows_of(result):
    return {row["name"]: row for row in result["metrics"]}


def test_every_number_stands_beside_its_reference_and_its_control(clean):
    offset = rows_of(clean)["offset"]
    assert offset["value"] == pytest.approx(200, abs=12)
    assert offset["reference"] < 12
    assert offset["low"] <= offset["value"] <= offset["high"]
    assert rows_of(clean)["in sync"]["value"] == 0
    assert rows_of(clean)["in sync"]["reference"] == 1
    onsets = rows_of(clean)["onset–motion F1"]
    assert onsets["reference"] > 0.7 > onsets["control"]
    assert 0.15 < rows_of(clean)["pan error"]["value"] < 1
    assert offset["median"] == offset["value"]
    assert offset["known"] == 1
    few = {"FAD-∞[log-mel]", "drift"}  # six clips are too few to extrapolate from, and three seconds for a speed
    assert {row["status"] for row in clean["metrics"] if row["name"] not in few} == {"ok"}


def test_a_result_says_what_it_depends_on(clean):
    assert clean["protocol"].startswith("phonofilm-evaluate-5/")
    assert {"phonofilm", "av"} <= clean["versions"].keys()
    assert clean["paired"] == CLIPS
    assert all(len(value) == 64 for value in clean["generated"]["hashes"].values())
    assert all(row["depends"] and row["protocol"] and row["source"] and row["range"] for row in clean["metrics"])


def test_damaged_files_are_all_listed_and_the_rest_scores_the_same(place, clean, tmp_path):
    for path in (place / "late").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    # a folder is of one kind where 80 % of it are
    for index in range(10, 20):
        write_clip(knocks(index, delay=0.2), tmp_path / f"{index}.mkv")
    before = evaluate(tmp_path, place / "real", settings=Settings(cache=place / "cache"))
    spoilt = spoil(tmp_path)
    after = evaluate(tmp_path, place / "real", settings=Settings(cache=place / "cache"))
    left_out = {item["name"]: item for item in after["generated"]["listed"] if not item["scored"]}
    assert left_out.keys() == spoilt
    assert after["generated"]["left_out"] == len(spoilt)
    assert after["generated"]["no_clips"] == ["captions.txt"]
    kinds = {name: left_out[name]["kind"] for name in ("cut", "blind", "still", "short", "slow", "one-ear")}
    assert list(kinds.values()) == ["unreadable", "no picture", "one frame", "too short", "odd", "odd"]
    assert after["clips"] == before["clips"]
    for name, row in rows_of(after).items():
        assert [row[k] for k in ("value", "low", "high", "control")] == [
            rows_of(before)[name][k] for k in ("value", "low", "high", "control")
        ]


def test_unpaired_and_silent_clips_are_scored_and_named(place, tmp_path):
    mine = fill(tmp_path / "mine", 3, pan=-0.5)
    clip = knocks(7)
    write_clip(clip.with_(waveform=np.zeros_like(clip.waveform)), mine / "quiet.mkv")
    result = evaluate(mine, place / "real", settings=Settings(metrics=("offset", "pan error"), cache=tmp_path / "c"))
    listed = {(item["name"], item["kind"]) for item in result["generated"]["listed"]}
    assert listed == {("quiet", "silent"), ("quiet", "unpaired")}
    assert result["generated"]["scored"] == 4
    assert {item["kind"] for item in result["reference"]["listed"]} == {"unpaired"}
    offset = rows_of(result)["offset"]
    assert offset["n"] == 3
    assert offset["known"] == 0.75
    assert list(chain(*offset["absent"].values())) == ["quiet"]


def test_a_distance_says_what_the_clips_of_a_side_lack(place, tmp_path):
    mute = tmp_path / "mute"
    mute.mkdir()
    for index in range(3):
        write_clip(knocks(index).with_(waveform=None, sample_rate=None), mute / f"{index:02d}.mkv")
    metrics = ("FAD[log-mel]", "KAD[log-mel]")
    for folders, side in (((mute, place / "real"), "generated"), ((place / "real", mute), "reference")):
        rows = rows_of(evaluate(*folders, settings=Settings(metrics=metrics, cache=tmp_path / "c")))
        for name in metrics:
            assert rows[name]["status"] == "n/a"
            assert rows[name]["reason"] == f"of 3 {side} clips 3 cannot be measured: there is no sound"


def test_weights_that_no_metric_reads_are_known():
    given = {"i3d": Path("i3d.pt"), "vggish": Path("v.pt")}
    assert unused_weights(Settings(metrics=("FVD",), weights=given)) == ["vggish"]
    assert unused_weights(Settings(weights=given)) == ["i3d", "vggish"]


def test_sound_from_where_nothing_moves_leaves_few_offsets_known(tmp_path):
    aside = fill(tmp_path / "aside", CLIPS, pan=0.5)
    offset = rows_of(evaluate(aside, settings=Settings(metrics=("offset",), cache=tmp_path / "c")))["offset"]
    unknown = offset["absent"]["its offset cannot be known: no lag fits clearly better than others"]
    assert len(unknown) >= CLIPS - 2  # a rhythm that fits by chance
    assert offset["n"] == CLIPS - len(unknown)
    assert offset["known"] == pytest.approx(offset["n"] / CLIPS)


def test_a_second_run_decodes_nothing_and_changes_nothing(place, clean):
    again = evaluate(place / "late", place / "real", settings=Settings(cache=place / "cache"))
    assert again["generated"]["from_cache"] == CLIPS
    assert again["metrics"] == clean["metrics"]


def test_worker_processes_find_the_same(place, clean, tmp_path):
    names = ("offset", "silence")
    apart = evaluate(place / "late", settings=Settings(metrics=names, cache=tmp_path, workers=2))
    for name in names:
        assert rows_of(apart)[name]["value"] == rows_of(clean)[name]["value"]
    assert apart["generated"]["from_cache"] == 0


def test_progress_reaches_its_end(place):
    said = []
    evaluate(
        place / "late",
        settings=Settings(metrics=("offset",), cache=place / "cache"),
        progress=lambda *a: said.append(a),
    )
    assert ("generated", CLIPS, CLIPS) in said
    assert said[-1] == ("comparing", 1, 1)


def test_what_cannot_be_measured_here_says_what_helps(place):
    result = evaluate(
        place / "late", settings=Settings(metrics=("DeSync", "FAD[log-mel]", "offset"), cache=place / "cache")
    )
    rows = rows_of(result)
    assert rows["DeSync"]["status"] == "needs weights"
    assert rows["DeSync"]["reason"].startswith("phonofilm weights get synchformer")
    assert rows["FAD[log-mel]"]["status"] == "needs reference"
    assert rows["offset"]["status"] == "ok"


def test_the_quick_preset_needs_nothing_but_the_core():
    used = {name for metric in choose("quick") for name in metric.features}
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    assert all(set(catalogue()[name].packages) <= core and not catalogue()[name].weights for name in used)
    assert "FAD" not in PRESETS["quick"]


def test_only_published_networks_carry_the_fields_own_names():
    for metric in METRICS:
        if metric.name in ("FAD", "FVD", "DeSync", "ImageBind AV"):
            assert catalogue()[metric.features[0]].weights
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert {metric.name for metric in choose(names=("fad",))} >= {"FAD"}
    assert {metric.name for metric in choose(names=("KAD",))} == {m.name for m in METRICS if m.name.startswith("KAD[")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(preset="best"), "no preset 'best'"),
        (Settings(metrics=("sharpness",)), "no metric 'sharpness'"),
        (Settings(weights={"yolo": "x"}), "no metric takes weights of 'yolo'"),
    ],
)
def test_bad_settings_get_one_line(place, settings, message):
    with pytest.raises(PhonofilmError, match=message) as caught:
        evaluate(place / "late", settings=settings)
    assert "\n" not in str(caught.value)


def test_folders_without_clips_get_one_line(tmp_path):
    with pytest.raises(PhonofilmError, match="does not exist"):
        scan(tmp_path / "nowhere")
    (tmp_path / "readme.md").write_text("hello")
    with pytest.raises(PhonofilmError, match="there is no clip"):
        scan(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(PhonofilmError, match=r"no clip of .* can be scored: 1 unreadable"):
        evaluate(tmp_path, settings=Settings(cache=tmp_path / "cache"))


def test_a_film_is_taken_before_a_sound_of_its_name(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("sub/a.wav", "sub/a.mp4", "b.wav", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"....")
    folder = scan(tmp_path)
    assert [(entry.name, entry.problem is None) for entry in folder.clips] == [
        ("b", True),
        ("sub/a", True),
        ("sub/a.wav", False),
    ]


def test_prompts_from_every_form(tmp_path):
    wanted = {"a": "one", "sub/b": "two, or three"}
    (tmp_path / "p.json").write_text(json.dumps(wanted))
    (tmp_path / "q.json").write_text(json.dumps([{"id": name, "caption": text} for name, text in wanted.items()]))
    (tmp_path / "p.jsonl").write_text(
        '{"name": "a.mp4", "prompt": "one"}\n{"file": "sub/b.wav", "text": "two, or three"}\n'
    )
    (tmp_path / "p.csv").write_text('name,prompt\na,one\nsub/b,"two, or three"\n')
    for name in ("p.json", "q.json", "p.jsonl", "p.csv"):
        assert read_prompts(tmp_path / name) == wanted
    (tmp_path / "bad.jsonl").write_text('{"name": "a"}\n')
    (tmp_path / "worse.json").write_text("{")
    for name, message in (("bad.jsonl", "row 1"), ("worse.json", "not readable"), ("none.csv", "cannot be read")):
        with pytest.raises(PhonofilmError, match=message):
            read_prompts(tmp_path / name)


def test_the_cache_keeps_scalars_reasons_and_survives_damage(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put("ab" * 32, "k", {"x": np.array(1.5), "y": np.arange(6).reshape(2, 3).T})
    arrays, problem = cache.get("ab" * 32, "k")
    assert arrays["x"].shape == ()
    assert arrays["y"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert problem is None
    cache.put("ab" * 32, "k", {}, "too short")
    assert cache.get("ab" * 32, "k") == ({}, "too short")
    cache.path("ab" * 32, "k").write_bytes(b"torn")
    assert cache.get("ab" * 32, "k") is None
    assert not cache.has("ab" * 32, "k")


def sets(seed, clips, shift=0.0, width=5):
    rng = np.random.default_rng(seed)
    return {f"{rng.integers(2**60):064x}": rng.normal(shift, 1, (rng.integers(1, 5), width)) for _ in range(clips)}


def gathered(parts):
    rows = FeatureSet()
    for digest, part in parts.items():
        rows.add(digest, part)
    return rows


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("frechet", frechet_distance), ("kernel", kernel_audio_distance), ("polynomial", polynomial_distance)],
)
def test_distances_of_sets_equal_their_definitions_in_any_order(kind, metric):
    fake, real = sets(0, 40, 0.5), sets(1, 30)
    expected = metric(*(np.concatenate(list(part.values())).astype(np.float32) for part in (fake, real)))
    found = distance(kind, gathered(fake), gathered(real))
    assert found.interval.value == pytest.approx(expected, rel=1e-5)
    assert found.interval.low < expected < found.interval.high
    turned = distance(kind, gathered(dict(reversed(fake.items()))), gathered(real))
    assert turned.interval.value == pytest.approx(found.interval.value, rel=1e-9)
    assert turned.interval.high == pytest.approx(found.interval.high, rel=1e-6)


@pytest.mark.parametrize("kind", ["kernel", "frechet"])
def test_the_interval_is_as_wide_as_the_spread_between_sets(kind):
    real = gathered(sets(99, 80))
    found = [distance(kind, gathered(sets(seed, 40, 0.6)), real).interval for seed in range(24)]
    spread = np.std([interval.value for interval in found])
    width = np.median([(interval.high - interval.value) / 1.96 for interval in found])
    assert 0.6 < width / spread < 1.6


def test_memory_is_bounded_and_the_choice_does_not_depend_on_order(monkeypatch):
    monkeypatch.setattr("phonofilm.evaluation.metrics.distribution.bootstrap_distances.ROWS", 50)
    parts = sets(3, 100)
    first, second = gathered(parts), gathered(dict(reversed(parts.items())))
    assert first.kept <= 50
    assert first.clips == 100
    assert first.moments.count == sum(len(part) for part in parts.values())
    for a, b in zip(first.parts(), second.parts(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_comparison_finds_what_differs_and_only_that(place, clean, tmp_path):
    truth = evaluate(place / "real", place / "real", settings=Settings(cache=place / "cache"))
    for name, result in (("a", clean), ("b", truth)):
        write_json(result, tmp_path / f"{name}.json")
    first, second = read_result(tmp_path / "a.json"), read_result(tmp_path / "b.json")
    settings = ComparisonSettings(cache=place / "cache", level=0.6)
    rows = {row.name: row for row in compare([first, second], settings)}
    assert rows["offset"].p == pytest.approx(2 / 2**CLIPS)
    assert rows["offset"].test == "paired"
    assert rows["offset"].difference < -150
    assert rows["temporal flicker"].reason == "equal on every clip"
    assert rows["FAD[log-mel]"].test == "paired"
    assert all(row.adjusted is None or row.adjusted >= row.p for row in rows.values())
    assert all(row.p is None for row in compare([first, first], settings))


def test_results_of_another_kind_are_not_compared(clean, tmp_path):
    (tmp_path / "x.json").write_text("[]")
    write_json({**clean, "protocol": "phonofilm-evaluate-0/quick"}, tmp_path / "old.json")
    for name, message in (("x.json", "not a result"), ("old.json", "protocol"), ("none.json", "cannot be read")):
        with pytest.raises(PhonofilmError, match=message):
            read_result(tmp_path / name)
    other = json.loads(json.dumps(clean))
    other["reference"]["digest"] = "0" * 64
    rows = {row.name: row for row in compare([clean, other])}
    assert rows["FAD[log-mel]"].p is None
    assert "other references" in rows["FAD[log-mel]"].reason


def test_every_metric_is_documented_with_its_failures():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert refresh(page) == page, "run: python -m phonofilm.evaluation.suite.metric_docs docs/metrics.md"
    assert FAILURES.keys() == {metric.name for metric in METRICS}


def aside(seed, true):
    """A bar that hops half a second apart, heard from its own side or from anywhere."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.15, 0.85)
    pan = 2 * x - 1 if true else rng.uniform(-1, 1)
    times = np.arange(0.4, 2.6, 0.5)
    frames = np.repeat(rng.integers(90, 110, (1, 64, 64, 3)), 75, axis=0).astype(np.uint8)
    sound = rng.normal(0, 1e-4, (2, 48_000))
    for index, frame in enumerate(frames):
        y = round(46 - 28 * min(np.abs(times - index / 25).min() / 0.25, 1))
        frame[y : y + 7, int(64 * x) - 3 : int(64 * x) + 3] = 230
    for time in times:
        start = round(time * 16_000)
        burst = 0.4 * np.exp(-np.arange(1600) / 300) * rng.normal(0, 1, 1600)
        angle = (pan + 1) * np.pi / 4
        sound[:, start : start + 1600] += np.array([np.cos(angle), np.sin(angle)])[:, None] * burst
    return Film(Clip(frames, Fraction(25), np.clip(sound, -1, 1).astype(np.float32), 16_000))


def things(film):
    """What a detector that finds bright things would say: one box a picture, at 4 a second in 256 pixels."""
    rows = []
    for index, frame in enumerate(film.at(4.0)):
        across = np.flatnonzero((frame.min(axis=-1) > 200).any(axis=0)) * (256 / frame.shape[1])
        rows += [(index, across.min(), across.max())] if len(across) else []
    return {"rows": np.array(rows, float).reshape(-1, 3)}


def test_spatial_alignment_is_high_for_true_places_and_low_for_others():
    def score(true):
        shares = []
        for seed in range(8):
            film = aside(seed, true)
            kept = {"places": places(film), "detr": things(film)}
            shares.append(spatially_aligned(Sample(kept.__getitem__, kept.__getitem__), "detr"))
        top, bottom = np.sum(shares, axis=0)
        return top / bottom

    assert score(true=True) > 0.9
    assert score(true=False) < 0.65


def test_a_mono_clip_has_no_places():
    film = Film(knocks(1, mono=True))
    kept = {"places": places(film), "detr": things(film)}
    with pytest.raises(AbsentError, match="mono"):
        spatially_aligned(Sample(kept.__getitem__, kept.__getitem__), "detr")


def test_a_folder_of_sounds_is_scored_by_what_can_be_heard(place, tmp_path):
    (tmp_path / "sounds").mkdir()
    for index in range(2):
        clip = knocks(index)
        write_clip(clip.with_(frames=None, fps=None), tmp_path / "sounds" / f"{index:02d}.wav")
    names = ("offset", "loudness gap", "KAD[log-mel]")
    rows = rows_of(
        evaluate(tmp_path / "sounds", place / "real", settings=Settings(metrics=names, cache=place / "cache"))
    )
    assert rows["offset"]["status"] == "n/a"
    assert rows["offset"]["reason"] == "there is no picture"
    assert rows["loudness gap"]["n"] == 2
    assert rows["KAD[log-mel]"]["status"] == "ok"
