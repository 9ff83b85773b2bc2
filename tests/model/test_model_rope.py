"""Rotary positions."""

from __future__ import annotations

import numpy as np
import torch
from torch.testing import assert_close

from phonofilm.model.rope import rotary, rotate, rotate_


def at(times: list[float]) -> np.ndarray:
    """Bounds of tokens of no duration at these times."""
    return np.repeat(np.asarray(times, dtype=np.float64)[:, None, None], 2, axis=-1)


def test_rotation_keeps_lengths_and_forgets_nothing():
    x = torch.randn(2, 5, 3, 8)
    tables = rotary(at([0, 0.1, 1, 2.5, 4]), (20.0,), 3, 8, 256.0)
    turned = rotate(x, tables)
    assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    back = tables._replace(sin=-tables.sin)
    assert_close(rotate(turned, back), x, atol=1e-6, rtol=1e-5)
    assert_close(rotate_(x.clone(), tables), turned, rtol=0, atol=0)


def test_scores_depend_on_time_differences_alone():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 4, 2, 16)
    times = np.array([0.0, 0.3, 1.1, 2.0])

    def scores(shift: float) -> torch.Tensor:
        tables = rotary(at(list(times + shift)), (20.0,), 2, 16, 256.0)
        return torch.einsum("bnhd,bmhd->bhnm", rotate(q, tables), rotate(k, tables))

    assert_close(scores(0.0), scores(5.0), atol=5e-4, rtol=1e-4)
    assert (scores(0.0) - torch.einsum("bnhd,bmhd->bhnm", q, k)).abs().max() > 0.1


def test_a_token_lies_at_the_middle_of_its_bounds():
    wide = np.array([[[0.0, 1.0]], [[1.0, 3.0]]])
    for a, b in zip(rotary(wide, (20.0,), 2, 8, 256.0), rotary(at([0.5, 2.0]), (20.0,), 2, 8, 256.0), strict=True):
        assert_close(a, b)


def test_frequencies_span_the_base():
    """The slowest turns half a circle over the extent, the fastest `base` times as far."""
    tables = rotary(at([0.0, 1e-3]), (20.0,), 1, 64, 256.0)
    angle = torch.atan2(tables.sin[:, 0], tables.cos[:, 0])
    turned = torch.remainder(angle[1] - angle[0] + torch.pi, 2 * torch.pi) - torch.pi
    assert_close(turned[0].item(), torch.pi / 20 * 1e-3, atol=1e-6, rtol=1e-2)
    assert_close(turned[-1].item(), 256 * torch.pi / 20 * 1e-3, atol=1e-5, rtol=1e-2)


def test_channels_left_over_do_not_turn():
    bounds = np.random.default_rng(0).uniform(0, 4, (6, 3, 2))
    tables = rotary(bounds, (20.0, 2048.0, 2048.0), 4, 32, 10_000.0)
    flat = tables.cos.flatten(1)
    assert flat.shape == (6, 64)
    assert_close(flat[:, :1], torch.ones(6, 1))
    assert (flat[:, 1:] != 1).any(0).all()
