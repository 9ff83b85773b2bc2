"""The dual-stream block of LTX-2.

Per stream: self-attention, attention to the text; then the streams attend to each other along time, both from
a snapshot, so that neither sees the other's update; then feed-forward.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from phonofilm.model.attention import Attention
from phonofilm.model.config import StreamConfig, TransformerConfig
from phonofilm.model.layers import FeedForward, Norm, add_gated, modulate
from phonofilm.model.rope import Places, Rotary
from phonofilm.types import Latents


class Exchange(NamedTuple):
    """What one stream is told about the exchange with the other. Its own S noise levels hold for N/S tokens each.

    Attributes:
        levels: [B, S, 4, D], from the stream's own noise levels: scale and shift for audio to video, then for video
            to audio.
        gate: [B, 1, 1, D], from the noise level of the other stream.
        on: [B, 1, 1], 0 where a sample's exchange is switched off, or None where all are on.
        rotary: positions of the stream's tokens in time.
    """

    levels: Tensor
    gate: Tensor
    on: Tensor | None
    rotary: Rotary


class Conditioning(NamedTuple):
    """What all blocks tell one stream, computed once per forward.

    Attributes:
        levels: [B, S, 6 or 9, D], from the stream's own noise levels: shift, scale, gate of the self-attention, of
            the feed-forward and, with text modulation, of the attention to the text.
        text: [B, L, C] text states.
        text_bias: [B, 1, 1, L], 0 for a token, very negative for padding.
        text_levels: [B, 1, 2, C] shift and scale of the text states, or None.
        places: where its tokens are.
        exchange: None where the other stream is absent.
    """

    levels: Tensor
    text: Tensor
    text_bias: Tensor
    text_levels: Tensor | None
    places: Places
    exchange: Exchange | None


def with_table(table: Tensor, levels: Tensor) -> tuple[Tensor, ...]:
    """A block's own table [n, D] added to what all blocks share [B, S, n, D], as n tensors [B, S, D]."""
    return (table.to(levels.dtype) + levels).unbind(2)


class StreamBlock(nn.Module):
    """One stream's part of a block; `other` is the stream it exchanges with, or None."""

    def __init__(self, config: TransformerConfig, stream: StreamConfig, other: StreamConfig | None) -> None:
        super().__init__()
        width, context = stream.width, stream.context_width
        self.norm = Norm(width, config.norm, config.eps)
        self.self_attention = Attention(width, width, stream.heads, stream.head_width, config)
        self.text_attention = Attention(width, context, stream.text_heads, stream.head_width, config)
        self.feed_forward = FeedForward(width, int(width * config.feed_forward), config.activation, config.bias)
        self.table = nn.Parameter(torch.zeros(9 if config.text_modulation else 6, width))
        self.text_table = nn.Parameter(torch.zeros(2, context)) if config.text_modulation else None
        if other is not None:
            self.exchange = Attention(width, other.width, config.exchange_heads, config.exchange_head_width, config)
            self.exchange_table = nn.Parameter(torch.zeros(5, width))

    def start_as_identity(self) -> None:
        """Zero the last layer of each branch and set its gate to one, so that a branch learns from the first step."""
        last = [self.self_attention.to_out, self.text_attention.to_out, self.feed_forward.down]
        gates = [self.table[2::3]]
        if hasattr(self, "exchange"):
            last.append(self.exchange.to_out)
            gates.append(self.exchange_table[4])
        for layer in last:
            nn.init.zeros_(layer.weight)
        for gate in gates:
            nn.init.ones_(gate)

    def attend(self, x: Tensor, given: Conditioning, unmixed: Tensor | None = None) -> Tensor:
        """Self-attention, which passes its values on as they are where a sample is `unmixed`, and attention to text."""
        shift, scale, gate = with_table(self.table[:3], given.levels[:, :, :3])
        update = self.self_attention(modulate(self.norm(x), scale, shift), rotary=given.places.alone, unmixed=unmixed)
        x = add_gated(x, update, gate)
        if self.text_table is None or given.text_levels is None:
            return x + self.text_attention(self.norm(x), given.text, bias=given.text_bias)
        shift, scale, gate = with_table(self.table[6:], given.levels[:, :, 6:])
        text_shift, text_scale = with_table(self.text_table, given.text_levels)
        text = modulate(given.text, text_scale, text_shift)
        update = self.text_attention(modulate(self.norm(x), scale, shift), text, bias=given.text_bias)
        return add_gated(x, update, gate)

    def exchange_views(self, x: Tensor, told: Exchange) -> tuple[Tensor, Tensor]:
        """The normalised stream as it takes part in audio → video, and in video → audio."""
        normed = self.norm(x)
        scale_a, shift_a, scale_v, shift_v = with_table(self.exchange_table[:4], told.levels)
        return modulate(normed, scale_a, shift_a), modulate(normed, scale_v, shift_v)

    def take(self, x: Tensor, view: Tensor, other: Tensor, told: Exchange, other_rotary: Rotary) -> Tensor:
        """Add what this stream's view [B, N, D] finds in the view of the other [B, M, E]."""
        (gate,) = with_table(self.exchange_table[4:], told.gate)
        gate = gate if told.on is None else gate * told.on
        return add_gated(x, self.exchange(view, other, rotary=told.rotary, context_rotary=other_rotary), gate)

    def transform(self, x: Tensor, given: Conditioning) -> Tensor:
        """Feed-forward."""
        shift, scale, gate = with_table(self.table[3:6], given.levels[:, :, 3:6])
        return add_gated(x, self.feed_forward(modulate(self.norm(x), scale, shift)), gate)


class Block(nn.Module):
    """Both streams, or the one that takes part in this block."""

    def __init__(self, config: TransformerConfig, has_video: bool, has_audio: bool) -> None:
        super().__init__()
        both = has_video and has_audio
        video, audio = config.video, config.audio
        self.video = StreamBlock(config, video, audio if both else None) if has_video else None
        self.audio = StreamBlock(config, audio, video if both else None) if has_audio else None

    def forward(
        self,
        video: Tensor | None,
        audio: Tensor | None,
        to_video: Conditioning | None,
        to_audio: Conditioning | None,
        unmixed: Latents | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Tokens [B, N, D] of each stream to the same; an absent stream is None and stays None.

        Args:
            unmixed: for each stream bool [B] or None, see `StreamBlock.attend`.
        """
        loose = unmixed or Latents()
        if video is None or audio is None or to_video is None or to_audio is None:
            return _alone(self.video, video, to_video, loose.video), _alone(self.audio, audio, to_audio, loose.audio)
        if self.video is None or self.audio is None or to_video.exchange is None or to_audio.exchange is None:
            return _alone(self.video, video, to_video, loose.video), _alone(self.audio, audio, to_audio, loose.audio)
        video = self.video.attend(video, to_video, loose.video)
        audio = self.audio.attend(audio, to_audio, loose.audio)
        video, audio = exchange(self.video, video, to_video.exchange, self.audio, audio, to_audio.exchange)
        return self.video.transform(video, to_video), self.audio.transform(audio, to_audio)


def exchange(
    video_part: StreamBlock,
    video: Tensor,
    video_told: Exchange,
    audio_part: StreamBlock,
    audio: Tensor,
    audio_told: Exchange,
) -> tuple[Tensor, Tensor]:
    """Both streams look at snapshots of each other, which are gone before the widest layers run."""
    video_takes, video_gives = video_part.exchange_views(video, video_told)
    audio_gives, audio_takes = audio_part.exchange_views(audio, audio_told)
    return (
        video_part.take(video, video_takes, audio_gives, video_told, audio_told.rotary),
        audio_part.take(audio, audio_takes, video_gives, audio_told, video_told.rotary),
    )


def _alone(
    part: StreamBlock | None, x: Tensor | None, given: Conditioning | None, unmixed: Tensor | None
) -> Tensor | None:
    """A stream without the other; one that takes no part in this block passes through."""
    if part is None or x is None or given is None:
        return x
    return part.transform(part.attend(x, given, unmixed), given)
