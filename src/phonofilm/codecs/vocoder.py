"""Vocoder: mel spectrogram to waveform by tracked tones and shaped noise.

A convolutional vocoder that predicts phase from the mel alone answers a steady mel with a signal
whose period is the hop: at 40 frames a second every tone is pulled to a multiple of 40 Hz. Here the
network predicts what the mel does tell, frequencies and levels, and phase is *accumulated*: a bank of
oscillators, each free within its own cell of the mel scale (McAulay and Quatieri 1986; DDSP, Engel et
al. 2020), plus noise shaped by an inverse STFT. Both are overlap-added, and the state carries the
phases and the tails. Levels are the mel's own times a gain that both channels share, so that the
level difference between the channels, which is the pan, passes through untouched.

Phase makes speech: with the mel's magnitudes and true phases it is judged as the recording is, with those of the bank
it is not. Where a config asks for a voice, pulses take the bank's place in bands of voiced speech, and every band is
given the mel's level at the end. That looks ahead by a few frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from phonofilm.codecs.common.causal import CausalConv1d
from phonofilm.codecs.common.convnext import CausalStack, ConvNeXtBlock, Pasts
from phonofilm.codecs.common.mel import MelConfig, band_edges, denormalise, hertz_to_mel, interpolation, mel_to_hertz
from phonofilm.codecs.voice.tracker import VoiceConfig
from phonofilm.codecs.voice.voice import Voice, VoiceState


@dataclass(frozen=True)
class VocoderConfig:
    """Shape of the vocoder.

    Attributes:
        mel: the spectrogram it reads.
        oscillators: tones, evenly spaced on the mel scale.
        reach: how far a tone may move from its cell's centre, in cells.
        subframes: updates of the levels per mel frame.
        width, blocks, kernel, expansion: the ConvNeXt network at the mel rate.
        voice: the tracker of voiced speech; None for a bank and nothing else.
    """

    mel: MelConfig = field(default_factory=MelConfig)
    oscillators: int = 96
    reach: float = 0.6
    subframes: int = 4
    width: int = 192
    blocks: int = 6
    kernel: int = 5
    expansion: int = 3
    voice: VoiceConfig | None = None

    @property
    def step(self) -> int:
        """Samples between two updates of the levels."""
        return self.mel.hop // self.subframes


class Controls(NamedTuple):
    """What the network decides, per update of the levels (t): frequencies in Hz, amplitudes per channel."""

    frequency: Tensor  # [B, t, oscillators], float64 where the device has it
    tones: Tensor  # [B, t, 2, oscillators]
    noise: Tensor  # [B, t, 2, step + 1]

    def loudness(self) -> Tensor:
        """Effective amplitude of both channels together, [B, t]."""
        return (self.tones.square().sum(-1) / 2 + 2 * self.noise.square().sum(-1)).mean(2).sqrt()


class VocoderState(NamedTuple):
    """Everything a later call needs: the network's memory, phases in cycles, what is still ringing, the time."""

    pasts: Pasts
    phase: Tensor  # [B, oscillators] in cycles, float64 where the device has it
    frequency: Tensor  # [B, oscillators] in Hz
    tail: Tensor  # [B, 2, step]
    time: int  # updates so far: the noise is a function of it


class VoicedState(NamedTuple):
    """The state of a vocoder with a voice; no bank's before the first frame that could be spoken of."""

    bank: VocoderState | None
    voice: VoiceState


class Vocoder(nn.Module):
    """mel [B, 2, bins, T] -> waveform [B, 2, T·hop].

    Without a voice the samples of a frame depend on no later frame, with one on the next `delay` frames.
    """

    centres: Tensor
    to_tones: Tensor
    to_noise: Tensor
    noise_scale: Tensor

    def __init__(self, config: VocoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VocoderConfig()
        if config.mel.hop % config.subframes:
            raise ValueError(f"a hop of {config.mel.hop} cannot be cut into {config.subframes} equal parts")
        width, step = config.width, config.step
        self.stem = CausalConv1d(config.mel.bins * 2, width, 3)
        self.stack = CausalStack([ConvNeXtBlock(width, config.kernel, config.expansion) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(width)
        self.frequencies = nn.Linear(width, config.oscillators)
        self.levels = nn.Linear(width, config.subframes * (config.oscillators + step + 1))
        nn.init.normal_(self.levels.weight, std=1e-3)
        nn.init.constant_(self.levels.bias, -0.7)

        edges = band_edges(config.mel)
        cells = torch.linspace(edges[0].item(), edges[-1].item(), 2 * config.oscillators + 1, dtype=torch.float64)
        bins = torch.linspace(0, config.mel.sample_rate / 2, step + 1, dtype=torch.float64)
        self.register_buffer("centres", cells[1::2].float(), persistent=False)
        self.register_buffer("to_tones", interpolation(cells[1::2], edges), persistent=False)
        self.register_buffer("to_noise", interpolation(hertz_to_mel(bins), edges), persistent=False)
        self.register_buffer("noise_scale", _noise_scale(bins, config), persistent=False)
        self.voice = None if config.voice is None else Voice(config.mel, config.voice)

    @property
    def cell(self) -> float:
        """Width of an oscillator's cell in mel."""
        return float(self.centres[1] - self.centres[0])

    @property
    def delay(self) -> int:
        """Mel frames that must follow a hop before its samples are known."""
        return 0 if self.voice is None else self.voice.delay

    def forward(
        self, mel: Tensor, state: VocoderState | VoicedState | None = None, more: bool = False
    ) -> tuple[Tensor, VocoderState | VoicedState]:
        """Continue `state` (None: the start of a clip) by as many hops as there are frames.

        Args:
            more: whether frames follow that are not given yet. The last `delay` hops then wait for the next call;
                without it the clip ends here, and its last frame is held.
        """
        if self.voice is None:
            assert not isinstance(state, VoicedState)
            return self.synthesise(*self.controls(mel, state.pasts if state else None), state)
        assert not isinstance(state, VocoderState)
        if not more:
            mel = torch.cat([mel, mel[..., -1:].expand(-1, -1, -1, self.delay)], dim=-1)
        heard, voice = self.voice.listen(mel, state.voice if state else None)
        if not heard.mel.shape[-1]:
            return mel.new_zeros(len(mel), 2, 0), VoicedState(None, voice)
        before = state.bank if state else None
        controls, pasts = self.controls(heard.mel, before.pasts if before else None)
        sound, bank = self.synthesise(controls, pasts, before)
        sound, voice = self.voice.speak(sound, controls.loudness(), heard, voice)
        return sound, VoicedState(bank, voice)

    def controls(self, mel: Tensor, pasts: Pasts | None = None) -> tuple[Controls, Pasts]:
        """The network: frequencies and levels from the mel."""
        config = self.config
        features, stem = self.stem(rearrange(mel, "b c m t -> b (c m) t"), pasts[0] if pasts else None)
        features, rest = self.stack(features, pasts[1:] if pasts else None)
        features = self.norm(rearrange(features, "b c t -> b t c"))

        offset = config.reach * self.cell * torch.tanh(self.frequencies(features))
        mel_position = self.centres.to(_exact(offset)) + offset.to(_exact(offset))
        frequency = repeat(mel_to_hertz(mel_position), "b t k -> b (t s) k", s=config.subframes)

        gain = rearrange(self.levels(features), "b t (s k) -> b (t s) 1 k", s=config.subframes).clamp_max(4.0).exp()
        amplitude = denormalise(mel, config.mel).clamp_min(1e-12).log() / 2
        amplitude = repeat(amplitude, "b c m t -> b (t s) c m", s=config.subframes)
        tones = (amplitude @ self.to_tones).exp() * gain[..., : config.oscillators]
        noise = (amplitude @ self.to_noise).exp() * gain[..., config.oscillators :] * self.noise_scale
        return Controls(frequency, tones, noise), (stem, *rest)

    def synthesise(
        self, controls: Controls, pasts: Pasts = (), state: VocoderState | None = None
    ) -> tuple[Tensor, VocoderState]:
        """The bank and the noise: levels and frequencies to waveform [B, 2, t·step]."""
        step, index = self.config.step, state.time if state else 0
        phase, frequency = self._phase(controls.frequency, state)
        window = torch.hann_window(2 * step, device=phase.device)
        # Amplitudes of tones add up under Hann, powers of independent noise under its square root.
        frames = _tones(controls.frequency / self.config.mel.sample_rate, phase, controls.tones, step) * window
        frames = frames + _noise(controls.noise, index) * window.sqrt()
        first, second = frames[..., :step], frames[..., step:]
        tail = second.new_zeros(second.shape[0], 1, *second.shape[2:]) if state is None else state.tail[:, None]
        waveform = first + torch.cat([tail, second[:, :-1]], dim=1)
        state = VocoderState(pasts, phase[:, -1], frequency, second[:, -1], index + first.shape[1])
        return rearrange(waveform, "b t c n -> b c (t n)"), state

    def _phase(self, frequency: Tensor, state: VocoderState | None) -> tuple[Tensor, Tensor]:
        """Cycles [B, t, k] at the centre of each window, the integral of the frequency, and the last frequency."""
        exact = frequency.detach().to(_exact(frequency))
        if state is None:
            # Golden-ratio phases: a bank that starts all in phase would begin every clip with a click.
            golden = torch.arange(exact.shape[-1], device=exact.device, dtype=exact.dtype) * 0.6180339887498949
            before, start = exact[:, :1], golden.expand_as(exact[:, 0])
        else:
            before, start = state.frequency[:, None], state.phase
        mean = (torch.cat([before, exact[:, :-1]], dim=1) + exact) / 2
        advance = (mean * (self.config.step / self.config.mel.sample_rate)).cumsum(1)
        return (start[:, None] + advance) % 1.0, exact[:, -1]


def _exact(x: Tensor) -> torch.dtype:
    """Phase is a long sum, so frequency needs more than float32 where the device has it (Metal has not)."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def _tones(frequency: Tensor, phase: Tensor, amplitude: Tensor, step: int) -> Tensor:
    """Sum of tones around each window's centre: [B, t, 2, 2·step].

    frequency in cycles per sample, phase in cycles. The time inside a window is split into coarse and
    fine steps, n = fine·a + b, and e^{iωn} = e^{iω·fine·a}·e^{iωb}: two small tables and one matrix
    product instead of a cosine for every sample of every tone.
    """
    fine = max(d for d in range(1, math.isqrt(2 * step) + 1) if (2 * step) % d == 0)
    coarse_time = torch.arange(0, 2 * step, fine, device=phase.device, dtype=phase.dtype) - step
    fine_time = torch.arange(fine, device=phase.device, dtype=phase.dtype)
    frequency = frequency.detach().to(phase.dtype)
    coarse = (phase[:, :, None] + frequency[:, :, None] * coarse_time[:, None]) % 1.0 * (2 * math.pi)
    turn = frequency[:, :, None] * fine_time[:, None] * (2 * math.pi)
    coarse, turn = coarse.to(amplitude.dtype), turn.to(amplitude.dtype)
    left = torch.cat([coarse.cos(), -coarse.sin()], dim=-1)
    right = torch.cat([turn.cos(), turn.sin()], dim=-1)
    weighted = right[:, :, None] * torch.cat([amplitude, amplitude], dim=-1)[:, :, :, None]
    return rearrange(
        left @ rearrange(weighted, "b t c n k -> b t k (c n)"), "b t a (c n) -> b t c (a n)", c=amplitude.shape[2]
    )


def _noise(amplitude: Tensor, index: int) -> Tensor:
    """Noise of these amplitudes per bin, the same in both channels: [B, t, 2, 2·step]."""
    steps, bins = amplitude.shape[1], amplitude.shape[-1]
    counter = torch.arange(index * bins, (index + steps) * bins, device=amplitude.device).view(steps, 1, bins)
    angle = _hash(counter).to(amplitude.dtype) * (2 * math.pi / 2**24)
    return torch.fft.irfft(torch.polar(amplitude, angle.expand_as(amplitude)), norm="forward")


def _hash(counter: Tensor) -> Tensor:
    """A 24-bit hash of 32-bit integers: noise that is a function of time alone, so chunks cannot change it."""
    for multiplier in (0x7FEB352D, 0x2C1B3C6D):
        counter = ((counter ^ (counter >> 16)) * multiplier) & 0x7FFFFFFF
    return (counter ^ (counter >> 15)) & 0xFFFFFF


def _noise_scale(bins: Tensor, config: VocoderConfig) -> Tensor:
    """[step + 1]: spectral amplitude of white noise per unit of mel amplitude, so that gain 1 is about right.

    Noise of variance v has power 6·v / window in each FFT bin of a Hann window scaled to sines, and a
    band sums as many bins as it is wide; an inverse FFT of step + 1 bins of amplitude m has variance 2·m²·step.
    """
    mel = config.mel
    edges = band_edges(mel)
    width = mel_to_hertz(hertz_to_mel(bins) + (edges[1] - edges[0])) - bins
    variance = mel.window / 6 / (width * mel.window / mel.sample_rate)
    return (variance / (2 * config.step)).sqrt().float()
