"""Two stages: half the size first, enlarged latents refined; from files in the published layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.ltx2 import backend as module
from phonofilm.backends.ltx2.config import DISTILLED_SIGMAS
from phonofilm.backends.ltx2.network import load_network
from phonofilm.backends.ltx2.refine import REFINING, enlarged, start_of
from phonofilm.backends.ltx2.vae.networks import denormalised, normalised
from phonofilm.backends.registry import plan
from phonofilm.errors import PhonofilmError
from phonofilm.types import Latents, Request

SMALL = {"seconds": 0.5, "size": (128, 64), "steps": 2, "seed": 1}
LAYER = "transformer_blocks.1.attn1.to_q"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def two_stage(tiny_ltx2, tmp_path_factory) -> Path:
    """The tiny model with an upsampler and the LoRA that makes it refine."""
    from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel

    folder = Path(shutil.copytree(tiny_ltx2, tmp_path_factory.mktemp("two") / "model"))
    torch.manual_seed(6)
    upsampler = LTX2LatentUpsamplerModel(in_channels=8, mid_channels=32, num_blocks_per_stage=1)
    upsampler.save_pretrained(folder / "latent_upsampler")
    generator = torch.Generator().manual_seed(5)
    down, up = torch.randn(4, 32, generator=generator), torch.randn(32, 4, generator=generator)
    factors = {f"diffusion_model.{LAYER}.lora_A.weight": down, f"diffusion_model.{LAYER}.lora_B.weight": up}
    save_file(factors, folder / "ltx-2-tiny-distilled-lora-4.safetensors")
    return folder


def test_enlarging_is_diffusers_own(two_stage):
    """Against its pipeline on the same latents; ours come out normalised, as the transformer takes them."""
    from diffusers import AutoencoderKLLTX2Video
    from diffusers.pipelines.ltx2 import LTX2LatentUpsamplePipeline, LTX2LatentUpsamplerModel

    vae = AutoencoderKLLTX2Video.from_pretrained(two_stage / "vae", local_files_only=True).eval()
    vae.latents_mean += 0.3
    vae.latents_std *= 1.7
    upsampler = LTX2LatentUpsamplerModel.from_pretrained(two_stage / "latent_upsampler", local_files_only=True).eval()
    latents = torch.randn(1, 8, 3, 2, 4, generator=torch.Generator().manual_seed(1))
    pipeline = LTX2LatentUpsamplePipeline(vae, upsampler)
    theirs = pipeline(latents=latents, latents_normalized=True, height=64, width=128, output_type="latent").frames
    ours = enlarged(vae, upsampler, latents)
    assert ours.shape == (1, 8, 3, 4, 8)
    torch.testing.assert_close(denormalised(vae, ours), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(normalised(vae, denormalised(vae, latents)), latents, atol=1e-5, rtol=1e-5)


def test_the_second_stage_starts_within_the_distilled_schedule():
    assert DISTILLED_SIGMAS[-4:] == REFINING
    clean, noise = (Latents(torch.full((1, 2, 1, 1, 1), v), torch.full((1, 1, 2, 3), v)) for v in (3.0, -1.0))
    start = start_of(clean, noise)
    expected = 3 * (1 - REFINING[0]) - REFINING[0]
    assert start.video.unique().tolist() == start.audio.unique().tolist() == pytest.approx([expected])


def test_one_command_makes_it_in_two_stages(two_stage, capsys):
    words = ["generate", "a red ball", "--model", two_stage, "--seconds", 0.5, "--size", "128x64", "--steps", 2]
    said = []
    for number, more in enumerate(([], ["--upsample"])):
        assert main([str(word) for word in [*words, "-o", f"{number}.mkv", *more, "--json"]]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert "refining" in said[1]["stages"]
    assert "refining" not in said[0]["stages"]
    assert said[0]["outputs"][0]["weights"] != said[1]["outputs"][0]["weights"]
    facts = said[1]["outputs"][0]
    assert (facts["width"], facts["height"], facts["frames"]) == (128, 64, 12)
    assert abs(facts["samples"] / facts["sample_rate"] - 0.5) <= 1 / 24_000


class TestStages:
    def spied(self, monkeypatch) -> list[tuple[str, tuple[int, ...]]]:
        """Which network sampled, and the shape of its video latents."""
        seen: list[tuple[str, tuple[int, ...]]] = []
        use = module.Parts.use

        def watched(parts, name):
            if name in ("transformer", "refiner"):
                seen.append((name, ()))
            return use(parts, name)

        monkeypatch.setattr(module.Parts, "use", watched)
        sample, refine = module.LTX2Backend._sample, module.LTX2Backend._refine

        def shaped(function):
            def made(self, *arguments):
                latents = function(self, *arguments)
                seen.append((function.__name__, tuple(latents.video.shape[2:])))
                return latents

            return made

        monkeypatch.setattr(module.LTX2Backend, "_sample", shaped(sample))
        monkeypatch.setattr(module.LTX2Backend, "_refine", shaped(refine))
        return seen

    def test_half_the_size_with_the_weights_then_all_of_it_with_the_lora(self, two_stage, monkeypatch):
        seen = self.spied(monkeypatch)
        model = phonofilm.load(str(two_stage), device="cpu", upsample=True)
        model.generate("a ball", **SMALL)
        assert seen == [("transformer", ()), ("_sample", (3, 1, 2)), ("refiner", ()), ("_refine", (3, 2, 4))]
        assert "transformer" not in model.parts._loaded  # never both in memory
        plain = load_network(model.parts.folder).state_dict()
        refiner = model.parts._loaded["refiner"].state_dict()
        assert [name for name, t in plain.items() if not torch.equal(t, refiner[name])] == [
            "blocks.1.video.self_attention.to_q.weight"
        ]

    def test_killed_in_the_second_stage_it_goes_on_there(self, two_stage, monkeypatch):
        model = phonofilm.load(str(two_stage), device="cpu", upsample=True)
        with monkeypatch.context() as patched:

            def stop(*arguments):
                raise KeyboardInterrupt

            patched.setattr(module, "enlarged", stop)
            with pytest.raises(KeyboardInterrupt):
                model.generate("a ball", **SMALL)
        monkeypatch.setattr(module.LTX2Backend, "_sample", lambda *arguments: pytest.fail("sampled again"))
        assert len(model.generate("a ball", **SMALL).frames) == 12

    def test_a_given_picture_stays_and_foley_needs_one_stage(self, two_stage, monkeypatch):
        model = phonofilm.load(str(two_stage), device="cpu", upsample=True)
        picture = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
        one, other = (model.generate("x", image=picture, **{**SMALL, "seed": seed}) for seed in (1, 2))
        given = [model._given(canvas_of(model, clip), range(12), grid_of(model)) for clip in (one, other)]
        assert given[0].values.video.shape == given[1].values.video.shape
        monkeypatch.setattr(module.LTX2Backend, "_refine", lambda *arguments: pytest.fail("refined what was given"))
        made = model.generate("x", task="foley", source=one, steps=1)
        assert (made.frames == one.frames).all()


def canvas_of(model, clip):
    from phonofilm.backends.canvas.layout import lay_out, work_out

    trained = module.fitted(Request("x", task="foley", source=clip), model.trained, None, 2)
    return lay_out(work_out(Request("x", task="foley", source=clip), trained), trained)


def grid_of(model):
    return module.fitted(Request("x", **SMALL), model.trained, None, 2).grid(12)


def test_the_plan_has_both_stages(two_stage):
    request = Request("a ball", model=str(two_stage), **SMALL | {"size": (512, 256)})
    one, two = (plan(request, "cpu", upsample=upsample) for upsample in (False, True))
    names = [stage.name for stage in two.stages]
    assert names == ["text", "connectors", "sampling", "upsampling", "refining", "sound", "picture"]
    assert two.sizes["latent_upsampler"] > 0
    work = {stage.name: stage.work for stage in two.stages}
    full = {stage.name: stage.work for stage in one.stages}
    assert work["sampling"] < full["sampling"]
    assert work["upsampling"] > 0


def test_what_is_lacking_gets_one_line(two_stage, tiny_ltx2, tmp_path):
    with pytest.raises(PhonofilmError, match="lacks the folder latent_upsampler; put it there, or omit --upsample"):
        phonofilm.load(str(tiny_ltx2), device="cpu", upsample=True)
    bare = Path(shutil.copytree(two_stage, tmp_path / "bare"))
    next(bare.glob("*lora*")).unlink()
    with pytest.raises(PhonofilmError, match="refines with its distilled LoRA"):
        phonofilm.load(str(bare), device="cpu", upsample=True)
    distilled = bare.rename(tmp_path / "tiny-distilled")
    assert phonofilm.load(str(distilled), device="cpu", upsample=True).parts.refining is None
    (distilled / "latent_upsampler" / "config.json").write_text(json.dumps({"_class_name": "LTX2Vocoder"}))
    with pytest.raises(PhonofilmError, match="where LTX2LatentUpsamplerModel is needed"):
        phonofilm.load(str(distilled), device="cpu", upsample=True)
