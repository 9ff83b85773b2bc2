"""Faults as `benchmarks/curate.py` plants them in clips, and clips as others show them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.signal import resample_poly

from phonofilm.media import resize_frames
from phonofilm.types import Clip

Draw = np.random.Generator

PLAYED = 2.0
"""Seconds of each clip in a film of cuts."""


@dataclass(frozen=True)
class Fault:
    """How it is planted, the steps that must see it, the reason that they must give, what the clip is made before, and
    the families in which there is such a fault."""

    plant: Callable[[Clip, Draw], Clip]
    steps: tuple[str, ...]
    reason: str
    before: str = "as it is"
    families: tuple[str, ...] = ()


def stretch(clip: Clip, draw: Draw, least: float, most: float) -> tuple[float, float]:
    """A random stretch of a clip, in seconds, that leaves a quarter of a second at its ends."""
    length = draw.uniform(least, most)
    start = draw.uniform(0.25, len(clip.frames) / float(clip.fps) - length - 0.25)
    return start, start + length


def pictures(clip: Clip, frames: np.ndarray) -> Clip:
    return Clip(frames=np.ascontiguousarray(frames), fps=clip.fps, waveform=clip.waveform, sample_rate=clip.sample_rate)


def sound(clip: Clip, waveform: np.ndarray | None) -> Clip:
    rate = clip.sample_rate if waveform is not None else None
    return Clip(frames=clip.frames, fps=clip.fps, waveform=waveform, sample_rate=rate)


def part(clip: Clip, span: tuple[float, float], rate: float) -> slice:
    return slice(round(span[0] * rate), round(span[1] * rate))


def black(clip: Clip, draw: Draw) -> Clip:
    frames = clip.frames.copy()
    frames[part(clip, stretch(clip, draw, 0.5, 1.5), float(clip.fps))] = 0
    return pictures(clip, frames)


def frozen(clip: Clip, draw: Draw) -> Clip:
    frames, span = clip.frames.copy(), part(clip, stretch(clip, draw, 1.3, 2.5), float(clip.fps))
    frames[span] = frames[span.start]
    return pictures(clip, frames)


def bars(clip: Clip, draw: Draw) -> Clip:
    frames, height = clip.frames.copy(), round(draw.uniform(0.06, 0.2) * clip.frames.shape[1])
    frames[:, :height] = frames[:, -height:] = 0
    return pictures(clip, frames)


def interlaced(clip: Clip, draw: Draw) -> Clip:
    """Two fields a frame, as a camera of half the frame rate weaves them."""
    frames = clip.frames[: len(clip.frames) // 2 * 2]
    woven = frames[::2].copy()
    woven[:, 1::2] = frames[1::2, 1::2]
    return Clip(frames=woven, fps=clip.fps / 2, waveform=clip.waveform, sample_rate=clip.sample_rate)


def silence(clip: Clip, draw: Draw) -> Clip:
    return sound(clip, np.zeros_like(clip.waveform))


def gap(clip: Clip, draw: Draw) -> Clip:
    """Cut out where something is heard and was just before: what is cut out of silence, or with an onset, is no cut."""
    wave, rate = clip.waveform.copy(), clip.sample_rate
    hops = (wave[:, : wave.shape[1] // rate * rate * 1] ** 2).mean(axis=0)
    hops = hops[: len(hops) // 480 * 480].reshape(-1, 480).mean(axis=1)
    loud = hops > np.quantile(hops, 0.6)
    usual = np.flatnonzero(loud & np.roll(loud, 1) & np.roll(loud, 2) & np.roll(loud, 3))
    usual = usual[(usual * 480 > rate // 4) & (usual * 480 < wave.shape[1] - rate * 1.3)]
    start = int(draw.choice(usual)) * 480 if len(usual) else rate
    wave[:, start : start + round(draw.uniform(0.4, 1.0) * rate)] = 0
    return sound(clip, wave)


def clipping(clip: Clip, draw: Draw) -> Clip:
    """As loud as makes 0.3 to 3 % of the samples pass full scale."""
    level = np.quantile(np.abs(clip.waveform).max(axis=0), 1 - draw.uniform(0.003, 0.03))
    return sound(clip, np.clip(clip.waveform / max(float(level), 1e-4), -1, 1))


def clicks(clip: Clip, draw: Draw) -> Clip:
    wave = clip.waveform.copy()
    for _ in range(int(draw.integers(4, 9))):
        at = int(draw.integers(wave.shape[1] // 20, wave.shape[1] * 19 // 20))
        wave[:, at] += draw.choice([-1, 1]) * draw.uniform(0.3, 0.7)
    return sound(clip, np.clip(wave, -1, 1))


def one_twice(clip: Clip, draw: Draw) -> Clip:
    return sound(clip, np.repeat(clip.waveform.mean(axis=0, keepdims=True), 2, axis=0))


def lower_rate(clip: Clip, draw: Draw) -> Clip:
    down = int(draw.choice([2, 3]))
    low = resample_poly(clip.waveform, 1, down, axis=1)
    return sound(clip, resample_poly(low, down, 1, axis=1)[:, : clip.waveform.shape[1]].astype(np.float32))


def short_sound(clip: Clip, draw: Draw) -> Clip:
    return sound(clip, clip.waveform[:, : -round(draw.uniform(0.4, 1.5) * clip.sample_rate)])


def offset(clip: Clip, draw: Draw) -> Clip:
    """Sound 80 to 800 ms too early or too late."""
    return shifted(clip, round(draw.choice([-1, 1]) * draw.uniform(0.08, 0.8) * clip.sample_rate))


def shifted(clip: Clip, shift: int) -> Clip:
    """The sound so many samples later, silence where there is none."""
    wave = np.roll(clip.waveform, shift, axis=1)
    if shift > 0:
        wave[:, :shift] = 0
    else:
        wave[:, shift:] = 0
    return sound(clip, wave)


def drift(clip: Clip, draw: Draw) -> Clip:
    """Sound 5 to 10 % too fast or too slow."""
    speed = 1 + draw.choice([-1, 1]) * draw.uniform(0.05, 0.1)
    count = clip.waveform.shape[1]
    times = np.arange(count) * speed
    return sound(
        clip, np.stack([np.interp(times, np.arange(count), ear, right=0) for ear in clip.waveform]).astype("f4")
    )


SAID = ("Where were you last night?", "I cannot hear you.", "Three days later", "We have to go now!", "www.example.org",
        "Nobody told me that.", "CHAPTER TWO", "It was raining in the morning.")  # fmt: skip


def enlarged(clip: Clip) -> Clip:
    """Three times as large, so that text on it has as many pixels as in a small film."""
    return pictures(clip, resize_frames(clip.frames, (3 * clip.frames.shape[2], 3 * clip.frames.shape[1])))


def text(clip: Clip, draw: Draw) -> Clip:
    """A line of white letters with a black edge, near the bottom or in a corner, for most of the clip or all of it."""
    height, width = clip.frames.shape[1:3]
    size = round(height * draw.uniform(0.05, 0.08))
    line, font = str(draw.choice(SAID)), ImageFont.load_default(size)
    at = ((width // 2, round(0.9 * height)), (round(0.03 * width), round(0.06 * height)))[int(draw.random() < 0.3)]
    anchor, frames = ("mm", "lm")[int(at[0] < width // 4)], clip.frames.copy()
    for number in range(round(draw.uniform(0, 0.2) * len(frames)), round(draw.uniform(0.8, 1) * len(frames))):
        picture = Image.fromarray(frames[number])
        ImageDraw.Draw(picture).text(
            at, line, "white", font, anchor, stroke_width=max(1, size // 12), stroke_fill="black"
        )
        frames[number] = np.asarray(picture)
    return pictures(clip, frames)


def late_lips(clip: Clip, draw: Draw) -> Clip:
    """Sound 150 to 500 ms too early or too late."""
    return shifted(clip, round(draw.choice([-1, 1]) * draw.uniform(0.15, 0.5) * clip.sample_rate))


FAULTS: Mapping[str, Fault] = {
    "black": Fault(black, ("picture",), "black"),
    "frozen": Fault(frozen, ("picture",), "frozen"),
    "bars": Fault(bars, ("picture",), "bars"),
    "interlaced": Fault(interlaced, ("picture",), "interlaced"),
    "silence": Fault(silence, ("sound",), "no sound"),
    "gap": Fault(gap, ("sound",), "gap"),
    "clipping": Fault(clipping, ("sound",), "clipping"),
    "clicks": Fault(clicks, ("sound",), "clicks"),
    "one channel twice": Fault(one_twice, ("sound",), "one channel twice"),
    "lower rate": Fault(lower_rate, ("sound",), "lower rate"),
    "short sound": Fault(short_sound, ("sound",), "short sound"),
    "offset": Fault(offset, ("sync",), "offset"),
    "drift": Fault(drift, ("sync",), "drift"),
    "text": Fault(text, ("text",), "burnt-in text", "enlarged"),
    "lips": Fault(late_lips, ("faces", "speech", "lips"), "lip offset", families=("talk",)),
}
BEFORE: Mapping[str, Callable[[Clip], Clip]] = {"as it is": lambda clip: clip, "enlarged": enlarged}


def again(clip: Clip, draw: Draw) -> Clip:
    """The same content smaller, turned down, and without its first moments."""
    lost = round(draw.uniform(0, 0.5) * float(clip.fps))
    start = round(lost / float(clip.fps) * clip.sample_rate)
    frames = resize_frames(clip.frames[lost:], (96, 96))
    return Clip(frames=frames, fps=clip.fps, waveform=0.7 * clip.waveform[:, start:], sample_rate=clip.sample_rate)


def joined(clips: Sequence[Clip], draw: Draw, mixed: bool) -> tuple[Clip, list[float]]:
    """Clips one after the other, and the seconds at which one gives way to the next."""
    fps, played = float(clips[0].fps), round(PLAYED * float(clips[0].fps))
    frames, marks = clips[0].frames[:played].astype(np.float32), []
    for clip in clips[1:]:
        new = clip.frames[:played].astype(np.float32)
        length = round(draw.uniform(0.4, 1.2) * fps) if mixed else 0
        if length:
            share = ((np.arange(length) + 0.5) / length)[:, None, None, None]
            middle = frames[-length:] * (1 - share) + new[:length] * share
            frames = np.concatenate([frames[:-length], middle, new[length:]])
        else:
            frames = np.concatenate([frames, new])
        marks.append((len(frames) - len(new) + length / 2) / fps)
    return Clip(frames=frames.round().astype(np.uint8), fps=clips[0].fps), marks


def copied(clip: Clip, draw: Draw) -> Clip:
    """The same content as somebody else shows it: mirrored, cropped, graded, turned down, without its first moments."""
    lost, edge = round(draw.uniform(0, 0.5) * float(clip.fps)), round(draw.uniform(0.02, 0.08) * clip.frames.shape[1])
    part = clip.frames[lost:, edge:-edge, -edge - 1 : edge : -1] / 255.0
    graded = (255 * part ** draw.uniform(0.8, 1.25) * draw.uniform(0.85, 1, 3)).clip(0, 255).astype(np.uint8)
    start = round(lost / float(clip.fps) * clip.sample_rate)
    frames = resize_frames(graded, clip.frames.shape[2:0:-1])
    return Clip(frames=frames, fps=clip.fps, waveform=0.7 * clip.waveform[:, start:], sample_rate=clip.sample_rate)
