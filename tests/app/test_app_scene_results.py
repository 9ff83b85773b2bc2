"""Results of a model with stems on scenes of all families: kept by clip, scored from files, and shown with floors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from phonofilm.app.experiments import scene_results
from phonofilm.app.experiments.results import keeps_stems, main
from phonofilm.app.experiments.rows import read_rows
from phonofilm.app.experiments.scene_results import Scene
from phonofilm.app.experiments.scene_results_report import floor_of, lines


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes of a second, which are drawn quickly."""
    monkeypatch.setattr(scene_results, "SECONDS", 1.0)
    scene_results._loaded.cache_clear()
    scene_results._look.cache_clear()


def test_results_are_kept_by_clip_and_go_on(small, tiny_stems_model: Path, tmp_path: Path, monkeypatch, capsys):
    command = ["--model", str(tiny_stems_model), "--work", str(tmp_path / "work"), "-o", str(tmp_path / "docs")]
    command += ["--families", "strike", "--tasks", "foley,animate", "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "-n", "1"])
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    page = Path(captured.out.strip())
    assert page == tmp_path / "docs" / f"results-{tiny_stems_model.name}.md"
    first = json.loads(page.with_suffix(".json").read_text())
    assert "3 of 3 clips scored" in captured.err
    clips = sorted(str(path.relative_to(tmp_path / "work")).split(os.sep, 1)[1] for path in tmp_path.rglob("*.mkv"))
    assert clips == [f"{task}/strike/0000.mkv" for task in ("animate", "foley", "truth")]
    # the second run makes and scores what is new alone
    calls: list[Scene] = []
    for name in ("make", "score"):
        real = getattr(scene_results, name)
        monkeypatch.setattr(scene_results, name, lambda job, real=real: (calls.append(job[-1]), real(job))[1])
    with pytest.raises(SystemExit) as ended:
        main([*command, "-n", "2"])
    assert ended.value.code == 0
    assert {scene.number for scene in calls} == {1}
    assert len(calls) == 6
    results = json.loads(page.with_suffix(".json").read_text())
    assert (results["clips"], set(results["scores"])) == (2, {"truth", "foley", "animate"})
    truth = results["scores"]["truth"]["strike"]
    assert truth["sync"]["clips"] == 2
    assert truth["sync"]["value"] > truth["sync"]["shuffled"]["value"]
    assert results["scores"]["animate"]["strike"]["pitch"].keys() >= {"value", "low", "high", "clips"}
    assert "onset_f1" in results["scores"]["foley"]["strike"]
    assert "sight_f1" in results["scores"]["animate"]["strike"]
    assert first["scores"]["truth"]["strike"]["sync"]["clips"] == 1
    assert results["weights"] == first["weights"]
    text = page.read_text()
    assert "| strike | sync |" in text
    assert "## Sound for a given picture" in text
    assert "## Text to picture" not in text
    assert set(results["seconds_a_clip"]) == {"truth", "foley", "animate"}


def test_a_line_that_was_cut_off_is_scored_again(tmp_path: Path):
    kept = tmp_path / "scores.jsonl"
    kept.write_text('{"task": "truth", "family": "talk", "number": 0}\n{"task": "tru')
    assert [row["number"] for row in read_rows(kept)] == [0]


def test_a_clip_is_read_as_it_was_written(small, tmp_path: Path):
    made = scene_results.make(("", None, tmp_path, Scene("truth", "strike", 3)))
    assert made["number"] == 3
    clip = scene_results.read(Scene("truth", "strike", 3).path(tmp_path))
    from phonofilm import world

    true = world.clips([Scene("truth", "strike", 3).truth], 128, 24, 24_000)[0]
    assert (clip.frames == true.frames).all()
    assert set(clip.stems) == {"speech", "effects", "music"}
    assert all(np.abs(clip.stems[name] - true.stems[name]).max() < 1e-6 for name in clip.stems)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--families", "bounce,opera"], "there is no family 'opera'; choose from bounce, strike"),
        (["--tasks", "extend"], "there is no task 'extend'; choose from generate, foley, animate"),
        (["-n", "0"], "0 clips a family are too few"),
    ],
)
def test_what_makes_no_sense_is_one_line(small, tiny_stems_model: Path, tmp_path: Path, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        main(["--model", str(tiny_stems_model), "--work", str(tmp_path / "work"), "-o", str(tmp_path), *arguments])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_which_models_have_stems(tiny_model: Path, tiny_stems_model: Path):
    assert keeps_stems(str(tiny_stems_model))
    assert not keeps_stems(str(tiny_model))


def test_floors_are_shares_of_what_truth_has():
    true = {"value": 0.8, "low": 0.7, "high": 0.9, "clips": 4}
    assert floor_of("generate", "bounce", "sync", true) == pytest.approx(0.93 * 0.8)
    assert floor_of("generate", "rain", "sync", true) == pytest.approx(0.8 * 0.8)
    assert floor_of("foley", "bounce", "onset_f1", None) == 0.9
    assert floor_of("foley", "bounce", "sync", true) is None
    assert floor_of("animate", "talk", "sync", true) == pytest.approx(0.85 * 0.8)
    assert floor_of("generate", "bounce", "accents", true) is None
    assert floor_of("generate", "bounce", "colour", None) is None
    made = {"bounce": {"sync": {**true, "shuffled": {"value": 0.1, "low": 0.0, "high": 0.2, "clips": 3}}}}
    results = {"model": "x", "weights": "0" * 64, "steps": None, "clips": 4, "first_seed": 91_000_000}
    text = "\n".join(lines({**results, "seconds_a_clip": {}, "scores": {"truth": made, "generate": made}}))
    assert "| bounce | sync | 0.80 [0.70, 0.90] | 0.10 [0.00, 0.20] | 0.80 [0.70, 0.90] | ≥ 0.74 | 4 |" in text
