"""What the audio VAE and the vocoder are trained on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import causal_frames, hertz_to_mel, log_mel
from phonofilm.codecs.kept import Kept
from phonofilm.codecs.vocoder import Vocoder

Metrics = dict[str, Tensor]
ONSET_WEIGHT = 2.0
LOUDNESS_WEIGHT = 2.0
PAN_WEIGHT = 0.5
KL_WEIGHT = 1e-4
KEEP_WEIGHT = 0.5
MEL_NOISE = 0.02
WINDOWS = (128, 512, 2048)


def audio_vae_loss(
    model: AudioVAE, mel: Tensor, generator: torch.Generator | None = None, kept: Kept | None = None
) -> tuple[Tensor, Metrics]:
    """Reconstruction of mel [B, 2, bins, 1 + time·n], with weight on attacks and on the pan, and a little KL.

    An attack is where the level rises in time: it is a small part of the frames and all of the sync.
    Loud bins count for more than quiet ones: they say which note it is and where it comes from.
    """
    mean, log_variance, _ = model.posterior(mel)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    output, _ = model.reconstruct(mean + noise * (log_variance / 2).exp())
    error = output - mel
    loud = 1 + LOUDNESS_WEIGHT * (mel + 1).clamp_min(0)
    rise, output_rise = (x.diff(dim=-1).clamp_min(0) for x in (mel, output))
    metrics = {
        "l1": (error.abs() * loud).mean(),
        "l2": (error.square() * loud).mean(),
        "onset": (output_rise - rise).abs().mean() + (error[..., 1:].abs() * rise).mean(),
        "pan": ((error[:, 0] - error[:, 1]).abs() * loud.mean(1)).mean(),
        "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
    }
    loss = metrics["l1"] + metrics["l2"] + ONSET_WEIGHT * metrics["onset"] + PAN_WEIGHT * metrics["pan"]
    loss = loss + KL_WEIGHT * metrics["kl"]
    if kept is not None:
        metrics["kept"] = kept.distance(mean, model.latent_std)
        loss = loss + KEEP_WEIGHT * metrics["kept"]
    return loss, {k: v.detach() for k, v in metrics.items()}


def vocoder_loss(model: Vocoder, waveform: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Metrics]:
    """Spectra at several resolutions, mel, and the frequencies the oscillators should have had.

    The mel is disturbed a little, so that the vocoder forgives what the audio VAE will get wrong.
    waveform: [B, 2, N] with N a multiple of the hop.
    """
    config = model.config.mel
    mel = log_mel(waveform, config)
    strength = torch.rand(len(mel), 1, 1, 1, generator=generator, device=mel.device) * MEL_NOISE
    noise = torch.randn(mel.shape, generator=generator, device=mel.device, dtype=mel.dtype)
    controls, pasts = model.controls(mel + strength * noise)
    output, _ = model.synthesise(controls, pasts)
    target, weight = frequency_targets(model, waveform)
    predicted = hertz_to_mel(controls.frequency[:, :: model.config.subframes])
    metrics = {
        "mel": (log_mel(output, config) - mel).abs().mean(),
        "frequency": ((predicted - target).abs() * weight).sum() / weight.sum().clamp_min(1e-6) / model.cell,
    }
    logs, convergences = zip(*(spectral_distance(output, waveform, window) for window in WINDOWS), strict=True)
    metrics |= {"log_magnitude": sum(logs) / len(logs), "convergence": sum(convergences) / len(convergences)}
    loss = 5 * metrics["mel"] + sum(value for name, value in metrics.items() if name != "mel")
    return loss, {k: v.detach() for k, v in metrics.items()}


def spectral_distance(output: Tensor, target: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """L1 between log magnitudes, and spectral convergence (Yamamoto et al. 2020), at one window length."""
    hann = torch.hann_window(window, device=output.device)

    def magnitude(x: Tensor) -> Tensor:
        spectrum = torch.stft(x.flatten(0, 1), window, window // 4, window=hann, center=False, return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt() * (2 / hann.sum())

    a, b = magnitude(output), magnitude(target)
    floor = 1e-4
    distance = F.l1_loss((a + floor).log(), (b + floor).log())
    return distance, torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b).clamp_min(1e-3)


@torch.no_grad()
def frequency_targets(model: Vocoder, waveform: Tensor) -> tuple[Tensor, Tensor]:
    """Where each oscillator's tone truly lies, in mel, and how much it matters: both [B, frames, oscillators].

    Instantaneous frequency of each FFT bin from two spectra one sample apart; each bin's power is then
    moved to the cell its frequency lies in (the reassigned spectrogram, Auger and Flandrin 1995).
    """
    config = model.config.mel
    window = torch.hann_window(config.window, device=waveform.device)
    now = torch.fft.rfft(causal_frames(waveform, config) * window)
    before = torch.fft.rfft(causal_frames(F.pad(waveform[..., :-1], (1, 0)), config) * window)
    cross = (now * before.conj()).sum(1)
    power, hertz = cross.abs(), cross.angle().clamp_min(0) * (config.sample_rate / (2 * torch.pi))
    mel = hertz_to_mel(hertz)
    place = (mel - model.centres[0]) / model.cell
    cell = place.round().clamp(0, model.config.oscillators - 1)
    shape = (*power.shape[:-1], model.config.oscillators)
    total = power.new_zeros(shape).scatter_add_(-1, cell.long(), power)
    moment = power.new_zeros(shape).scatter_add_(-1, cell.long(), power * (place - cell).clamp(-0.5, 0.5))
    target = model.centres + model.cell * moment / total.clamp_min(1e-12)
    weight = total / (total.sum(-1, keepdim=True) + 1e-3)
    return target, weight.sqrt()
