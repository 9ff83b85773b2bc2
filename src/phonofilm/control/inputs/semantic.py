"""The semantic adapter: what is seen, told to the sound by decoupled cross-attention (FoleyCrafter, 2407.01494)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from phonofilm.control.inputs.attachment import Attachment, audio_blocks
from phonofilm.model.attention import Attention
from phonofilm.model.layers import Norm
from phonofilm.model.transformer import AVTransformer


class SemanticAdapter(Attachment):
    """After each chosen block the tokens of sound look at features [B, M, width] of the film; all else stays frozen.

    Args:
        blocks: after which it looks.
        width: of the features, those of any frozen network for pictures.

    Attributes:
        scale: how strongly it counts when a clip is made.

    Raises:
        PhonofilmError: a block without sound.
    """

    def __init__(self, network: AVTransformer, blocks: Sequence[int], width: int, name: str = "semantic") -> None:
        super().__init__(name)
        config, stream = network.config, network.config.audio
        self.blocks, self.scale = tuple(blocks), 1.0
        audio_blocks(network, blocks)
        self.norms = nn.ModuleList([Norm(stream.width, config.norm, config.eps) for _ in blocks])
        self.layers = nn.ModuleList(
            [Attention(stream.width, width, stream.heads, stream.head_width, config) for _ in blocks]
        )
        for layer in self.layers:
            for parameter in layer.to_out.parameters():  # type: ignore[union-attr]
                nn.init.zeros_(parameter)

    def hooks(self, network: AVTransformer) -> list[Any]:
        places = zip(audio_blocks(network, self.blocks), self.norms, self.layers, strict=True)
        return [block.register_forward_hook(self._after(norm, layer)) for block, norm, layer in places]

    def _after(self, norm: nn.Module, layer: Any) -> Any:
        def look(block: nn.Module, arguments: object, output: tuple[Tensor | None, Tensor | None]) -> object:
            video, audio = output
            if self.told is None or audio is None:
                return output
            features = self.told.to(audio.dtype)
            found = layer.attend(layer.project_q(norm(audio)), layer.project_kv(features))
            return video, audio + self.scale * found

        return look
