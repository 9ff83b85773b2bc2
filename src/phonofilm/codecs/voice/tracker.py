"""Which pitch a voice has, and in which bands it is heard: a small causal network on mel frames.

The pitch is a choice among classes on a logarithmic scale, made finer by the weights of the classes beside the best
(as in CREPE, Kim et al. 2018). The network starts from a comparison of each frame with pulses of every pitch, which
alone finds nine of ten voiced frames to half a semitone. The share of a band is the part of its power that is voiced
speech.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.codecs.common.causal import CausalConv1d
from phonofilm.codecs.common.convnext import CausalStack, ConvNeXtBlock, Pasts
from phonofilm.codecs.common.mel import MelConfig, band_edges, log_mel, mel_to_hertz
from phonofilm.codecs.voice.pulses import pulse_train

COMPARED = 1_600.0
"""Hz up to which frames are compared with pulses: above, bands are wider than overtones are apart."""
SMOOTH = 5
"""Bands, as the deviation of a bell, over which the envelope is averaged that is taken off before."""
SHARP = 30.0
"""Logits per unit of likeness, to begin with."""


@dataclass(frozen=True)
class VoiceConfig:
    """Shape of the tracker.

    Attributes:
        low, high: pitches in Hz between which a voice is looked for.
        classes: of pitch, evenly spaced on a logarithmic scale.
        top: Hz up to which a voice has overtones.
        ahead: mel frames that the tracker has seen after the end of the one it speaks of; 3 put the pitch where the
            middle of the mel's window is.
        width, blocks, kernel, expansion: the ConvNeXt network at the mel rate.
    """

    low: float = 60.0
    high: float = 600.0
    classes: int = 160
    top: float = 11_000.0
    ahead: int = 3
    width: int = 160
    blocks: int = 4
    kernel: int = 5
    expansion: int = 2


class Tracker(nn.Module):
    """mel [B, 2, bins, T] -> logits of the pitch [B, T, classes] and of the shares [B, T, bins]."""

    places: Tensor
    pulses: Tensor

    def __init__(self, config: VoiceConfig, mel: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = CausalConv1d(mel.bins * 2 + config.classes, config.width, 3)
        self.stack = CausalStack(
            [ConvNeXtBlock(config.width, config.kernel, config.expansion) for _ in range(config.blocks)]
        )
        self.norm = nn.LayerNorm(config.width)
        self.pitch = nn.Linear(config.width, config.classes)
        self.share = nn.Linear(config.width, mel.bins)
        self.sharpness = nn.Parameter(torch.tensor(SHARP))
        nn.init.constant_(self.share.bias, -3.0)
        places = torch.linspace(math.log(config.low), math.log(config.high), config.classes, dtype=torch.float64)
        self.register_buffer("places", places.float(), persistent=False)
        self.register_buffer("pulses", _overtones(_of_pulses(places.exp(), mel), mel), persistent=False)
        self.mel = mel

    def forward(self, mel: Tensor, pasts: Pasts | None = None) -> tuple[Tensor, Tensor, Pasts]:
        alike = _overtones(rearrange(mel.mean(1), "b m t -> b t m"), self.mel) @ self.pulses.T
        inputs = torch.cat([rearrange(mel, "b c m t -> b (c m) t"), alike.transpose(1, 2)], dim=1)
        features, stem = self.stem(inputs, pasts[0] if pasts else None)
        features, rest = self.stack(features, pasts[1:] if pasts else None)
        features = self.norm(rearrange(features, "b c t -> b t c"))
        return self.pitch(features) + self.sharpness * alike, self.share(features), (stem, *rest)

    def hertz(self, logits: Tensor) -> Tensor:
        """[..., classes] -> [...]: the mean, on the scale, of the best class and the two on each side of it.

        To 1/32 Hz: the phase is a long sum, in which the last bits of the logits would be heard.
        """
        near = (torch.arange(self.config.classes, device=logits.device) - logits.argmax(-1, keepdim=True)).abs() <= 2
        weights = logits.masked_fill(~near, -torch.inf).softmax(-1)
        return ((weights @ self.places).exp() * 32).round() / 32

    def classes_of(self, hertz: Tensor) -> Tensor:
        """[...] -> [..., classes]: the weights that pitches should have, a bell one class wide."""
        step = self.places[1] - self.places[0]
        weights = (-0.5 * ((self.places - hertz.log()[..., None]) / step).square()).exp()
        return weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)


def _of_pulses(hertz: Tensor, mel: MelConfig) -> Tensor:
    """[classes, bins]: log mels of pulses at these pitches, over noise 40 dB below them."""
    frames = -(-mel.window // mel.hop) + 1
    train, _ = pulse_train(hertz[:, None].expand(-1, frames), mel.hop, mel.sample_rate, mel.sample_rate / 3)
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(0))
    return log_mel((0.1 * train + 1e-3 * noise)[:, None], mel)[:, 0, :, -1]


def _overtones(mel: Tensor, config: MelConfig) -> Tensor:
    """[..., bins] -> [..., bands below `COMPARED`]: what stands out of the envelope, scaled to length 1."""
    reach = torch.arange(-3 * SMOOTH, 3 * SMOOTH + 1, device=mel.device, dtype=mel.dtype)
    bell = (-0.5 * (reach / SMOOTH).square()).exp()
    padded = F.pad(mel.reshape(-1, 1, mel.shape[-1]), (3 * SMOOTH, 3 * SMOOTH), mode="replicate")
    envelope = F.conv1d(padded, (bell / bell.sum())[None, None]).reshape(mel.shape)
    low = (mel - envelope)[..., : int((mel_to_hertz(band_edges(config)[1:-1]) < COMPARED).sum())]
    return low / (torch.linalg.vector_norm(low, dim=-1, keepdim=True) + 0.05)
