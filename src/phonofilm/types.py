"""Core data types, and the clock.

`Grid` is the one clock. From a duration and a size it yields every length a model needs and every
token's time in seconds, for picture and sound alike, so that the two can never drift.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from phonofilm.choices import PARTS, Part, SamplerName, Stem, Task

if TYPE_CHECKING:
    import torch

EXPONENT = re.compile(r"\s*[+-]?[\d.]{1,12}[eE][+-]?\d+\s*", re.ASCII)
RATE = re.compile(r"\s*[+-]?\d{1,12}(\.\d{1,12})?(/\d{1,12})?\s*", re.ASCII)
"""A frame rate as text."""
SLOWEST = Fraction(1, 100_000)
"""The lowest frame rate, and the largest denominator: a still picture may be shown for a day."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) at the start of every stage and at every step of it."""


def rational(rate: float | int | str | Fraction) -> Fraction:
    """A frame rate as an exact fraction; 23.976, 29.97 and 59.94 become n·1000/1001.

    Raises:
        ValueError: the rate is not a positive finite number, or below `SLOWEST`.
    """
    if isinstance(rate, str) and EXPONENT.fullmatch(rate):
        raise ValueError(f"a frame rate of {rate[:40].strip()} is not possible; write it as 12, 25 or 30000/1001")
    if isinstance(rate, str) and not RATE.fullmatch(rate):  # a large exponent would make a number of as many digits
        raise ValueError(f"frame rate {rate[:40]!r} is not a number; try 12, 25 or 30000/1001")
    try:
        exact = Fraction(rate) if isinstance(rate, (str, Fraction)) else Fraction(str(rate))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"frame rate {rate!r} is not a number; try 12, 25 or 30000/1001") from error
    if exact <= 0:
        raise ValueError(f"frame rate {rate!r} must be positive")
    if exact < SLOWEST:  # the nearest fraction that is kept may be 0
        raise ValueError(f"a frame rate of {float(exact):.2g} is not possible; it must be at least {SLOWEST}")
    ntsc = Fraction(round(exact * 1001 / 1000) * 1000, 1001)
    is_ntsc = ntsc > 0 and exact.denominator not in (1, 1001) and abs(exact - ntsc) < Fraction(1, 200)
    return ntsc if is_ntsc else exact.limit_denominator(SLOWEST.denominator)


def nearest(value: Fraction) -> int:
    """The one rounding rule: to the nearest integer, halves up."""
    return math.floor(value + Fraction(1, 2))


@dataclass(frozen=True)
class Event:
    """Something that is seen, heard, or both.

    Attributes:
        time: onset in seconds from the start of the clip.
        kind: for instance "impact", "strike", "pass", "blast", "drop", "thunder", "phoneme", "word".
        box: (x0, y0, x1, y1) of the source at onset, in [0, 1] of the picture, or None if unseen.
        pan: -1 (left) to 1 (right), or None if it has no place.
        loudness: level of the sound in dB relative to full scale, or None if it is silent.
        end: end in seconds where the event lasts.
        label: the word, phoneme, note or material.
    """

    time: float
    kind: str
    box: tuple[float, float, float, float] | None = None
    pan: float | None = None
    loudness: float | None = None
    end: float | None = None
    label: str | None = None


class Picture(NamedTuple):
    """The picture of a clip that has one."""

    frames: np.ndarray
    fps: Fraction


class Sound(NamedTuple):
    """The sound of a clip that has one."""

    waveform: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class Made:
    """What a model made of a clip.

    Attributes:
        frames: which, as [from, to); none where all are given.
        samples: as [from, to).
        stems: those that were made, at least in part.
        part: whether anything was given.
    """

    frames: tuple[int, int] = (0, 0)
    samples: tuple[int, int] = (0, 0)
    stems: tuple[str, ...] = ()
    part: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        """ "sound" and "picture", as far as they were made."""
        made = {"sound": self.samples, "picture": self.frames}
        return tuple(name for name, (start, end) in made.items() if end > start)

    def fitted(self, before: Clip, after: Clip) -> Made:
        """What was made of a clip some of whose attributes were replaced: of a stream that has another length, all,
        since nobody knows which part of it is left."""

        def of(span: tuple[int, int], old: int, new: int) -> tuple[int, int]:
            return span if old == new or span[0] == span[1] else (0, new)

        frames = of(self.frames, _length(before.frames, 0), _length(after.frames, 0))
        samples = of(self.samples, _length(before.waveform, 1), _length(after.waveform, 1))
        return replace(self, frames=frames, samples=samples, stems=tuple(n for n in self.stems if n in after.stems))


def _length(array: np.ndarray | None, axis: int) -> int:
    return 0 if array is None else array.shape[axis]


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of film: picture, sound or both.

    Attributes:
        frames: uint8 [T, H, W, 3] sRGB, or None for sound alone.
        fps: exact frame rate, or None when there are no frames.
        waveform: float32 [C, N] in [-1, 1], or None for a silent film.
        sample_rate: samples per second, or None when there is no waveform.
        layout: FFmpeg's name of each channel ("FL", "FR", "FC", "LFE", …); empty: the usual ones of their number.
        prompt: the text the clip was made from, or its caption.
        events: what happens in it, where that is known.
        stems: named parts of the sound ("speech", "effects", "music"), each like `waveform`.
        metadata: what made the clip, as written into its container.
        made: what of it a model made, where a model handed it out; None for a clip that was read or put together.
    """

    frames: np.ndarray | None = None
    fps: Fraction | None = None
    waveform: np.ndarray | None = None
    sample_rate: int | None = None
    prompt: str | None = None
    events: tuple[Event, ...] = ()
    stems: Mapping[str, np.ndarray] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    layout: tuple[str, ...] = ()
    made: Made | None = None

    def __post_init__(self) -> None:
        if self.frames is not None:
            if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3:
                raise ValueError(f"frames must be uint8 [T, H, W, 3], not {self.frames.dtype} {self.frames.shape}")
            if self.fps is None:
                raise ValueError("frames need a frame rate: pass fps")
            object.__setattr__(self, "fps", rational(self.fps))
        if self.waveform is not None:
            if self.waveform.dtype != np.float32 or self.waveform.ndim != 2:
                raise ValueError(f"waveform must be float32 [C, N], not {self.waveform.dtype} {self.waveform.shape}")
            if self.sample_rate is None:
                raise ValueError("a waveform needs a sample rate: pass sample_rate")

    def __repr__(self) -> str:
        """One line: what there is, not the arrays."""
        parts = []
        if self.frames is not None:
            count, height, width, _ = self.frames.shape
            parts.append(f"{count} frames {width}x{height} at {float(self.fps or 0):.5g} fps")
        if self.waveform is not None:
            channels = {1: "mono", 2: "stereo"}.get(len(self.waveform), f"{len(self.waveform)} channels")
            parts.append(f"{channels} at {self.sample_rate} Hz")
        parts = [*parts, f"{self.seconds:.4g} s"] if parts else ["empty"]
        parts += [f"prompt={self.prompt!r}"] if self.prompt else []
        parts += [f"{len(self.events)} events"] if self.events else []
        parts += [f"stems {' '.join(self.stems)}"] if self.stems else []
        return f"Clip({', '.join(parts)})"

    @property
    def seconds(self) -> float:
        """Duration of the longer of picture and sound."""
        return float(max(self.picture_seconds, self.sound_seconds))

    @property
    def picture_seconds(self) -> Fraction:
        return Fraction(len(self.frames)) / self.fps if self.frames is not None and self.fps else Fraction(0)

    @property
    def sound_seconds(self) -> Fraction:
        if self.waveform is None or not self.sample_rate:
            return Fraction(0)
        return Fraction(self.waveform.shape[1], self.sample_rate)

    @property
    def picture(self) -> Picture:
        """Frames and frame rate.

        Raises:
            ValueError: the clip has no picture.
        """
        if self.frames is None or self.fps is None:
            raise ValueError(f"a clip with a picture is needed, and this one has none: {self!r}")
        return Picture(self.frames, self.fps)

    @property
    def sound(self) -> Sound:
        """Waveform and sample rate.

        Raises:
            ValueError: the clip has no sound.
        """
        if self.waveform is None or self.sample_rate is None:
            raise ValueError(f"a clip with sound is needed, and this one has none: {self!r}")
        return Sound(self.waveform, self.sample_rate)

    def with_(self, **changes: Any) -> Clip:
        """A copy with some attributes replaced."""
        new = replace(self, **changes)
        return new if self.made is None or "made" in changes else replace(new, made=self.made.fitted(self, new))

    def save(self, path: str | Path, mark: bool = True) -> Path:
        """Write the clip; the format follows the name (.mp4 .webm .mkv .wav .gif).

        Args:
            mark: what a model made gets its marks, its signed manifest and its line in the log, as at the command line;
                without, the container's metadata alone says who made it. Nothing else is ever marked.

        Raises:
            PhonofilmError: it cannot be written, or not be signed; nothing is left half-written.
        """
        from phonofilm.provenance.saving import save

        return save(self, path, mark)

    def _repr_html_(self) -> str:
        from phonofilm.provenance.saving import shown

        return shown(self)


@dataclass(frozen=True)
class Latents:
    """What a model works on: one tensor per stream; an absent stream is None.

    video: [B, C, T, H, W]; audio: [B, S, C, T] with S stems, of which a mix is one. Noise levels are
    `Latents` too, with one channel and shapes that broadcast: video [B, 1, T or 1, H or 1, W or 1],
    audio [B, S or 1, 1, T or 1].
    """

    video: torch.Tensor | None = None
    audio: torch.Tensor | None = None

    def map(self, function: Callable[..., torch.Tensor], *others: Latents) -> Latents:
        """Apply a function to each stream that is present here (and so must be in all others)."""

        def one(name: str) -> torch.Tensor | None:
            mine = getattr(self, name)
            return None if mine is None else function(mine, *(getattr(other, name) for other in others))

        return Latents(one("video"), one("audio"))


@dataclass(frozen=True)
class Text:
    """Encoded prompts: token states float [B, L, D] and mask bool [B, L] (True where there is a token).

    Of the sound each stem may have a prompt of its own: states [B, S, L, D] and mask [B, S, L].
    """

    states: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Geometry:
    """How a family of models compresses picture and sound into latents and tokens.

    Both codecs are causal: the first latent stands for one frame (of sound: `audio_head` mel frames), each later one
    for `*_time` frames. So are patches in time: the first latent alone, then `patch[0]` to a token. Latents of both
    streams end together where the first ones last equally long, and the later ones too: at 24 fps and 96 mel frames
    a second, 2 and 8 frames to a latent with a head of 4.
    """

    video_time: int = 2
    video_space: int = 8
    patch: tuple[int, int, int] = (1, 4, 4)
    sample_rate: int = 16_000
    mel_hop: int = 400
    audio_time: int = 4
    audio_head: int = 1


@dataclass(frozen=True)
class Positions:
    """Where each token lies: bounds [start, end) per axis.

    video: float64 [tokens, 3, 2], axes (seconds, y pixels, x pixels), tokens ordered time, row, column.
    audio: float64 [tokens of one stem, 1, 2], seconds; all stems have the same.
    stems: which stems the sound has, by their numbers in the model, in the order of the latents.
    """

    video: np.ndarray
    audio: np.ndarray
    stems: tuple[int, ...] = (0,)


def causal_length(needed: int, factor: int, head: int = 1) -> int:
    """The smallest length head + factor·n that covers `needed` frames."""
    return head + factor * math.ceil((max(needed, head) - head) / factor)


def causal_bounds(count: int, factor: int, head: int = 1) -> np.ndarray:
    """int64 [count, 2]: first frame and end frame of each latent of a causal codec whose first has `head` frames."""
    end = np.arange(count) * factor + head
    return np.stack([np.maximum(end - factor, 0), end], axis=-1)


@dataclass(frozen=True)
class Grid:
    """Every length of one clip, derived from a duration and a size (see `Grid.of`).

    Frames are exact: a clip lasts frames / fps seconds, and the sound is as many samples as come
    nearest to that, so picture and sound end together within half a sample.
    """

    frames: int
    height: int
    width: int
    fps: Fraction
    geometry: Geometry = Geometry()

    @staticmethod
    def of(
        seconds: float | Fraction,
        size: int | tuple[int, int] = 64,
        fps: float | int | str | Fraction = 12,
        geometry: Geometry | None = None,
    ) -> Grid:
        """The grid of a clip of about `seconds`; size is one side or (width, height) in pixels.

        Raises:
            ValueError: a duration, size or rate that no clip can have.
        """
        exact = Fraction(str(seconds)) if isinstance(seconds, float) and math.isfinite(seconds) else seconds
        if isinstance(exact, float) or exact <= 0:
            raise ValueError(f"a clip must last more than 0 seconds, not {seconds}")
        geometry = geometry or Geometry()
        width, height = (size, size) if isinstance(size, int) else size
        step_y, step_x = (geometry.video_space * p for p in geometry.patch[1:])
        if width < step_x or height < step_y or width % step_x or height % step_y:
            raise ValueError(f"a size of {width}x{height} must be a multiple of {step_x}x{step_y}")
        rate = rational(fps)
        return Grid(max(1, nearest(Fraction(exact) * rate)), height, width, rate, geometry)

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.frames) / self.fps

    @property
    def sample_rate(self) -> int:
        return self.geometry.sample_rate

    @property
    def samples(self) -> int:
        """Samples per channel delivered."""
        return nearest(self.seconds * self.sample_rate)

    @property
    def model_frames(self) -> int:
        """Frames the video codec works on: 1 + k·n, trimmed to `frames` after decoding."""
        factor, patch = self.geometry.video_time, self.geometry.patch[0]
        latents = (causal_length(self.frames, factor) - 1) // factor + 1
        return 1 + (causal_length(latents, patch) - 1) * factor

    @property
    def mel_frames(self) -> int:
        """Mel frames the audio codec works on: head + k·n, trimmed to `samples` after decoding."""
        needed = math.ceil(Fraction(self.samples, self.geometry.mel_hop))
        return causal_length(needed, self.geometry.audio_time, self.geometry.audio_head)

    @property
    def video_shape(self) -> tuple[int, int, int]:
        """(T, H, W) of the video latents."""
        space = self.geometry.video_space
        latents = (self.model_frames - 1) // self.geometry.video_time + 1
        return latents, self.height // space, self.width // space

    @property
    def audio_length(self) -> int:
        """T of the audio latents, which is also the number of audio tokens of one stem."""
        return (self.mel_frames - self.geometry.audio_head) // self.geometry.audio_time + 1

    @property
    def video_tokens(self) -> tuple[int, int, int]:
        """(T, H, W) of the video tokens; the first latent has a row of its own."""
        (latents, height, width), (t, h, w) = self.video_shape, self.geometry.patch
        return 1 + (latents - 1) // t, height // h, width // w

    def video_times(self) -> np.ndarray:
        """float64 [T, 2]: start and end in seconds of each row of video tokens."""
        bounds = causal_bounds(self.video_shape[0], self.geometry.video_time)
        rows = causal_bounds(self.video_tokens[0], self.geometry.patch[0])
        merged = np.stack([bounds[rows[:, 0], 0], bounds[rows[:, 1] - 1, 1]], axis=-1)
        return merged * float(1 / self.fps)

    def audio_times(self) -> np.ndarray:
        """float64 [T, 2]: start and end in seconds of each audio token."""
        hop = self.geometry.mel_hop / self.sample_rate
        return causal_bounds(self.audio_length, self.geometry.audio_time, self.geometry.audio_head) * hop

    def positions(self, stems: tuple[int, ...] = (0,)) -> Positions:
        """Bounds of every token of both streams; `stems` are those that the sound has (see `Positions`)."""
        t, h, w = self.video_tokens
        step_y, step_x = (self.geometry.video_space * p for p in self.geometry.patch[1:])
        times = self.video_times()
        rows = np.stack([np.arange(h), np.arange(h) + 1], -1) * float(step_y)
        columns = np.stack([np.arange(w), np.arange(w) + 1], -1) * float(step_x)
        shape = (t, h, w, 2)
        axes = [
            np.broadcast_to(times[:, None, None], shape),
            np.broadcast_to(rows[None, :, None], shape),
            np.broadcast_to(columns[None, None, :], shape),
        ]
        return Positions(np.stack(axes, -2).reshape(-1, 3, 2), self.audio_times()[:, None, :], stems)


@dataclass(frozen=True, eq=False)
class Request:
    """The frozen description of one job; `digest` names its output.

    Attributes:
        prompt: what to make, in prose; quoted words are spoken.
        task: "generate" (text, or text and `image`, to both), "foley" (sound for `source`'s picture),
            "animate" (picture for `source`'s sound), "extend" (`seconds` more after `source`),
            "retake" (`source` again between the two times of `span`).
        seconds: duration of what is made; None takes the source's (or the model's own) duration.
        size: (width, height) in pixels, or None for the model's own.
        fps: frame rate, or None for the model's own.
        seed: seed of both noises; `video_seed` and `audio_seed` replace it per modality.
        steps: network evaluations of the sampler, or None for the model's own.
        guidance: (video, audio) classifier-free guidance scales, or None for the model's own.
        modality_guidance: (video, audio) scales of what the other modality adds, or None.
        stg: (video, audio) scales of spatio-temporal guidance, 0 for none of it, or None for the model's own.
        negative: what to steer away from.
        image: uint8 [H, W, 3], the first frame.
        source: the clip that foley, animate, extend and retake work on.
        span: (from, to) in seconds, for retake.
        only: make only these parts: "video", "audio" (all sound), "speech", "effects", "music"; None makes all. What is
            not among them stays as it is in a retake, and is absent elsewhere. None makes the picture alone in animate,
            and stems that have a prompt. Also as text: "effects,music".
        no: parts to do without: of "video" and "audio" there is nothing; a stem is given to the model as silence.
        effects, music: prompts of these stems; without one, and for speech, `prompt` tells what is heard.
        given_stems: stems that are not made but given, to picture and other stems too; each a clip with sound. Each
            begins with the clip; of one given to extend or retake the part that is made has its samples.
        gain: levels of stems in dB, 0 leaves one as it is.
        mix_as: of a source whose sound is one mix, the stem that the model takes it for; None guesses.
        hits: moments at which something is to sound, (seconds, strength above 0 and at most 1) each; a model needs a
            control module that hears them, and so for the next two.
        follow: a sound whose loudness over time the made one is to have.
        sync: whether the sound is told, moment by moment, what is seen; None does what the loaded modules can.
        control_scale: how strongly control modules count, 0 to 4; None is 1.
        draft: quick and rough: of our own models fewer steps without guidance, and half the size unless one is said.
        sampler: "euler", or of second order "heun", "multistep" and "unipc"; None for the model's own.
        model: name of a model, or a path to its weights.
    """

    prompt: str = ""
    task: Task = "generate"
    seconds: float | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    seed: int = 0
    video_seed: int | None = None
    audio_seed: int | None = None
    steps: int | None = None
    guidance: tuple[float, float] | None = None
    modality_guidance: tuple[float, float] | None = None
    stg: tuple[float, float] | None = None
    negative: str = ""
    image: np.ndarray | None = None
    source: Clip | None = None
    span: tuple[float, float] | None = None
    only: tuple[Part, ...] | None = None
    sampler: SamplerName | None = None
    model: str = "nano"
    no: tuple[Part, ...] = ()
    effects: str = ""
    music: str = ""
    given_stems: Mapping[Stem, Clip] = field(default_factory=dict)
    gain: Mapping[Stem, float] = field(default_factory=dict)
    mix_as: Stem | None = None
    draft: bool = False
    hits: tuple[tuple[float, float], ...] = ()
    follow: Clip | None = None
    sync: bool | None = None
    control_scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("only", "no"):
            object.__setattr__(self, name, parts(getattr(self, name)))

    def __repr__(self) -> str:
        """One line: the fields that are not as by default, and of an image its size alone."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        given |= {"image": None if self.image is None else f"{self.image.shape[1]}x{self.image.shape[0]}"}
        said = [f"{f.name}={given[f.name]!r}" for f in fields(self) if given[f.name] != default_of(f)]
        return f"Request({', '.join(said)})"

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the output, as 64 hex digits."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        given["only"] = None if self.only is None else ",".join(self.only)
        for f in fields(self):
            if f.name in _LATER and given[f.name] == default_of(f):
                del given[f.name]
        plain = {name: _plain(value) for name, value in given.items()}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_LATER = ("no", "effects", "music", "given_stems", "gain", "mix_as", "draft", "hits", "follow", "sync", "control_scale")
"""Fields that requests have not always had: a digest has those that are not as by default."""


def parts(names: str | Iterable[str] | None) -> Any:
    """Parts of a film in their own order, each once, from a list or a text as "effects,music"; None stays None."""
    if names is None:
        return None
    listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    known = [name for name in PARTS if name in listed]
    return (*known, *(name for name in dict.fromkeys(listed) if name not in known))


def default_of(of: Field[Any]) -> Any:
    """What a field of a dataclass has where nothing was said."""
    return of.default if of.default_factory is MISSING else of.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Clip):
        plain = [_plain(value.frames), str(value.fps), _plain(value.waveform), value.sample_rate]
        plain += [list(value.layout)] if value.layout else []
        return [*plain, _plain(value.stems)] if value.stems else plain
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
