"""Prompt to latents against diffusers' own pipelines on the same files, and whose turn it is between two experts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import phonofilm
from phonofilm.backends.base import JobContext
from phonofilm.backends.canvas.given import noise_of
from phonofilm.backends.canvas.layout import lay_out
from phonofilm.backends.wan import WanBackend
from phonofilm.backends.wan.backend import film_job
from phonofilm.backends.wan.fitting import fitted, schedule
from phonofilm.backends.wan.network import Experts, timesteps
from phonofilm.types import Latents, Request

PROMPT, NEGATIVE = "a red ball bounces on wood", "blurred"
PICTURE = np.random.default_rng(4).integers(0, 256, (32, 48, 3), dtype=np.uint8)


def ours(backend: WanBackend, request: Request) -> tuple[Latents, torch.Tensor]:
    """Latents, and the noise they were made of."""
    trained = fitted(request, backend.trained, "tiny")
    canvas = lay_out(film_job(request, trained), trained)
    grid = trained.grid(len(canvas.frame_states))
    with torch.inference_mode():
        made = backend._sample(request, canvas, grid, JobContext())
        noise = noise_of(backend._given(canvas, grid), request, 0, torch.device("cpu"))
    return made, noise.video.clone()


def told(backend: WanBackend, request: Request) -> dict[str, torch.Tensor]:
    """Encoded prompts: this pipeline encodes them only where ftfy is installed, and the other one has shown that."""
    with torch.no_grad():
        one, other = backend._tell(request, JobContext())
    return {"prompt_embeds": one.states, "negative_prompt_embeds": other.states}


def theirs(folder: Path, cls: Any, **more: Any) -> Any:
    import diffusers
    from transformers import AutoTokenizer, UMT5EncoderModel

    def read(kind: Any, name: str) -> Any:
        return kind.from_pretrained(folder / name, local_files_only=True).eval()

    experts = {name: read(diffusers.WanTransformer3DModel, name) for name in more.pop("experts")}
    pipeline = cls(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        text_encoder=read(UMT5EncoderModel, "text_encoder"),
        vae=read(diffusers.AutoencoderKLWan, "vae"),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=more.pop("shift")
        ),
        **experts,
        **more,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


BOTH = ("transformer", "transformer_2")


def test_text_to_film_is_that_of_diffusers(tiny_wan):
    from diffusers import WanPipeline

    request = Request(PROMPT, negative=NEGATIVE, seconds=0.5, size=(48, 32), steps=6, seed=3)
    latents, noise = ours(phonofilm.load(str(tiny_wan), device="cpu"), request)
    pipeline = theirs(tiny_wan, WanPipeline, experts=BOTH, shift=12.0, boundary_ratio=0.875)
    expected = pipeline(
        PROMPT,
        NEGATIVE,
        height=32,
        width=48,
        num_frames=9,
        num_inference_steps=6,
        guidance_scale=4.0,
        guidance_scale_2=3.0,
        latents=noise,
        output_type="latent",
    ).frames
    assert latents.video.shape == (1, 4, 3, 4, 6)
    torch.testing.assert_close(latents.video, expected, atol=2e-4, rtol=1e-3)


def test_picture_to_film_is_that_of_diffusers(tiny_wan_i2v):
    from diffusers import WanImageToVideoPipeline
    from PIL import Image

    request = Request(PROMPT, negative=NEGATIVE, seconds=0.5, size=(48, 32), steps=6, seed=3, image=PICTURE)
    backend = phonofilm.load(str(tiny_wan_i2v), device="cpu")
    latents, noise = ours(backend, request)
    pipeline = theirs(tiny_wan_i2v, WanImageToVideoPipeline, experts=BOTH, shift=5.0, boundary_ratio=0.9)
    expected = pipeline(
        Image.fromarray(PICTURE),
        **told(backend, request),
        height=32,
        width=48,
        num_frames=9,
        num_inference_steps=6,
        guidance_scale=3.5,
        latents=noise,
        output_type="latent",
    ).frames
    torch.testing.assert_close(latents.video, expected, atol=2e-4, rtol=1e-3)


def test_a_picture_given_as_tokens_is_that_of_diffusers(tiny_wan_5b):
    from diffusers import WanImageToVideoPipeline
    from PIL import Image

    picture = PICTURE.repeat(2, 0).repeat(2, 1)[:, :64]
    request = Request(PROMPT, negative=NEGATIVE, seconds=0.5, size=(64, 64), steps=5, seed=3, image=picture)
    backend = phonofilm.load(str(tiny_wan_5b), device="cpu")
    latents, noise = ours(backend, request)
    pipeline = theirs(tiny_wan_5b, WanImageToVideoPipeline, experts=BOTH[:1], shift=5.0, expand_timesteps=True)
    expected = pipeline(
        Image.fromarray(picture),
        **told(backend, request),
        height=64,
        width=64,
        num_frames=13,
        num_inference_steps=5,
        guidance_scale=5.0,
        latents=noise,
        output_type="latent",
    ).frames
    torch.testing.assert_close(latents.video, expected, atol=3e-4, rtol=1e-3)


class TestExperts:
    REQUEST = Request(PROMPT, seconds=0.5, size=(48, 32), steps=8, seed=3)

    def called(self, backend: WanBackend, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
        """At which time steps each expert was run."""
        steps: dict[str, list[int]] = {name: [] for name in BOTH}
        load = type(backend.parts)._load

        def watched(parts, name):
            module = load(parts, name)
            if name in steps:
                module.register_forward_pre_hook(
                    lambda m, args, kwargs: steps[name].append(int(kwargs["timestep"].max())), with_kwargs=True
                )
            return module

        monkeypatch.setattr(type(backend.parts), "_load", watched)
        backend.generate(self.REQUEST)
        return steps

    @pytest.mark.parametrize("offload", ["none", "disk"])
    def test_each_is_called_for_exactly_its_time_steps(self, tiny_wan, monkeypatch, offload):
        backend = phonofilm.load(str(tiny_wan), device="cpu", offload=offload)
        steps = self.called(backend, monkeypatch)
        levels = timesteps(schedule(self.REQUEST, backend.trained)[:-1]).int().tolist()
        high = [t for t in levels if t >= 875]
        assert 0 < len(high) < len(levels)
        assert steps["transformer"] == [t for t in high for _ in range(2)]  # with the prompt, and without
        assert steps["transformer_2"] == [t for t in levels if t < 875 for _ in range(2)]

    def test_only_one_is_in_memory_at_a_time(self, tiny_wan, monkeypatch):
        backend = phonofilm.load(str(tiny_wan), device="cpu", offload="disk")
        seen = []
        forward = Experts.__call__

        def watched(self, *arguments, **options):
            made = forward(self, *arguments, **options)
            seen.append(set(self.parts._loaded) & set(BOTH))
            return made

        monkeypatch.setattr(Experts, "__call__", watched)
        backend.generate(self.REQUEST)
        assert {frozenset(names) for names in seen} == {frozenset(BOTH[:1]), frozenset(BOTH[1:])}

    def test_each_has_its_own_guidance(self, tiny_wan):
        """The other scale for the low-noise expert alone changes the film; a request's scale holds for both."""
        backend = phonofilm.load(str(tiny_wan), device="cpu")
        plain, _ = ours(backend, self.REQUEST)
        same, _ = ours(backend, replace(self.REQUEST, guidance=(4.0, 4.0)))
        assert float((plain.video - same.video).abs().max()) > 1e-3
        settings = replace(backend.parts.folder.settings, low_guidance=4.0)
        backend.parts.folder = replace(backend.parts.folder, settings=settings)
        assert torch.equal(ours(backend, self.REQUEST)[0].video, same.video)
