"""MMAudio's networks in memory, each read when it is first needed, and what they make of pictures and words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.backends.canvas.fit import frame_indices
from phonofilm.backends.mmaudio.folder import CLIP, SYNCHFORMER, MMAudioFolder
from phonofilm.codecs.mmaudio.bigvgan import BigVGAN, BigVGANConfig, folded
from phonofilm.codecs.mmaudio.mel_vae import MelVAE, MelVAEConfig, prepared
from phonofilm.errors import PhonofilmError
from phonofilm.model.mmaudio.network import MMAudio, MMAudioConfig
from phonofilm.perception.audiovisual import synchformer
from phonofilm.perception.audiovisual.synchformer import SEGMENT_FRAMES, STEP_FRAMES, Synchformer
from phonofilm.perception.common.frames import CLIP_MEAN, CLIP_STD, normalise, to_tensor
from phonofilm.perception.common.ported_checkpoints import load, read_state
from phonofilm.perception.vision.clip import Clip as ClipNetwork
from phonofilm.types import nearest

PICTURES = Fraction(8)
"""Pictures a second that CLIP sees, and"""
MOMENTS = Fraction(25)
"""those that Synchformer sees."""
AT_ONCE = 8


@dataclass
class MMAudioParts:
    """See the module; all compute on one device, in float32."""

    folder: MMAudioFolder
    device: torch.device
    _loaded: dict[str, Any] = field(default_factory=dict)

    def _part(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._loaded:
            self._loaded[name] = make()
        return self._loaded[name]

    @property
    def network(self) -> MMAudio:
        def make() -> MMAudio:
            tensors = read_state(self.folder.network)
            derived = ("t_embed.freqs", "latent_rot", "clip_rot")
            tensors = {name: tensor for name, tensor in tensors.items() if name not in derived}
            return self._filled(lambda: MMAudio(MMAudioConfig.of(tensors)), tensors, self.folder.network)

        found: MMAudio = self._part("network", make)
        return found

    @property
    def vae(self) -> MelVAE:
        def make() -> MelVAE:
            path = self.folder.path / self.folder.rates.vae
            tensors = prepared({name: tensor.float() for name, tensor in read_state(path).items()})
            return self._filled(lambda: MelVAE(MelVAEConfig.of(tensors)), tensors, path)

        found: MelVAE = self._part("vae", make)
        return found

    @property
    def vocoder(self) -> BigVGAN:
        def make() -> BigVGAN:
            path, config = self.folder.path / self.folder.rates.vocoder, BigVGANConfig()
            if path.is_dir():
                config = _read_config(path / "config.json")
                path = path / "bigvgan_generator.pt"
            tensors = folded({name: tensor.float() for name, tensor in read_state(path).items()})
            return self._filled(lambda: BigVGAN(config), tensors, path)

        found: BigVGAN = self._part("vocoder", make)
        return found

    def _filled(self, make: Callable[[], Any], tensors: dict[str, Tensor], path: Path) -> Any:
        """A network with these tensors, or one line on why not."""
        try:
            with torch.device("meta"):
                network: nn.Module = make()
            network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        except (PhonofilmError, RuntimeError) as error:
            told = str(error).splitlines()[-1].strip()
            raise PhonofilmError(f"{path} does not fit: {told}") from error
        return network.to(self.device).eval().requires_grad_(False)

    @property
    def clip(self) -> ClipNetwork:
        found: ClipNetwork = self._part(
            "clip", lambda: ClipNetwork.load(self.folder.path / CLIP, device=str(self.device))
        )
        return found

    @property
    def synchformer(self) -> Synchformer:
        found: Synchformer = self._part(
            "synchformer", lambda: load(Synchformer, self.folder.path / SYNCHFORMER, self.device)
        )
        return found

    def read(self, prompt: str) -> Tensor:
        """[1, 77, D] all states of CLIP's text, unit vectors, what follows the text as its zeros are read."""
        states = self.clip.states(prompt)
        if (limit := self.network.config.words) != states.shape[1]:
            raise PhonofilmError(f"{self.folder.path / CLIP} reads {states.shape[1]} tokens, MMAudio {limit}")
        return F.normalize(states, dim=-1).to(self.device)

    def seen(self, frames: np.ndarray, fps: Fraction) -> tuple[Tensor, Tensor]:
        """Frames uint8 [T, H, W, 3]: CLIP's unit vectors [1, N, D] at 8 a second, Synchformer's [1, 8·S, 768] of
        segments of 16 pictures of 25 a second; a film that is shorter than a segment stands still at its end."""
        count = max(1, int(len(frames) / fps * PICTURES))
        slow = frames[frame_indices(count, PICTURES, len(frames), fps)]
        size = self.clip.size
        pixels = [_squashed(slow[i : i + AT_ONCE], size) for i in range(0, count, AT_ONCE)]
        pictures = torch.cat([self.clip.unit_vectors(part) for part in pixels])
        return pictures[None].to(self.device), self._moments(frames, fps)

    def _moments(self, frames: np.ndarray, fps: Fraction) -> Tensor:
        count = max(SEGMENT_FRAMES, nearest(len(frames) / fps * MOMENTS))
        fast = frames[frame_indices(count, MOMENTS, len(frames), fps)]
        starts = range(0, count - SEGMENT_FRAMES + 1, STEP_FRAMES)
        found = []
        for start in starts:
            segment = synchformer.prepare_frames(fast[start : start + SEGMENT_FRAMES])
            found.append(self.synchformer.vision(segment[None, None].to(self.device))[:, 0])
        return torch.cat(found, 1)


def segments_of(seconds: Fraction) -> int:
    """Segments of Synchformer in a film of this length."""
    return (max(SEGMENT_FRAMES, nearest(seconds * MOMENTS)) - SEGMENT_FRAMES) // STEP_FRAMES + 1


def _squashed(frames: np.ndarray, size: int) -> Tensor:
    """uint8 [T, H, W, 3] to [T, 3, size, size] as CLIP takes them, the whole picture whatever its shape."""
    x = F.interpolate(to_tensor(frames), (size, size), mode="bicubic", align_corners=False, antialias=True)
    return normalise(x.round().clamp(0, 255), CLIP_MEAN, CLIP_STD)


def _read_config(path: Path) -> BigVGANConfig:
    try:
        return BigVGANConfig.of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise PhonofilmError(f"{path} is damaged; copy it again") from error
