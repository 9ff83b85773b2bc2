"""Identities of guidance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from phonofilm.sampling import Denoiser, Guidance, Guided, draw_noise
from phonofilm.sampling.guidance import rescaled
from phonofilm.types import Latents, Positions, Text

POSITIONS = Positions(np.zeros((4, 3, 2)), np.zeros((3, 1, 2)))


class Fake:
    """A network whose output shows the text it read and whether its streams saw each other."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self,
        latents: Latents,
        sigma: Latents,
        text: Text,
        positions: Positions,
        *,
        exchange: Tensor | None = None,
        unmixed: dict[int, Latents] | None = None,
    ) -> Latents:
        self.calls += 1
        self.unmixed = unmixed
        said = (text.states.sum(-1) * text.mask).sum(1)
        heard = torch.ones_like(said) if exchange is None else exchange.float()
        loose = (unmixed or {}).get(28, Latents())
        apart = Latents(*(said * 0 if mask is None else mask.float() for mask in (loose.video, loose.audio)))
        return latents.map(
            lambda v, a: v * 0.5 + (said + 10 * heard - 100 * a).view(-1, *(1 for _ in v.shape[1:])), apart
        )


def prompt(value: float, length: int = 3) -> Text:
    return Text(torch.full((2, length, 4), value), torch.ones(2, length, dtype=torch.bool))


def guided(guidance: Guidance, **more: Any) -> tuple[Latents, Fake]:
    network = Fake()
    steer = Guided(Denoiser(network), prompt(1.0), prompt(-2.0, length=5), POSITIONS, guidance, **more)
    x = Latents(draw_noise((2, 4, 1, 1), [0, 1], "video"), draw_noise((2, 3), [0, 1], "audio"))
    return steer(x, x.map(lambda v: torch.ones(2, *(1 for _ in v.shape[1:])))), network


PLAIN = guided(Guidance())[0]
NEGATIVE, POSITIVE = 5 * 4 * -2.0, 3 * 4 * 1.0


def test_scales_of_one_change_nothing() -> None:
    same, network = guided(Guidance((1.0, 1.0), (1.0, 1.0), rescale=0.7))
    assert network.calls == 1
    assert torch.equal(same.video, PLAIN.video)
    assert torch.equal(same.audio, PLAIN.audio)


def test_a_scale_of_zero_is_the_negative_prompt() -> None:
    made, _ = guided(Guidance(text=(0.0, 0.0)))
    torch.testing.assert_close(made.video, PLAIN.video + NEGATIVE - POSITIVE)


def test_each_stream_has_its_own_scale() -> None:
    made, network = guided(Guidance(text=(1.0, 3.0)))
    assert network.calls == 1, "all passes are one batch"
    assert torch.equal(made.video, PLAIN.video)
    torch.testing.assert_close(made.audio, PLAIN.audio + 2 * (POSITIVE - NEGATIVE))


def test_both_guidances_add_up_as_in_ltx2() -> None:
    made, _ = guided(Guidance(text=(3.0, 7.0), modality=(3.0, 2.0)))
    torch.testing.assert_close(made.video, PLAIN.video + 2 * (POSITIVE - NEGATIVE) + 2 * 10)
    torch.testing.assert_close(made.audio, PLAIN.audio + 6 * (POSITIVE - NEGATIVE) + 1 * 10)


def test_stg_adds_its_own_term_between_the_others() -> None:
    """The whole of LTX-2's formula, with the original's scales."""
    made, network = guided(Guidance((3.0, 7.0), (3.0, 2.0), stg=(1.0, 0.5), stg_blocks=(28,)))
    assert network.calls == 1
    torch.testing.assert_close(made.video, PLAIN.video + 2 * (POSITIVE - NEGATIVE) + 1 * 100 + 2 * 10)
    torch.testing.assert_close(made.audio, PLAIN.audio + 6 * (POSITIVE - NEGATIVE) + 0.5 * 100 + 1 * 10)


def test_a_stream_without_stg_is_not_disturbed() -> None:
    made, network = guided(Guidance(stg=(0.0, 1.0), stg_blocks=(28, 29)))
    assert torch.equal(made.video, PLAIN.video)
    torch.testing.assert_close(made.audio, PLAIN.audio + 100)
    assert list(network.unmixed) == [28, 29]
    assert network.unmixed[28].video is None
    assert network.unmixed[28].audio.tolist() == [False, False, True, True]


def test_stg_of_zero_is_off_bit_for_bit() -> None:
    off, network = guided(Guidance((3.0, 7.0), (3.0, 2.0), 0.7, stg=(0.0, 0.0), stg_blocks=(28,)))
    without, _ = guided(Guidance((3.0, 7.0), (3.0, 2.0), 0.7))
    assert network.unmixed is None
    assert torch.equal(off.video, without.video)
    assert torch.equal(off.audio, without.audio)
    assert Guidance(stg=(1.0, 0.0), stg_blocks=(1,)).evaluations == 2


def test_stg_needs_blocks() -> None:
    with pytest.raises(ValueError, match="which blocks"):
        Guidance(stg=(1.0, 1.0))


def test_modality_guidance_alone_leaves_the_text_alone() -> None:
    made, _ = guided(Guidance(modality=(2.0, 1.0)))
    torch.testing.assert_close(made.video, PLAIN.video + 10)
    assert torch.equal(made.audio, PLAIN.audio)


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_rescaling_brings_the_spread_back(amount: float) -> None:
    plain = draw_noise((3, 50), [0, 1], "audio")
    steered = plain * torch.tensor([2.0, 5.0])[:, None, None]
    spread = rescaled(steered, plain, amount).std((1, 2)) / plain.std((1, 2))
    torch.testing.assert_close(spread, amount + (1 - amount) * torch.tensor([2.0, 5.0]))


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    scales = Guidance((2.0, 4.0), (1.5, 1.0), rescale=0.7)
    both = guided(scales)[0]
    x = Latents(draw_noise((2, 4, 1, 1), [1], "video"), draw_noise((2, 3), [1], "audio"))
    text, negative = (Text(t.states[1:], t.mask[1:]) for t in (prompt(1.0), prompt(-2.0, length=5)))
    alone = Guided(Denoiser(Fake()), text, negative, POSITIONS, scales)(x, x.map(lambda v: torch.ones(1, 1, 1)))
    torch.testing.assert_close(alone.video[0], both.video[1])


def test_an_absent_stream_stays_absent() -> None:
    steer = Guided(Denoiser(Fake()), prompt(1.0), prompt(-2.0), POSITIONS, Guidance((2.0, 2.0)))
    x = Latents(None, draw_noise((2, 3), [0, 1], "audio"))
    assert steer(x, x.map(lambda v: torch.ones(2, 1, 1))).video is None


def test_every_pass_gets_the_conditions_and_the_prompts_of_the_sound() -> None:
    seen: dict[str, Any] = {}

    def network(latents: Latents, sigma: Latents, text: Text, positions: Positions, **options: Any) -> Latents:
        seen.update(options)
        return latents

    prompts = [Text(prompt(value, length).states[:, None], prompt(value, length).mask[:, None]) for value, length in
               ((7.0, 2), (8.0, 4))]  # fmt: skip
    condition = torch.arange(2.0).view(2, 1, 1)
    steer = Guided(
        Denoiser(network), prompt(1.0), prompt(-2.0), POSITIONS, Guidance((2.0, 2.0), (2.0, 2.0)),
        {"conditions": {"sync": condition}}, *prompts,
    )  # fmt: skip
    x = Latents(None, draw_noise((1, 2, 3), [0, 1], "audio"))
    steer(x, x.map(lambda v: torch.ones(2, 1, 1, 1)))
    assert seen["conditions"]["sync"].flatten().tolist() == [0, 1] * 3  # text, negative, alone
    told = seen["audio_text"]
    assert told.states[:, 0, 0, 0].tolist() == [7, 7, 8, 8, 7, 7]
    assert told.mask.sum((1, 2)).tolist() == [2, 2, 4, 4, 2, 2]
