"""What --dry-run says of Wan is what happens."""

from __future__ import annotations

import json

import pytest
import torch

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.published.planning.footprint import Footprint
from phonofilm.backends.published.tiles import Tile
from phonofilm.backends.wan import memory
from phonofilm.backends.wan.codecs import ALL, LADDER, decode_video
from phonofilm.backends.wan.memory import decode_peak, step_cost
from phonofilm.backends.wan.network import Experts
from phonofilm.backends.wan.parts import WanParts
from phonofilm.backends.wan.plan import _Weights
from phonofilm.sampling import Denoiser, Guidance, Guided
from phonofilm.types import Grid, Latents, Text


def test_it_counts_two_experts_that_take_turns(tiny_wan, capsys, monkeypatch):
    monkeypatch.setattr(WanParts, "_load", lambda *arguments: pytest.fail("loaded"))
    words = [
        "generate",
        "a ball",
        "--seconds",
        "0.5",
        "--size",
        "48x32",
        "--steps",
        "8",
        "--device",
        "cpu",
        "--dry-run",
    ]
    words += ["--device", "cpu", "--dry-run"]
    assert main([*words, "--model", f"{tiny_wan}+foley", "-o", "a.mp4", "--offload", "disk", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["plan"]
    stages = {stage["name"]: stage for stage in said["stages"]}
    assert list(stages) == ["text", "high noise", "low noise", "picture"]
    experts = [stages[name]["weights"] for name in ("high noise", "low noise")]
    assert (
        experts[0]
        == experts[1]
        == phonofilm.load(str(tiny_wan), device="cpu").parts.folder.bytes("transformer", torch.device("cpu"))
    )
    assert said["fits"]


def test_where_nothing_is_put_away_both_experts_are_there(tiny_wan):
    parts = phonofilm.load(str(tiny_wan), device="cpu", offload="none").parts
    weights, one = _Weights(parts), parts.folder.bytes("transformer", parts.device)
    assert [weights.during(name) for name in ("transformer", "transformer_2")] == [one, 2 * one]


def test_a_step_of_the_sampler_takes_what_was_predicted(tiny_wan):
    backend = phonofilm.load(str(tiny_wan), device="cpu")
    folder = backend.parts.folder
    grid = Grid.of(0.5, (96, 64), 16, backend.trained.geometry)
    said = step_cost(folder, grid, 2, torch.device("cpu"))
    x = Latents(torch.randn(1, 4, *grid.video_shape))
    sigma = Latents(torch.full((1, 1, 1, 1, 1), 0.5))
    text = Text(torch.randn(1, 512, 16), torch.ones(1, 512, dtype=torch.bool))
    with Experts(backend.parts) as network:
        denoise = Guided(Denoiser(network, "velocity"), text, text, grid.positions(), Guidance((4.0, 1.0)))
        denoise(x, sigma)  # fetches the expert
        with torch.no_grad(), Footprint() as counted:
            denoise(x, sigma)
    assert said.peak == pytest.approx(counted.peak, rel=0.1)
    assert said.flops == pytest.approx(counted.flops, rel=0.01)


def test_many_layers_from_three(tiny_wan, monkeypatch):
    folder = phonofilm.load(str(tiny_wan), device="cpu").parts.folder
    folder.configs["transformer"]["num_layers"] = 6
    grid = Grid.of(0.5, (48, 32), 16, folder.settings.trained.geometry)
    said = step_cost(folder, grid, 2, torch.device("cpu"), "int8")
    monkeypatch.setattr(memory, "cost_by_layers", lambda cost_of, layers: cost_of(layers))
    assert step_cost(folder, grid, 2, torch.device("cpu"), "int8") == said


@pytest.mark.parametrize("tile", [LADDER[0], Tile(6, ALL)])
def test_decoding_takes_what_was_predicted(tiny_wan, tile, monkeypatch):
    # the share for what convolutions take by themselves, which no counter sees
    monkeypatch.setattr(memory, "DECODE_FACTOR", 1.0)
    backend, shape = phonofilm.load(str(tiny_wan), device="cpu"), (5, 8, 12)
    said = decode_peak(backend.parts.folder, shape, tile, torch.device("cpu"))
    with backend.parts.use("vae") as vae, torch.no_grad(), Footprint() as counted:
        frames = decode_video(vae, torch.randn(1, 4, *shape), tile)
    assert frames.shape == (17, 64, 96, 3)
    assert said == pytest.approx(counted.peak + frames.nbytes, rel=0.1)
