"""Energy guidance: clean estimates are moved down the slope of a score (Bansal et al., 2302.07121, forward part)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.control.hits import Hit
from phonofilm.errors import PhonofilmError
from phonofilm.types import Latents

Energy = Callable[[Latents], Tensor]
"""Clean latents to one number for each clip [B], small where they are as wished; differentiable."""
Denoise = Callable[[Latents, Latents], Latents]


@dataclass(frozen=True)
class EnergyGuided:
    """A callable for samplers that steers the sound of another one.

    It goes down the gradient at the clean estimate, not through the network: a step costs a pass of the score forward
    and back, and no more memory for the network.

    Attributes:
        denoise: what estimates the clean latents.
        energy: what is made small.
        strength: how far the sound moves, as a share of its own size times its noise level; 0 is off, to the bit.
        until: noise level below which nothing is moved any more: details are the network's own.

    Raises:
        PhonofilmError: a strength out of range.
    """

    denoise: Denoise
    energy: Energy
    strength: float
    until: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 10:
            raise PhonofilmError(f"a strength of {self.strength:g} is not possible; it is from 0 to 10")

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        clean = self.denoise(x, sigma)
        sound, level = clean.audio, sigma.audio
        if self.strength == 0 or sound is None or level is None or float(level.max()) <= self.until:
            return clean
        with torch.inference_mode(False), torch.enable_grad():
            asked = sound.detach().clone().float().requires_grad_()
            total = self.energy(Latents(clean.video, asked)).sum()
            (slope,) = torch.autograd.grad(total, asked)
        axes = tuple(range(1, sound.ndim))
        unit = slope / slope.square().mean(axes, keepdim=True).sqrt().clamp_min(1e-12)
        size = sound.float().square().mean(axes, keepdim=True).sqrt()
        moved = sound - self.strength * level.to(sound) * size * unit  # what is given has level 0 and stays
        return Latents(clean.video, moved.to(sound.dtype))


@dataclass(frozen=True)
class OnsetEnergy:
    """How badly the onsets of a sound agree with events: 1 - cosine between the rise of its mel spectrogram and bells.

    Attributes:
        decode: latents [B, S, C, T] to log-mel spectrograms [B, bins, frames], differentiable.
        hits: the events.
        rate: mel frames a second.
        width: seconds (standard deviation) of a bell.
    """

    decode: Callable[[Tensor], Tensor]
    hits: Sequence[Hit]
    rate: float
    width: float = 0.02

    def __call__(self, latents: Latents) -> Tensor:
        """[B] from 0 (they agree) to 1."""
        if latents.audio is None:
            raise PhonofilmError("there is no sound to align; make it too")
        mel = self.decode(latents.audio)
        rise = F.relu(mel.diff(dim=-1)).mean(1)
        times = (torch.arange(rise.shape[-1], device=rise.device) + 1) / self.rate
        wished = torch.zeros_like(times)
        for hit in self.hits:
            wished = wished + hit.strength * torch.exp(-0.5 * ((times - hit.time) / self.width) ** 2)
        return 1 - F.cosine_similarity(rise, wished.to(rise)[None], dim=-1, eps=1e-6)
