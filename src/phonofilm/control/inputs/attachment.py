"""What every module that attaches to a network has in common: its name, and how it is told its condition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.model.block import Block
from phonofilm.model.transformer import AVTransformer


class Attachment(nn.Module, ABC):
    """A module beside a network, told by `network(..., conditions={name: tensor})`; without that it does nothing.

    Attributes:
        name: the key of its condition, one row for each clip of the batch.
        told: the condition, while the network runs.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.told: Tensor | None = None
        self._handles: list[Any] = []

    def attach(self, network: AVTransformer) -> Self:
        """Let the network run through this module.

        Raises:
            PhonofilmError: it is attached already, or another of its name is.
        """
        names: set[str] = network.__dict__.setdefault("attached", set())
        if self._handles or self.name in names or self.name in {one.name for one in network.config.condition_inputs}:
            raise PhonofilmError(f"something called {self.name} is attached to the network already; detach it first")
        names.add(self.name)
        self._handles = [
            network.register_forward_pre_hook(self._listen, with_kwargs=True),
            network.register_forward_hook(self._forget, always_call=True),
            *self.hooks(network),
        ]
        self._network = [network]  # in a list: it is no part of this module
        return self

    def detach(self) -> None:
        """Leave the network as it was."""
        for handle in self._handles:
            handle.remove()
        if self._handles:
            self._network[0].__dict__["attached"].discard(self.name)
        self._handles, self._network = [], []

    @abstractmethod
    def hooks(self, network: AVTransformer) -> list[Any]:
        """Where the network runs through it: handles that can be removed."""

    def _listen(
        self, network: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = dict(options.get("conditions") or {})
        self.told = self.heard(given.pop(self.name, None), given)
        return arguments, {**options, "conditions": given}

    def heard(self, told: Tensor | None, given: dict[str, Tensor]) -> Tensor | None:
        """What becomes of its condition; `given` are those that the network is told."""
        return told

    def _forget(self, *_: object) -> None:
        self.told = None


def audio_blocks(network: AVTransformer, numbers: Sequence[int]) -> list[Block]:
    """The blocks of these numbers, in all of which the sound takes part.

    Raises:
        PhonofilmError: a block that there is not, or in which the sound takes no part.
    """
    known = [number for number, block in enumerate(network.blocks) if block.audio is not None]
    wrong: list[object] = [*sorted(set(numbers) - set(known))] or ([] if numbers else ["none"])
    if wrong:
        raise PhonofilmError(f"block {wrong[0]} has no sound to attach to; choose from {', '.join(map(str, known))}")
    return [network.blocks[number] for number in numbers]  # type: ignore[misc]
