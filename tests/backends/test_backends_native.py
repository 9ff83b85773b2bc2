"""The native backend on a tiny untrained model, read from files as real ones are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import phonofilm
from phonofilm import Cancelled, Clip, PhonofilmError
from phonofilm.backends import native
from phonofilm.backends.canvas.canvas import Canvas
from phonofilm.backends.canvas.given import noise_of
from phonofilm.backends.canvas.layout import lay_out, work_out
from phonofilm.backends.canvas.loop import Part
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import load_tensors, save_module, save_tensors
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.sampling import SAMPLERS
from phonofilm.types import Request


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> NativeBackend:
    return NativeBackend.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def clip(model: NativeBackend) -> Clip:
    return model.generate("a red ball", seed=1)


def same(one: Clip, other: Clip) -> tuple[bool, bool]:
    return bool((one.frames == other.frames).all()), bool((one.waveform == other.waveform).all())


def test_four_seconds_are_48_frames_and_64000_samples(clip):
    assert clip.frames.shape == (48, 64, 64, 3)
    assert clip.waveform.shape == (2, 64_000)
    assert clip.frames.std() > 1
    assert np.isfinite(clip.waveform).all()


def test_a_result_says_what_made_it(clip, tiny_model):
    said = clip.metadata
    assert said["prompt"] == "a red ball"
    assert said["seed"] == "1"
    assert len(said["weights"]) == len(said["request"]) == 64
    assert said["model"] == tiny_model.name  # a name, not a path of somebody's machine
    assert said["ai_generated"] == "true"


def test_the_same_seed_gives_the_same_bytes(model, clip, tmp_path):
    again = model.generate("a red ball", seed=1)
    assert same(clip, again) == (True, True)
    # a signature holds its time and is never twice the same
    files = {made.save(tmp_path / f"{n}.mp4", mark=False).read_bytes() for n in range(6) for made in (clip, again)}
    assert len(files) == 1
    assert same(clip, model.generate("a red ball", seed=2)) == (False, False)
    assert same(clip, model.generate("a blue box", seed=1)) == (False, False)


def test_the_prompt_is_projected_once_a_clip_and_changes_no_bit(model, monkeypatch):
    layers = [
        part.text_attention.to_k for block in model.parts.transformer.blocks for part in (block.video, block.audio)
    ]
    calls: list[torch.nn.Module] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: calls.append(layer)) for layer in layers]
    once = model.generate("a red ball", seed=1, steps=3, guidance=(3.0, 2.0))
    assert len(calls) == len(layers)
    monkeypatch.setattr(native, "CACHE_SHARE", 0.0)  # as if memory had no room
    calls.clear()
    each = model.generate("a red ball", seed=1, steps=3, guidance=(3.0, 2.0))
    assert len(calls) == 3 * len(layers)
    for hook in hooks:
        hook.remove()
    assert same(once, each) == (True, True)


def test_each_modality_has_its_own_noise(model):
    """Noise is drawn per modality: changing one seed leaves the other's noise alone."""
    canvas = lay_out(work_out(Request("x"), model.parts.trained), model.parts.trained)
    given = model._given(Part(0, 1, range(48), model.parts.trained.grid(48), canvas))
    both = noise_of(given, Request("x", seed=1), 0, model.device)
    other = noise_of(given, Request("x", seed=1, audio_seed=5), 0, model.device)
    later = noise_of(given, Request("x", seed=1), 1, model.device)
    assert torch.equal(both.video, other.video)
    assert not torch.equal(both.audio, other.audio)
    assert not torch.equal(both.video, later.video)
    flat = both.video.flatten()[: both.audio.numel()]
    assert abs(torch.corrcoef(torch.stack([flat, both.audio.flatten()]))[0, 1]) < 0.1


def test_foley_and_animate_listen_to_what_is_given(model, clip):
    foley = model.generate("x", task="foley", source=clip, seed=3)
    assert same(foley, clip)[0]
    shifted = clip.with_(frames=clip.frames[::-1].copy())
    assert not same(model.generate("x", task="foley", source=shifted, seed=3), foley)[1]
    deaf = clip.with_(waveform=clip.waveform * 0)  # foley must not hear the old sound
    assert same(model.generate("x", task="foley", source=deaf, seed=3), foley)[1]
    animated = model.generate("x", task="animate", source=clip, seed=3)
    assert same(animated, clip) == (False, True)
    silent = clip.with_(waveform=clip.waveform[:, ::-1].copy())
    assert not same(model.generate("x", task="animate", source=silent, seed=3), animated)[0]


def test_extend_goes_on_from_the_past(model, clip):
    longer = model.generate("x", task="extend", source=clip, seconds=1, seed=3)
    assert len(longer.frames) == 60
    assert (longer.frames[:48] == clip.frames).all()
    other = clip.with_(frames=255 - clip.frames)
    assert (model.generate("x", task="extend", source=other, seconds=1, seed=3).frames[48:] != longer.frames[48:]).any()


def test_retake_keeps_all_but_its_span(model, clip):
    retaken = model.generate("x", task="retake", source=clip, span=(1.0, 2.0), seed=3)
    changed = np.flatnonzero((retaken.frames != clip.frames).any((1, 2, 3)))
    assert (changed[0], changed[-1]) == (12, 23)
    heard = np.flatnonzero((retaken.waveform != clip.waveform).any(0)) / 16_000
    assert heard[0] >= 0.99
    assert heard[-1] <= 2.01
    voice = model.generate("x", task="retake", source=clip, span=(1.0, 2.0), only="audio", seed=3)
    assert same(voice, clip) == (True, False)


def test_streams_that_are_absent_stay_absent(model, clip):
    silent = clip.with_(waveform=None, sample_rate=None)
    assert model.generate("x", task="extend", source=silent, seconds=0.5).waveform is None
    sound = clip.with_(frames=None, fps=None)
    assert model.generate("x", task="retake", source=sound, span=(0.0, 1.0)).frames is None


def test_an_image_is_given_to_the_model(model):
    bright, dark = (np.full((64, 64, 3), value, np.uint8) for value in (255, 0))
    assert not same(model.generate("x", image=bright), model.generate("x", image=dark))[0]


def test_what_is_given_reaches_the_network_as_clean_latents(model, clip):
    trained = model.parts.trained
    job = work_out(Request("x", task="extend", source=clip, seconds=1.0), trained)
    canvas: Canvas = lay_out(job, trained)
    span = range(12, 60)
    given = model._given(Part(0, 1, span, trained.grid(48), canvas))
    mask = given.mask.video[0, 0, :, 0, 0]
    assert mask.tolist() == [True] * 18 + [False] * 7  # frames 0 to 35 of the window: latents 0 to 17 are whole
    assert given.mask.audio[0, 0].sum() == 30  # 3 s are 120 mel frames: 1 + 4·29 are whole
    # causal codecs: what is known is encoded the same, whatever stands where nothing is known yet
    canvas.frames[canvas.frame_states == 0] = 0
    again = model._given(Part(0, 1, span, trained.grid(48), canvas))
    assert torch.equal(again.values.video[:, :, :18], given.values.video[:, :, :18])


def test_beyond_training_one_line_says_so(model):
    long = model.generate("x", seconds=6, size=(96, 48), fps=25)
    assert long.frames.shape == (150, 48, 96, 3)
    assert long.waveform.shape == (2, 96_000)
    (line,) = long.metadata["notices"].splitlines()
    assert "resized to 96x48 at 25 fps" in line
    assert "2 overlapping windows to 6 s" in line


def test_a_picture_unlike_any_trained_on_is_noticed(model, clip):
    """The model's own error on the picture under noise is compared with the one measured after training."""
    for limit, expected in (((1e3, 0), False), ((1e-6, 1e3), True), (None, False)):
        parts = replace(model.parts, trained=replace(model.parts.trained, reconstruction_error=limit))
        backend = replace(model, parts=parts)
        for task, noticed in (("foley", expected), ("animate", False)):  # without a picture nothing is far
            made = backend.generate("", task=task, source=clip)
            assert ("this picture is far" in made.metadata.get("notices", "")) is noticed


def test_windows_of_a_long_clip_join_without_a_step(model):
    """The last window starts on what the one before made, so the join is no larger than motion elsewhere."""
    long = model.generate("x", seconds=5)
    steps = np.abs(np.diff(long.waveform[0]))
    assert steps[63_990:64_010].max() <= steps.max()
    assert (long.frames[:48] == model.generate("x", seconds=4).frames).all()


def test_guidance_and_every_sampler_run(model, clip):
    guided = model.generate("a red ball", seed=1, guidance=3.0, modality_guidance=(2.0, 2.0), negative="noise")
    assert same(guided, clip) == (False, False)
    made = {name: model.generate("a red ball", seed=1, sampler=name) for name in SAMPLERS}
    assert same(made["euler"], clip) == (True, True)  # the model's own
    assert same(made["heun"], clip) == same(made["multistep"], clip) == same(made["heun"], made["multistep"])
    assert same(made["heun"], clip) == (False, False)
    assert {name: one.metadata["sampler"] for name, one in made.items()} == {name: name for name in SAMPLERS}
    assert {one.metadata["steps"] for one in made.values()} == {"3"}


def test_progress_counts_over_all_windows_and_cancel_stops_between_steps(model):
    seen: list[tuple[str, int, int]] = []
    model.generate("x", seconds=6, progress=lambda *step: seen.append(step))
    steps = [(done, total) for stage, done, total in seen if stage == "sampling"]
    assert steps[-1] == (6, 6)
    assert steps == sorted(steps)
    calls = iter(range(100))
    with pytest.raises(Cancelled):
        model.generate("x", cancel=lambda: next(calls) > 4)


def test_a_prompt_over_the_encoders_tokens_is_refused_with_its_count(model):
    with pytest.raises(PhonofilmError, match="has 402 tokens"):
        model.generate("ball " * 400)


def test_bfloat16_runs_close_by(tiny_model, clip):
    narrow = phonofilm.load(str(tiny_model), device="cpu", dtype=torch.bfloat16).generate("a red ball", seed=1)
    assert np.abs(narrow.frames.astype(int) - clip.frames).mean() < 8


class TestBadWeights:
    """One clear line each, from the same call a user makes."""

    def broken(self, tiny_model: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_model, tmp_path / "model"))

    def refused(self, folder: Path, message: str) -> None:
        with pytest.raises(PhonofilmError, match=message) as caught:
            phonofilm.load(str(folder))
        assert "\n" not in str(caught.value)

    def test_missing(self, tiny_model, tmp_path):
        folder = self.broken(tiny_model, tmp_path)
        (folder / "vocoder.safetensors").unlink()
        self.refused(folder, "lacks vocoder.safetensors")

    def test_truncated(self, tiny_model, tmp_path):
        path = self.broken(tiny_model, tmp_path) / "transformer.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
        self.refused(path.parent, "corrupt")

    def test_empty(self, tiny_model, tmp_path):
        path = self.broken(tiny_model, tmp_path) / "video_vae.safetensors"
        path.write_bytes(b"")
        self.refused(path.parent, "corrupt")

    def test_of_another_network(self, tiny_model, tmp_path):
        folder = self.broken(tiny_model, tmp_path)
        shutil.copy(folder / "vocoder.safetensors", folder / "audio_vae.safetensors")
        self.refused(folder, "of a Vocoder, where a AudioVAE is needed")

    def test_that_do_not_belong_together(self, tiny_model, tmp_path):
        folder = self.broken(tiny_model, tmp_path)
        other = VideoVAE(VideoVAEConfig(channels=16, widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1)))
        save_module(folder / "video_vae.safetensors", other)
        self.refused(folder, "do not belong together: video latents are 8 and 16")

    def test_that_say_nonsense_of_their_training(self, tiny_model, tmp_path):
        path = self.broken(tiny_model, tmp_path) / "transformer.safetensors"
        tensors, metadata = load_tensors(path)
        save_tensors(path, tensors, metadata | {"trained": '{"stepps": 3}'})
        self.refused(path.parent, "did you mean trained.steps")
