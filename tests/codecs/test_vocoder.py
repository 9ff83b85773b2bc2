import math

import pytest
import torch
from torch import Tensor

from phonofilm.codecs.audio_loss import frequency_targets, spectral_distance, vocoder_loss
from phonofilm.codecs.common.mel import MelConfig, denormalise, filterbank, log_mel, mel_to_hertz
from phonofilm.codecs.vocoder import Controls, Vocoder, VocoderConfig

RATE = 16_000


@pytest.fixture
def vocoder() -> Vocoder:
    torch.manual_seed(0)
    return Vocoder(VocoderConfig(width=32, blocks=2)).eval()


@torch.no_grad()
@pytest.mark.parametrize("cuts", [[1] * 24, [7, 11, 6], [23, 1]])
def test_chunks_equal_the_whole(vocoder: Vocoder, cuts: list[int]) -> None:
    mel = torch.randn(2, 2, 80, 24) * 0.3
    whole, _ = vocoder(mel)
    assert whole.shape == (2, 2, 24 * 400)
    state, parts = None, []
    for chunk in mel.split(cuts, dim=-1):
        part, state = vocoder(chunk, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, -1), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_samples_depend_on_no_later_frame(vocoder: Vocoder) -> None:
    mel = torch.randn(1, 2, 80, 24) * 0.3
    changed = mel.clone()
    changed[..., 10:] += 0.5
    torch.testing.assert_close(vocoder(mel)[0][..., :4_000], vocoder(changed)[0][..., :4_000], atol=1e-6, rtol=0)


@torch.no_grad()
def test_level_differences_between_the_channels_pass_untouched(vocoder: Vocoder) -> None:
    left = log_mel(torch.randn(1, 1, 16_000) * 0.1)
    right = left - 2 * 12 / 80  # 12 dB down
    waveform, _ = vocoder(torch.cat([left, right], 1))
    level = waveform.square().mean(-1).log10()[0] * 10
    assert (level[0] - level[1]).item() == pytest.approx(12.0, abs=0.1)
    torch.testing.assert_close(waveform[:, 1], waveform[:, 0] * 10 ** (-12 / 20), atol=2e-3, rtol=0)


@torch.no_grad()
def test_silence_stays_silent(vocoder: Vocoder) -> None:
    waveform, _ = vocoder(torch.full((1, 2, 80, 40), -1.0))
    assert waveform.abs().max() < 1e-4


@pytest.mark.parametrize("hertz", [113.7, 1_013.0, 3_777.0])
def test_the_bank_keeps_a_steady_tone_steady(vocoder: Vocoder, hertz: float) -> None:
    """A tone between multiples of 40 Hz, over a second, against the exact cosine: no drift, no ripple."""
    updates, k = 160, 40
    tones = torch.zeros(1, updates, 2, vocoder.config.oscillators)
    tones[..., k] = 0.5
    frequency = torch.full((1, updates, vocoder.config.oscillators), hertz)
    controls = Controls(frequency, tones, torch.zeros(1, updates, 2, 101))
    waveform, state = vocoder.synthesise(controls)
    time = torch.arange(16_000, dtype=torch.float64) - updates * 100
    exact = 0.5 * torch.cos(2 * math.pi * (state.phase[:, k] + float(torch.tensor(hertz)) / RATE * time))
    torch.testing.assert_close(waveform[0, 0, 100:].double(), exact[100:], atol=1e-4, rtol=0)


def test_noise_is_white_and_never_repeats_itself(vocoder: Vocoder) -> None:
    updates, k = 640, vocoder.config.oscillators
    controls = Controls(
        torch.full((1, updates, k), 500.0), torch.zeros(1, updates, 2, k), torch.ones(1, updates, 2, 101)
    )
    noise = vocoder.synthesise(controls)[0][0, 0, 1_600:]
    assert noise.var().item() == pytest.approx(2 * 100, rel=0.05)
    spectrum = torch.fft.rfft(noise, n=2**17).abs().square()
    correlation = torch.fft.irfft(spectrum)[: 2**16]
    assert (correlation[400:] / correlation[0]).abs().max() < 0.05


@pytest.mark.parametrize("hertz", [220.0, 523.25, 1_975.5, 3_951.0])
def test_frequency_targets_find_a_tone_to_a_tenth_of_a_semitone(hertz: float) -> None:
    vocoder = Vocoder()
    target, weight = frequency_targets(vocoder, sine(hertz).expand(1, 2, -1))
    oscillator = weight[0, 20].argmax()
    found = mel_to_hertz(target[0, 20, oscillator]).item()
    assert abs(12 * math.log2(found / hertz)) < 0.1
    assert weight[0, 20, oscillator] > 0.9


@pytest.mark.slow
def test_frequency_and_levels_are_learnt_from_sound() -> None:
    """A little training on random decaying tones: most notes within half a semitone, better than Griffin-Lim."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    vocoder = Vocoder(VocoderConfig(width=96, blocks=2))
    optimiser = torch.optim.AdamW(vocoder.parameters(), lr=4e-3, betas=(0.9, 0.98))
    for step in range(160):
        optimiser.param_groups[0]["lr"] = 4e-3 * min(1.0, (160 - step) / 80)
        optimiser.zero_grad()
        loss, _ = vocoder_loss(vocoder, strikes(8, generator)[0], generator)
        loss.backward()
        optimiser.step()

    waveform, hertz = strikes(64, generator)
    mel = log_mel(waveform)
    with torch.no_grad():
        output, _ = vocoder(mel)
    assert output.isfinite().all()
    semitones = 12 * torch.log2(loudest(output[:, 0]) / hertz)
    assert semitones.abs().median() < 0.5

    baseline = griffin_lim(mel, MelConfig(), generator)
    ours, theirs = (sum(spectral_distance(x, waveform, w)[0] for w in (128, 512, 2048)) for x in (output, baseline))
    assert ours < theirs, f"log-spectral distance {ours:.3f}, Griffin-Lim {theirs:.3f}"


def test_a_hop_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be cut into 7"):
        Vocoder(VocoderConfig(subframes=7))


def sine(hertz: float, samples: int = 16_000) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(samples, dtype=torch.float64) / RATE).float()


def strikes(count: int, generator: torch.Generator, samples: int = 8_000) -> tuple[Tensor, Tensor]:
    """Decaying tones [B, 2, samples] struck at random times, a little noise, panned; and their frequencies."""
    hertz = 200 * 2 ** (torch.rand(count, 1, generator=generator) * 4)
    start = torch.rand(count, 1, generator=generator) * 0.15 + 0.02
    time = torch.arange(samples) / RATE - start
    decay = torch.exp(-time * (4 + 8 * torch.rand(count, 1, generator=generator))) * (time >= 0)
    tone = 0.4 * torch.sin(2 * math.pi * hertz * time) * decay
    click = 0.1 * torch.randn(count, samples, generator=generator) * torch.exp(-time.clamp_min(0) * 200) * (time >= 0)
    gains = torch.rand(count, 2, 1, generator=generator) * 0.8 + 0.2
    return gains * (tone + click)[:, None], hertz[:, 0]


def loudest(waveform: Tensor) -> Tensor:
    """Frequency of the highest peak of each [B, N] waveform."""
    spectrum = torch.fft.rfft(waveform * torch.hann_window(waveform.shape[-1]), n=2**16).abs()
    return spectrum.argmax(-1) * (RATE / 2**16)


def griffin_lim(mel: Tensor, config: MelConfig, generator: torch.Generator, iterations: int = 60) -> Tensor:
    """The classic answer without learning (Griffin and Lim 1984), fast variant (Perraudin et al. 2013)."""
    inverse = torch.linalg.pinv(filterbank(config))
    power = (denormalise(mel, config).transpose(-1, -2) @ inverse).clamp_min(0).transpose(-1, -2).flatten(0, 1)
    window = torch.hann_window(config.window)
    magnitude = power.sqrt() * window.sum() / 2
    # A causal frame ends where a centred one has its middle: move by half a window, then move back.
    length = mel.shape[-1] * config.hop
    angle = torch.rand(magnitude.shape, generator=generator) * 2 * math.pi
    spectrum, momentum = torch.polar(magnitude, angle), torch.zeros(())
    shift = config.window - config.hop
    size = {"n_fft": config.window, "hop_length": config.hop, "window": window, "center": False}
    for _ in range(iterations):
        signal = overlap_add(spectrum, window, config)
        rebuilt = torch.stft(signal, **size, return_complex=True)
        guess = rebuilt + 0.99 * (rebuilt - momentum)
        spectrum, momentum = torch.polar(magnitude, guess.angle()), rebuilt
    signal = overlap_add(spectrum, window, config)
    return signal[:, shift : shift + length].unflatten(0, mel.shape[:2])


def overlap_add(spectrum: Tensor, window: Tensor, config: MelConfig) -> Tensor:
    """Least-squares inverse STFT [B, F, T] -> [B, window + (T - 1)·hop], its edges left as they are."""
    frames = torch.fft.irfft(spectrum, n=config.window, dim=1) * window[:, None]
    length = config.window + (spectrum.shape[-1] - 1) * config.hop

    def fold(x: Tensor) -> Tensor:
        return torch.nn.functional.fold(x, (1, length), (1, config.window), stride=(1, config.hop))[:, 0, 0]

    weight = fold((window.square()[:, None]).expand(1, -1, spectrum.shape[-1]))
    return fold(frames) / weight.clamp_min(1e-3)
