"""Alignment without training: off it is off to the bit; on it does what it says, on networks in miniature."""

from __future__ import annotations

import pytest
import torch
from test_control_lora import GRID, network

from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig
from phonofilm.control.align.attention import nearness, reweighted
from phonofilm.control.align.energy import EnergyGuided, OnsetEnergy
from phonofilm.control.hits import Hit
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import SAMPLERS, flow_sigmas
from phonofilm.types import Latents, Text

POSITIONS = GRID.positions()
MEL = MelConfig(sample_rate=24_000, hop=250, window=1536, bins=96, high=11_000.0)


@pytest.mark.parametrize("preset", ["ltx2", "nano"])
@torch.no_grad()
def test_attention_near_an_event_is_raised_between_what_happens_together(preset: str) -> None:
    changes = {"exchange_slopes": [16.0], "video": {"patch": [1, 1, 1]}} if preset == "nano" else {}
    net = network(preset, **changes)
    places = net.places(POSITIONS)
    assert reweighted(places, POSITIONS, [Hit(0.5)], 0.0) is places
    assert reweighted(places, POSITIONS, [], 3.0) is places
    video, audio = reweighted(places, POSITIONS, [Hit(0.5, 0.8)], 3.0)
    before = places[0].exchange_bias
    added = video.exchange_bias if before is None else video.exchange_bias - before
    assert added is not None
    seen, heard = nearness(POSITIONS.video[:, 0], [Hit(0.5)]), nearness(POSITIONS.audio[:, 0], [Hit(0.5)])
    assert seen.max() == heard.max() == 1
    torch.testing.assert_close(added.reshape(-1, *added.shape[-2:])[0], 2.4 * seen @ heard.T, atol=1e-5, rtol=1e-4)
    draw = torch.Generator().manual_seed(3)
    latents = Latents(
        torch.randn(1, 2, *GRID.video_shape, generator=draw), torch.randn(1, 1, 4, GRID.audio_length, generator=draw)
    )
    text = Text(torch.randn(1, 3, 8, generator=draw), torch.ones(1, 3, dtype=torch.bool))
    level = Latents(torch.full((1, 1, 1, 1, 1), 0.7), torch.full((1, 1, 1, 1), 0.7))
    one, other = net(latents, level, text, places), net(latents, level, text, (video, audio))
    assert not torch.equal(one.audio, other.audio)
    assert not torch.equal(one.video, other.video)
    with pytest.raises(PhonofilmError, match="a strength of 11 is not possible"):
        reweighted(places, POSITIONS, [Hit(0.5)], 11)


def sampled(strength: float, given: bool = False) -> tuple[Latents, float]:
    """A sound sampled by a denoiser that knows nothing, with the energy that it ends with."""
    torch.manual_seed(0)
    codec = AudioVAE(AudioVAEConfig(width=16, mel=MEL, time=8, head=4)).eval().requires_grad_(False)
    channels = codec.config.latents
    wish = torch.randn(1, 1, channels, 13, generator=torch.Generator().manual_seed(2))

    def denoise(x: Latents, sigma: Latents) -> Latents:
        return x.map(lambda noisy: 0.7 * noisy + 0.1 * wish)

    def decode(sound: torch.Tensor) -> torch.Tensor:
        return codec.decode(sound[:, 0])[0].mean(1)

    energy = OnsetEnergy(decode, [Hit(0.25), Hit(0.7)], MEL.sample_rate / MEL.hop)
    noise = Latents(None, torch.randn(1, 1, channels, 13, generator=torch.Generator().manual_seed(1)))
    guided = EnergyGuided(denoise, energy, strength)
    with torch.inference_mode():
        made = SAMPLERS["euler"](guided, noise, flow_sigmas(8, 1.0))
        return made, float(energy(made))


def test_energy_guidance_moves_onsets_to_events_and_is_off_at_zero() -> None:
    (plain, before), (_, after), (_, further) = sampled(0.0), sampled(0.3), sampled(1.0)
    assert plain.audio is not None
    assert after < before - 0.02
    assert further < after
    torch.manual_seed(0)
    assert torch.equal(plain.audio, sampled(0.0)[0].audio)


def test_what_is_given_is_not_moved() -> None:
    x = Latents(None, torch.randn(1, 1, 4, 6))
    level = torch.full((1, 1, 1, 6), 0.8)
    level[..., :3] = 0
    guided = EnergyGuided(lambda x, sigma: x, lambda latents: latents.audio.square().sum((1, 2, 3)), 0.5)  # type: ignore[union-attr]
    moved = guided(x, Latents(None, level)).audio
    assert torch.equal(moved[..., :3], x.audio[..., :3])
    assert (moved[..., 3:].abs() < x.audio[..., 3:].abs()).any()
    assert torch.equal(guided(x, Latents(None, 0.1 * level)).audio, x.audio)


def test_bad_strengths_get_a_line() -> None:
    with pytest.raises(PhonofilmError, match="a strength of -1 is not possible"):
        EnergyGuided(lambda x, sigma: x, lambda latents: torch.zeros(1), -1)
    with pytest.raises(PhonofilmError, match="there is no sound to align"):
        OnsetEnergy(lambda sound: sound, [Hit(0.5)], 96)(Latents(torch.zeros(1, 1, 1, 1, 1), None))
