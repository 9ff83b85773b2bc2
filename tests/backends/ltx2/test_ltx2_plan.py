"""What --dry-run says is what happens."""

from __future__ import annotations

import json

import pytest
import torch

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.ltx2 import memory, parts, workload
from phonofilm.backends.ltx2.backend import text_width
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.memory import decode_peak
from phonofilm.backends.ltx2.network import PairedText, load_network
from phonofilm.backends.ltx2.plan import make_plan
from phonofilm.backends.ltx2.text import MAX_TOKENS
from phonofilm.backends.ltx2.vae.decode import LADDER, Tile, decode_video
from phonofilm.backends.ltx2.workload import step_cost
from phonofilm.backends.published.planning.footprint import Footprint, cost
from phonofilm.sampling import Denoiser, Guidance, Guided
from phonofilm.types import Grid, Latents, Request, Text

WORDS = ["generate", "a ball", "--seconds", "1", "--size", "64x64", "--steps", "2", "--device", "cpu"]


def test_it_says_all_and_loads_nothing(tiny_ltx2, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(parts.Parts, "_load", lambda *arguments: pytest.fail("loaded"))
    assert main([*WORDS, "--model", str(tiny_ltx2), "-o", str(tmp_path / "a.mp4"), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert [stage["name"] for stage in plan["stages"]] == ["text", "connectors", "sampling", "sound", "picture"]
    assert plan["fits"]
    assert plan["peak"] == plan["base"] + max(stage["peak"] for stage in plan["stages"])
    assert set(plan["sizes"]) == {"text_encoder", "connectors", "transformer", "vae", "audio_vae", "vocoder"}
    assert plan["seconds"] > 0
    assert not (tmp_path / "a.mp4").exists()


def test_it_speaks_to_people_too(tiny_ltx2, capsys, tmp_path):
    film = tmp_path / "film.mkv"
    clip = phonofilm.load("fake").generate("x", seconds=1, size=(64, 64), fps=24)
    clip.save(film)
    words = ["retake", str(film), "--from", "0.4", "--to", "0.8", "--model", str(tiny_ltx2), "--dry-run"]
    assert main([*words, "-o", str(tmp_path / "a.mp4"), "--offload", "disk"]) == 0
    said = capsys.readouterr().out
    for line in ("24 frames of 64x64 at 24 fps", "offload disk", "encoding", "peak ", "expected time", "it fits"):
        assert line in said


def test_our_own_models_need_none(capsys):
    assert main([*WORDS, "--model", "nano", "-o", "a.mp4", "--dry-run"]) == 1
    assert "nano needs no plan" in capsys.readouterr().err


def test_where_parts_wait_decides_the_weights_at_the_peak(tiny_ltx2):
    request = Request("a ball", seconds=1, size=(64, 64), steps=2)
    backend = phonofilm.load(str(tiny_ltx2), device="cpu", offload="none")
    kept = make_plan(backend, request)
    dropped = make_plan(phonofilm.load(str(tiny_ltx2), device="cpu", offload="disk"), request)
    assert max(stage.weights for stage in kept.stages) == sum(map(backend.parts.bytes, kept.sizes))
    assert max(stage.weights for stage in dropped.stages) == backend.parts.bytes("vae")
    assert dropped.peak - dropped.base <= kept.peak - kept.base


class TestFootprint:
    def test_live_tensors_and_products_are_counted(self):
        device = torch.device("cpu")

        def build():
            x, weight = torch.empty(128, 256), torch.empty(256, 512)
            return lambda: torch.relu(x @ weight).sum()

        found = cost(build, device, torch.float32)
        assert found.flops == 2 * 128 * 256 * 512
        assert found.peak == 2 * 4 * 128 * 512  # the product and its relu at once; the sum comes when one is gone

    def test_it_does_not_depend_on_contents_or_need_them(self):
        huge = cost(lambda: lambda: torch.empty(10**6, 10**6).square(), torch.device("cpu"), torch.float32)
        assert huge.peak == 2 * 4 * 10**12

    def test_attention_on_the_cpu_counts(self):
        def build():
            q = torch.empty(1, 4, 64, 32)
            return lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)

        assert cost(build, torch.device("cpu"), torch.float32).flops == 4 * 4 * 64 * 64 * 32


class TestPredictedIsMeasured:
    """The same counter over the real run: shapes, dtypes and lifetimes were foreseen to within a tenth."""

    def test_a_step_of_the_sampler(self, tiny_ltx2):
        backend = phonofilm.load(str(tiny_ltx2), device="cpu")
        folder, device = backend.parts.folder, torch.device("cpu")
        grid = Grid.of(1, 128, 24, backend.trained.geometry)
        guidance, width = Guidance((3.0, 7.0), (3.0, 3.0), 0.7), text_width(folder.configs["transformer"])
        said = step_cost(folder, grid, (True, True), guidance, 1, width, device)
        network = load_network(folder)
        x = Latents(torch.randn(1, 8, *grid.video_shape), torch.randn(1, 1, 32, grid.audio_length))
        sigma = x.map(lambda v: torch.full((1, 1, *(1 for _ in v.shape[2:])), 0.5))
        told = Text(torch.randn(1, MAX_TOKENS, 2 * width), torch.ones(1, MAX_TOKENS, dtype=torch.bool))
        denoise = Guided(
            Denoiser(PairedText(network, width), "velocity"), told, told, network.places(grid.positions()), guidance
        )
        with torch.no_grad(), Footprint() as counted:
            denoise(x, sigma)
        assert said.peak == pytest.approx(counted.peak, rel=0.1)
        assert said.flops == pytest.approx(counted.flops, rel=0.01)

    @pytest.mark.parametrize("quantize", [None, "nf4"])
    def test_many_layers_from_three(self, tiny_ltx2, monkeypatch, quantize):
        folder, device = Folder.open(tiny_ltx2), torch.device("cpu")
        folder.configs["transformer"]["num_layers"] = 7
        grid = Grid.of(1, 64, 24, phonofilm.load(str(tiny_ltx2), device="cpu").trained.geometry)
        guidance = Guidance((3.0, 7.0), (3.0, 3.0), 0.7, (1.0, 1.0), (5,))
        asked = (folder, grid, (True, True), guidance, 1, text_width(folder.configs["transformer"]), device, quantize)
        said = step_cost(*asked)
        monkeypatch.setattr(workload, "cost_by_layers", lambda cost_of, layers: cost_of(layers))
        counted = step_cost(*asked)
        assert said.flops == counted.flops
        assert said.peak == pytest.approx(
            counted.peak, rel=1e-4
        )  # when a scalar is given back is not the plan's matter

    @pytest.mark.parametrize("tile", [LADDER[0], Tile(256, 3)])
    def test_decoding(self, tiny_ltx2, tile, monkeypatch):
        # the share for what convolutions take by themselves, which no counter sees
        monkeypatch.setattr(memory, "DECODE_FACTOR", 1.0)
        backend, shape = phonofilm.load(str(tiny_ltx2), device="cpu"), (5, 4, 4)
        said = decode_peak(backend.parts.folder, shape, tile, torch.device("cpu"))
        with backend.parts.use("vae") as vae, torch.no_grad(), Footprint() as counted:
            frames = decode_video(vae, torch.randn(1, 8, *shape), tile)
        assert said == pytest.approx(counted.peak + frames.nbytes, rel=0.1)
