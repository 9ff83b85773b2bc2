"""Our network on published files against diffusers' own pipeline, where their conventions agree and where not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import phonofilm
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.ltx2.backend import text_width
from phonofilm.backends.ltx2.config import DISTILLED_SIGMAS, network_config, sampling
from phonofilm.backends.ltx2.fitting import schedule
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import DiffusersNetwork, PairedText, load_network
from phonofilm.backends.ltx2.text import Tokens, language_model
from phonofilm.backends.ltx2.vae.mel import WINDOW, filterbank, log_mel
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import Denoiser, Guidance, Guided, euler
from phonofilm.types import Grid, Latents, Request, Text

BOTH = pytest.mark.parametrize("preset", ["ltx2", "ltx2_3"])


@pytest.fixture
def folder(preset, request) -> Folder:
    return Folder.open(request.getfixturevalue("tiny_ltx2" if preset == "ltx2" else "tiny_ltx2_3"))


def inputs(folder: Folder, seed: int = 3) -> tuple[Grid, Latents, Text]:
    generator = torch.Generator().manual_seed(seed)
    config = network_config(folder.configs["transformer"])
    grid = Grid.of(1, 64, 24, sampling(folder.configs, False).geometry)
    width = text_width(folder.configs["transformer"])
    told = width + (config.audio.text_width if config.audio.text_projection else config.audio.width)
    video = torch.randn(1, config.video.channels, *grid.video_shape, generator=generator)
    audio = torch.randn(1, 1, config.audio.channels, grid.audio_length, generator=generator)
    text = torch.randn(1, 16, told, generator=generator)
    return grid, Latents(video, audio), Text(text, torch.ones(1, 16, dtype=torch.bool))


def predictions(folder: Folder, first: float, video: float, audio: float) -> tuple[Latents, Latents]:
    """Ours and diffusers' where the first latent has one noise level and the rest another."""
    grid, latents, text = inputs(folder)
    steps = torch.full((1, 1, grid.video_shape[0], 1, 1), video)
    steps[:, :, 0] = first
    sigma = Latents(steps, torch.full((1, 1, 1, 1), audio))
    width = text_width(folder.configs["transformer"])
    made = []
    for network in (load_network(folder), DiffusersNetwork(load_network(folder, network="diffusers"))):
        with torch.no_grad():
            made.append(PairedText(network, width)(latents, sigma, text, grid.positions()))
    return made[0], made[1]


@BOTH
def test_our_network_is_theirs_where_all_tokens_have_one_level(folder):
    ours, theirs = predictions(folder, 0.6, 0.6, 0.6)
    # double precision of the rotary frequencies' angles alone moves outputs by about 2e-4
    torch.testing.assert_close(ours.video, theirs.video, atol=5e-4, rtol=0)
    torch.testing.assert_close(ours.audio, theirs.audio, atol=5e-4, rtol=0)


@BOTH
def test_with_a_picture_given_the_conventions_differ(folder):
    """The original modulates the exchange by a token's own level, diffusers by the other stream's."""
    ours, theirs = predictions(folder, 0.0, 0.6, 0.6)
    assert float((ours.video - theirs.video).abs().max()) > 1e-3
    assert float((ours.video - theirs.video).abs().mean() / theirs.video.abs().mean()) < 0.2


@BOTH
def test_rows_of_a_batch_may_run_apart(folder):
    grid, latents, text = inputs(folder)
    latents, text = latents.map(lambda v: torch.cat([v, -v])), Text(text.states.repeat(2, 1, 1), text.mask.repeat(2, 1))
    sigma = Latents(torch.full((2, 1, 1, 1, 1), 0.5), torch.full((2, 1, 1, 1), 0.5))
    network, width = load_network(folder), text_width(folder.configs["transformer"])
    options = {"exchange": torch.tensor([True, False])}
    with torch.no_grad():
        apart, together = (
            PairedText(network, width, rows)(latents, sigma, text, grid.positions(), **options) for rows in (1, 2)
        )
    torch.testing.assert_close(apart.video, together.video, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(apart.audio, together.audio, atol=1e-5, rtol=1e-4)


@BOTH
def test_sampled_latents_are_those_of_diffusers_pipeline(folder, preset):
    """Prompt to latents, with the original's guidance of every kind, on one schedule."""
    from diffusers import FlowMatchEulerDiscreteScheduler, LTX2Pipeline, LTX2VideoTransformer3DModel

    transformer = LTX2VideoTransformer3DModel.from_pretrained(
        folder.path / "transformer", local_files_only=True, perturbed_attn=True
    )
    pipeline = LTX2Pipeline.from_pretrained(folder.path, transformer=transformer, local_files_only=True)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline.set_progress_bar_config(disable=True)
    grid, noise, _ = inputs(folder)
    sigmas = torch.tensor([1.0, 0.7, 0.3, 0.0], dtype=torch.float64)
    audio = noise.audio[:, 0].mT.unflatten(2, (2, 16)).transpose(1, 2)
    prompt, negative = "a red ball bounces on wood " * 30, "the mallet plays " * 20
    theirs = pipeline(
        prompt,
        negative_prompt=negative,
        height=64,
        width=64,
        num_frames=grid.model_frames,
        sigmas=sigmas[:-1].tolist(),
        latents=noise.video,
        audio_latents=audio,
        guidance_scale=3.0,
        audio_guidance_scale=7.0,
        modality_scale=3.0,
        audio_modality_scale=2.0,
        guidance_rescale=0.7,
        audio_guidance_rescale=0.7,
        stg_scale=1.0,
        audio_stg_scale=0.5,
        spatio_temporal_guidance_blocks=[1],
        output_type="latent",
    )
    backend = phonofilm.load(str(folder.path), device="cpu")
    told = backend._tell(Request(prompt, negative=negative), lambda *step: None)
    paired = PairedText(load_network(folder), text_width(folder.configs["transformer"]))
    guidance = Guidance((3.0, 7.0), (3.0, 2.0), 0.7, stg=(1.0, 0.5), stg_blocks=(1,))
    with torch.no_grad():
        ours = euler(Guided(Denoiser(paired, "velocity"), *told, grid.positions(), guidance), noise, sigmas)
    torch.testing.assert_close(ours.video, theirs.frames, atol=3e-3, rtol=1e-3)
    torch.testing.assert_close(
        ours.audio[:, 0].mT.unflatten(2, (2, 16)).transpose(1, 2), theirs.audio, atol=3e-3, rtol=1e-3
    )


def test_the_command_can_use_diffusers_network(tiny_ltx2, tmp_path, monkeypatch):
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path))
    plain = {"seconds": 0.5, "size": (64, 64), "steps": 2, "seed": 1}
    ours, theirs = (
        phonofilm.load(str(tiny_ltx2), device="cpu", network=network).generate("a ball", **plain)
        for network in ("phonofilm", "diffusers")
    )
    assert ours.metadata["weights"] != theirs.metadata["weights"]
    assert np.abs(ours.frames.astype(int) - theirs.frames).max() <= 2
    np.testing.assert_allclose(ours.waveform, theirs.waveform, atol=1e-4)


def test_the_language_model_is_the_whole_models(tiny_ltx2):
    from transformers import Gemma3ForConditionalGeneration

    whole = Gemma3ForConditionalGeneration.from_pretrained(tiny_ltx2 / "text_encoder", local_files_only=True).eval()
    ids, mask = Tokens(tiny_ltx2 / "tokenizer")(["a red ball"])
    with torch.no_grad():
        full = whole(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        part = language_model(whole)(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert all(torch.equal(one, other) for one, other in zip(full, part, strict=True))


def test_a_prompt_over_the_models_tokens_is_refused(tiny_ltx2):
    with pytest.raises(PhonofilmError, match=r"has 1\d\d\d tokens, and 1024 is the most"):
        Tokens(tiny_ltx2 / "tokenizer")(["ball " * 400])


class TestSTG:
    def test_scales_and_blocks_are_the_originals(self, tiny_ltx2, tiny_ltx2_3):
        for path, block in ((tiny_ltx2, 29), (tiny_ltx2_3, 28)):
            configs = dict(Folder.open(path).configs)
            configs["transformer"] = {**configs["transformer"], "num_layers": 48}
            full, distilled = sampling(configs, False), sampling(configs, True)
            assert full.guidance_of(Request("x")) == Guidance((3.0, 7.0), (3.0, 3.0), 0.7, (1.0, 1.0), (block,))
            assert distilled.guidance_of(Request("x")).evaluations == 1
            assert distilled.guidance_of(Request("x", stg=(1.0, 0.0))).evaluations == 2

    @BOTH
    def test_both_networks_disturb_alike(self, folder):
        """The second row of a batch, in diffusers' way of saying it."""
        grid, latents, text = inputs(folder)
        latents, text = (
            latents.map(lambda v: v.repeat(2, *(1 for _ in v.shape[1:]))),
            Text(text.states.repeat(2, 1, 1), text.mask.repeat(2, 1)),
        )
        sigma = Latents(torch.full((2, 1, 1, 1, 1), 0.5), torch.full((2, 1, 1, 1), 0.5))
        second = torch.tensor([False, True])
        options = {"unmixed": {1: Latents(second, second)}}
        width = text_width(folder.configs["transformer"])
        networks = load_network(folder), DiffusersNetwork(load_network(folder, network="diffusers"))
        with torch.no_grad():
            ours, theirs = (
                PairedText(one, width, rows)(latents, sigma, text, grid.positions(), **options)
                for one, rows in zip(networks, (1, 2), strict=True)
            )
        torch.testing.assert_close(ours.video, theirs.video, atol=5e-4, rtol=0)
        torch.testing.assert_close(ours.audio, theirs.audio, atol=5e-4, rtol=0)
        assert float((ours.video[0] - ours.video[1]).abs().max()) > 1e-3

    def test_a_model_without_blocks_says_so(self):
        with pytest.raises(PhonofilmError, match="nano has no blocks for spatio-temporal guidance"):
            ModelDefaults().guidance_of(Request("x", stg=(1.0, 1.0)))


class TestSchedule:
    def test_is_that_of_the_scheduler_in_the_folder(self, tiny_ltx2):
        from diffusers import FlowMatchEulerDiscreteScheduler

        folder = Folder.open(tiny_ltx2)
        theirs = FlowMatchEulerDiscreteScheduler.from_pretrained(tiny_ltx2 / "scheduler", local_files_only=True)
        theirs.set_timesteps(sigmas=np.linspace(1, 1 / 12, 12), mu=2.05)
        ours = schedule(Request("x", steps=12), sampling(folder.configs, False), False)
        np.testing.assert_allclose(ours, theirs.sigmas, atol=1e-5)

    def test_distilled_weights_have_their_own(self, tiny_ltx2):
        trained = sampling(Folder.open(tiny_ltx2).configs, True)
        assert schedule(Request("x"), trained, True).tolist() == list(DISTILLED_SIGMAS)
        assert len(schedule(Request("x", steps=4), trained, True)) == 5
        assert trained.guidance == trained.modality_guidance == (1.0, 1.0)


class TestMel:
    def test_is_slaneys(self):
        from transformers.audio_utils import mel_filter_bank

        theirs = mel_filter_bank(WINDOW // 2 + 1, 64, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
        np.testing.assert_allclose(filterbank(16_000, 64), theirs, atol=1e-7)

    def test_frames_lie_on_their_times(self):
        click = torch.zeros(1, 2, 16_000)
        click[..., 8_000] = 1
        mel = log_mel(click, 16_000, 160, 64)
        assert mel.shape == (1, 2, 101, 64)
        assert int(mel.sum((1, 3)).argmax()) == 50
        assert log_mel(torch.zeros(1, 2, 300), 16_000, 160, 64).isfinite().all()


def test_the_clock_is_ltx2s(tiny_ltx2):
    """Positions in seconds as diffusers computes them, though our clock runs at the vocoder's rate."""
    from diffusers import LTX2VideoTransformer3DModel

    folder = Folder.open(tiny_ltx2)
    grid = Grid.of(Fraction(121, 24), (64, 96), 24, sampling(folder.configs, False).geometry)
    theirs = LTX2VideoTransformer3DModel.from_pretrained(tiny_ltx2 / "transformer", local_files_only=True)
    video = theirs.rope.prepare_video_coords(1, 16, 3, 2, "cpu", fps=24.0)[0].transpose(0, 1)
    audio = theirs.audio_rope.prepare_audio_coords(1, grid.audio_length, "cpu")[0].transpose(0, 1)
    assert grid.video_shape == (16, 3, 2)
    np.testing.assert_allclose(grid.positions().video, video, rtol=1e-6)
    np.testing.assert_allclose(grid.positions().audio, audio, rtol=1e-6, atol=1e-7)
    # diffusers has 126 latents here, which decode to 5.01 s of sound under 5.04 s of picture
    assert grid.audio_length == 127
    assert math.ceil(4 * 126 - 3) * 0.01 < 121 / 24
