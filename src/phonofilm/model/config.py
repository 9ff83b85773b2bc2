"""What describes a dual-stream transformer: one frozen dataclass, and the presets made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from phonofilm.model.detail.config import LocalConfig
from phonofilm.model.moe.config import ExpertsConfig

StreamName = Literal["video", "audio"]


@dataclass(frozen=True)
class StreamConfig:
    """One of the two streams.

    Attributes:
        channels: channels of its latents.
        width: channels of a token inside the network.
        heads: heads of its self-attention; a head is width / heads wide.
        text_heads: heads, as wide as those, of its attention to the text.
        layers: blocks it takes part in; the shallower stream takes part in evenly spaced ones.
        patch: latents to a token along (time, y, x), or along (time,) for sound.
        extent: position at which the slowest rotation has turned half a circle, per axis of `patch`, in seconds
            and pixels.
        text_width: channels of the text states it is given.
        text_projection: whether a two-layer projection brings the text to `width` first.
        stems: how many kinds of sound there are (speech, effects, music), each with an embedding of its own; a
            model of one mix has 1 and no embedding.
        detail: features for, and width of, the convolutions that refine a picture's prediction (see `DetailHead`),
            or None for none.
        estimates: whether those convolutions, or the sound's last layer, have linear estimates of what is clean beside
            them (see `DetailHead`); for networks that predict what is clean.
        local: width and number of blocks of a learnt estimate beside those (see `LocalDenoiser`), or None for none.
        entry: widths of three convolutions that read a picture's latents beside the linear layer (see `DetailEntry`),
            or None for none.
    """

    channels: int
    width: int
    heads: int
    text_heads: int
    layers: int
    patch: tuple[int, ...]
    extent: tuple[float, ...]
    text_width: int
    text_projection: bool = True
    stems: int = 1
    detail: tuple[int, int] | None = None
    estimates: bool = False
    local: tuple[int, int] | None = None
    entry: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads of even width")
        if len(self.patch) != len(self.extent):
            raise ValueError(f"patch {self.patch} and extent {self.extent} must have the same axes")
        if self.detail is not None and len(self.patch) != 3:
            raise ValueError("detail is for pictures: sound has no convolutions at its end")
        if self.estimates and self.detail is None and len(self.patch) == 3:
            raise ValueError("a picture's estimates are for the convolutions that refine its prediction; set detail")
        if self.local is not None and not (self.estimates and self.detail is not None):
            raise ValueError("a local denoiser is one more estimate of a picture; set detail and estimates")
        if self.local is not None and any(size % 2 for size in self.patch[1:]):
            raise ValueError(f"local is for pictures whose patches have an even height and width, not {self.patch}")
        if self.entry is not None and (len(self.patch) != 3 or any(size % 4 for size in self.patch[1:])):
            raise ValueError(f"entry is for pictures whose patches have a height and width in fours, not {self.patch}")

    @property
    def local_config(self) -> LocalConfig:
        """Of the local denoiser, which is told what the tokens predict and their features for the head alone."""
        (width, blocks), (features, _) = self.local or (0, 0), self.detail or (0, 0)
        return LocalConfig(self.patch[0], self.channels, width, blocks, told=self.channels + features)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def context_width(self) -> int:
        """Channels of the text that its blocks see."""
        return self.width if self.text_projection else self.text_width


@dataclass(frozen=True)
class ConditionInput:
    """A named way in for a condition that attaches later; zero-initialised, so that it changes nothing at first.

    Attributes:
        name: the key of the condition in `AVTransformer.forward(conditions=...)`.
        stream: whose tokens it reaches.
        width: channels of the condition, which has one vector for each token of that stream, or one for all.
        at: "tokens" adds to the tokens before the first block; "modulation" adds to the embedded noise level, so
            that it acts through the adaptive normalisation of every block.
    """

    name: str
    stream: StreamName
    width: int
    at: Literal["tokens", "modulation"] = "tokens"


@dataclass(frozen=True)
class TransformerConfig:
    """The whole network. What is not a size is a choice that LTX-2 or LTX-2.3 made, or that `nano` makes for speed.

    Attributes:
        video, audio: the streams.
        exchange_heads: heads of the attention between the streams.
        exchange_head_width: channels of such a head.
        exchange_slopes: for each such head, what its scores fall by with each second between the tokens (Press et
            al., 2108.12409), so that it looks at what happens at the same moment from the first step on; none for
            heads that look anywhere, as all of LTX-2's do.
        feed_forward: hidden width of the feed-forward layers over the width of the stream.
        experts: how the feed-forward layers are divided into experts; they are whole unless its count is set.
        bias: whether the linear layers of the blocks have biases, which cost a pass over memory each.
        gated_attention: a learned gate for each head of every attention (LTX-2.3).
        text_modulation: noise levels modulate the attention to the text, on both sides (LTX-2.3).
        shared_timestep: one embedding of the noise level per stream serves all its modulations; LTX-2 has one each.
        absolute_space: a learned embedding of (y, x) is added to the video tokens. With four tokens to a frame,
            relative rotations alone leave each token to find out where it is.
        norm: "rms" as in LTX-2, or "layer", which has a fused CPU kernel for the backward pass.
        activation: "gelu_tanh" as in LTX-2, or the exact "gelu", six times as fast on a CPU in bfloat16.
        rotary_base: ratio of the fastest rotation to the slowest.
        eps: of every normalisation.
        condition_inputs: ways in for later conditions.
    """

    video: StreamConfig
    audio: StreamConfig
    exchange_heads: int
    exchange_head_width: int
    exchange_slopes: tuple[float, ...] = ()
    feed_forward: float = 4.0
    bias: bool = True
    gated_attention: bool = False
    text_modulation: bool = False
    shared_timestep: bool = False
    absolute_space: bool = False
    norm: Literal["rms", "layer"] = "rms"
    activation: Literal["gelu_tanh", "gelu"] = "gelu_tanh"
    rotary_base: float = 10_000.0
    eps: float = 1e-6
    condition_inputs: tuple[ConditionInput, ...] = ()
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    RENAMED: ClassVar[Mapping[str, str]] = {"doors": "condition_inputs"}

    def __post_init__(self) -> None:
        slopes = self.exchange_slopes
        if slopes and (len(slopes) != self.exchange_heads or min(slopes) < 0):
            raise ValueError(
                f"exchange_slopes {slopes} must be {self.exchange_heads} numbers from 0 up, one for a head"
            )

    @property
    def layers(self) -> int:
        return max(self.video.layers, self.audio.layers)

    @property
    def exchange_width(self) -> int:
        return self.exchange_heads * self.exchange_head_width

    def present(self, stream: StreamConfig) -> list[bool]:
        """For each block, whether the stream takes part in it; always in the last ones of equal runs."""
        total = self.layers
        return [(i + 1) * stream.layers // total > i * stream.layers // total for i in range(total)]


def _ours(video: StreamConfig, audio: StreamConfig, exchange_heads: int) -> TransformerConfig:
    """Our own presets differ in size only; their choices make a step on a CPU cheap."""
    return TransformerConfig(
        video,
        audio,
        exchange_heads=exchange_heads,
        exchange_head_width=64,
        feed_forward=2.0,
        bias=False,
        shared_timestep=True,
        absolute_space=True,
        norm="layer",
        activation="gelu",
        rotary_base=256.0,
    )


def _video(width: int, heads: int, text_heads: int, layers: int) -> StreamConfig:
    return StreamConfig(8, width, heads, text_heads, layers, (1, 4, 4), (20.0, 2048.0, 2048.0), text_width=384)


def _audio(width: int, heads: int, text_heads: int, layers: int) -> StreamConfig:
    return StreamConfig(64, width, heads, text_heads, layers, (1,), (20.0,), text_width=384)


def _ltx2(
    text_width: tuple[int, int], text_projection: bool, gated_attention: bool, text_modulation: bool
) -> TransformerConfig:
    """The published sizes: 14B parameters for picture and 5B for sound."""
    video = StreamConfig(
        channels=128,
        width=4096,
        heads=32,
        text_heads=32,
        layers=48,
        patch=(1, 1, 1),
        extent=(20.0, 2048.0, 2048.0),
        text_width=text_width[0],
        text_projection=text_projection,
    )
    audio = StreamConfig(
        channels=128,
        width=2048,
        heads=32,
        text_heads=32,
        layers=48,
        patch=(1,),
        extent=(20.0,),
        text_width=text_width[1],
        text_projection=text_projection,
    )
    return TransformerConfig(
        video,
        audio,
        exchange_heads=32,
        exchange_head_width=64,
        gated_attention=gated_attention,
        text_modulation=text_modulation,
    )


PRESETS: dict[str, TransformerConfig] = {
    "nano": _ours(_video(256, 4, 2, layers=8), _audio(160, 2, 1, layers=6), exchange_heads=2),
    "small": _ours(_video(512, 8, 4, layers=12), _audio(256, 4, 2, layers=12), exchange_heads=4),
    "base": _ours(_video(1024, 16, 8, layers=24), _audio(512, 8, 4, layers=24), exchange_heads=8),
    "ltx2": _ltx2((3840, 3840), text_projection=True, gated_attention=False, text_modulation=False),
    "ltx2_3": _ltx2((4096, 2048), text_projection=False, gated_attention=True, text_modulation=True),
}
