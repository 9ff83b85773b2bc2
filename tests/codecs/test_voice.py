"""The voice of the vocoder: pulses, pitch, shares of bands, and the correction of levels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from phonofilm.codecs.common.mel import MelConfig, log_mel
from phonofilm.codecs.vocoder import Vocoder, VocoderConfig
from phonofilm.codecs.voice.attacks import envelope, limited
from phonofilm.codecs.voice.bands import BandCorrection
from phonofilm.codecs.voice.loss import pitch_of, targets, voice_loss
from phonofilm.codecs.voice.pulses import pulse_train
from phonofilm.codecs.voice.tracker import Tracker, VoiceConfig

MEL = MelConfig(sample_rate=24_000, hop=250, window=1536, bins=96, high=11_000.0)
SMALL = VoiceConfig(width=32, blocks=1)


@pytest.fixture
def vocoder() -> Vocoder:
    torch.manual_seed(0)
    config = VocoderConfig(mel=MEL, oscillators=32, subframes=2, width=32, blocks=1, voice=SMALL)
    model = Vocoder(config).eval()
    assert model.voice is not None
    torch.nn.init.zeros_(model.voice.tracker.share.bias)
    return model


@torch.no_grad()
@pytest.mark.parametrize("cuts", [[1] * 30, [2, 1, 17, 10], [29, 1], [30]])
def test_chunks_equal_the_whole(vocoder: Vocoder, cuts: list[int]) -> None:
    mel = log_mel(sung(torch.full((2, 30), 140.0)), MEL)
    whole, _ = vocoder(mel)
    assert whole.shape == (2, 2, 30 * 250)
    assert whole.abs().max() > 0.01
    state, parts = None, []
    for number, chunk in enumerate(mel.split(cuts, dim=-1), 1):
        part, state = vocoder(chunk, state, more=number < len(cuts))
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, -1), whole, atol=1e-4, rtol=0)


@torch.no_grad()
def test_samples_wait_for_the_frames_they_depend_on_and_for_no_more(vocoder: Vocoder) -> None:
    mel = log_mel(sung(torch.full((1, 40), 140.0)), MEL)
    changed = mel.clone()
    changed[..., 20:] -= 0.5
    assert vocoder.delay == 9
    first, second = vocoder(mel)[0], vocoder(changed)[0]
    same = (20 - vocoder.delay) * 250
    torch.testing.assert_close(first[..., :same], second[..., :same], atol=1e-5, rtol=0)
    assert (first - second)[..., same : same + 1500].abs().max() > 1e-3


@torch.no_grad()
def test_silence_stays_silent(vocoder: Vocoder) -> None:
    assert vocoder(torch.full((1, 2, 96, 40), -1.0))[0].abs().max() < 1e-4


def test_the_phase_of_the_pulses_is_the_sum_of_their_pitch() -> None:
    """A glide from 100 to 200 Hz, against cosines summed one by one."""
    hertz = torch.linspace(100, 200, 40, dtype=torch.float64)[None]
    train, _ = pulse_train(hertz, 250, 24_000, 1_000.0)
    before = torch.cat([hertz[:, :1], hertz[:, :-1]], 1)
    way = torch.arange(1, 251, dtype=torch.float64) / 250
    along = (before[..., None] + (hertz - before)[..., None] * way).flatten(1)
    phase, count = (along / 24_000).cumsum(1), 1_000 / along
    number = torch.arange(1, 12)[:, None, None]
    loud = (count - number + 1).clamp(0, 1)
    exact = (loud * (2 * math.pi * number * phase).cos()).sum(0) / count.sqrt()
    torch.testing.assert_close(train.double(), exact, atol=1e-4, rtol=0)
    assert train.square().mean().item() == pytest.approx(0.5, rel=0.1)


def test_an_envelope_rises_with_the_sound_stays_up_and_falls() -> None:
    """Silence, a quarter of full loudness for 10 ms, and silence again; in one go and in chunks."""
    loudness = torch.zeros(1, 40)
    loudness[0, 10:12] = 0.25
    rising, _ = envelope(loudness, 125, 24_000)
    assert rising[0, : 10 * 125].max() < 2e-3
    assert rising[0, 11 * 125 : 16 * 125].min() == pytest.approx(0.25**0.75, abs=0.01)
    assert rising[0, 17 * 125 :].max() < 2e-3
    past, parts = None, []
    for chunk in loudness.split([1, 10, 29], dim=1):
        part, past = envelope(chunk, 125, 24_000, past)
        parts.append(part)
    assert torch.equal(torch.cat(parts, 1), rising)


def test_what_sounds_before_an_attack_is_turned_down_and_the_attack_is_not() -> None:
    """Noise at .1 throughout, where there should be .001 for 20 updates and then .1; in one go and in chunks."""
    sound = 0.1 * torch.randn(1, 2, 40 * 125, generator=torch.Generator().manual_seed(0))
    loudness = torch.full((1, 46), 0.001)
    loudness[:, 20:] = 0.1
    whole, _ = limited(sound, loudness, 125)
    assert whole[..., 250 : 18 * 125].square().mean().sqrt() < 0.0025
    assert torch.equal(whole[..., 20 * 125 :], sound[..., 20 * 125 :])
    state, parts = None, []
    for number, (first, last) in enumerate([(0, 0), (0, 12), (12, 40)]):
        known = loudness[:, [0, 6, 18][number] : [6, 18, 46][number]]
        part, state = limited(sound[..., first * 125 : last * 125], known, 125, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, -1), whole)


@pytest.mark.parametrize("hertz", [75.3, 118.0, 217.7, 431.0])
def test_the_pitch_of_a_voice_is_found_to_a_twentieth_of_a_semitone(hertz: float) -> None:
    sound = sung(torch.full((1, 60), hertz))[:, 0]
    found, clear = pitch_of(sound, MEL, VoiceConfig())
    cents = 1200 * (found[0, 10:-10] / hertz).log2()
    assert cents.abs().max() < 5
    assert clear[0, 10:-10].min() > 0.9


def test_noise_and_silence_have_no_clear_pitch() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 24_000, generator=generator) * 0.1
    assert pitch_of(noise, MEL, VoiceConfig())[1].mean() < 0.3
    assert pitch_of(torch.zeros(1, 24_000), MEL, VoiceConfig())[1].max() == 0


def test_the_share_is_the_voice_s_part_of_each_band(vocoder: Vocoder) -> None:
    """A voice below 3 kHz beside noise above 5 kHz; noise alone has no share."""
    assert vocoder.voice is not None
    generator = torch.Generator().manual_seed(0)
    speech = sung(torch.full((1, 60), 150.0), top=3_000.0)
    spectrum = torch.fft.rfft(torch.randn(speech.shape, generator=generator) * 0.05)
    spectrum[..., : int(5_000 / 24_000 * speech.shape[-1])] = 0
    mixed = speech + torch.fft.irfft(spectrum, n=speech.shape[-1])
    share = targets(log_mel(mixed, MEL), speech, vocoder.voice)[1][0, 15:-15]
    assert share[:, 5:40].min() > 0.9
    assert share[:, 80:].max() < 0.05
    assert targets(log_mel(mixed, MEL), torch.zeros_like(speech), vocoder.voice)[1].max() == 0


def test_classes_and_hertz_are_inverse() -> None:
    tracker = Tracker(VoiceConfig(), MEL)
    hertz = torch.tensor([63.0, 100.0, 123.4, 250.0, 570.0])
    found = tracker.hertz(tracker.classes_of(hertz).clamp_min(1e-30).log())
    assert (1200 * (found / hertz).log2()).abs().max() < 3


@torch.no_grad()
def test_every_band_gets_the_level_of_the_mel_and_keeps_the_pan() -> None:
    """Noise 20 dB too loud and coloured, against the mel of white noise that is 12 dB lower on the right."""
    generator = torch.Generator().manual_seed(0)
    white = 0.1 * torch.randn(1, 1, 24_000, generator=generator)
    wanted = log_mel(torch.cat([white, white * 10 ** (-12 / 20)], 1), MEL)
    source = 1.0 * torch.randn(1, 1, 24_000, generator=generator).expand(1, 2, -1)
    source = source + torch.roll(source, 1, -1)
    bands = BandCorrection(MEL)
    sound, _ = bands(source, torch.zeros(1, 1, 24_000), wanted, torch.zeros(1, 96, 96))
    error = (log_mel(sound, MEL) - wanted[..., : 96 - bands.spread])[..., 8:] * 40
    assert error.abs().mean() < 2
    assert error.mean().abs() < 1
    torch.testing.assert_close(sound[:, 1], sound[:, 0] * 10 ** (-12 / 20), atol=1e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_band_is_wholly_the_bank_s_or_wholly_the_pulses(share: float) -> None:
    """Between the overtones of 160 Hz there is nothing of pulses, and white noise is everywhere alike."""
    noise = 0.1 * torch.randn(1, 2, 24_000, generator=torch.Generator().manual_seed(0))
    train, _ = pulse_train(torch.full((1, 96), 160.0).double(), 250, 24_000, 11_000.0)
    sound, _ = BandCorrection(MEL)(noise, train[:, None], log_mel(noise, MEL), torch.full((1, 96, 96), share))
    assert sound.isfinite().all()
    power = torch.fft.rfft(sound[0, 0, 4_800:19_800] * torch.hann_window(15_000)).abs().square()
    overtones, between = power[200:4_000:100].mean(), power[250:4_050:100].mean()  # bins of 1.6 Hz
    assert (overtones > 50 * between) if share else (0.3 < overtones / between < 3)


@pytest.mark.slow
def test_a_tracker_learns_pitch_and_share() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = Vocoder(
        VocoderConfig(mel=MEL, oscillators=16, subframes=2, width=16, blocks=1, voice=VoiceConfig(width=96))
    )
    voice = model.voice
    assert voice is not None
    optimiser = torch.optim.AdamW(voice.parameters(), lr=3e-3)

    def drawn() -> tuple[Tensor, Tensor]:
        pitch = 90 * 2 ** (1.5 * torch.rand(8, 1, generator=generator))
        speech = sung(pitch.expand(-1, 24)) * (torch.rand(8, 1, 1, generator=generator) < 0.6)
        return speech + 0.003 * torch.randn(speech.shape, generator=generator), speech

    for _ in range(150):
        sound, speech = drawn()
        loss, _ = voice_loss(voice, log_mel(sound, MEL), speech, generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    sound, speech = drawn()
    hertz, share, voiced = targets(log_mel(sound, MEL), speech, voice)
    heard, _ = voice.listen(log_mel(sound, MEL))
    sure = voiced[:, 8:21] > 0.9
    cents = 1200 * (heard.hertz[:, 8:21] / hertz[:, 8:21]).log2().abs()[sure]
    assert cents.median() < 40
    assert (heard.share[:, 8:21] - share[:, 8:21]).abs().mean() < 0.2


def sung(hertz: Tensor, top: float = 4_000.0) -> Tensor:
    """Both sides [B, 2, T·250] of a voice with this pitch at the end of each hop."""
    train, _ = pulse_train(hertz.double(), 250, 24_000, top)
    return 0.3 * train[:, None].expand(-1, 2, -1)
