"""Time-ControlNet: trainable copies of blocks of the sound, driven by a signal of time (ControlNet, 2302.05543)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from phonofilm.control.inputs.attachment import Attachment, audio_blocks
from phonofilm.model.transformer import AVTransformer


class TimeControlNet(Attachment):
    """Beside each chosen block a copy of its part of the sound, which hears the signal; what it finds is added.

    The signal enters through a zero-initialised layer and leaves through one, so that a fresh copy adds nothing. The
    copy has no attention to the picture, and reads the text by the block's own, whose keys and values may be known
    already.

    Args:
        blocks: that are copied.
        width: of the signal [B, tokens of sound, width] (see `control.timing`).

    Attributes:
        scale: how strongly it counts when a clip is made.

    Raises:
        PhonofilmError: a block without sound.
    """

    def __init__(self, network: AVTransformer, blocks: Sequence[int], width: int, name: str = "timing") -> None:
        super().__init__(name)
        stream = network.config.audio.width
        self.blocks, self.scale = tuple(blocks), 1.0
        self.copies = nn.ModuleList([_copy(block.audio) for block in audio_blocks(network, blocks)])
        self.enter = nn.ModuleList([nn.Linear(width, stream) for _ in blocks])
        self.leave = nn.ModuleList([nn.Linear(stream, stream) for _ in blocks])
        for parameter in (*self.enter.parameters(), *self.leave.parameters()):
            nn.init.zeros_(parameter)

    def hooks(self, network: AVTransformer) -> list[Any]:
        found: list[Any] = []
        for number, block in enumerate(audio_blocks(network, self.blocks)):
            assert block.audio is not None
            read = block.audio.read
            found += [block.register_forward_pre_hook(self._before(number, read))]
            found += [block.register_forward_hook(self._after(number))]
        self._waiting: dict[int, Tensor] = {}
        return found

    def _before(self, number: int, read: Any) -> Any:
        def run(block: nn.Module, arguments: tuple[Any, ...]) -> None:
            audio, given = arguments[1], arguments[3]
            if self.told is None or audio is None or given is None:
                return
            copy: Any = self.copies[number]
            x = audio + self.enter[number](self.told.to(audio.dtype))  # a new tensor: blocks overwrite theirs
            object.__setattr__(copy, "read", read)
            try:
                self._waiting[number] = self.leave[number](copy.transform(copy.attend(x, given), given))
            finally:
                del copy.__dict__["read"]  # a part of the network, which no copy of this module may hold

        return run

    def _after(self, number: int) -> Any:
        def add(block: nn.Module, arguments: object, output: tuple[Tensor | None, Tensor | None]) -> object:
            found = self._waiting.pop(number, None)
            video, audio = output
            return output if found is None or audio is None else (video, audio + self.scale * found)

        return add


def _copy(part: Any) -> nn.Module:
    """A trainable copy of a stream's part of a block, without what it does not use."""
    copy: nn.Module = deepcopy(part)
    for name in ("exchange", "text_attention"):
        if hasattr(copy, name):
            delattr(copy, name)
    for name in ("exchange_table", "text_table"):
        if getattr(copy, name, None) is not None:
            setattr(copy, name, None)
    with torch.no_grad():
        return copy.requires_grad_(True)
