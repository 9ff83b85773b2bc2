"""The sync network: what moves in time moves its answer, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonofilm.perception.audiovisual.syncnet import (
    RATE,
    SAMPLE_RATE,
    SyncNet,
    SyncNetConfig,
    log_mel,
    offset_grid,
    prepare_frames,
)

SMALL = SyncNetConfig(size=16, fold=4, spatial=(8, 8), width=16, blocks=1, bands=16, heads=4, reach=0.4)


@pytest.fixture(scope="module")
def network() -> SyncNet:
    torch.manual_seed(0)
    return SyncNet(SMALL).eval()


def likeness(network: SyncNet) -> SyncNet:
    """The same with evidence that is the plain cosine, so that the answer is known."""
    with torch.no_grad():
        for parameter in (*network.evidence.parameters(), *network.weigh.parameters()):
            parameter.zero_()
        network.evidence.weight[0, :, 1, 1] = 1.0
        network.weigh.weight[0, 0] = 1.0
    return network


def test_sound_that_comes_early_is_positive() -> None:
    network = likeness(SyncNet(SMALL).eval())
    width = SMALL.heads * SMALL.dim
    track = torch.randn(1, 100, width)
    grid = offset_grid(SMALL.lags)
    for early in (-7, 0, 4):
        # what is seen at t is heard at t - early
        seen, heard = track[:, 20:70], track[:, 20 + early : 70 + early]
        assert grid[int(network.compare(seen, heard).argmax())] == pytest.approx(early / RATE)


def test_a_longer_clip_is_answered_as_its_moments_are(network: SyncNet) -> None:
    seen, heard = torch.randn(2, 1, 60, SMALL.heads * SMALL.dim)
    assert network.compare(seen, heard).shape == (1, 2 * SMALL.lags + 1)
    wide = network.compare(seen, heard, lags=20)
    assert wide.shape == (1, 41)
    # the same lags, whatever is asked around them; the outermost see an edge
    torch.testing.assert_close(wide[:, 11:-11], network.compare(seen, heard)[:, 1:-1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network.compare(seen, torch.cat([heard, heard], 1)), network.compare(seen, heard))
    with pytest.raises(ValueError, match="too short"):
        network.compare(seen[:, :9], heard)


def test_pictures_and_sounds_one_by_one_or_together(network: SyncNet) -> None:
    frames, mel = torch.randn(3, 40, 16, 16), torch.randn(3, 16, 160)
    together = network(frames, mel)
    alone = torch.cat([network(f[None], m[None]) for f, m in zip(frames, mel, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_an_embedding_knows_its_own_moment(network: SyncNet) -> None:
    frames = torch.randn(1, 60, 16, 16)
    other = frames.clone()
    other[:, 40:] = 0
    apart = (network.vision(frames) - network.vision(other)).abs().amax((0, 2))
    # the level of the whole is known everywhere, what is shown only nearby
    assert apart[45:].min() > 2 * apart[:30].max()


def test_pictures_are_small_grey_and_25_a_second() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (24, 32, 48, 3), dtype=np.uint8)
    shown = prepare_frames(frames, 12.0, 16)
    assert shown.shape == (50, 16, 16)
    assert shown.abs().max() <= 1
    # each tick shows the nearest picture: nothing moves in time on average
    nearest = np.rint(np.arange(50) * 12 / 25).astype(int).clip(0, 23)
    torch.testing.assert_close(shown, prepare_frames(frames, 25.0, 16)[torch.from_numpy(nearest)])
    flat = np.full((3, 40, 40, 3), (255, 0, 0), np.uint8)
    torch.testing.assert_close(
        prepare_frames(flat, 25.0, 16), torch.full((3, 16, 16), 0.299 * 2 - 1), atol=1e-4, rtol=0
    )


def test_a_click_is_heard_in_its_own_25th_at_any_level() -> None:
    sound = torch.zeros(2, 2 * SAMPLE_RATE)
    sound[:, SAMPLE_RATE] = 1.0
    mel = log_mel(sound * torch.tensor([[1.0], [1e-2]]), 16)
    assert mel.shape == (2, 16, 200)
    assert int(mel[0].mean(0).argmax()) == 100
    torch.testing.assert_close(mel[0], mel[1], atol=1e-3, rtol=1e-3)
    assert log_mel(torch.zeros(1, SAMPLE_RATE)).isfinite().all()
