"""One clock: whatever the rates and durations, picture and sound agree with a reference counted by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonofilm.types import Geometry, Grid, causal_length, nearest, rational

FRAME_RATES = [23.976, 29.97, 12, 25, 60]
SAMPLE_RATES = [16_000, 22_050, 44_100, 48_000]

geometries = st.builds(
    Geometry,
    video_time=st.sampled_from([1, 2, 4, 8]),
    video_space=st.sampled_from([8, 16, 32]),
    patch=st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2])),
    sample_rate=st.sampled_from(SAMPLE_RATES),
    mel_hop=st.sampled_from([160, 256, 400, 441]),
    audio_time=st.sampled_from([1, 2, 4]),
)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    geometry = draw(geometries)
    height, width = (geometry.video_space * p * draw(st.integers(1, 3)) for p in geometry.patch[1:])
    seconds = draw(st.floats(0.02, 12) | st.integers(1, 12) | st.fractions(Fraction(1, 50), 12, max_denominator=1001))
    return Grid.of(seconds, (width, height), draw(st.sampled_from(FRAME_RATES)), geometry)


def units_of_latent(index: int, factor: int) -> range:
    """The frames (or mel frames) of a causal codec's latent: one for the first, `factor` for each other."""
    return range(1) if index == 0 else range(1 + (index - 1) * factor, 1 + index * factor)


@given(grids())
def test_picture_and_sound_end_together_within_a_sample(grid: Grid) -> None:
    sound = Fraction(grid.samples, grid.sample_rate)
    assert abs(sound - Fraction(grid.frames) / grid.fps) <= Fraction(1, 2 * grid.sample_rate)


@given(st.floats(0.02, 600), st.sampled_from(FRAME_RATES))
def test_a_clip_is_as_long_as_asked_to_half_a_frame(seconds: float, fps: float) -> None:
    grid = Grid.of(seconds, 64, fps)
    assert grid.frames == max(1, nearest(Fraction(str(seconds)) * rational(fps)))
    assert grid.frames == 1 or abs(float(grid.seconds) - seconds) <= 0.5 / fps + 1e-3 * seconds / fps


def counted(index: int, latents: int, factor: int, unit: Fraction) -> tuple[float, float]:
    """Start and end of token `index`, which merges `latents` latents of `factor` units each; the first is alone."""
    merged = range(1) if index == 0 else range(1 + (index - 1) * latents, 1 + index * latents)
    units = [u for latent in merged for u in units_of_latent(latent, factor)]
    return float(units[0] * unit), float((units[-1] + 1) * unit)


@given(grids())
def test_token_times_agree_with_counting(grid: Grid) -> None:
    geometry = grid.geometry
    hop = Fraction(geometry.mel_hop, grid.sample_rate)
    video = [counted(k, geometry.patch[0], geometry.video_time, 1 / grid.fps) for k in range(grid.video_tokens[0])]
    audio = [counted(k, 1, geometry.audio_time, hop) for k in range(grid.audio_length)]
    np.testing.assert_allclose(grid.video_times(), video, atol=1e-9)
    np.testing.assert_allclose(grid.audio_times(), audio, atol=1e-9)


@given(grids())
def test_what_a_model_works_on_covers_the_clip_and_no_more_than_it_must(grid: Grid) -> None:
    factor, patch = grid.geometry.video_time, grid.geometry.patch[0]
    latents = (grid.model_frames - 1) // factor + 1
    assert (grid.model_frames - 1) % factor == 0
    assert (latents - 1) % patch == 0
    assert grid.frames <= grid.model_frames
    assert grid.model_frames == 1 or grid.model_frames - factor * patch < grid.frames
    made = grid.mel_frames * grid.geometry.mel_hop
    assert (grid.mel_frames - 1) % grid.geometry.audio_time == 0
    assert grid.samples <= made
    assert grid.mel_frames == 1 or made - grid.geometry.audio_time * grid.geometry.mel_hop < grid.samples


@given(grids())
def test_positions_tile_space_and_time(grid: Grid) -> None:
    positions = grid.positions()
    t, h, w = grid.video_tokens
    video = positions.video.reshape(t, h, w, 3, 2)
    assert positions.audio.shape == (grid.audio_length, 1, 2)
    assert np.array_equal(video[:, 0, 0, 0], grid.video_times())
    assert np.array_equal(video[0, :, 0, 1, 0], np.arange(h) * grid.height / h)
    assert np.array_equal(video[0, 0, :, 2, 1], np.arange(1, w + 1) * grid.width / w)
    for bounds in (video[:, 0, 0, 0], video[0, :, 0, 1], video[0, 0, :, 2], positions.audio[:, 0]):
        np.testing.assert_allclose(bounds[1:, 0], bounds[:-1, 1], atol=1e-9)  # each starts where the last one ended
        assert (bounds[:, 1] > bounds[:, 0]).all()


@given(grids())
def test_float32_is_enough_for_times(grid: Grid) -> None:
    times = grid.positions().video[:, 0]
    assert np.abs(times - times.astype(np.float32)).max() < 1e-6


def test_four_seconds_at_twelve_frames_are_forty_eight() -> None:
    grid = Grid.of(4, 64, 12)
    assert (grid.frames, grid.model_frames, grid.samples, grid.mel_frames) == (48, 49, 64_000, 161)
    assert (grid.video_shape, grid.audio_length, grid.video_tokens) == ((25, 8, 8), 41, (25, 2, 2))


@given(st.integers(1, 500), st.integers(1, 16))
def test_causal_length_is_the_smallest_that_covers(needed: int, factor: int) -> None:
    length = causal_length(needed, factor)
    assert (length - 1) % factor == 0
    assert needed <= length < needed + factor


@pytest.mark.parametrize(
    ("given_rate", "exact"),
    [
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(19001, 634), Fraction(30000, 1001)),
        (12, Fraction(12)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        ("24", Fraction(24)),
        ("1/400", Fraction(1, 400)),  # slides
        ("1/86400", Fraction(1, 86400)),
    ],
)
def test_rates_are_exact(given_rate: float | str | Fraction, exact: Fraction) -> None:
    assert rational(given_rate) == exact
    assert rational(exact) == exact


@pytest.mark.parametrize(
    "rate", [0, -12, "fast", "1/0", float("nan"), float("inf"), 1e-7, "1/300000", Fraction(1, 10**12)]
)
def test_no_rate(rate: float | str) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        rational(rate)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), -0.5])
def test_no_duration(seconds: float) -> None:
    with pytest.raises(ValueError, match="must last more than 0 seconds"):
        Grid.of(seconds)


@pytest.mark.parametrize("size", [0, 60, -32, (64, 48), (8, 64)])
def test_no_size(size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 32x32"):
        Grid.of(4, size)


def test_twelve_latents_a_second_of_picture_and_sound_begin_and_end_together() -> None:
    geometry = Geometry(sample_rate=24_000, mel_hop=250, audio_time=8, audio_head=4)
    grid = Grid.of(4, 128, 24, geometry)
    assert (grid.model_frames, grid.mel_frames) == (97, 388)
    assert grid.video_shape == (49, 16, 16)
    assert grid.audio_length == 49
    np.testing.assert_allclose(grid.video_times(), grid.audio_times(), atol=1e-12)
