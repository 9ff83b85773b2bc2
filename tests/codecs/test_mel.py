import math

import pytest
import torch

from phonofilm.codecs.common.mel import (
    MelConfig,
    band_edges,
    denormalise,
    filterbank,
    hertz_to_mel,
    log_mel,
    mel_to_hertz,
    normalise,
)

CONFIG = MelConfig()


def sine(hertz: float, amplitude: float = 1.0, samples: int = 16_000) -> torch.Tensor:
    time = torch.arange(samples, dtype=torch.float64) / CONFIG.sample_rate
    return (amplitude * torch.sin(2 * math.pi * hertz * time)).float().expand(1, 2, -1)


def centre(band: int) -> float:
    return mel_to_hertz(band_edges(CONFIG))[band + 1].item()


@pytest.mark.parametrize("frame", [0, 1, 7])
def test_a_frame_sees_nothing_from_its_end_on(frame: int) -> None:
    waveform = torch.randn(1, 2, 8_000)
    changed = waveform.clone()
    changed[..., (frame + 1) * CONFIG.hop :] = 1.0
    before, after = log_mel(waveform), log_mel(changed)
    assert torch.equal(before[..., : frame + 1], after[..., : frame + 1])
    assert not torch.allclose(before[..., frame + 1], after[..., frame + 1])


@pytest.mark.parametrize("onset", [0, 4_000, 4_399, 6_789])
def test_an_attack_is_first_heard_in_the_frame_it_falls_into(onset: int) -> None:
    waveform = torch.zeros(1, 1, 8_000)
    waveform[..., onset:] = 0.5 * sine(1_000)[:, :1, : 8_000 - onset]
    loud = (log_mel(waveform)[0, 0] > -0.99).any(0).nonzero()
    # In a hop's last few samples the window is all but closed: then the attack is heard one frame later.
    assert onset // CONFIG.hop <= loud[0].item() <= (onset + 24) // CONFIG.hop


@pytest.mark.parametrize("band", [5, 25, 50, 75])
def test_a_full_scale_sine_is_one_and_silence_is_minus_one(band: int) -> None:
    mel = log_mel(sine(centre(band)))[0, 0, :, 10]
    assert mel.argmax() == band
    assert mel[band].item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(log_mel(torch.zeros(1, 2, 4_000)), torch.full((1, 2, 80, 10), -1.0))


def test_level_is_linear_in_decibels_and_pan_is_a_difference() -> None:
    left, right = sine(centre(30)), 10 ** (-20 / 20) * sine(centre(30))
    mel = log_mel(torch.cat([left[:, :1], right[:, :1]], 1))[0, :, 30, 10]
    decibels = (mel[0] - mel[1]) * -CONFIG.floor_db / 2
    assert decibels.item() == pytest.approx(20.0, abs=0.01)


def test_neighbouring_notes_differ_everywhere_a_bar_can_sound() -> None:
    for note in range(48, 100):
        low, high = (440 * 2 ** ((n - 69) / 12) for n in (note, note + 1))
        difference = (log_mel(sine(low)) - log_mel(sine(high)))[..., 10].abs().max()
        assert difference > 0.1, f"a semitone at {low:.0f} Hz moves the mel by {difference:.3f} only"


def test_normalise_is_undone() -> None:
    power = torch.logspace(-6, 0, 50)
    torch.testing.assert_close(denormalise(normalise(power, CONFIG), CONFIG), power, rtol=1e-3, atol=1e-9)
    assert denormalise(torch.tensor([-1.0, -1.5]), CONFIG).tolist() == [0.0, 0.0]


def test_scale_and_bands() -> None:
    assert hertz_to_mel(torch.tensor(1_000.0)).item() == pytest.approx(1_000.0, abs=0.1)
    torch.testing.assert_close(mel_to_hertz(hertz_to_mel(torch.tensor(3_210.0))), torch.tensor(3_210.0))
    assert (filterbank(CONFIG).sum(0) > 0.5).all(), "a band without a frequency in it is always silent"


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (400, 1), (401, 2), (64_000, 160)])
def test_the_last_hop_is_completed(samples: int, frames: int) -> None:
    assert log_mel(torch.zeros(1, 2, samples)).shape == (1, 2, 80, frames)
