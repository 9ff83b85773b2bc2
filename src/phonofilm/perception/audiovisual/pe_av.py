"""PE-AV: picture and sound in one space; a free stand-in for ImageBind, under its own name.

Vyas et al., "Pushing the frontier of audiovisual perception with large-scale multimodal correspondence learning"
(2025), through transformers. The published checkpoints see through timm, which needs torchvision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.perception.common.frames import normalise, to_tensor
from phonofilm.perception.common.optional_imports import mono, require
from phonofilm.perception.common.transformers_checkpoints import load_pretrained

FRAMES = 16
"""Pictures of a clip that the checkpoints named "16-frame" were trained on."""

HALF = (0.5, 0.5, 0.5)


class PeAv:
    """Film and sound of one clip to a unit vector each."""

    sample_rate: ClassVar[int] = 48_000

    def __init__(self, network: Any, size: int = 336) -> None:
        self._network, self._size = network, size
        self._hop = int(np.prod(network.config.audio_video_config.audio_config.dac_config.downsampling_ratios))

    @staticmethod
    def load(folder: str | Path, size: int = 336, device: str = "cpu") -> PeAv:
        """Build it from a folder in transformers' layout.

        Raises:
            PhonofilmError: the folder does not hold a PE-AV, or timm is not installed.
        """
        from transformers import PeAudioVideoModel

        require("timm", "seeing with PE-AV")
        return PeAv(load_pretrained(PeAudioVideoModel, folder, ("pe_audio_video",), device), size)

    def __call__(self, frames: np.ndarray, waveform: np.ndarray) -> tuple[Tensor, Tensor]:
        """Frames uint8 [T, H, W, 3] of a whole clip and its sound float [N] at 48 kHz -> (film [D], sound [D])."""
        picture = prepare_frames(frames[frame_indices(len(frames))], self._size)[None]
        sound = prepare_sound(torch.from_numpy(mono(waveform)), self._hop)[None, None]
        with torch.inference_mode():
            found = self._network.get_audio_video_embeds(
                sound, picture, return_audio_embeds=True, return_video_embeds=True
            )
            return F.normalize(found.video_embeds, dim=-1)[0], F.normalize(found.audio_embeds, dim=-1)[0]


def frame_indices(count: int) -> list[int]:
    """Which of `count` frames are seen: 16 from the first to the last, rounded down."""
    return [index * (count - 1) // (FRAMES - 1) for index in range(FRAMES)]


def prepare_frames(frames: np.ndarray | Tensor, size: int = 336) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, size, size] in [-1, 1]: both sides squashed, bilinear, antialiased."""
    x = F.interpolate(to_tensor(frames), [size, size], mode="bilinear", align_corners=False, antialias=True)
    return normalise(x.round().clamp(0.0, 255.0), HALF, HALF)


def prepare_sound(waveform: Tensor, hop: int) -> Tensor:
    """[N] -> [N'], mirrored at its end up to a whole number of hops."""
    rest = -len(waveform) % hop
    return F.pad(waveform[None], (0, rest), mode="reflect")[0] if rest else waveform
