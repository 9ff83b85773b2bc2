"""Which optimiser moves what, and how fast."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from phonofilm.training.optim.ema import EMA
from phonofilm.training.optim.muon import Muon, orthogonalised
from phonofilm.training.optim.optimizers import OptimConfig, Optimisers, lr_scale
from phonofilm.training.tasks.base import generator_for, mix, rows_at


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patchify = nn.Linear(32, 32)
        self.modulation = nn.Sequential(nn.SiLU())
        layers = [nn.Linear(32, 32), nn.LayerNorm(32), nn.Conv2d(32, 32, 3), nn.Linear(32, 4), nn.Embedding(40, 32)]
        self.blocks = nn.ModuleList(layers)
        self.table = nn.Parameter(torch.zeros(6, 32))


def parts(muon: str) -> dict[str, set[str]]:
    optimisers = Optimisers(Net(), OptimConfig(muon=muon))  # type: ignore[arg-type]
    return {kind: set(names) for kind, (_, names) in optimisers.parts.items()}


def test_muon_moves_hidden_matrices_and_adamw_the_rest() -> None:
    everything = {name for name, _ in Net().named_parameters()}
    assert parts("matrices")["muon"] == {"blocks.0.weight"}
    assert parts("all")["muon"] == {"blocks.0.weight", "blocks.2.weight"}
    assert parts("none") == {"adamw": everything}
    for muon in ("matrices", "all"):
        split = parts(muon)
        assert split["muon"] | split["adamw"] == everything
        assert not split["muon"] & split["adamw"]


def test_muon_moves_a_convolution_through_its_matrix() -> None:
    """The update of a kernel is that of the same numbers as a matrix."""
    kernel, matrix = nn.Sequential(nn.Conv2d(16, 16, 3)), nn.Sequential(nn.Linear(144, 16))
    matrix[0].weight.data = kernel[0].weight.data.flatten(1).clone()
    matrix[0].bias.data = kernel[0].bias.data.clone()
    gradient = torch.randn(16, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    for net, shape in ((kernel, (16, 16, 3, 3)), (matrix, (16, 144))):
        optimisers = Optimisers(net, OptimConfig(muon="all"))
        net[0].weight.grad, net[0].bias.grad = gradient.view(shape).clone(), torch.zeros(16)
        before = net[0].weight.detach().clone()
        optimisers.step(1.0)
        assert not torch.equal(net[0].weight, before)
    assert torch.equal(kernel[0].weight.flatten(1), matrix[0].weight)


def test_the_gradient_is_clipped_and_its_norm_reported() -> None:
    net = nn.Linear(3, 1, bias=False)
    optimisers = Optimisers(net, OptimConfig(clip=1.0))
    net.weight.grad = torch.tensor([[30.0, 40.0, 0.0]])
    assert optimisers.step(1.0) == pytest.approx(50.0)
    assert net.weight.grad is None


@pytest.mark.parametrize("schedule", ["trapezoid", "cosine"])
def test_the_rate_warms_up_holds_or_falls_and_ends_low(schedule: str) -> None:
    config = OptimConfig(warmup=10, schedule=schedule, cooldown=0.25, final=0.02)  # type: ignore[arg-type]
    scales = [lr_scale(config, step, step / 1000) for step in range(1000)]
    assert scales[0] == pytest.approx(0.1)
    assert scales[9] == pytest.approx(1.0, abs=0.01)
    assert scales[-1] == pytest.approx(0.02, abs=0.01)
    assert all(a >= b for a, b in pairwise(scales[10:]))
    assert (scales[740] == 1.0) == (schedule == "trapezoid")
    assert lr_scale(config, 500, 1.7) == pytest.approx(0.02)


def test_the_average_follows_and_forgets_the_start() -> None:
    net = nn.Linear(2, 2)
    average = EMA(net, 0.9)
    with torch.no_grad():
        net.weight.fill_(5.0)
    for step in range(200):
        average.update(net, step)
    torch.testing.assert_close(average.module.weight, net.weight.detach())
    assert not average.module.weight.requires_grad


def test_every_row_comes_once_an_epoch_in_a_new_order() -> None:
    rows = [row for step in range(20) for row in rows_at(3, step, 5, 50)]
    assert sorted(rows[:50]) == list(range(50))
    assert sorted(rows[50:]) == list(range(50))
    assert rows[:50] != rows[50:]
    assert rows_at(3, 7, 5, 50) == rows_at(3, 7, 5, 50)
    assert rows_at(4, 0, 5, 50) != rows_at(3, 0, 5, 50)
    # a batch may be larger than an epoch
    assert sorted(rows_at(0, 0, 8, 4)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_close_seeds_are_unrelated() -> None:
    bits = [bin(mix("step", 0, i) ^ mix("step", 0, i + 1)).count("1") for i in range(200)]
    assert 28 < sum(bits) / len(bits) < 35


def test_muon_moves_as_torchs_does_up_to_bfloat16() -> None:
    torch.manual_seed(0)
    shapes = [(16, 24), (24, 16), (16, 24), (32, 32)]
    ours, theirs = (
        [nn.Parameter(torch.randn(shape, generator=generator_for("w", shape))) for shape in shapes] for _ in "ab"
    )
    optimisers = (
        Muon(ours, lr=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    start = [weight.detach().clone() for weight in ours]
    for step in range(3):
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            for weight in pair:
                weight.grad = torch.randn(weight.shape, generator=generator_for("g", step, place))
        for optimiser in optimisers:
            optimiser.step()
    for one, other, before in zip(ours, theirs, start, strict=True):
        assert_close(one, other, rtol=0, atol=0.02 * float((other - before).detach().abs().max()))
        assert_close(optimisers[0].state[one]["momentum_buffer"], optimisers[1].state[other]["momentum_buffer"])


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 20, 30, generator=generator_for("m"))
    for some in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalised(some, (3.4445, -4.775, 2.0315), 5, 1e-7).float())
        assert values.min() > 0.5
        assert values.max() < 1.3
