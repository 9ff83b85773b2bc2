"""Precision and recall of the filters of `phonofilm data curate` on planted faults.

    phonofilm world bounce strike pass blast rain talk -n 200 --edition 2 --size 128 --fps 24 --seed 82000000 -o clips/
    python benchmarks/curate.py clips/ [--first 0 --count 100 --faults black,offset,...]

Each fault is planted in clips of Foley World, of which every one is written as a file (H.264 and AAC) and measured by
the steps as they are. The same clips without a fault say how often a filter throws out what is right. Faults of sound
are written beside a picture a second, which these steps do not see. Cuts and dissolves are planted in films of four
clips each. "events" holds what is heard, said and captioned of whole clips against the world's truth. Prints Markdown.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

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
from phonofilm.data.curate.steps.captions import NAMES
from phonofilm.data.manifest import ClipRecord
from phonofilm.evaluation.metrics.word_error_rate import word_errors
from phonofilm.media import resize_frames, write_clip
from phonofilm.media.shots.scan import outline
from phonofilm.types import Clip, Event
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
DUPLICATES, CUTS, DISSOLVES, EVENTS = "duplicate", "cut", "dissolve", "events"

HEARD: Mapping[str, frozenset[str]] = {
    "bounce": frozenset({"knock", "glass", "bell"}),
    "strike": frozenset({"mallet", "bell", "music"}),
    "blast": frozenset({"explosion", "gunshot"}),
    "rain": frozenset({"rain", "water", "thunder", "wind"}),
    "pass": frozenset({"vehicle", "train", "bird", "siren", "horn", "aircraft", "engine"}),
    "talk": frozenset({"speech"}),
}
"""Classes that are true of what is heard in each family; chosen before anything was measured."""

STRUCK: Mapping[str, str] = {"bounce": "impact", "strike": "strike", "blast": "blast"}
"""Families of which every event has an onset, and the kind of these events."""
ONSET_NEAR = 0.05


def slides(clip: Clip) -> Clip:
    """The sound beside one picture a second."""
    return Clip(
        frames=clip.frames[:: round(clip.fps)], fps=Fraction(1), waveform=clip.waveform, sample_rate=clip.sample_rate
    )


def measured(clip: Clip, steps: Sequence[str], folder: Path) -> dict[str, Value]:
    """Results of steps of a clip that was written as a file."""
    path = write_clip(slides(clip) if set(steps) == {"sound"} else clip, folder / "clip.mp4")
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
    parser.add_argument("--every", type=int, default=1, help="take every so many-th clip")
    parser.add_argument("--faults", default=",".join([*FAULTS, DUPLICATES, CUTS, DISSOLVES, EVENTS]))
    given = parser.parse_args()
    limit_threads(1)
    store, wanted = RawStore(given.store), given.faults.split(",")

    def clip(row: int) -> Clip:
        waveform = store.waveforms([row])[0].numpy()
        return Clip(
            frames=store.frames([row])[0].numpy(), fps=store.fps, waveform=waveform, sample_rate=store.sample_rate
        )

    rows = range(given.first, given.first + given.every * given.count, given.every)
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
        if EVENTS in wanted:
            against_truth([(clip(row), store.records[row]) for row in rows], Path(folder))


def planted_faults(clips: Sequence[Clip], names: Sequence[str], folder: Path) -> None:
    rules = Rules.of()
    needed = {FAULTS[name].steps for name in names}
    clean = [
        {one.reason for steps in needed for one in rules.findings(measured(clip, steps, folder))} for clip in clips
    ]
    unknown = sum("sync unknown" in reasons for reasons in clean)
    for name in names:
        fault, draw = FAULTS[name], np.random.default_rng(sum(map(ord, name)))
        results = [measured(fault.plant(clip, draw), fault.steps, folder) for clip in clips]
        reasons = [{one.reason for one in rules.findings(values)} for values in results]
        missed = [number for number, found in enumerate(reasons) if fault.reason not in found]
        if name in ("offset", "drift"):
            kept = [one for one in missed if not reasons[one] & {"sync unknown", "offset", "drift"}]
            aside = sum(reasons[one] & {"sync unknown", "offset", "drift"} == {"sync unknown"} for one in missed)
            print(f"<!-- {name}: of those missed {aside} are set aside as unknown, {len(kept)} would be kept -->")
        false = [number for number, found in enumerate(clean) if fault.reason in found]
        print(row_of(name, len(clips), len(clips) - len(missed), len(false), len(clips)), flush=True)
        print(f"<!-- missed {missed}, falsely found {false} -->", flush=True)
    if ("sync",) in needed:
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


def against_truth(clips: Sequence[tuple[Clip, ClipRecord]], folder: Path) -> None:
    """Events, words and captions of whole clips without a fault, against the truth that they were drawn from."""
    steps = ("picture", "content", "faces", "events", "speech", "caption")
    counts: Counter[str] = Counter()
    times: list[float] = []
    for clip, record in clips:
        found, family = measured(clip, steps, folder), record.family
        events = found["events"]["events"]
        true = [event for event in record.events if event.kind == STRUCK.get(family)]
        if true:
            begins = [one["start"] for one in events if one["name"] in HEARD[family] - {"music"}]
            counts["onsets true"] += len(true)
            counts["onsets found"] += len(begins)
            counts["onsets both"] += matched(begins, [event.time for event in true], ONSET_NEAR)
        music = any(event.kind == "music" for event in record.events)
        allowed = HEARD[family] | ({"music"} if music else frozenset())
        counts["classes found"] += len(events)
        counts["classes right"] += sum(one["name"] in allowed for one in events)
        counts["clips"] += 1
        counts["clips heard"] += any(one["name"] in HEARD[family] for one in events)
        said = {name for name, text in NAMES.items() if text in found["caption"]["sound"].replace(",", " ")}
        counts["sounds stated"] += len(said)
        counts["sounds true"] += len(said & allowed)
        face = "face" in found["caption"]["picture"]
        counts["faces stated"] += face
        counts["faces true"] += face and family == "talk"
        words = [event for event in record.events if event.kind == "word"]
        counts["talk"] += bool(words)
        counts["talk with face"] += bool(words) and face
        if words:
            errors = word_errors(found["speech"]["text"], " ".join(event.label for event in words))
            counts["words"] += len(words)
            counts["words wrong"] += errors.substitutions + errors.deletions + errors.insertions
            times += word_times(found["speech"]["words"], words)
    print_truth(counts, times)


def word_times(found: Sequence[Mapping[str, Any]], true: Sequence[Event]) -> list[float]:
    """Seconds between the beginnings of the same words, each paired with the nearest of its letters."""
    plain = {one["start"]: re.sub(r"[^a-z']", "", str(one["text"]).lower()) for one in found}
    apart = [min((abs(start - word.time) for start, text in plain.items() if text == word.label), default=None)
             for word in true]  # fmt: skip
    return [one for one in apart if one is not None]


def print_truth(counts: Counter[str], times: Sequence[float]) -> None:
    def share(one: str, other: str) -> str:
        return f"{counts[one]} of {counts[other]} ({counts[one] / max(counts[other], 1):.2f})"

    f1 = 2 * counts["onsets both"] / max(counts["onsets true"] + counts["onsets found"], 1)
    median = f"{1000 * float(np.median(times)):.0f} ms of {len(times)}" if times else "-"
    print("\n| against truth | measured |\n|---|---|")
    print(f"| onsets of impacts, strikes and blasts within 50 ms, F1 | {f1:.2f} of {counts['onsets true']} |")
    print(f"| classes of events that are true | {share('classes right', 'classes found')} |")
    print(f"| clips whose family is heard | {share('clips heard', 'clips')} |")
    print(f"| sounds that captions state, true | {share('sounds true', 'sounds stated')} |")
    print(f"| faces that captions state, true | {share('faces true', 'faces stated')} |")
    print(f"| talking clips whose caption has a face | {share('talk with face', 'talk')} |")
    print(f"| words of talk that are wrong (WER) | {share('words wrong', 'words')} |")
    print(f"| beginnings of words that were heard right, median | {median} |", flush=True)


def row_of(name: str, planted: int, found: int, false: int, clean: int | None) -> str:
    precision, recall = found / max(found + false, 1), found / max(planted, 1)
    beside = f"{false} of {clean}" if clean else f"{false}"
    return f"| {name} | {planted} | {found} | {beside} | {precision:.2f} | {recall:.2f} |"


if __name__ == "__main__":
    main()
