"""Every task, from a recipe to weights that load, at toy size; and the generator learns two clips by heart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from phonofilm.checkpoint import load_module, load_tensors, save_module
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.codecs.vocoder import Vocoder, VocoderConfig
from phonofilm.config import load_toml, read_toml
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling import Denoiser, Given, Guided, draw_noise, euler, flow_sigmas
from phonofilm.training import train
from phonofilm.training.__main__ import main
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task, open_task
from phonofilm.training.tasks.generator import GeneratorRecipe
from phonofilm.training.tasks.samples import check_codecs
from phonofilm.types import Latents, Text

RECIPES = Path(__file__).parents[2] / "recipes"
MEL = {"bins": 16}
SIZES: dict[str, dict[str, Any]] = {
    "video_vae": {"channels": 4, "widths": [8, 8], "encoder_depths": [1, 1], "decoder_depths": [1, 1]},
    "audio_vae": {"latents": 8, "width": 16, "mel": MEL},
    "vocoder": {"oscillators": 8, "width": 16, "blocks": 1, "mel": MEL},
}
NETWORKS: dict[str, Any] = {"video_vae": VideoVAE, "audio_vae": AudioVAE, "vocoder": Vocoder}
WINDOWS = {"video_vae": 5, "audio_vae": 9, "vocoder": 8}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A raw store of 8 clips of half a second: a bar that moves, and a tone."""
    folder = tmp_path / "raw"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    frames = torch.zeros(8, 6, 32, 32, 3, dtype=torch.uint8)
    for clip in range(8):
        for time in range(6):
            frames[clip, time, :, 3 * time + clip : 3 * time + clip + 6] = 200
    time = torch.arange(8000) / 16_000
    pitch = 200 + 600 * torch.rand(8, 1, generator=generator)
    tone = 0.4 * torch.sin(2 * torch.pi * pitch * time) * torch.exp(-6 * time)
    save_file(
        {"frames": frames, "waveform": torch.stack([tone, tone / 2], 1).half()}, folder / "clips-00000.safetensors"
    )
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "bar", i, f"bar {i}") for i in range(8)])
    (folder / "store.json").write_text(json.dumps({"fps": "12", "sample_rate": 16_000}))
    return folder


def codec_recipe(kind: str, clips: Path, output: Path, **run: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "run": {"output": str(output), "steps": 3, "batch": 2, "precision": "fp32", "log_every": 1, **run},
        "data": {"folder": str(clips), "window": WINDOWS[kind], "held_out": 2},
        "model": SIZES[kind],
    }


def test_a_codec_learns_on_and_keeps_the_latents_of_a_family(clips: Path, tmp_path: Path) -> None:
    older = fit(make_task(codec_recipe("video_vae", clips, tmp_path / "older", steps=20)))
    apart = {}
    for families in ((), ("bar",)):
        recipe = codec_recipe("video_vae", clips, tmp_path / f"kept{len(families)}", steps=40, init=str(older))
        recipe |= {"keep": {"weights": str(older), "families": families}, "loss": {"keep": 100.0}}
        task = make_task(recipe)
        first, second = load_module(VideoVAE, older), load_module(VideoVAE, fit(task))
        frames = task.batch(0)["frames"].permute(0, 4, 1, 2, 3) / 127.5 - 1
        with torch.no_grad():
            apart[families] = float((first.encode(frames)[0] - second.encode(frames)[0]).square().mean())
            assert "psnr_bar" in task.validate(second, 0, tmp_path)
        assert torch.equal(first.latent_std, second.latent_std)
    assert apart["bar",] < 0.2 * apart[()]


def test_latents_of_another_kind_of_codec_cannot_be_kept(clips: Path, tmp_path: Path) -> None:
    older = fit(make_task(codec_recipe("video_vae", clips, tmp_path / "older")))
    recipe = codec_recipe("video_vae", clips, tmp_path / "run") | {"keep": {"weights": str(older)}}
    recipe["model"] = {**SIZES["video_vae"], "channels": 6}
    with pytest.raises(PhonofilmError, match="cannot be kept"):
        make_task(recipe)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_codec_is_trained_validated_and_exported(kind: str, clips: Path, tmp_path: Path) -> None:
    path = fit(make_task(codec_recipe(kind, clips, tmp_path / "run")))
    network = load_module(NETWORKS[kind], path)
    metadata = load_tensors(path)[1]
    assert len(metadata["data"]) == 64
    assert json.loads(metadata["recipe"])["kind"] == kind
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    if kind != "vocoder":
        assert not torch.equal(network.latent_std, torch.ones_like(network.latent_std)), "finish() calibrates"


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_batch_and_its_loss_are_pure_functions_of_the_step(kind: str, clips: Path, tmp_path: Path) -> None:
    first, second = (make_task(codec_recipe(kind, clips, tmp_path)) for _ in range(2))
    second.batch(0)
    one, other = first.batch(5), second.batch(5)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    torch.manual_seed(0)
    network = first.build()
    losses = [first.loss(network, one, torch.Generator().manual_seed(1))[0].item() for _ in range(2)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("kind", NETWORKS)
def test_held_out_clips_are_never_trained_on(kind: str, clips: Path, tmp_path: Path) -> None:
    rows = make_task(codec_recipe(kind, clips, tmp_path)).clips  # type: ignore[attr-defined]
    trained = {row for step in range(12) for row in rows.training(step)}
    assert trained == set(range(2, 8))
    assert rows.held_out() == [[0, 1]]


@pytest.mark.parametrize("kind", ["video_vae", "audio_vae"])
def test_an_impossible_window_is_refused(kind: str, clips: Path, tmp_path: Path) -> None:
    recipe = codec_recipe(kind, clips, tmp_path)
    recipe["data"]["window"] = 8
    with pytest.raises(PhonofilmError, match=r"data\.window must be 1 \+"):
        make_task(recipe)


def tiny(**changes: Any) -> dict[str, Any]:
    video = {"channels": 2, "width": 64, "heads": 2, "text_heads": 1, "layers": 2, "text_width": 8}
    audio = {"channels": 4, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8}
    return {"video": video, "audio": audio, "exchange_heads": 1, "exchange_head_width": 32, **changes}


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    """Two clips, each three times (the first two are held out), with prompts of different lengths."""
    folder = tmp_path / "latents"
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)
    pair = [0, 1] * 3
    shards = {
        "video": torch.randn(2, 2, 4, 4, 4, generator=generator).half()[pair],
        "audio": torch.randn(2, 4, 7, generator=generator).half()[pair],
        "text": torch.tensor([1.0, -1.0]).view(2, 1, 1).expand(2, 5, 8).half()[pair],
        "text_length": torch.tensor([3, 5], dtype=torch.int32)[pair],
    }
    save_file({name: tensor.contiguous() for name, tensor in shards.items()}, folder / "latents-00000.safetensors")
    save_file({"states": torch.randn(2, 8, generator=generator).half()}, folder / "null.safetensors")
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "toy", i, f"{i % 2}") for i in range(6)])
    geometry = {"patch": [1, 4, 4], "video_time": 2, "video_space": 8, "mel_hop": 400, "audio_time": 4}
    facts = {"frames": 7, "height": 32, "width": 32, "fps": "12", "geometry": {**geometry, "sample_rate": 16_000}}
    facts |= {"count": 6, "video_vae": "v", "audio_vae": "a", "text": "t"}
    (folder / "store.json").write_text(json.dumps(facts))
    return folder


def generator_recipe(latents: Path, output: Path, **run: Any) -> dict[str, Any]:
    return {
        "kind": "generator",
        "run": {"output": str(output), "steps": 3, "batch": 4, "precision": "fp32", "log_every": 50, **run},
        "data": {"folder": str(latents), "held_out": 2},
        "model": tiny(),
        "optim": {"warmup": 5},
    }


def test_the_generator_learns_two_clips_by_heart(latents: Path, tmp_path: Path) -> None:
    """After two hundred steps each prompt gives its own clip, and either stream alone tells which clip it is."""
    recipe = generator_recipe(latents, tmp_path / "run", steps=200, batch=16, export="float32", validate_every=0)
    recipe["optim"] = {"warmup": 5, "lr": 4e-3, "muon_lr": 6e-3, "ema": 0.9}
    recipe["noise"] = {"drop_text": 0.2}
    task = make_task(recipe)
    network = load_module(AVTransformer, fit(task))
    batch = task.read([0, 1])  # type: ignore[attr-defined]
    truth = Latents(batch["video"].float(), batch["audio"].float())
    text = Text(batch["text"], batch["mask"])
    silent = task.store.text([None, None])  # type: ignore[attr-defined]
    noise = Latents(*(draw_noise(getattr(truth, s).shape[1:], [3, 4], s) for s in ("video", "audio")))

    @torch.no_grad()
    def made(prompt: Text, video: bool, audio: bool) -> Latents:
        guided = Guided(Denoiser(network), prompt, prompt, task.positions)  # type: ignore[attr-defined]
        mask = Latents(torch.full((2, 1, 1, 1, 1), video), torch.full((2, 1, 1, 1), audio))
        return euler(guided, noise, flow_sigmas(8, 3.0), Given(truth, mask))

    def distance(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one - other).square().mean() / other.square().mean())

    both = made(text, False, False)
    assert distance(both.video, truth.video) < 0.05
    assert distance(both.audio, truth.audio) < 0.05
    assert distance(made(silent, True, False).audio, truth.audio) < 0.05
    assert distance(made(silent, False, True).video, truth.video) < 0.05


@pytest.mark.parametrize("precision", ["fp32", "autocast"])
def test_the_generator_trains_in_every_precision_and_resumes(precision: str, latents: Path, tmp_path: Path) -> None:
    whole = generator_recipe(latents, tmp_path / "whole", steps=4, precision=precision)
    fit(make_task(whole))
    half = generator_recipe(latents, tmp_path / "half", steps=2, precision=precision)
    half["optim"]["cooldown"] = 0.0  # the rate must not depend on how long the run will be
    whole_again = generator_recipe(latents, tmp_path / "half", steps=4, precision=precision)
    whole_again["optim"]["cooldown"] = 0.0
    fit(make_task(half))
    fit(make_task(whole_again), resume=True)
    straight = generator_recipe(latents, tmp_path / "straight", steps=4, precision=precision)
    straight["optim"]["cooldown"] = 0.0
    fit(make_task(straight))
    resumed, once = (load_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("half", "straight"))
    assert all(torch.equal(tensor, once[name]) for name, tensor in resumed.items())


def test_weights_say_how_they_want_to_be_sampled(latents: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(latents, tmp_path / "run", steps=1)
    recipe["sampling"] = {"steps": 12, "guidance": [1.5, 2.0]}
    metadata = load_tensors(fit(make_task(recipe)))[1]
    trained = json.loads(metadata["trained"])
    assert trained["size"] == [32, 32]
    assert trained["fps"] == "12"
    assert trained["steps"] == 12
    assert trained["guidance"] == [1.5, 2.0]
    assert trained["prediction"] == "sample"
    assert (metadata["video_vae"], metadata["text"]) == ("v", "t")


def test_validation_writes_films_and_spectrograms(latents: Path, tmp_path: Path) -> None:
    codecs = tmp_path / "codecs"
    codecs.mkdir()
    mel = MelConfig(**MEL)
    video = VideoVAE(VideoVAEConfig(channels=2, widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1)))
    save_module(codecs / "video_vae.safetensors", video)
    save_module(codecs / "audio_vae.safetensors", AudioVAE(AudioVAEConfig(mel=mel, latents=4, width=16)))
    vocoder = Vocoder(VocoderConfig(mel=mel, oscillators=8, width=16, blocks=1))
    save_module(codecs / "vocoder.safetensors", vocoder)
    recipe = generator_recipe(latents, tmp_path / "run", steps=1, precision="autocast")
    recipe["samples"] = {"count": 2, "codecs": str(codecs)}
    recipe["sampling"] = {"steps": 2, "guidance": [2.0, 2.0], "modality_guidance": [1.5, 1.5]}
    fit(make_task(recipe))
    names = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert names == {"0000001.png", "0000001-mel.png", "0000001-0.mp4", "0000001-1.mp4"}
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    wanted = {"joint_video", "joint_audio", "foley_audio", "late_audio", "animate_video"}
    assert {name.removeprefix("validation/") for name in lines[-1]} - {"step"} == wanted


def test_codecs_for_samples_are_missed_at_once(latents: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(latents, tmp_path / "run")
    recipe["samples"] = {"count": 2, "codecs": str(tmp_path / "nowhere")}
    with pytest.raises(PhonofilmError, match="missing"):
        make_task(recipe)


def test_the_recipe_that_ships_decodes_its_samples_with_the_codecs_that_ship(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples = load_toml(GeneratorRecipe, RECIPES / "nano.toml").samples
    check_codecs(samples.codecs)
    with pytest.raises(PhonofilmError, match="missing"):
        check_codecs("weights")


def test_single_settings_of_a_preset_can_be_changed(latents: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(latents, tmp_path)
    recipe["model"] = tiny(feed_forward=1.5)
    config = make_task(recipe).build().config
    assert config.feed_forward == 1.5
    assert config.norm == "layer", "the rest is the preset's"
    recipe["model"] = tiny(feed_backward=1.5)
    with pytest.raises(PhonofilmError, match=r"model\.feed_backward.*feed_forward"):
        make_task(recipe)
    recipe["preset"] = "enormous"
    with pytest.raises(PhonofilmError, match=r"preset.*nano"):
        make_task(recipe)


OF_ONE_NETWORK = sorted(path for path in RECIPES.glob("*.toml") if read_toml(path)["kind"] not in ("grow", "lora"))


@pytest.mark.parametrize("path", OF_ONE_NETWORK, ids=lambda path: path.stem)
def test_every_recipe_is_valid_up_to_its_data(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = read_toml(path).get("base", "nano")
    monkeypatch.chdir(tmp_path)
    if base != "nano":  # a module's base is looked for where the recipe says
        folder = Path(base).parent  # whole: weights may lie there in parts
        folder.parent.mkdir(parents=True)
        folder.symlink_to(path.parents[1] / folder)
    with pytest.raises(PhonofilmError, match="data/"):
        open_task(path, [])


def test_the_command_line_says_what_is_wrong_in_one_line(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('kind = "film"\n')
    assert main([str(recipe)]) == 1
    assert "video_vae, audio_vae, vocoder, generator" in capsys.readouterr().err
    recipe.write_text(f'kind = "audio_vae"\n[run]\noutput = "{tmp_path}/run"\n')
    assert main([str(recipe), "--set", "run.stpes=3"]) == 1
    assert "did you mean run.steps" in capsys.readouterr().err


def test_train_reads_a_recipe_with_overrides(clips: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'kind = "audio_vae"\n[run]\noutput = "{tmp_path}/run"\nprecision = "fp32"\n')
    settings = [f"data.folder={clips}", "data.held_out=2", "data.window=9", "run.steps=1", "run.batch=2"]
    settings += ["model.width=16", "model.latents=8", "model.mel.bins=16"]
    assert train(recipe, settings) == tmp_path / "run" / "audio_vae.safetensors"


def test_one_stream_is_learnt_alone_and_the_other_is_never_there(latents: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(latents, tmp_path / "run", validate_every=3)
    task = make_task({**recipe, "streams": "video", "model": tiny(audio=tiny()["audio"] | {"layers": 0})})
    network = task.build()
    task.loss(network, task.batch(0), torch.Generator())[0].backward()
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None} == {"video", "blocks"}
    fit(task)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {name for line in lines for name in line if name.startswith("validation")} == {"validation/alone_video"}
    with pytest.raises(PhonofilmError, match="samples need both streams"):
        make_task({**recipe, "streams": "audio", "samples": {"count": 1}})


def test_a_checkpoint_older_than_a_setting_goes_on_with_its_default(latents: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(latents, tmp_path / "run", steps=2)
    fit(make_task(recipe))
    tensors, metadata = load_tensors(tmp_path / "run" / "checkpoint.safetensors")
    saved = json.loads(metadata["recipe"])
    assert saved.pop("streams") == "both"
    save_file(tensors, tmp_path / "run" / "checkpoint.safetensors", metadata | {"recipe": json.dumps(saved)})
    longer = generator_recipe(latents, tmp_path / "run", steps=4)
    assert load_tensors(fit(make_task(longer), resume=True))[1]["step"] == "4"
    with pytest.raises(PhonofilmError, match="made with another streams"):
        fit(make_task({**longer, "streams": "video"}), resume=True)
