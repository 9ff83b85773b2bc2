"""Feed-forwards of many experts: exact beginnings, nothing dropped, a balance that holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from phonofilm.errors import PhonofilmError
from phonofilm.model import AVTransformer
from phonofilm.model.config import PRESETS
from phonofilm.model.moe.config import ExpertsConfig
from phonofilm.model.moe.layer import RoutedExperts, Routing, rebalance
from phonofilm.model.moe.upcycle import upcycle, upcycled
from phonofilm.model.moe.usage import parameters_of, shares, watched
from phonofilm.types import Geometry, Grid, Latents, Text

SPLIT = ExpertsConfig(count=8, used=2, shared=0.5, width=0.25)
COPY = ExpertsConfig(count=4, used=2, shared=0.5, width=0.5)


def layer_of(config: ExpertsConfig = SPLIT, seed: int = 0, bias: bool = False) -> RoutedExperts:
    torch.manual_seed(seed)
    layer = RoutedExperts(config, 16, 8, "gelu", bias)
    if layer.up_bias is not None:
        torch.nn.init.normal_(layer.up_bias)
    return layer


def worked_out(layer: RoutedExperts, x: torch.Tensor, routing: Routing) -> torch.Tensor:
    """One token after the other, one expert after the other."""
    rows = []
    for token, experts, weights in zip(x, routing.experts, routing.weights, strict=True):
        said = torch.zeros_like(token)
        for expert, weight in zip(experts.tolist(), weights, strict=True):
            hidden = layer.up[expert] @ token + (0 if layer.up_bias is None else layer.up_bias[expert])
            said = said + weight * (layer.down[expert] @ torch.nn.functional.gelu(hidden))
        rows.append(said)
    return torch.stack(rows)


@pytest.mark.parametrize("bias", [False, True])
def test_every_token_is_told_what_its_experts_say(bias):
    layer = layer_of(bias=bias).double()
    x = torch.randn(3, 11, 16, dtype=torch.float64)
    routing = layer.route(x.flatten(0, 1))
    assert routing.experts.shape == (33, 2)  # nobody is dropped, however many want the same expert
    assert_close(routing.weights.sum(-1), torch.full((33,), 2.0, dtype=torch.float64))
    assert_close(layer(x), worked_out(layer, x.flatten(0, 1), routing).view_as(x), rtol=1e-10, atol=1e-12)


def test_nobody_is_dropped_where_all_want_the_same():
    layer = layer_of().double()
    x = torch.randn(1, 1, 16, dtype=torch.float64).expand(1, 50, 16)
    assert_close(layer(x)[0, 0].expand(50, 16), layer(x)[0], rtol=1e-12, atol=1e-14)


def test_gradients_are_those_of_the_plain_sum():
    layer = layer_of().double().train()
    x = torch.randn(20, 16, dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(layer(x).square().sum(), [x, layer.up, layer.down, layer.router])
    plain = worked_out(layer, x, layer.route(x)).square().sum()
    for mine, true in zip(found, torch.autograd.grad(plain, [x, layer.up, layer.down, layer.router]), strict=True):
        assert_close(mine, true, rtol=1e-9, atol=1e-11)


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="this torch has no grouped product")
@pytest.mark.parametrize("bias", [False, True])
def test_one_grouped_product_says_the_same(bias):
    layer = layer_of(bias=bias).bfloat16()
    x = torch.randn(40, 16).bfloat16()
    chosen = layer.route(x).experts.flatten()
    order = chosen.argsort(stable=True)
    sizes = torch.bincount(chosen, minlength=8)
    rows = x[order // 2]
    try:  # torch's own operation on plain input: a fault of ours below is no reason to skip
        torch._grouped_mm(x[:16], torch.eye(16).bfloat16()[None], offs=torch.tensor([16], dtype=torch.int32))
    except (RuntimeError, NotImplementedError) as error:  # how torch says that a processor has no such product
        pytest.skip(f"grouped products do not run on this processor: {error}")
    assert_close(layer._grouped(rows, sizes), layer._one_by_one(rows, sizes), rtol=2e-2, atol=2e-2)


def test_the_balance_draws_tokens_to_experts_that_are_used_too_little():
    layer = layer_of(replace(SPLIT, rate=0.02)).train()
    with torch.no_grad():
        layer.router[0] += 2.0  # all tokens below lie that way
    x = torch.randn(400, 16) * 0.5 + 0.5

    def shares() -> torch.Tensor:
        return torch.bincount(layer.route(x).experts.flatten(), minlength=8) / 800

    before = shares()
    for _ in range(120):
        layer(x)
        layer.rebalance()
    assert before.max() > 0.4
    assert before.min() < 0.02
    assert shares().max() < 0.2
    assert shares().min() > 0.06


def test_the_balance_decides_who_is_used_and_not_what_it_counts():
    layer = layer_of()
    x = torch.randn(30, 16)
    before = layer.route(x)
    layer.balance += 0.7  # the same for all
    after = layer.route(x)
    assert torch.equal(before.experts, after.experts)
    assert torch.equal(before.weights, after.weights)
    assert not layer.balance.requires_grad


def test_what_is_used_without_training_does_not_move_the_balance():
    layer = layer_of().eval()
    layer(torch.randn(10, 16))
    assert layer.rebalance() == 1 / 8
    assert not layer.balance.any()
    assert rebalance(torch.nn.Linear(2, 2)) is None


@pytest.mark.parametrize("config", [SPLIT, COPY, replace(SPLIT, used=1, width=0.5)], ids=["split", "copy", "one"])
@torch.no_grad()
@pytest.mark.parametrize("bias", [False, True])
def test_upcycled_weights_say_what_they_said_before(config, bias, tiny, build, draw):
    dense = build(replace(tiny, bias=bias)).double()
    routed = upcycle(dense, config)
    latents, sigma, text, positions = draw()
    inputs = (latents.map(torch.Tensor.double), sigma, Text(text.states.double(), text.mask), positions)
    for one, other in zip(vars(dense(*inputs)).values(), vars(routed(*inputs)).values(), strict=True):
        assert_close(other, one, rtol=1e-9, atol=1e-9)
    single = upcycle(dense.float(), config)
    for one, other in zip(vars(dense(*draw())).values(), vars(single(*draw())).values(), strict=True):
        assert float((other - one).norm() / one.norm()) < 1e-5


def test_upcycled_experts_part_when_they_learn(tiny, build, draw):
    routed = upcycle(build(tiny), SPLIT).train()
    moved = torch.optim.SGD(routed.parameters(), 0.1)
    for step in range(3):
        made = routed(*draw(seed=step))
        (made.video - 1).square().mean().add((made.audio + 1).square().mean()).backward()
        moved.step()
        moved.zero_grad()
        rebalance(routed)
    experts = routed.blocks[0].video.feed_forward.experts
    assert not torch.equal(experts.up[0], experts.up[2])  # copies of one slice
    assert experts.balance.any()


def test_experts_are_one_network_in_parts_and_whole(tiny, build, draw, monkeypatch):
    routed = upcycle(build(tiny), SPLIT)
    with torch.no_grad():
        whole = routed(*draw())
        monkeypatch.setattr("phonofilm.model.rows.AT_ONCE", {"cpu": 2 * 48 * 7})
        parts = routed(*draw())
    assert_close(parts.video, whole.video, rtol=1e-4, atol=1e-5)
    assert_close(parts.audio, whole.audio, rtol=1e-4, atol=1e-5)


def test_without_experts_a_network_has_the_weights_that_it_had(tiny):
    names = AVTransformer(tiny).state_dict().keys()
    assert not any("expert" in name for name in names)
    assert "blocks.0.video.feed_forward.up.weight" in names


def test_a_token_costs_what_it_did(tiny):
    assert SPLIT.active == 1.0
    assert replace(COPY, used=1).active == 1.0
    assert SPLIT.units(96) == (48, 24)


def test_experts_fit_the_published_size():
    config = replace(PRESETS["ltx2"], experts=replace(SPLIT, count=16))
    small = replace(config, video=replace(config.video, layers=1), audio=replace(config.audio, layers=1))
    with torch.device("meta"):
        network = AVTransformer(small)
        sigma = Latents(torch.empty(1, 1, 1, 1, 1), torch.empty(1, 1, 1, 1))
        text = Text(torch.empty(1, 7, 3840), torch.empty(1, 7, dtype=torch.bool))
    grid = Grid.of(17 / 24, (128, 128), 24, Geometry(8, 32, (1, 1, 1), 16_000, 160, 4, 1))
    positions = grid.positions()
    assert len(positions.video) == 48
    latents = Latents(
        torch.empty(1, 128, 3, 4, 4, device="meta"), torch.empty(1, 1, 128, len(positions.audio), device="meta")
    )
    places = network.places(positions, "meta")
    made = network(latents, sigma, text, places)
    assert made.video.shape == latents.video.shape
    assert made.audio.shape == latents.audio.shape


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": 2, "used": 3}, "not possible with 2 experts"),
        ({"count": -1}, "0 \\(none\\) or more"),
        ({"count": 4, "shared": 0.0}, "a share above 0"),
    ],
)
def test_impossible_experts_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        ExpertsConfig(**values)


def test_weights_that_do_not_divide_are_refused(tiny, build):
    dense = build(tiny)
    with pytest.raises(PhonofilmError, match="do not become 8 experts"):
        upcycle(dense, replace(SPLIT, width=0.125))
    with pytest.raises(PhonofilmError, match="experts already"):
        upcycled(upcycle(dense, SPLIT).state_dict(), SPLIT)


def test_choices_are_watched_token_by_token(tiny, build, draw, monkeypatch):
    routed, inputs = upcycle(build(tiny), SPLIT), draw()
    with torch.no_grad(), watched(routed) as chosen:
        routed(*inputs)
        whole = dict(chosen)
        monkeypatch.setattr("phonofilm.model.rows.AT_ONCE", {"cpu": 2 * 48 * 7})
        routed(*inputs)
        parts = dict(chosen)
    tokens = len(inputs.positions.video)
    assert whole.keys() == {f"blocks.{n}.video" for n in range(4)} | {"blocks.1.audio", "blocks.3.audio"}
    assert whole["blocks.0.video"].shape == (2, tokens, 2)
    assert torch.equal(parts["blocks.0.video"], whole["blocks.0.video"])
    assert_close(shares(whole["blocks.0.video"], 8).sum(), torch.tensor(1.0, dtype=torch.float64))
    assert routed.blocks[0].video.feed_forward.experts.listener is None


def test_parameters_that_work_are_those_there_were(tiny, build):
    dense = build(tiny)
    routers = sum(p.numel() for n, p in upcycle(dense, SPLIT).named_parameters() if n.endswith("router"))
    active, total = parameters_of(upcycle(dense, SPLIT))
    had = sum(p.numel() for p in dense.parameters())
    assert parameters_of(dense) == (had, had)
    assert active == had + routers
    assert total > 1.3 * had
