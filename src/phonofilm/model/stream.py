"""The two ends of a stream: how latents come in and go out, and what noise level and text tell its blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.model.block import AVCrossAttention, Conditioning, StreamText
from phonofilm.model.chunks import noisiest
from phonofilm.model.config import ConditionInput, StreamName, TransformerConfig
from phonofilm.model.detail.estimates import alone
from phonofilm.model.detail.head import DetailEntry, DetailHead, Trust
from phonofilm.model.detail.local import LocalDenoiser
from phonofilm.model.layers import AdaLN, NoiseEmbedder, TextProjection, modulate
from phonofilm.model.rope import Places
from phonofilm.model.rows import Rows, gathered, parts
from phonofilm.model.tokens import noise_levels, patchify, unpatchify
from phonofilm.types import Text

SPACE_FREQUENCIES = 8


class StreamInput(NamedTuple):
    """A stream on its way in: tokens [B, N, D], their noise levels [B, S], those embedded [B, S, D].

    Where attention is block-causal, `chunks` [N] are those of its tokens. `starts` as in `Places`, `sigma` as given.
    """

    tokens: Tensor
    levels: Tensor
    embedded: Tensor
    chunks: Tensor | None = None
    starts: bool = True
    sigma: Tensor | None = None

    @property
    def noisiest(self) -> Tensor:
        """[B, 1] the noise level of the stream as a whole: given tokens have 0 and do not count."""
        return self.levels.amax(1, keepdim=True)

    def noisiest_at(self, chunks: Tensor | None) -> Tensor:
        """[B, 1] the same, or [B, N] that of the chunk at which each token of another stream lies."""
        if chunks is None or self.chunks is None:
            return self.noisiest
        levels = noisiest(self.levels, self.chunks)
        return levels[:, chunks.clamp_max(levels.shape[1] - 1)]


class Stream(nn.Module):
    """One stream's layers outside the blocks."""

    def __init__(self, config: TransformerConfig, name: StreamName) -> None:
        super().__init__()
        self.config = stream = config.video if name == "video" else config.audio
        self.eps = config.eps
        width, own = stream.width, not config.shared_timestep
        size = stream.channels * math.prod(stream.patch)
        placed = config.absolute_space and name == "video"
        self.patchify = nn.Linear(size, width)
        self.entry = DetailEntry(stream.channels, stream.patch, stream.entry, width) if stream.entry else None
        self.space = nn.Linear(4 * SPACE_FREQUENCIES, width) if placed else None
        self.stems = nn.Parameter(torch.zeros(stream.stems, width)) if stream.stems > 1 else None
        self.text = TextProjection(stream.text_width, width) if stream.text_projection else None
        self.timestep = NoiseEmbedder(width)
        self.modulation = AdaLN(width, 9 if config.text_modulation else 6)
        self.exchange_timestep = NoiseEmbedder(width) if own else None
        self.exchange_modulation = AdaLN(width, 4)
        self.gate_timestep = NoiseEmbedder(width) if own else None
        self.gate_modulation = AdaLN(width, 1)
        self.text_timestep = NoiseEmbedder(width) if own and config.text_modulation else None
        self.text_modulation = AdaLN(width, 2) if config.text_modulation else None
        condition_inputs = [one for one in config.condition_inputs if one.stream == name]
        self.token_conditions = _condition_layers([one for one in condition_inputs if one.at == "tokens"], width)
        self.modulation_conditions = _condition_layers(
            [one for one in condition_inputs if one.at == "modulation"], width
        )
        self.table = nn.Parameter(torch.zeros(2, width))
        features, channels = stream.detail or (0, 0)
        self.out = nn.Linear(width, size + features * math.prod(stream.patch))
        local = LocalDenoiser(stream.local_config) if stream.local else None
        self.detail = (
            DetailHead(stream.channels, features, channels, stream.estimates, local) if stream.detail else None
        )
        self.trust = Trust(stream.channels) if stream.estimates and name == "audio" else None

    def start_as_zero(self) -> None:
        """Predict zero, whatever comes in; conditions add nothing."""
        if self.detail is not None:
            self.detail.start_as_zero()
        if self.trust is not None:
            self.trust.start_as_zero()
        last: list[nn.Module] = []
        last += [] if self.entry is None else [self.entry.leave]
        for layer in (self.out, self.token_conditions, self.modulation_conditions, *last):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def embed(
        self, latents: Tensor | None, sigma: Tensor | None, places: Places, conditions: Mapping[str, Tensor]
    ) -> StreamInput | None:
        """Latents [B, C, T, H, W] or [B, S, C, T] and their noise levels, as tokens; None where the stream is absent.

        Raises:
            ValueError: latents that do not match the noise levels, the positions or the patches.
        """
        if latents is None:
            return None
        if sigma is None:
            raise ValueError("latents need a noise level: give sigma for each stream that is present")
        stream, shape, dtype = self.config, _shape(latents), self.patchify.weight.dtype
        tokens = self.patchify(patchify(latents, stream.patch, places.starts).to(dtype))
        if tokens.shape[1] != len(places.space):
            raise ValueError(
                f"latents of {shape} make {tokens.shape[1]} tokens, not {len(places.space)} as the positions"
            )
        if self.entry is not None:
            tokens = tokens + self.entry(latents.to(dtype), places.starts)
        if self.space is not None:
            tokens = tokens + self.space(places.space)
        tokens = self._with_stems(tokens, places.stems)
        levels = noise_levels(sigma, shape, stream.patch, places.starts)
        embedded = self.timestep(levels)
        for name, layer in self.token_conditions.items():
            tokens = tokens + layer(conditions[name].to(dtype)) if name in conditions else tokens
        for name, layer in self.modulation_conditions.items():
            if name in conditions:
                added = layer(conditions[name].to(dtype))
                if added.shape[1] > 1:
                    embedded = embedded.repeat_interleave(tokens.shape[1] // embedded.shape[1], 1)
                embedded = embedded + added
        return StreamInput(tokens, levels, embedded, places.chunks, places.starts, sigma)

    def _with_stems(self, tokens: Tensor, stems: tuple[int, ...]) -> Tensor:
        """Each stem's embedding added to its tokens."""
        if wrong := [stem for stem in stems if not 0 <= stem < self.config.stems]:
            raise ValueError(f"there is no stem {wrong[0]}: the model has {self.config.stems}, counted from 0")
        if self.stems is None:
            return tokens
        embeddings = self.stems[list(stems)].to(tokens.dtype)
        return (tokens.unflatten(1, (len(stems), -1)) + embeddings[:, None]).flatten(1, 2)

    def condition(
        self,
        own: StreamInput | None,
        other: StreamInput | None,
        text: Text | StreamText,
        places: Places,
        exchange: Tensor | None,
    ) -> Conditioning | None:
        """What the blocks tell this stream, given the other one, or None where that is absent."""
        if own is None:
            return None
        dtype = own.tokens.dtype
        states, bias = self._told(text, len(own.tokens), len(places.stems), dtype)
        text_levels, between = None, None
        if self.text_modulation is not None:
            text_levels = self.text_modulation((self.text_timestep or self.timestep)(own.noisiest))
        if other is not None:
            embedded = own.embedded if self.exchange_timestep is None else self.exchange_timestep(own.levels)
            gate = self.gate_modulation((self.gate_timestep or self.timestep)(other.noisiest_at(places.chunks)))
            on = None if exchange is None else exchange.to(dtype)[:, None, None]
            between = AVCrossAttention(
                self.exchange_modulation(embedded), gate, on, places.exchange, places.exchange_bias
            )
        return Conditioning(
            levels=self.modulation(own.embedded),
            text=states,
            text_bias=bias,
            text_levels=text_levels,
            places=places,
            parts=parts(own.tokens, own.levels.shape[1]),
            exchange=between,
        )

    def _told(
        self, text: Text | StreamText, batch: int, stems: int, dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor]:
        """States and bias of a text, once it is known to fit; a text that was read before has no states."""
        if isinstance(text, StreamText):
            if len(text.bias) not in (batch, batch * stems):
                raise ValueError(f"a cache of {len(text.bias)} texts does not fit {batch} clips of {stems} stems")
            return None, text.bias
        if text.states.ndim == 4 and text.states.shape[1] != stems:
            raise ValueError(f"{text.states.shape[1]} prompts do not fit {stems} stems")
        return self.read_text(text, dtype)

    def read_text(self, text: Text, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """States [B, L, C] that the blocks project, and the bias [B, 1, 1, L] of their scores, in `dtype`."""
        states, mask = text.states.to(self.patchify.weight.dtype), text.mask
        if states.ndim == 4:
            states, mask = states.flatten(0, 1), mask.flatten(0, 1)
        states = states if self.text is None else self.text(states)
        return states, torch.where(mask, 0.0, -1e4).to(dtype)[:, None, None]

    def unembed(self, x: Tensor | None, entered: StreamInput | None, like: Tensor | None) -> Tensor | None:
        """Tokens [B, N, D] to latents in the shape and dtype of `like`."""
        if x is None or entered is None or like is None:
            return None
        shift, scale = (self.table.to(x.dtype) + entered.embedded.unsqueeze(2)).unbind(2)

        def project(rows: Rows) -> tuple[Tensor]:
            normed = F.layer_norm(rows.of(x), x.shape[-1:], eps=self.eps)
            return (self.out(modulate(normed, rows.of_levels(scale), rows.of_levels(shift))),)

        (tokens,) = gathered(project, parts(x, entered.levels.shape[1]))
        made = unpatchify(tokens, _shape(like), self.config.patch, entered.starts)
        if self.detail is not None and entered.sigma is not None:
            chunks = _chunks_of_latents(entered, like, self.config.patch)
            made = self.detail(like, made, entered.sigma, chunks, entered.starts)
        if self.trust is not None and entered.sigma is not None:
            made = made + self.trust(entered.sigma, 2).to(made.dtype) * (alone(like, entered.sigma) - made)
        return made.to(like.dtype)


def _chunks_of_latents(entered: StreamInput, latents: Tensor, patch: tuple[int, ...]) -> Tensor | None:
    """The chunk of each time step of a picture's latents, or None where all see each other."""
    if entered.chunks is None:
        return None
    beside = math.prod(size // step for size, step in zip(latents.shape[3:], patch[1:], strict=True))
    first = entered.chunks[::beside]
    return first.repeat_interleave(patch[0])[-latents.shape[2] :]


def _shape(latents: Tensor) -> tuple[int, ...]:
    """(T, H, W) of a picture's latents, (S, T) of a sound's."""
    return tuple(latents.shape[2:]) if latents.ndim == 5 else (latents.shape[1], latents.shape[3])


def _condition_layers(condition_inputs: list[ConditionInput], width: int) -> nn.ModuleDict:
    return nn.ModuleDict({one.name: nn.Linear(one.width, width) for one in condition_inputs})
