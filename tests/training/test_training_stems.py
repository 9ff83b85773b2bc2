"""A generator of three stems: what is drawn for them, and that it trains from a store of stems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from phonofilm.errors import PhonofilmError
from phonofilm.training.loop import fit
from phonofilm.training.mixture.chunk_noise import ChunkMixture, draw_chunk_levels
from phonofilm.training.mixture.noise import NoiseConfig, draw_levels
from phonofilm.training.mixture.stem_noise import StemMixture, draw_own_text, draw_stems, draw_subset
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Geometry, Grid
from tiny_latents import save_tiny_latents

GRID = Grid.of(2, 64, 24, Geometry(2, 8, (2, 4, 4), 24_000, 250, 8, 4))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(way: str) -> StemMixture:
    return StemMixture(**{name: float(name == way) for name in ("together", "apart", "given", "silent")})


@pytest.mark.parametrize("way", ["together", "apart", "given", "silent"])
def test_what_becomes_of_the_stems(way: str) -> None:
    own = torch.rand(3, 500, generator=generator()) * 0.8 + 0.1
    drawn = draw_stems(only(way), own, generator(1))
    sound = torch.full((500,), 0.5)
    levels = drawn.levels(sound)
    assert ((levels > 0).sum(0) > 0).all()  # something is always made
    assert drawn.kept.any() == (way in ("given", "silent"))
    assert drawn.silent.any() == (way == "silent")
    assert (drawn.kept | ~drawn.silent).all()
    if way == "apart":
        assert torch.equal(levels, own)
    if way in ("given", "silent"):
        assert abs(float((levels == 0).float().mean()) - 0.4) < 0.05  # .6 of two stems of three
        assert (levels[levels > 0] == 0.5).all()
    assert (drawn.levels(torch.zeros(500)) == 0).all()
    assert (drawn.levels(torch.ones(500)) == 1).all()


def test_levels_have_an_axis_of_stems() -> None:
    drawn = draw_stems(only("given"), torch.rand(3, 64, generator=generator()), generator(1))
    levels = draw_levels(NoiseConfig(), GRID, 64, generator(2), drawn)
    assert levels.video is not None
    assert levels.audio is not None
    assert levels.audio.shape == (64, 3, 1, GRID.audio_length)
    kept = (levels.audio == 0).all(-1)[..., 0]
    assert kept[drawn.kept.T & (levels.audio < 1).any(-1)[..., 0]].all()


def test_some_stems_are_absent_from_some_batches() -> None:
    subsets = [draw_subset(0.5, 3, generator(seed)) for seed in range(200)]
    assert 0.35 < sum(len(s) < 3 for s in subsets) / 200 < 0.65
    assert {tuple(s) for s in subsets} == {(0, 1, 2), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)}
    assert draw_subset(1.0, 1, generator()) == [0]


def test_prompts_of_stems() -> None:
    dropped = torch.arange(400) % 4 == 0
    own = draw_own_text(1.0, dropped, 3, generator())
    assert own is not None
    assert (own[dropped] == -1).all()
    assert set(own[~dropped].unique().tolist()) == {-1, 0, 1}
    assert draw_own_text(0.0, dropped, 3, generator()) is None


@pytest.mark.parametrize("live", [0.0, 1.0])
def test_levels_by_chunk(live: float) -> None:
    drawn = draw_stems(only("together"), torch.rand(3, 200, generator=generator()), generator(1))
    chunks = ChunkMixture(1.0, live=live, independent=0.0, given=0.0)
    levels = draw_chunk_levels(NoiseConfig(), chunks, GRID, 200, drawn, generator(2))
    assert levels.video is not None
    assert levels.audio is not None
    video, audio = levels.video[:, 0, :, 0, 0], levels.audio[:, :, 0]
    assert torch.equal(video[:, -1:], audio[:, 0, -1:])  # the last chunk of both streams
    assert torch.equal(audio[:, 0], audio[:, 2])
    per_clip = [len(set(row.tolist())) for row in video]
    assert min(per_clip) >= (4 if live == 0 else 1)
    if live:
        assert (video.diff(dim=1) >= 0).all()  # clean, then on its way, then noise
        assert ((video > 0) & (video < 1)).any(1).all()


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    return save_tiny_latents(tmp_path / "latents")


def recipe(latents: Path, output: Path, **noise: Any) -> dict[str, Any]:
    video = {"channels": 2, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8, "patch": [2, 4, 4]}
    audio = {"channels": 4, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8, "stems": 3}
    return {
        "kind": "generator",
        "run": {"output": str(output), "steps": 40, "batch": 4, "precision": "fp32", "validate_every": 40},
        "data": {"folder": str(latents), "held_out": 2},
        "model": {"video": video, "audio": audio, "exchange_heads": 1, "exchange_head_width": 32},
        "noise": noise,
        "chunks": {"share": 0.3},
    }


def test_a_generator_of_stems_trains_whatever_is_drawn(latents: Path, tmp_path: Path) -> None:
    stems = {"absent": 0.3, "own_text": 0.5}
    task = make_task(recipe(latents, tmp_path / "run", stems=stems, without_video=0.1, without_audio=0.1))
    batches = [task.batch(step) for step in range(40)]
    kinds = {frozenset(batch) for batch in batches}
    assert any("video" not in kind for kind in kinds)
    assert any("audio" not in kind for kind in kinds)
    assert any("audio_text" in kind and "stems" in kind for kind in kinds)
    assert any("chunk" in kind for kind in kinds)
    fit(task)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 40
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] or len(losses) == 1


def test_a_silenced_stem_is_given_as_silence(latents: Path, tmp_path: Path) -> None:
    """The network's error counts what is made alone, and what it is given is silence."""
    task: Any = make_task(recipe(latents, tmp_path / "run", stems={"together": 0.0, "silent": 1.0}))
    seen = []

    def network(x: Any, sigma: Any, *_: Any, **__: Any) -> Any:
        seen.append((x.audio, sigma.audio))
        return x

    task.loss(network, task.read([2, 3, 4, 5] * 8), generator(5))
    audio, sigma = seen[0]
    silence, truth = task.store.silence.float(), task.read([2, 3, 4, 5] * 8)["audio"].float()
    given = (sigma == 0).all(-1)[..., 0]
    same = torch.stack([(audio[..., :] == silence).all(-1).all(-1), (audio == truth).all(-1).all(-1)])
    assert given.any()
    assert same[:, given].any(0).all()
    assert same[0].any()


def test_a_network_without_stems_is_told_so(latents: Path, tmp_path: Path) -> None:
    values = recipe(latents, tmp_path / "run")
    values["model"]["audio"]["stems"] = 1
    with pytest.raises(PhonofilmError, match="the latents have 3 stems, the network 1"):
        make_task(values)
