"""What the tracker is taught: the pitch of speech that is heard alone, and its share of every band of a mix."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.codecs.common.mel import MelConfig, denormalise, log_mel
from phonofilm.codecs.voice.tracker import VoiceConfig
from phonofilm.codecs.voice.voice import Voice

Metrics = dict[str, Tensor]
CORRELATED = 0.03  # s of sound that is compared with itself
ALMOST = 0.93
"""The shortest lag whose correlation is so near to the best one is the period; its multiples correlate as well."""
UNVOICED, VOICED = 0.2, 0.7
"""Correlations from which speech is voiced a little, and wholly."""
MEL_NOISE = 0.03


def voice_loss(
    voice: Voice, mel: Tensor, speech: Tensor, decoded: Tensor | None = None, generator: torch.Generator | None = None
) -> tuple[Tensor, Metrics]:
    """Cross-entropies of pitch and shares.

    Args:
        mel: of sounds, [B, 2, bins, T]. speech: what of the sounds is speech, [B, 2, T·hop].
        decoded: the same mels through an audio VAE, which the tracker hears instead. Otherwise the mel is disturbed a
            little, so that the tracker forgives what an audio VAE will get wrong.
    """
    ahead = voice.config.ahead
    hertz, share, voiced = targets(mel, speech, voice)
    if decoded is None:
        strength = torch.rand(len(mel), 1, 1, 1, generator=generator, device=mel.device) * MEL_NOISE
        noise = torch.randn(mel.shape, generator=generator, device=mel.device, dtype=mel.dtype)
        decoded = mel + strength * noise
    pitch, shares, _ = voice.tracker(decoded)
    pitch, shares = pitch[:, ahead:].float(), shares[:, ahead:].float()
    hertz, share, voiced = (x[:, : pitch.shape[1]] for x in (hertz, share, voiced))

    weight = voiced * share.amax(-1)
    chosen = -(voice.tracker.classes_of(hertz) * pitch.log_softmax(-1)).sum(-1)
    level = (mel.amax(1).transpose(1, 2)[:, : pitch.shape[1]] + 1).clamp_min(0) + 0.1
    metrics = {
        "pitch": (chosen * weight).sum() / weight.sum().clamp_min(1.0),
        "share": (F.binary_cross_entropy_with_logits(shares, share, reduction="none") * level).sum() / level.sum(),
    }
    return 0.5 * metrics["pitch"] + 2 * metrics["share"], {k: v.detach() for k, v in metrics.items()}


@torch.no_grad()
def targets(mel: Tensor, speech: Tensor, voice: Voice) -> tuple[Tensor, Tensor, Tensor]:
    """Of sounds with this mel [B, 2, bins, T] and speech [B, 2, N]: Hz [B, T], shares [B, T, bins], voiced [B, T].

    The share of a frame is that at the middle of its window, `ahead` frames before the frame ends.
    """
    hertz, clear = pitch_of(speech.mean(1), voice.mel, voice.config)
    voiced = ((clear - UNVOICED) / (VOICED - UNVOICED)).clamp(0, 1)
    ahead = min(voice.config.ahead, voiced.shape[1])
    middle = torch.cat([voiced[:, :1].expand(-1, ahead), voiced], dim=1)[:, : voiced.shape[1]]
    power, of_speech = (denormalise(x, voice.mel).sum(1).transpose(1, 2) for x in (mel, log_mel(speech, voice.mel)))
    share = (of_speech / power.clamp_min(1e-12)).clamp(0, 1) * middle[..., None]
    return hertz, share, voiced


@torch.no_grad()
def pitch_of(sound: Tensor, mel: MelConfig, config: VoiceConfig) -> tuple[Tensor, Tensor]:
    """Pitch in Hz at the end of each hop of [B, T·hop], and the normalised correlation at its period: both [B, T].

    The sound around a moment is compared with itself a lag later; periods between samples are found by a parabola.
    """
    shortest, longest = int(mel.sample_rate / config.high), int(mel.sample_rate / config.low) + 1
    width = int(CORRELATED * mel.sample_rate)
    whole = width + longest
    around = F.pad(sound, (whole // 2 - mel.hop, whole - whole // 2)).unfold(-1, whole, mel.hop)
    around = around[:, : sound.shape[-1] // mel.hop]
    length = 1 << (whole - 1).bit_length()
    first, both = torch.fft.rfft(around[..., :width], length), torch.fft.rfft(around, length)
    products = torch.fft.irfft(first.conj() * both, length)[..., : longest + 1]
    energy = F.pad(around.square().cumsum(-1), (1, 0))
    energy = energy[..., width : width + longest + 1] - energy[..., : longest + 1]
    correlation = products / (energy.clamp_min(0) * energy[..., :1] + 1e-8).sqrt()

    inner = correlation[..., shortest:longest]
    peak = (inner >= correlation[..., shortest - 1 : longest - 1]) & (inner >= correlation[..., shortest + 1 :])
    good = peak & (inner >= ALMOST * inner.masked_fill(~peak, -1).amax(-1, keepdim=True))
    place = good.int().argmax(-1, keepdim=True)  # the first; 0 where nothing repeats
    left, middle, right = (correlation.gather(-1, place + shortest + d)[..., 0] for d in (-1, 0, 1))
    shift = (0.5 * (left - right) / (left - 2 * middle + right).clamp_max(-1e-6)).clamp(-0.5, 0.5)
    hertz = mel.sample_rate / (place[..., 0] + shortest + shift)
    return hertz.clamp(config.low, config.high), torch.where(good.any(-1), middle, 0.0)
