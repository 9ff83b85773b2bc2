"""A causal student: it is trained on films it makes itself, and what it is exported as makes film live."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_distill import run
from test_training_stems import latents, recipe  # noqa: F401

from phonofilm.checkpoint import load_module, load_tensors, save_module
from phonofilm.errors import PhonofilmError
from phonofilm.model import AVTransformer
from phonofilm.sampling import Denoiser, add_noise
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Latents, Text


@pytest.fixture
def teacher(latents: Path, tmp_path: Path) -> Path:  # noqa: F811
    """Not trained, but not zero at its end either."""
    torch.manual_seed(0)
    network = make_task(recipe(latents, tmp_path)).build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    save_module(tmp_path / "teacher.safetensors", network)
    return tmp_path / "teacher.safetensors"


def live(latents: Path, teacher: Path, folder: Path, **forcing: Any) -> dict[str, Any]:  # noqa: F811
    values = run(recipe(latents, folder), folder, steps=3, batch=2)
    values |= {"kind": "live", "self_forcing": {"teacher": str(teacher), "window": 1, **forcing}}
    values["sampling"] = {"sampler": "euler", "steps": 2}
    values["chunks"] = {"share": 1.0, "seconds": 0.5}
    values["optim"] = {"warmup": 1, "lr": 1e-3, "muon_lr": 1e-3}
    return values


@pytest.fixture
def task(latents: Path, teacher: Path, tmp_path: Path) -> Any:  # noqa: F811
    return make_task(live(latents, teacher, tmp_path / "student", share=1.0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_roll_out_is_causal_and_of_the_clip_s_shape(task: Any) -> None:
    """Noise of the second chunk changes nothing in the first; that of the first changes both."""
    model = task.build()
    text = Text(**{name: task.batch(0)[key] for name, key in (("states", "text"), ("mask", "mask"))})
    noise = task._noise(2, generator(), text)
    with torch.no_grad():
        film = task.roll_out(model, text, noise, 1)
        later = task.roll_out(model, text, [noise[0], noise[1].map(lambda x: -x)], 1)
        earlier = task.roll_out(model, text, [noise[0].map(lambda x: -x), noise[1]], 1)
    assert film.video.shape == (2, 2, 13, 4, 4)
    assert film.audio.shape == (2, 3, 4, 13)
    assert torch.equal(film.video[:, :, :7], later.video[:, :, :7])
    assert torch.equal(film.audio[..., :7], later.audio[..., :7])
    for other in (later, earlier):
        assert (film.video - other.video)[:, :, 7:].abs().max() > 1e-3


@pytest.mark.parametrize("exits", [0, 1])
def test_gradients_are_those_of_each_chunk_s_last_evaluation(task: Any, exits: int) -> None:
    model = task.build()
    text = Text(task.batch(0)["text"], task.batch(0)["mask"])
    film = task.roll_out(model, text, task._noise(2, generator(), text), exits)
    (film.video.square().mean() + film.audio.square().mean()).backward()
    with_gradients = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert with_gradients == {"video", "audio", "blocks"}


def test_the_student_moves_from_the_critic_s_estimate_to_the_teacher_s(task: Any) -> None:
    """Without guidance a critic that is the teacher has no opinion; another one pushes away from its own estimate."""
    model, text = task.build(), Text(task.batch(0)["text"], task.batch(0)["mask"])
    video = torch.randn(2, 2, 13, 4, 4, generator=generator()).requires_grad_()
    film = Latents(video, torch.randn(2, 3, 4, 13, generator=generator()).requires_grad_())
    made, sigma = film.map(lambda x: x.detach()), task._levels(2, generator(1), text)
    noisy = add_noise(made, made.map(torch.randn_like), sigma)
    plain = replace(task.recipe.self_forcing, guidance=(1.0, 1.0), modality_guidance=(1.0, 1.0))
    task.recipe = replace(task.recipe, self_forcing=plain)
    assert task._matching(Denoiser(model.critic), film, noisy, sigma, text).detach() < 1e-8

    def shifted(*inputs: Any, **options: Any) -> Latents:
        return model.critic(*inputs, **options).map(lambda x: x + 0.5)

    task._matching(Denoiser(shifted), film, noisy, sigma, text).backward()
    assert (film.video.grad > 0).all()  # a step downhill goes down, away from what the critic says too high
    assert (film.audio.grad > 0).all()


def test_it_trains_and_is_exported_without_its_critic(latents: Path, teacher: Path, tmp_path: Path) -> None:  # noqa: F811
    values = live(latents, teacher, tmp_path / "student", share=0.7)
    values["run"] = {**values["run"], "validate_every": 3, "log_every": 1}
    path = fit(make_task(values))
    before, after = load_module(AVTransformer, teacher), load_module(AVTransformer, path)
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert any(moved)
    metadata = load_tensors(path)[1]
    assert json.loads(metadata["trained"])["steps"] == 2
    assert json.loads(metadata["recipe"])["chunks"]["share"] == 1.0
    lines = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    logged = {name for line in lines for name in line}
    assert {"critic_video", "critic_audio", "matching"} <= {name.split("/")[-1] for name in logged}
    assert {"drift_video", "drift_audio"} <= {name.split("/")[-1] for name in logged}


def test_what_cannot_be_a_live_student_is_refused(latents: Path, teacher: Path, tmp_path: Path) -> None:  # noqa: F811
    values = live(latents, teacher, tmp_path / "student")
    for change, said in (
        ({"sampling": {"sampler": "multistep"}}, "Euler"),
        ({"sampling": {"guidance": [1.5, 1.5]}}, "without guidance"),
        ({"chunks": {"share": 1.0, "seconds": 0.4}}, "whole numbers"),
        ({"chunks": {"share": 1.0, "seconds": 1.0}}, "two chunks"),
        ({"self_forcing": {"teacher": str(teacher), "share": 0.0}}, "share"),
        ({"model": {**values["model"], "exchange_slopes": [3.0]}}, "another network"),
    ):
        with pytest.raises(PhonofilmError, match=said):
            make_task({**values, **change})
