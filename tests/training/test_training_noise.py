"""The mixture of tasks: proportions, and what each pattern looks like."""

from __future__ import annotations

import pytest
import torch

from phonofilm.errors import PhonofilmError
from phonofilm.training.mixture.noise import (
    STREAMS,
    TIMES,
    NoiseConfig,
    StreamMixture,
    TimeMixture,
    draw_levels,
    draw_switches,
    latent_times,
)
from phonofilm.types import Geometry, Grid, Latents

GRID = Grid.of(4, 64, 12)


def only(stream: str, time: str) -> NoiseConfig:
    return NoiseConfig(
        streams=StreamMixture(**{name: float(name == stream) for name in STREAMS}),
        times=TimeMixture(**{name: float(name == time) for name in TIMES}),
    )


def levels(config: NoiseConfig, batch: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = draw_levels(config, GRID, batch, torch.Generator().manual_seed(seed))
    assert drawn.video.shape == (batch, 1, GRID.video_shape[0], 1, 1)
    assert drawn.audio.shape == (batch, 1, 1, GRID.audio_length)
    return drawn.video[:, 0, :, 0, 0], drawn.audio[:, 0, 0]


@pytest.mark.parametrize("stream", STREAMS)
def test_how_the_streams_relate(stream: str) -> None:
    video, audio = levels(only(stream, "whole"))
    assert (video == video[:, :1]).all()
    assert (audio == audio[:, :1]).all()
    video, audio = video[:, 0], audio[:, 0]
    if stream == "joint":
        assert torch.equal(video, audio)
    elif stream == "independent":
        assert abs(torch.corrcoef(torch.stack([video, audio]))[0, 1]) < 0.15
    else:
        fixed, free = (video, audio) if stream.startswith("video") else (audio, video)
        assert (fixed == (0.0 if stream.endswith("given") else 1.0)).all()
        assert ((free > 0) & (free < 1)).all()


def test_the_first_frame_alone_is_given() -> None:
    video, audio = levels(only("joint", "first_frame"))
    assert (video[:, 0] == 0).all()
    assert torch.equal(video[:, 1], audio[:, 0])


@pytest.mark.parametrize("time", ["past", "gap", "block"])
def test_patterns_along_time_cut_both_streams_at_the_same_moment(time: str) -> None:
    video, audio = levels(only("joint", time))
    times_video, times_audio = latent_times(GRID)
    for v, a in zip(video, audio, strict=True):
        level = v[(v > 0) & (v < 1)].unique()
        assert len(level) <= 1
        noisy = [(row > 0) & (row < 1) for row in (v, a)]
        assert noisy[0].any() or noisy[1].any()
        spans = [
            (times[n.numpy()][0], times[n.numpy()][-1])
            for times, n in zip((times_video, times_audio), noisy, strict=True)
            if n.any()
        ]
        if len(spans) == 2:  # latents that overlap the same span of time
            (first, last), (other_first, other_last) = spans
            assert first[0] < other_first[1]
            assert other_first[0] < first[1]
            assert last[0] < other_last[1] or last[1] == times_video[-1, 1]
            assert other_last[0] < last[1]
        after = v[int(noisy[0].nonzero().max()) + 1 :] if noisy[0].any() else v[:0]
        assert (after == (1.0 if time == "block" else 0.0)).all()


def test_a_given_stream_is_given_along_all_of_time() -> None:
    for time in TIMES:
        video, audio = levels(only("video_given", time), 50)
        assert (video == 0).all()
        assert (audio > 0).any(1).all(), "something is left to learn"


def test_an_absent_stream_is_pure_noise_along_all_of_time() -> None:
    for time in TIMES:
        assert (levels(only("video_absent", time), 50)[0] == 1).all()


def test_the_default_mixture_has_its_proportions() -> None:
    config, count = NoiseConfig(), 20_000
    video, audio = levels(config, count)
    streams = config.streams
    total = sum(getattr(streams, name) for name in STREAMS)
    assert (video == 0).all(1).float().mean() == pytest.approx(streams.video_given / total, abs=0.01)
    assert (audio == 0).all(1).float().mean() == pytest.approx(streams.audio_given / total, abs=0.01)
    assert (audio == 1).all(1).float().mean() == pytest.approx(streams.audio_absent / total, abs=0.01)
    free = (video > 0) & (video < 1)
    whole = free.all(1) & (video == video[:, :1]).all(1)
    share = config.times.whole * (1 - streams.video_given - streams.video_absent)
    assert whole.float().mean() == pytest.approx(share, abs=0.015)


def test_levels_follow_the_configured_logit_normal() -> None:
    video, _ = levels(only("independent", "whole"), 20_000)
    logits = torch.logit(video[:, 0].double())
    assert float(logits.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(logits.std()) == pytest.approx(1.2, abs=0.03)


def test_patches_in_time_share_a_level() -> None:
    grid = Grid.of(4, 64, 12, Geometry(patch=(2, 4, 4)))
    drawn = draw_levels(only("joint", "past"), grid, 50, torch.Generator().manual_seed(0))
    pairs = drawn.video[:, 0, 1:, 0, 0].unflatten(1, (-1, 2))  # the first latent is alone
    assert torch.equal(pairs[..., 0], pairs[..., 1])


def test_drawing_is_a_pure_function_of_the_generator() -> None:
    first, second = (levels(NoiseConfig(), 30, seed=5) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert draw_switches(0.25, 10_000, torch.Generator().manual_seed(1)).float().mean() == pytest.approx(0.25, abs=0.02)
    assert isinstance(draw_levels(NoiseConfig(), GRID, 1, torch.Generator()), Latents)


@pytest.mark.parametrize("levels", [(0.875, 1.0), (0.0, 0.875), (0.3, 0.6)])
def test_an_expert_learns_its_own_noise_levels(levels: tuple[float, float]) -> None:
    """The levels are those of the whole distribution that lie between the two."""
    normal = torch.randn(20_000, generator=torch.Generator().manual_seed(3))
    streams, times = StreamMixture(video_absent=0.0, audio_absent=0.0), TimeMixture(block=0.0)
    config = NoiseConfig(levels=levels, streams=streams, times=times)
    found, whole = config.level(normal), NoiseConfig().level(normal)
    kept = whole[(whole >= levels[0]) & (whole <= levels[1])]
    assert levels[0] <= float(found.min()) <= float(found.max()) <= levels[1]
    for share in (0.1, 0.5, 0.9):
        assert abs(float(found.quantile(share)) - float(kept.quantile(share))) < 0.01


def test_all_noise_levels_are_drawn_as_they_were() -> None:
    normal = torch.randn(100, generator=torch.Generator().manual_seed(3))
    assert torch.equal(NoiseConfig().level(normal), torch.sigmoid(1.0 + 1.2 * normal))


def test_an_expert_for_low_noise_sees_no_pure_noise() -> None:
    with pytest.raises(PhonofilmError, match=r"set noise.streams.video_absent = 0"):
        NoiseConfig(levels=(0.0, 0.8))
    with pytest.raises(PhonofilmError, match="rise from 0 to 1"):
        NoiseConfig(levels=(0.8, 0.3))
