"""Codecs that run on: pieces of any length join to the film that one call decodes, picture and sound together."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from phonofilm.codecs.loading import load_codecs
from phonofilm.codecs.running import RunningDecoder
from phonofilm.types import Latents
from phonofilm.weights import codecs_folder

COUNT = 21


@pytest.fixture(scope="module", params=["nano", "nano-128"])
def decoder(request) -> RunningDecoder:
    """With a voice, which looks ahead, and without one."""
    return RunningDecoder(
        *load_codecs(codecs_folder(request.param)), fps=Fraction(24 if "128" in request.param else 12)
    )


@pytest.fixture(scope="module")
def latents(decoder) -> Latents:
    """Half the usual size, so that little is clipped; where two sounds go to one picture, so it is."""
    generator = torch.Generator().manual_seed(3)
    rate = decoder.fps / decoder.video.config.time
    of_sound = Fraction(decoder.audio.config.mel.sample_rate, decoder.audio.config.mel.hop * decoder.audio.config.time)
    length = 1 + int((COUNT - 1) * of_sound / rate)
    picture = torch.randn(1, decoder.video.config.channels, COUNT, 4, 6, generator=generator)
    sound = torch.randn(1, 2, decoder.audio.config.latents, length, generator=generator)
    return Latents(0.5 * picture, 0.5 * sound)


def pieces(latents: Latents, cuts: list[int]) -> list[Latents]:
    """Cut after so many video latents each, and where the sound is as far."""
    rate = (latents.audio.shape[3] - 1) / (COUNT - 1)
    ends = np.cumsum(cuts)
    lengths = np.diff([0, *(1 + (rate * (ends - 1)).astype(int))]).tolist()
    parts = zip(latents.video.split(cuts, 2), latents.audio.split(lengths, 3), strict=True)
    return [Latents(video, audio) for video, audio in parts]


def run(decoder: RunningDecoder, parts: list[Latents]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    state, frames, sounds = None, [], []
    for part in parts:
        picture, sound, state = decoder.decode(part, state)
        frames.append(picture)
        sounds.append(sound)
    return frames, sounds


@pytest.mark.parametrize("cuts", [[7, 6, 6, 2], [1, 2, 18], [3, 3, 3, 3, 3, 3, 3], [20, 1]])
def test_pieces_join_to_the_whole(decoder, latents, cuts):
    whole_frames, whole_sound, _ = decoder.decode(latents)
    frames, sounds = run(decoder, pieces(latents, cuts))
    joined, sound = np.concatenate(frames), np.concatenate(sounds, -1)
    assert joined.shape == whole_frames.shape
    assert np.abs(joined.astype(int) - whole_frames).max() <= 1  # rounding of float32 at half a level
    # sums of some 10^5 products in float32, in another order; full scale is 1
    np.testing.assert_allclose(sound, whole_sound, atol=2e-3)
    assert np.abs(whole_sound).max() > 0.01


@pytest.mark.parametrize("cuts", [[7, 6, 6, 2], [1, 2, 18]])
def test_every_piece_is_whole_frames_with_their_sound(decoder, latents, cuts):
    frames, sounds = run(decoder, pieces(latents, cuts))
    rate, shown = decoder.vocoder.config.mel.sample_rate, 0
    heard = 0
    for picture, sound in zip(frames, sounds, strict=True):
        shown, heard = shown + len(picture), heard + sound.shape[-1]
        assert heard == round(shown / decoder.fps * rate)
    waiting = 1 + (COUNT - 1) * decoder.video.config.time - shown
    most = decoder.vocoder.delay * decoder.vocoder.config.mel.hop / rate * decoder.fps
    assert 0 <= waiting <= most + 2  # a part of a frame, and what the first latents of the sound are shorter


def test_a_state_is_a_value_of_flat_size(decoder, latents):
    """What goes on from an earlier state comes out the same, and states do not grow."""
    parts = pieces(latents, [4, 3, 3, 3, 8])
    _, _, first = decoder.decode(parts[0])
    once, sound, second = decoder.decode(parts[1], first)
    _, _, third = decoder.decode(parts[2], second)
    again, sound_again, _ = decoder.decode(parts[1], first)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(sound, sound_again)
    _, _, fourth = decoder.decode(parts[3], third)
    sizes = [[x.shape for x in (*state.video, *state.audio, state.frames, state.sound)] for state in (third, fourth)]
    assert sizes[0] == sizes[1]


def test_both_streams_are_needed(decoder, latents):
    with pytest.raises(ValueError, match="picture and sound"):
        decoder.decode(Latents(latents.video))
