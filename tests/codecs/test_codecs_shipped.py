"""The codecs that ship for 128x128 at 24 fps and 24 kHz: what they are, and what they keep of scenes of the world."""

from __future__ import annotations

import pytest
import torch

from phonofilm import world
from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import log_mel
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.codecs.voice.loss import pitch_of
from phonofilm.data.clips import to_model_frames, to_model_samples
from phonofilm.types import Geometry, Grid
from phonofilm.weights import codecs_folder

SEED = 71_000_000
FOLDER = codecs_folder("nano-128")


def load(kind, name):
    return load_module(kind, FOLDER / f"{name}.safetensors")


def test_both_streams_have_twelve_latents_a_second_that_end_together():
    video, audio, vocoder = load(VideoVAE, "video_vae"), load(AudioVAE, "audio_vae"), load(Vocoder, "vocoder")
    mel, config = audio.config.mel, audio.config
    assert vocoder.config.mel == mel
    geometry = Geometry(
        video.config.time, video.config.space, (2, 4, 4), mel.sample_rate, mel.hop, config.time, config.head
    )
    grid = Grid.of(1, 128, 24, geometry)
    assert grid.audio_length == grid.video_shape[0] == 13
    assert abs(grid.video_times()[-1, 1] - grid.audio_times()[-1, 1]) < 1e-9


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("family", ["bounce", "talk"])
def test_pictures_are_kept(family, edition):
    """A second; a codec that was not trained has some 8 dB."""
    video = load(VideoVAE, "video_vae")
    clip = world.render([world.sample(family, SEED, 3.0, edition=edition)], size=128, fps=24)
    frames = to_model_frames(clip.frames, 25)
    with torch.no_grad():
        error = (video.decode(video.encode(frames)[0])[0] - frames).square().mean() / 4
    assert -10 * error.log10() > 24


def test_stems_are_kept_and_silence_is_silent():
    audio, vocoder = load(AudioVAE, "audio_vae"), load(Vocoder, "vocoder")
    made = world.render([world.sample("strike", SEED, 3.0)], size=32, fps=12, sample_rate=24_000)
    count = 292 * audio.config.mel.hop  # 4 + 8 · 36 mel frames
    sounds = torch.cat([to_model_samples(made.waveform, count), torch.zeros(1, 2, count)])
    mel = log_mel(sounds, audio.config.mel)
    with torch.no_grad():
        decoded = audio.decode(audio.encode(mel)[0])[0]
        again = vocoder(decoded)[0]
    assert float((decoded - mel).abs().mean()) * -audio.config.mel.floor_db / 2 < 3
    loud, silent = again.square().mean(dim=(1, 2)).sqrt().tolist()
    assert silent < loud * 10 ** (-30 / 20)
    assert loud / float(sounds[0].square().mean().sqrt()) == pytest.approx(1, abs=0.3)


def test_speech_keeps_its_pitch_and_is_voiced():
    """Of the frames that are clearly voiced nine of ten keep their pitch to a semitone, as clear as it was."""
    audio, vocoder = load(AudioVAE, "audio_vae"), load(Vocoder, "vocoder")
    mel, voice = audio.config.mel, vocoder.config.voice
    made = world.render([world.sample("talk", SEED, 4.0)], size=32, fps=12, sample_rate=24_000)
    sound = to_model_samples(made.waveform, 380 * mel.hop)
    with torch.no_grad():
        again = vocoder(audio.decode(audio.encode(log_mel(sound, mel))[0])[0])[0]
    (before, clear), (after, clear_after) = (pitch_of(x.mean(1), mel, voice) for x in (sound, again))
    voiced = clear > 0.85
    assert voiced.sum() > 40
    assert ((after / before).log2().abs() < 1 / 12)[voiced].float().mean() > 0.9
    assert clear_after[voiced].mean() > clear[voiced].mean() - 0.05
