"""The dual-stream block of LTX-2.

Per stream: self-attention, attention to the text; then the streams attend to each other along time, both from
a snapshot, so that neither sees the other's update; then feed-forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from phonofilm.model.attention import Attention, KeyValue, Query, SkipMixing
from phonofilm.model.config import StreamConfig, TransformerConfig
from phonofilm.model.layers import FeedForward, Norm, modulate
from phonofilm.model.past import BlockPast
from phonofilm.model.rope import Places, Rotary
from phonofilm.model.rows import Rows, gathered, parts, updated
from phonofilm.types import Latents


class AVCrossAttention(NamedTuple):
    """What one stream is told about the exchange with the other. Its own S noise levels hold for N/S tokens each.

    Attributes:
        levels: [B, S, 4, D], from the stream's own noise levels: scale and shift for audio to video, then for video
            to audio.
        gate: [B, 1, 1, D], from the noise level of the other stream.
        on: [B, 1, 1], 0 where a sample's exchange is switched off, or None where all are on.
        rotary: positions of the stream's tokens in time.
        bias: [N, M] or [H, N, M] to add to the scores of its N tokens at the other stream's M, or None.
    """

    levels: Tensor
    gate: Tensor
    on: Tensor | None
    rotary: Rotary
    bias: Tensor | None = None


class StreamText(NamedTuple):
    """A text as one stream's blocks read it, which depends on no noise level.

    Attributes:
        bias: [B, 1, 1, L], 0 for a token, very negative for padding; [B·S, 1, 1, L] with a text for each of S stems.
        projected: for each block its keys and values [B or B·S, L, H, d], or None where the stream has no part.
    """

    bias: Tensor
    projected: tuple[KeyValue | None, ...]


class TextCache(NamedTuple):
    """What both streams' blocks know of a text, see `AVTransformer.text_cache`."""

    video: StreamText
    audio: StreamText


class Conditioning(NamedTuple):
    """What all blocks tell one stream, computed once per forward.

    Attributes:
        levels: [B, S, 6 or 9, D], from the stream's own noise levels: shift, scale, gate of the self-attention, of
            the feed-forward and, with text modulation, of the attention to the text.
        text: [B, L, C] text states, or [B·S, L, C] where each of S stems has its own; None where `projected` is given.
        text_bias: [B or B·S, 1, 1, L], 0 for a token, very negative for padding.
        text_levels: [B, 1, 2, C] shift and scale of the text states, or None.
        places: where its tokens are.
        parts: its tokens, as many at once as are worked on at a time.
        exchange: None where the other stream is absent.
        projected: keys and values of the text in the block that is told, where they were computed before.
        past: what the block that is told reads of earlier chunks; None where the tokens are the whole film.
    """

    levels: Tensor
    text: Tensor | None
    text_bias: Tensor
    text_levels: Tensor | None
    places: Places
    parts: tuple[Rows, ...]
    exchange: AVCrossAttention | None
    projected: KeyValue | None = None
    past: BlockPast | None = None


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
        hidden = int(width * config.feed_forward)
        self.feed_forward = FeedForward(width, hidden, config.activation, config.bias, config.experts)
        self.table = nn.Parameter(torch.zeros(9 if config.text_modulation else 6, width))
        self.text_table = nn.Parameter(torch.zeros(2, context)) if config.text_modulation else None
        if other is not None:
            self.exchange = Attention(width, other.width, config.exchange_heads, config.exchange_head_width, config)
            self.exchange_table = nn.Parameter(torch.zeros(5, width))

    def start_as_identity(self) -> None:
        """Zero the last layer of each branch and set its gate to one, so that a branch learns from the first step."""
        last = [self.self_attention.to_out, self.text_attention.to_out]
        gates = [self.table[2::3]]
        if hasattr(self, "exchange"):
            last.append(self.exchange.to_out)
            gates.append(self.exchange_table[4])
        self.feed_forward.start_as_zero()
        for layer in last:
            nn.init.zeros_(layer.weight)
        for gate in gates:
            nn.init.ones_(gate)

    def attend(self, x: Tensor, given: Conditioning, unmixed: Tensor | None = None) -> Tensor:
        """Self-attention, which passes its values on as they are where a sample is `unmixed`, and attention to text.

        Without gradients x is overwritten, here as in the other methods.
        """
        layer, table, levels = self.self_attention, self.table[:3], given.levels[:, :, :3]
        past = given.past and given.past.alone

        def project(rows: Rows) -> tuple[Tensor, ...]:
            shift, scale, _ = with_table(table, rows.of_levels(levels))
            view, rotary = modulate(self.norm(rows.of(x)), scale, shift), given.places.alone.at(rows)
            offered = layer.project_kv(view, None if past else rotary)
            return _present(*layer.project_q(view, rotary), *offered)

        *asked, keys, values = gathered(project, given.parts)
        held = KeyValue(keys, values)
        if past:
            held = past.join(held, given.places.alone)

        def mix(rows: Rows) -> Tensor:
            loose = None if unmixed is None else SkipMixing(unmixed, rows.of(values))
            bias = rows.of_bias(given.places.alone_bias)
            return layer.attend(_asked(asked, rows), held, bias=bias, unmixed=loose)

        x = updated(x, given.parts, mix, with_table(table, levels)[2])
        return self.read(x, given)

    def read(self, x: Tensor, given: Conditioning) -> Tensor:
        """Attention to the text; stems with prompts of their own are read as clips of their own."""
        stems = len(given.text_bias) // len(x)
        if stems == 1:
            return self._read(x, given)
        apart = x.reshape(len(x) * stems, -1, x.shape[-1])
        return self._read(apart, _by_stem(given, apart, stems)).view_as(x)

    def _read(self, x: Tensor, given: Conditioning) -> Tensor:
        layer, gate = self.text_attention, None
        if self.text_table is not None:
            gate = with_table(self.table[8:], given.levels[:, :, 8:])[0]
        held = given.projected or self._project_text(given)

        def look(rows: Rows) -> Tensor:
            view = self.norm(rows.of(x))
            if gate is not None:
                shift, scale = with_table(self.table[6:8], rows.of_levels(given.levels[:, :, 6:8]))
                view = modulate(view, scale, shift)
            return layer.attend(layer.project_q(view), held, given.text_bias)

        return updated(x, given.parts, look, gate)

    def _project_text(self, given: Conditioning) -> KeyValue:
        text = given.text
        assert text is not None  # it is told where keys and values are not
        if self.text_table is not None and given.text_levels is not None:
            text_shift, text_scale = with_table(self.text_table, given.text_levels)
            text = modulate(text, text_scale, text_shift)
        return self.text_attention.project_kv(text)

    def transform(self, x: Tensor, given: Conditioning) -> Tensor:
        """Feed-forward."""
        table, levels = self.table[3:6], given.levels[:, :, 3:6]

        def widen(rows: Rows) -> Tensor:
            shift, scale, _ = with_table(table, rows.of_levels(levels))
            return self.feed_forward(modulate(self.norm(rows.of(x)), scale, shift))

        return updated(x, given.parts, widen, with_table(table, levels)[2])


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
        video, audio = exchange(self.video, video, to_video, self.audio, audio, to_audio)
        return self.video.transform(video, to_video), self.audio.transform(audio, to_audio)


def exchange(
    video_part: StreamBlock, video: Tensor, to_video: Conditioning, audio_part: StreamBlock, audio: Tensor,
    to_audio: Conditioning,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Both streams look at snapshots of each other: all is projected before either is changed."""
    seen, by_video = _views(video_part, video, to_video, audio_part.exchange, to_audio.past, takes_first=True)
    heard, by_audio = _views(audio_part, audio, to_audio, video_part.exchange, to_video.past, takes_first=False)
    return (
        _take(video_part, video, to_video, by_video, heard),
        _take(audio_part, audio, to_audio, by_audio, seen),
    )


def _views(
    part: StreamBlock, x: Tensor, given: Conditioning, other: Attention, before: BlockPast | None, takes_first: bool
) -> tuple[KeyValue, Sequence[Tensor]]:
    """What a stream offers the `other` one's attention, after what that one knows from `before`, and what it asks."""
    told = given.exchange
    assert told is not None  # both streams are there
    past = before and before.exchange

    def project(rows: Rows) -> tuple[Tensor, ...]:
        normed, rotary = part.norm(rows.of(x)), told.rotary.at(rows)
        scale_a, shift_a, scale_v, shift_v = with_table(part.exchange_table[:4], rows.of_levels(told.levels))
        to_video, to_audio = modulate(normed, scale_a, shift_a), modulate(normed, scale_v, shift_v)
        takes, gives = (to_video, to_audio) if takes_first else (to_audio, to_video)
        offered = other.project_kv(gives, None if past else rotary)
        return _present(*part.exchange.project_q(takes, rotary), *offered)

    *asked, keys, values = gathered(project, given.parts)
    held = KeyValue(keys, values)
    return (past.join(held, told.rotary) if past else held), asked


def _take(part: StreamBlock, x: Tensor, given: Conditioning, asked: Sequence[Tensor], held: KeyValue) -> Tensor:
    """Add what a stream's questions find in the other."""
    told = given.exchange
    assert told is not None
    (gate,) = with_table(part.exchange_table[4:], told.gate)
    gate = gate if told.on is None else gate * told.on

    def take(rows: Rows) -> Tensor:
        return part.exchange.attend(_asked(asked, rows), held, rows.of_bias(told.bias))

    return updated(x, given.parts, take, gate)


def _by_stem(given: Conditioning, x: Tensor, stems: int) -> Conditioning:
    """What all tokens are told, for stems folded into the batch: x is [B·S, N/S, D]."""
    batch, runs = given.levels.shape[:2]
    if runs % stems:  # one level for all stems
        levels = given.levels.repeat_interleave(stems, 0)
    else:
        levels = given.levels.reshape(batch * stems, runs // stems, *given.levels.shape[2:])
    text_levels = None if given.text_levels is None else given.text_levels.repeat_interleave(stems, 0)
    return given._replace(levels=levels, text_levels=text_levels, parts=parts(x, levels.shape[1]))


def _present(queries: Tensor, gate: Tensor | None, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
    return (queries, keys, values) if gate is None else (queries, gate, keys, values)


def _asked(found: Sequence[Tensor], rows: Rows) -> Query:
    """Queries, and the gate if there is one, of some tokens."""
    queries, *gate = (rows.of(part) for part in found)
    return Query(queries, gate[0] if gate else None)


def _alone(
    part: StreamBlock | None, x: Tensor | None, given: Conditioning | None, unmixed: Tensor | None
) -> Tensor | None:
    """A stream without the other; one that takes no part in this block passes through."""
    if part is None or x is None or given is None:
        return x
    return part.transform(part.attend(x, given, unmixed), given)
