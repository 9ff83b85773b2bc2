"""Block-causal attention: no token sees a later chunk, and a film's beginning comes out as it would alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from phonofilm.model.chunks import chunk_numbers, noisiest
from phonofilm.types import Geometry, Grid, Latents, Positions, Text

GEOMETRY = Geometry(2, 8, (2, 4, 4), 24_000, 250, 8, 4)
CHUNK = 0.5


def inputs(seconds: float) -> tuple[Latents, Latents, Positions]:
    grid = Grid.of(seconds, 64, 24, GEOMETRY)
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(2, 8, 49, 8, 8, generator=generator, dtype=torch.float64)[:, :, : grid.video_shape[0]]
    audio = torch.randn(2, 3, 64, 49, generator=generator, dtype=torch.float64)[..., : grid.audio_length]
    levels = torch.rand(2, 49, generator=generator, dtype=torch.float64)
    levels[:, 2::2] = levels[:, 1:-1:2]  # one level for the two latents of a token
    of_video = levels[:, None, : grid.video_shape[0], None, None]
    of_audio = levels[:, None, None, : grid.audio_length].expand(-1, 3, -1, -1)
    return Latents(video, audio), Latents(of_video, of_audio), grid.positions((0, 1, 2))


@pytest.fixture
def model(tiny, build):
    video, audio = replace(tiny.video, patch=(2, 4, 4)), replace(tiny.audio, stems=3)
    return build(replace(tiny, video=video, audio=audio)).double()


@pytest.fixture
def text() -> Text:
    generator = torch.Generator().manual_seed(2)
    return Text(torch.randn(2, 5, 24, generator=generator, dtype=torch.float64), torch.ones(2, 5, dtype=torch.bool))


def test_chunks_of_picture_and_sound_end_together():
    grid = Grid.of(4, 64, 24, GEOMETRY)
    video, audio = chunk_numbers(grid.video_times(), CHUNK), chunk_numbers(grid.audio_times(), CHUNK)
    ends = [[times[(numbers == k).numpy(), 1].max() for k in range(8)] for times, numbers in (
        (grid.video_times(), video), (grid.audio_times(), audio))]  # fmt: skip
    np.testing.assert_allclose(ends[0], 1 / 24 + 0.5 * np.arange(1, 9))
    np.testing.assert_allclose(ends[0], ends[1])


def test_the_beginning_of_a_film_comes_out_as_it_would_alone(model, text):
    whole, sigma, positions = inputs(2.0)
    part, sigma_part, positions_part = inputs(1.0 + 1 / 24)
    with torch.no_grad():
        long = model(whole, sigma, text, positions, chunk=CHUNK)
        short = model(part, sigma_part, text, positions_part, chunk=CHUNK)
        loose = model(whole, sigma, text, positions)
    frames, latents = short.video.shape[2], short.audio.shape[3]
    torch.testing.assert_close(long.video[:, :, :frames], short.video, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(long.audio[..., :latents], short.audio, rtol=1e-9, atol=1e-10)
    assert (loose.video[:, :, :frames] - short.video).abs().max() > 1e-3


def test_gradients_and_parts_agree(model, text):
    whole, sigma, positions = inputs(2.0)
    places = model.places(positions, chunk=CHUNK)
    with_gradients = model(whole, sigma, text, places)
    with torch.no_grad():
        without = model(whole, sigma, text, positions, chunk=CHUNK)
    torch.testing.assert_close(with_gradients.video, without.video, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(with_gradients.audio, without.audio, rtol=1e-9, atol=1e-10)


def test_the_noisiest_level_of_each_chunk():
    found = noisiest(torch.tensor([[0.1, 0.5, 0.2]]), torch.tensor([0, 0, 0, 1, 1, 1]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5]]))
    found = noisiest(torch.tensor([[0.1, 0.5, 0.2]]), torch.tensor([0, 0, 0, 0, 1, 1]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.2]]))


def test_a_head_with_a_slope_looks_at_its_own_moment(tiny, build):
    """Scores fall by the slope with each second; a head without one, and no slopes at all, leave them as they are."""
    _, _, positions = inputs(1.0)
    model = build(replace(tiny, audio=replace(tiny.audio, stems=3), exchange_slopes=(12.0, 0.0)))
    video, audio = model.places(positions)
    times = positions.video[:, 0].mean(-1), np.tile(positions.audio[:, 0].mean(-1), 3)
    expected = torch.from_numpy(-12.0 * np.abs(times[0][:, None] - times[1])).float()
    torch.testing.assert_close(video.exchange_bias[0], expected)
    torch.testing.assert_close(audio.exchange_bias[0], expected.T)
    assert not video.exchange_bias[1].any()
    assert build(replace(tiny, audio=replace(tiny.audio, stems=3))).places(positions)[0].exchange_bias is None


def test_slopes_keep_chunks_causal(tiny, build, text):
    config = replace(tiny, video=replace(tiny.video, patch=(2, 4, 4)), audio=replace(tiny.audio, stems=3))
    test_the_beginning_of_a_film_comes_out_as_it_would_alone(
        build(replace(config, exchange_slopes=(5.0, 1.0))).double(), text
    )


@pytest.mark.parametrize("slopes", [(1.0,), (1.0, -1.0)])
def test_slopes_are_one_for_each_head(tiny, slopes):
    with pytest.raises(ValueError, match="2 numbers from 0 up"):
        replace(tiny, exchange_slopes=slopes)
