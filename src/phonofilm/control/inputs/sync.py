"""The synchronisation module: features of each picture, added to the modulation of the sound (MMAudio, 2412.15322)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.control.inputs.attachment import Attachment
from phonofilm.model.config import ConditionInput
from phonofilm.model.transformer import AVTransformer


class SyncModule(Attachment):
    """Frame-level features, convolved along time, upsampled to the sound, into the per-token modulation.

    Its condition is [B, tokens, width] (see `at_tokens`), or [B, 0, width] where they are not known: learnt null
    features then stand for them.

    Args:
        width: of the features.
        hidden: channels in between.
    """

    def __init__(self, network: AVTransformer, width: int, hidden: int = 64, name: str = "sync") -> None:
        super().__init__(name)
        self.input = ConditionInput(f"{name}_modulation", "audio", hidden, at="modulation")
        self.null = nn.Parameter(torch.zeros(width))
        self.mix = nn.Conv1d(width, hidden, 3, padding=1)
        self.inner = nn.Linear(hidden, hidden)
        self.leave = nn.Linear(hidden, network.config.audio.width)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def hooks(self, network: AVTransformer) -> list[Any]:
        before = network.config
        network.config = replace(before, condition_inputs=(*before.condition_inputs, self.input))
        network.audio.modulation_conditions[self.input.name] = self.leave
        return [_Undo(network, self.input)]

    def heard(self, told: Tensor | None, given: dict[str, Tensor]) -> Tensor | None:
        if told is not None:
            features = told if told.shape[1] else self.null.expand(len(told), 1, -1)
            x = rearrange(self.mix(rearrange(features.to(self.null.dtype), "b t c -> b c t")), "b c t -> b t c")
            given[self.input.name] = self.inner(F.silu(x))
        return told


class _Undo:
    """Takes an input of a network away again; whatever was attached since stays."""

    def __init__(self, network: AVTransformer, entry: ConditionInput) -> None:
        self.network, self.entry = network, entry

    def remove(self) -> None:
        left = tuple(one for one in self.network.config.condition_inputs if one != self.entry)
        self.network.config = replace(self.network.config, condition_inputs=left)
        del self.network.audio.modulation_conditions[self.entry.name]


def at_tokens(features: Tensor, fps: float, bounds: np.ndarray, stems: int = 1) -> Tensor:
    """Features [B, T, C] of pictures at `fps`, between which lines are drawn, at the middle of each token of sound.

    Args:
        bounds: float64 [tokens of a stem, 1, 2], seconds, as `Positions.audio`.
        stems: how many stems the sound has, each with these tokens.

    Returns:
        [B, stems · tokens, C].
    """
    middle = torch.from_numpy(bounds[:, 0].mean(1)).to(features) * fps - 0.5
    place = middle.clamp(0, features.shape[1] - 1)
    before = place.floor().long()
    after = (before + 1).clamp_max(features.shape[1] - 1)
    return features[:, before].lerp(features[:, after], (place - before)[:, None]).repeat(1, stems, 1)
