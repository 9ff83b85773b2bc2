"""The codecs that know every family of Foley World, beside those of nano."""

from __future__ import annotations

import pytest
import torch

from phonofilm import world
from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.mel import log_mel
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.data.clips import to_model_frames, to_model_samples
from phonofilm.weights import CODECS, codecs_folder

SEED = 71_000_000


def both(kind, name):
    return [load_module(kind, codecs_folder(codecs) / f"{name}.safetensors") for codecs in CODECS]


def drawn(family):
    clip = world.render([world.sample(family, SEED)])
    return to_model_frames(clip.frames, 49), to_model_samples(clip.waveform.float(), 161 * 400)


@pytest.mark.parametrize("family", ["bounce", "strike"])
def test_what_nano_learnt_is_the_same_in_both(family):
    frames, waveform = drawn(family)
    with torch.no_grad():
        for (older, newer), given in (
            (both(VideoVAE, "video_vae"), frames),
            (both(AudioVAE, "audio_vae"), log_mel(waveform)),
        ):
            error = (older.encode(given)[0] - newer.encode(given)[0]).square().mean().sqrt()
            assert error < 0.12  # of unit variance; the noise that the video codec is trained to stand is 0.1


@pytest.mark.parametrize("family", ["pass", "blast", "rain", "talk"])
def test_the_other_families_are_kept_better(family):
    frames, waveform = drawn(family)
    with torch.no_grad():
        for (older, newer), given in (
            (both(VideoVAE, "video_vae"), frames),
            (both(AudioVAE, "audio_vae"), log_mel(waveform)),
        ):
            errors = [(codec.decode(codec.encode(given)[0])[0] - given).square().mean() for codec in (older, newer)]
            assert errors[1] < 0.5 * errors[0]
