"""The dual-stream audio-video transformer: LTX-2's network, at any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phonofilm.model.block import Block, StreamBlock, StreamText, TextCache
from phonofilm.model.chunks import causal_bias, chunk_numbers, distance_bias
from phonofilm.model.config import PRESETS, StreamConfig, StreamName, TransformerConfig
from phonofilm.model.layers import AdaLN
from phonofilm.model.past import ChunkPast
from phonofilm.model.rope import Places, Rotary, fourier, rotary
from phonofilm.model.stream import SPACE_FREQUENCIES, Stream
from phonofilm.types import Latents, Positions, Text

__all__ = ["PRESETS", "AVTransformer", "TransformerConfig"]


class AVTransformer(nn.Module):
    """Video and audio latents at any noise levels, and a text, to a raw prediction for both.

    The presets are `nano`, `small`, `base` (ours) and `ltx2`, `ltx2_3`, into which published weights load (see
    `phonofilm.model.names`). For bfloat16 either convert the module or use autocast.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.video = Stream(config, "video")
        self.audio = Stream(config, "audio")
        both = zip(config.present(config.video), config.present(config.audio), strict=True)
        self.blocks = nn.ModuleList([Block(config, has_video, has_audio) for has_video, has_audio in both])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise so that each block starts as the identity, the noise level says nothing, the output is zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, AdaLN):
                nn.init.zeros_(module.linear.weight)
            elif isinstance(module, StreamBlock):
                module.start_as_identity()
            elif isinstance(module, Stream):
                module.start_as_zero()

    def condition_parameters(self) -> frozenset[str]:
        """Names of the weights of its condition inputs, which are zero until they are trained."""
        ways = ("token_conditions", "modulation_conditions")
        return frozenset(name for name, _ in self.named_parameters() if name.split(".")[1] in ways)

    def places(
        self, positions: Positions, device: torch.device | str = "cpu", chunk: float | None = None
    ) -> tuple[Places, Places]:
        """What the positions say to the video and to the audio stream.

        `forward` computes this from positions at every call; give it the result instead to compute it once.

        Args:
            chunk: seconds; if given, tokens see no chunk of that length that is later than their own.
        """
        config, dtype = self.config, self._dtype()
        seconds = (max(config.video.extent[0], config.audio.extent[0]),)

        def tables(bounds: np.ndarray, extent: tuple[float, ...], heads: int, head_width: int) -> Rotary:
            return rotary(bounds, extent, heads, head_width, config.rotary_base, device, dtype)

        def one(bounds: np.ndarray, other: np.ndarray, stream: StreamConfig, stems: tuple[int, ...] = (0,)) -> Places:
            hidden: dict[str, Any] = {}
            if config.exchange_slopes:
                near = distance_bias(bounds[:, 0], other[:, 0], config.exchange_slopes, dtype).to(device)
                hidden = {"exchange_bias": near}
            if chunk is not None:
                mine, others = (chunk_numbers(b[:, 0], chunk).to(device) for b in (bounds, other))
                between = causal_bias(mine, others, dtype) + hidden.get("exchange_bias", 0.0)
                hidden = {"alone_bias": causal_bias(mine, mine, dtype), "exchange_bias": between, "chunks": mine}
            return Places(
                alone=tables(bounds, stream.extent, stream.heads, stream.head_width),
                exchange=tables(bounds[:, :1], seconds, config.exchange_heads, config.exchange_head_width),
                space=fourier(bounds[:, 1:], SPACE_FREQUENCIES, device).to(dtype),
                stems=stems,
                **hidden,
            )

        audio = np.tile(positions.audio, (len(positions.stems), 1, 1))
        video = one(positions.video, audio, config.video)
        return video, one(audio, positions.video, config.audio, positions.stems)

    def text_cache(self, text: Text, audio_text: Text | None = None) -> TextCache:
        """The text's keys and values in all blocks, which `forward` computes at every call; or give it this.

        They are those of the precision and autocast in which this is called: call it as `forward` will be.

        Raises:
            ValueError: a network with text modulation, whose text depends on the noise level.
        """
        if self.config.text_modulation:
            raise ValueError("with text modulation the text's keys and values depend on the noise level")
        return TextCache(self._read(self.video, text, "video"), self._read(self.audio, audio_text or text, "audio"))

    def text_cache_bytes(self, text: Text, audio_text: Text | None = None) -> int:
        """Bytes that `text_cache` of these texts takes."""
        found = 0
        for stream, read in ((self.config.video, text), (self.config.audio, audio_text or text)):
            blocks = sum(self.config.present(stream))
            found += 2 * blocks * read.mask.numel() * stream.text_heads * stream.head_width
        return found * self._dtype().itemsize

    def _read(self, stream: Stream, text: Text, name: StreamName) -> StreamText:
        states, bias = stream.read_text(text, self._dtype())
        layers = [getattr(block, name) for block in self.blocks]
        return StreamText(
            bias, tuple(None if layer is None else layer.text_attention.project_kv(states) for layer in layers)
        )

    def _dtype(self) -> torch.dtype:
        """What tokens are computed in: that of the weights, or of autocast."""
        weight = self.video.patchify.weight
        kind = weight.device.type
        autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        return torch.get_autocast_dtype(kind) if autocast else weight.dtype

    def forward(
        self,
        latents: Latents,
        sigma: Latents,
        text: Text,
        positions: Positions | tuple[Places, Places],
        *,
        exchange: Tensor | None = None,
        audio_text: Text | None = None,
        conditions: Mapping[str, Tensor] | None = None,
        unmixed: Mapping[int, Latents] | None = None,
        chunk: float | None = None,
        cache: TextCache | None = None,
        past: ChunkPast | None = None,
    ) -> Latents:
        """Predict from noisy latents.

        Args:
            latents: of both streams; an absent one is None, and the other then runs alone. A stem that is absent
                is left out of the latents and of the positions' `stems`.
            sigma: noise levels in [0, 1], as little expanded as they are known: [B, 1, 1, 1, 1] for one level per
                sample, [B, 1, T, 1, 1] per time step, [B, 1, T, H, W] in full; for sound [B, S or 1, 1, T or 1].
            text: for both streams, or for the video alone where `audio_text` is given.
            audio_text: one for all stems, or one for each.
            positions: of the tokens, or their `places`.
            exchange: bool [B], False where the streams of a sample must not see each other; None means all may.
            conditions: [B, tokens, width] for the condition inputs of the config, by name, or [B, 1, width] for all
                tokens alike; one without a condition adds nothing.
            unmixed: by number of a block, and for each stream, bool [B] or None: True where the self-attention of
                that block must not mix the tokens of a sample (spatio-temporal guidance steers away from that).
            chunk: seconds; if given, attention is block-causal: tokens see no chunk of that length that is later
                than their own. Where `positions` are places, they say so already.
            cache: `text_cache` of the texts, which are then not looked at.
            past: what all blocks read of earlier chunks; the latents are then those of one chunk, and `positions` its
                places after them (see `model.cache`).

        Returns:
            Raw predictions in the shapes and dtypes of the latents.

        Raises:
            ValueError: shapes that do not fit each other, a condition without an input, or a block there is not.
        """
        conditions = conditions or {}
        if unknown := set(conditions) - {one.name for one in self.config.condition_inputs}:
            raise ValueError(f"no input for condition {sorted(unknown)}: add it to the config's condition_inputs")
        if absent := set(unmixed or ()) - set(range(len(self.blocks))):
            raise ValueError(f"no block {min(absent)}: there are {len(self.blocks)}, counted from 0")
        some = latents.audio if latents.video is None else latents.video
        if some is None:
            raise ValueError("both streams are absent: give video latents, audio latents or both")
        places = self.places(positions, some.device, chunk) if isinstance(positions, Positions) else positions
        at_video, at_audio = places
        video = self.video.embed(latents.video, sigma.video, at_video, conditions)
        audio = self.audio.embed(latents.audio, sigma.audio, at_audio, conditions)
        read, heard = (text, audio_text or text) if cache is None else cache
        to_video = self.video.condition(video, audio, read, at_video, exchange)
        to_audio = self.audio.condition(audio, video, heard, at_audio, exchange)
        x, y = video and video.tokens, audio and audio.tokens
        for number, block in enumerate(self.blocks):
            if cache is not None:
                to_video = to_video and to_video._replace(projected=cache.video.projected[number])
                to_audio = to_audio and to_audio._replace(projected=cache.audio.projected[number])
            if past is not None:
                to_video = to_video and to_video._replace(past=past.video[number])
                to_audio = to_audio and to_audio._replace(past=past.audio[number])
            x, y = block(x, y, to_video, to_audio, (unmixed or {}).get(number))
        return Latents(self.video.unembed(x, video, latents.video), self.audio.unembed(y, audio, latents.audio))
