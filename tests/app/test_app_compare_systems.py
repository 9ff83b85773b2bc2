"""The comparison of systems: fair in cost, its arithmetic right, and whole from training to page at toy size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phonofilm.app.experiments.training_comparison.analysis import _counts, _shuffled, difference, together
from phonofilm.app.experiments.training_comparison.page import lines
from phonofilm.app.experiments.training_comparison.plan import Plan
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world.audio_events import Onset
from phonofilm.evaluation.foley_world.detect import Observation, PromptSpec
from phonofilm.evaluation.foley_world.visual_events import VisualEvent

RECIPE = Path(__file__).parents[2] / "recipes" / "compare" / "systems.toml"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    """A latent store of the real shape with 72 clips of noise."""
    from phonofilm.checkpoint import save_tensors

    folder, count = tmp_path / "latents", 72
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    shapes = {"video": (8, 25, 8, 8), "audio": (64, 41), "text": (6, 384)}
    tensors = {name: torch.randn(count, *shape, generator=generator).half() for name, shape in shapes.items()}
    tensors["text_length"] = torch.full((count,), 6, dtype=torch.int32)
    save_tensors(folder / "latents-00000.safetensors", tensors)
    save_tensors(folder / "null.safetensors", {"states": torch.zeros(3, 384).half()})
    write_manifest(
        folder / "manifest.jsonl",
        [ClipRecord(i, "latents-00000.safetensors", i, "bounce", i, f"clip {i}") for i in range(count)],
    )
    geometry = {
        "video_time": 2, "video_space": 8, "patch": [1, 4, 4], "sample_rate": 16000, "mel_hop": 400, "audio_time": 4,
    }  # fmt: skip
    facts = {
        "kind": "latents", "source": "noise", "shard": 1000, "video_vae": "v", "audio_vae": "a", "text": "t",
        "frames": 48, "height": 64, "width": 64, "fps": "12", "geometry": geometry, "count": count,
    }  # fmt: skip
    (folder / "store.json").write_text(json.dumps(facts))
    return folder


def test_systems_have_equal_parameters_and_equal_training_flops(latents: Path, tmp_path: Path) -> None:
    plan = Plan.read(RECIPE, [], latents, tmp_path)
    parameters = {n: sum(plan.costs[s].parameters for s in stages) for n, stages in plan.systems.items()}
    assert max(parameters.values()) < 1.03 * min(parameters.values()), parameters
    for system, stages in plan.systems.items():
        batch = plan.task(stages[0], 0).recipe.run.batch
        spent = plan.steps(system) * batch * sum(plan.costs[stage].flops for stage in stages)
        assert spent == pytest.approx(plan.budget, rel=0.002)
    assert plan.steps("joint") == plan.task("joint", 0).recipe.run.steps


def test_each_stage_learns_its_own_task_and_no_other(latents: Path, tmp_path: Path) -> None:
    plan = Plan.read(RECIPE, ["shared.run.batch=2"], latents, tmp_path)
    for stage, streams in {"joint": {"video", "audio"}, "picture": {"video"}, "unet": {"video", "audio"}}.items():
        task = plan.task(stage, 0)
        assert set(task.loss(task.build(), task.batch(0), torch.Generator())[1]) == streams
    sound = plan.task("sound", 0)
    errors = sound.loss(sound.build(), sound.batch(0), torch.Generator())[1]
    assert errors["video"] == 0
    assert errors["audio"] > 0


def test_another_recipe_or_other_latents_start_afresh(latents: Path, tmp_path: Path) -> None:
    folders = {Plan.read(RECIPE, changes, latents, tmp_path).folder for changes in ([], ["shared.run.steps=7"])}
    assert len(folders) == 2
    with pytest.raises(PhonofilmError, match="no stage or system 'picture'"):
        Plan.read(RECIPE, ["stages={}", "systems.joint=[]", "systems.unet=[]"], latents, tmp_path)


def test_together_pools_counts_and_draws_prompts() -> None:
    counts = np.array([[[1.0, 2.0], [0.0, 2.0]], [[2.0, 2.0], [1.0, 2.0]]])
    found = together(counts)
    assert found["value"] == 0.5
    assert (found["low"], found["high"]) == (0.25, 0.75), "both prompts the worse one, or both the better one"
    assert together(np.zeros((1, 3, 2))) == {"value": None, "low": None, "high": None}


def test_difference_is_paired() -> None:
    """Prompts vary by far more than the systems differ, and the pairing takes that away."""
    rng = np.random.default_rng(0)
    easy = rng.uniform(0.2, 0.8, (3, 64))
    one, other = (np.stack([easy + gain, np.ones_like(easy)], -1) for gain in (0.1, 0.0))
    found = difference(one, other)
    assert found["value"] == pytest.approx(0.1)
    assert found["low"] == pytest.approx(0.1)
    assert found["high"] == pytest.approx(0.1)


def seen_and_heard(prompt: str, sights: list[float], onsets: list[float]) -> Observation:
    placed = tuple(VisualEvent(time, 0.5) for time in sights)
    heard = tuple(Onset(time, 0.0, 0.0) for time in onsets)
    return Observation("", PromptSpec.of(prompt), placed, heard, (), (), frozenset(), -20.0, 0.0, None, 4.0)


def test_chance_is_every_picture_with_every_other_sound_of_its_family() -> None:
    ball, bar = "a red ball", "a mallet strikes a xylophone"
    clips = [
        seen_and_heard(ball, [1.0, 2.0], [1.0, 2.0]),
        seen_and_heard(ball, [1.0], [1.0]),
        seen_and_heard(ball, [3.0], []),
        seen_and_heard(bar, [1.0], [1.0]),
    ]
    assert _counts([clips], "sync_f1_60ms")[0].tolist() == [[4, 4], [2, 2], [0, 1], [2, 2]]
    assert _shuffled([clips])[0].tolist() == [[1, 2.5], [1, 2], [0, 2.5], [0, 0]]


def test_page_has_every_system_and_says_where_nothing_was_found() -> None:
    nothing: dict[str, Any] = {"value": None, "low": None, "high": None}
    metrics = ("sync_f1_60ms", "sync_f1_40ms", "colour", "material", "pitch", "pan_sign", "silent")
    system = {
        "parameters": 2_775_680, "flops_per_clip": 1.1e9, "clips_seen": 9600, "training_flops": 1e13,
        "scores": {m: {"value": 0.5, "low": 0.4, "high": 0.6} for m in metrics} | {"pitch": nothing},
        "shuffled": [0.2], "above_chance": {"value": 0.3, "low": 0.2, "high": 0.4},
        "each": [dict.fromkeys(metrics, 0.5) | {"pitch": None}], "events": [[3.0, 4.0]],
        "validation": [{"joint video": 0.3, "joint audio": 0.4}], "minutes": [12.0],
    }  # fmt: skip
    gaps = {m: {"value": -0.1, "low": -0.2, "high": 0.0} for m in metrics}
    found = {
        "recipe": {"data": {"families": ["bounce", "strike"]}}, "clips": 64, "budget": 1e13,
        "truth": {m: {"value": 1.0} for m in (*metrics, "sync_f1_60ms_shuffled")},
        "systems": {"joint": system, "cascade": system, "unet": system},
        "differences": {"cascade": gaps, "unet": gaps},
    }  # fmt: skip
    text = "\n".join(lines(found))
    assert "| sync F1 ±60 ms | 0.50 [0.40, 0.60] | 0.50 [0.40, 0.60] | 0.50 [0.40, 0.60] | 1.00 |" in text
    assert "| &emsp;above chance | +0.30 [+0.20, +0.40] | +0.30 [+0.20, +0.40] | +0.30 [+0.20, +0.40] | |" in text
    assert "| pitch | no event | no event | no event | 1.00 |" in text
    assert "| sync F1 ±60 ms | −0.10 [−0.20, +0.00] | −0.10 [−0.20, +0.00] |" in text


def test_the_page_and_readme_say_what_the_json_holds() -> None:
    found = json.loads((DOCS / "comparison.json").read_text())
    assert (DOCS / "comparison.md").read_text() == "\n".join(lines(found)) + "\n"
    joint, cascade = (found["systems"][name]["scores"]["sync_f1_60ms"]["value"] for name in ("joint", "cascade"))
    (row,) = [line for line in (DOCS.parent / "README.md").read_text().splitlines() if "docs/comparison.md)) |" in line]
    assert [cell.strip() for cell in row.split("|")[2:4]] == [f"{joint:.2f}", f"{cascade:.2f}"]
