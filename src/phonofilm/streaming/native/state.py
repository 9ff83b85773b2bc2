"""The state of a live film, and how such values become arrays and facts that JSON holds, and are made of them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.codecs.running import RunningState
from phonofilm.codecs.vocoder import VocoderState, VoicedState
from phonofilm.codecs.voice.attacks import LimitState
from phonofilm.codecs.voice.bands import BandState
from phonofilm.codecs.voice.pulses import PulseState
from phonofilm.codecs.voice.voice import VoiceState
from phonofilm.errors import PhonofilmError
from phonofilm.model.cache import ChunkCache, ChunkKeys
from phonofilm.streaming.native.options import LiveOptions
from phonofilm.types import Latents

TUPLES = (ChunkKeys, RunningState, VocoderState, VoicedState, VoiceState, PulseState, BandState, LimitState)
NAMED: dict[str, Any] = {kind.__name__: kind for kind in TUPLES}
BFLOAT16 = "bfloat16"


@dataclass(frozen=True, eq=False)
class NativeState:
    """All that decides what follows.

    Attributes:
        seed: of the noise; each chunk has its own by its number.
        options: how it is sampled.
        prompt: what the cache was read with; "" before the first chunk.
        cache: keys and values of the chunks that can be seen.
        latents: those chunks themselves, from which another prompt reads them anew.
        decoder: what the decoders remember; None before the first chunk.
    """

    seed: int
    options: LiveOptions
    prompt: str
    cache: ChunkCache
    latents: tuple[Latents, ...] = ()
    decoder: RunningState | None = None

    @property
    def parts(self) -> tuple[Any, ...]:
        """What `pack` understands of it."""
        return self.cache.chunks, tuple((one.video, one.audio) for one in self.latents), self.decoder


def pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Facts about a value made of tensors, numbers, None and tuples; its tensors are put into `arrays`."""
    if isinstance(value, Tensor):
        return _packed(value, arrays)
    if isinstance(value, tuple):
        kind = type(value).__name__ if type(value) in TUPLES else ""
        return {"tuple": kind, "items": [pack(item, arrays) for item in value]}
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"a state holds no {type(value).__name__}")


def unpack(facts: Any, arrays: Mapping[str, np.ndarray], device: torch.device) -> Any:
    """The inverse of `pack`.

    Raises:
        PhonofilmError: facts that `pack` did not make, or arrays that are missing.
    """
    if facts is None or isinstance(facts, int | float):
        return facts
    try:
        if "items" in facts:
            items = [unpack(item, arrays, device) for item in facts["items"]]
            return NAMED[facts["tuple"]](*items) if facts["tuple"] else tuple(items)
        return _unpacked(facts, arrays, device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise PhonofilmError(f"the saved state is damaged ({error!r}); begin a new film") from error


def _packed(value: Tensor, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """An array in the order in which the tensor lies in memory, which decides how sums of it are rounded."""
    order = sorted(range(value.ndim), key=lambda axis: (value.stride(axis), -axis), reverse=True)
    name, plain = f"{len(arrays)}", value.permute(order).contiguous().cpu()
    facts = {"array": name, "order": order}
    if plain.dtype == torch.bfloat16:
        plain, facts = plain.view(torch.int16), {**facts, "as": BFLOAT16}
    arrays[name] = plain.numpy().copy()
    return facts


def _unpacked(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], device: torch.device) -> Tensor:
    value = torch.from_numpy(np.array(arrays[facts["array"]]))
    if facts.get("as") == BFLOAT16:
        value = value.view(torch.bfloat16)
    back = [facts["order"].index(axis) for axis in range(value.ndim)]
    return value.to(device).permute(back)
