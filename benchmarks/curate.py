"""Precision and recall of the filters of `phonofilm data curate` on planted faults.

    phonofilm world bounce strike pass blast rain talk -n 200 --edition 2 --size 128 --fps 24 --seed 82000000 -o clips/
    python benchmarks/curate.py clips/ [--first 0 --count 100 --faults black,offset,...]

Each fault is planted in clips of Foley World, of which every one is written as a file (H.264 and AAC) and measured by
the steps as they are. The same clips without a fault say how often a filter throws out what is right. Cuts and
dissolves are planted in films of four clips each. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from phonofilm.data.clips import RawStore
from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.common.step import Value
from phonofilm.data.curate.duplicates import find_duplicates
from phonofilm.data.curate.measuring import run_steps
from phonofilm.data.curate.registry import STEPS
from phonofilm.data.curate.rules import Rules
from phonofilm.data.curate.shots import find_shots
from phonofilm.media import resize_frames, write_clip
from phonofilm.media.shots.scan import outline
from phonofilm.types import Clip
from phonofilm.workers import limit_threads

Draw = np.random.Generator
CUT_NEAR, MIX_NEAR = 0.06, 0.35
"""Seconds within which a cut, and the middle of a dissolve, must be found."""

PER_FILM, PLAYED = 4, 2.0
"""Clips in a film of cuts, and seconds of each."""


@dataclass(frozen=True)
class Fault:
    """How it is planted, the steps that must see it, and the reason that they must give."""

    plant: Callable[[Clip, Draw], Clip]
    steps: tuple[str, ...]
    reason: str


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
    """Cut out where it is loud: what is cut out of silence is none."""
    wave, rate = clip.waveform.copy(), clip.sample_rate
    hops = (wave[:, : wave.shape[1] // rate * rate * 1] ** 2).mean(axis=0)
    hops = hops[: len(hops) // 480 * 480].reshape(-1, 480).mean(axis=1)
    usual = np.flatnonzero(hops > np.quantile(hops, 0.6))
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
    shift = round(draw.choice([-1, 1]) * draw.uniform(0.08, 0.8) * clip.sample_rate)
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
}
DUPLICATES, CUTS, DISSOLVES = "duplicate", "cut", "dissolve"


def measured(clip: Clip, steps: Sequence[str], folder: Path) -> dict[str, Value]:
    """Results of steps of a clip that was written as a file."""
    path = write_clip(clip, folder / "clip.mp4")
    found = outline(path)
    shot = Shot("0" * 64, 0, found.start, found.start + Fraction(len(clip.frames)) / Fraction(clip.fps))
    values, _ = run_steps([step for step in STEPS if step.name in steps], Material(path, shot), {})
    return values


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


def found_marks(path: Path, kind: str) -> list[float]:
    shots = find_shots(path, "0" * 64)
    ends = pairwise(shots)
    return [float(one.stop + two.start) / 2 for one, two in ends if one.closed_by == kind]


def matched(found: Sequence[float], true: Sequence[float], near: float) -> int:
    """Pairs within `near` seconds, each used once."""
    left, hits = list(found), 0
    for mark in true:
        best = min(left, key=lambda time: abs(time - mark), default=None)
        if best is not None and abs(best - mark) <= near:
            left.remove(best)
            hits += 1
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--faults", default=",".join([*FAULTS, DUPLICATES, CUTS, DISSOLVES]))
    given = parser.parse_args()
    limit_threads(1)
    store, wanted = RawStore(given.store), given.faults.split(",")

    def clip(row: int) -> Clip:
        waveform = store.waveforms([row])[0].numpy()
        return Clip(
            frames=store.frames([row])[0].numpy(), fps=store.fps, waveform=waveform, sample_rate=store.sample_rate
        )

    rows = range(given.first, given.first + given.count)
    print(
        "| fault | planted | found | falsely found, of clean | precision | recall |\n|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        planted_faults([clip(row) for row in rows], [name for name in wanted if name in FAULTS], Path(folder))
        if DUPLICATES in wanted:
            planted_duplicates([clip(row) for row in rows], Path(folder))
        for kind in (CUTS, DISSOLVES):
            if kind in wanted:
                planted_marks([clip(row) for row in rows], kind, Path(folder))


def planted_faults(clips: Sequence[Clip], names: Sequence[str], folder: Path) -> None:
    rules = Rules.of()
    needed = tuple({step for name in names for step in FAULTS[name].steps})
    clean = [{one.reason for one in rules.findings(measured(clip, needed, folder))} for clip in clips] if names else []
    unknown = sum("sync unknown" in reasons for reasons in clean)
    for name in names:
        fault, draw = FAULTS[name], np.random.default_rng(sum(map(ord, name)))
        results = [measured(fault.plant(clip, draw), fault.steps, folder) for clip in clips]
        reasons = [{one.reason for one in rules.findings(values)} for values in results]
        missed = [number for number, found in enumerate(reasons) if fault.reason not in found]
        if name in ("offset", "drift"):
            print(f"<!-- {name}: of missed ones unknown {sum('sync unknown' in reasons[one] for one in missed)} -->")
        false = [number for number, found in enumerate(clean) if fault.reason in found]
        print(row_of(name, len(clips), len(clips) - len(missed), len(false), len(clips)), flush=True)
        print(f"<!-- missed {missed}, falsely found {false} -->", flush=True)
    if "sync" in needed:
        print(f"<!-- sync is unknown of {unknown} clean clips -->", flush=True)


def planted_duplicates(clips: Sequence[Clip], folder: Path) -> None:
    draw, hashes = np.random.default_rng(5), dict[str, Value]()
    for number, clip in enumerate(clips):
        hashes[f"{number}"] = measured(clip, ("picture", "hashes"), folder)["hashes"]
    for number, clip in enumerate(clips):
        hashes[f"{number} again"] = measured(again(clip, draw), ("picture", "hashes"), folder)["hashes"]
    found = find_duplicates(hashes)
    right = sum(same.original == key.removesuffix(" again") for key, same in found.items() if key.endswith("again"))
    print(row_of(DUPLICATES, len(clips), right, len(found) - right, len(clips)), flush=True)


def planted_marks(clips: Sequence[Clip], kind: str, folder: Path) -> None:
    draw, hits, found_in_all, true_in_all = np.random.default_rng(6), 0, 0, 0
    for first in range(0, len(clips) - PER_FILM + 1, PER_FILM - 1):
        film, true = joined(clips[first : first + PER_FILM], draw, kind == DISSOLVES)
        found = found_marks(write_clip(film, folder / "film.mp4"), kind)
        hits += matched(found, true, CUT_NEAR if kind == CUTS else MIX_NEAR)
        found_in_all += len(found)
        true_in_all += len(true)
    print(row_of(kind, true_in_all, hits, found_in_all - hits, None), flush=True)


def row_of(name: str, planted: int, found: int, false: int, clean: int | None) -> str:
    precision, recall = found / max(found + false, 1), found / max(planted, 1)
    beside = f"{false} of {clean}" if clean else f"{false}"
    return f"| {name} | {planted} | {found} | {beside} | {precision:.2f} | {recall:.2f} |"


if __name__ == "__main__":
    main()
