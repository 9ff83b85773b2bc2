"""Precision and recall of the filters of `phonofilm data curate` on planted faults.

    phonofilm world bounce strike pass blast rain talk -n 200 --edition 1 --size 128 --fps 24 --seed 82000000 -o clips/
    python benchmarks/curate.py clips/ --cache measured/ [--first 0 --count 100 --faults black,offset,...]

Each fault is planted in clips of Foley World, of which every one is written as a file (H.264 and AAC) and measured by
the steps as they are. The same clips without a fault say how often a filter throws out what is right. Faults of sound
are written beside a picture a second, which these steps do not see; text lies on pictures that were made three times as
large, and lips are only asked of scenes in which somebody talks. Cuts and dissolves are planted in films of four clips
each. "events" holds what is heard, said and captioned of whole clips against the world's truth.

What was measured of a clip is kept in the folder of --cache, so that a run that was stopped, by hand or by --minutes of
the processor, goes on where it was and prints what there is. Prints Markdown, with 95 % intervals (Clopper-Pearson).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from curate_plant import BEFORE, FAULTS, again, copied, joined
from scipy.stats import binomtest

from phonofilm.data.clips import RawStore
from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.common.step import Value
from phonofilm.data.curate.duplicates import find_duplicates
from phonofilm.data.curate.likenesses import find_like
from phonofilm.data.curate.measuring import run_steps
from phonofilm.data.curate.registry import STEPS
from phonofilm.data.curate.rules import Rules
from phonofilm.data.curate.shots import VERSION, find_shots, made_by
from phonofilm.data.curate.steps.captions import NAMES
from phonofilm.data.curate.steps.hearing import UNNAMED
from phonofilm.data.manifest import ClipRecord
from phonofilm.evaluation.metrics.word_error_rate import word_errors
from phonofilm.media import write_clip
from phonofilm.media.shots.scan import outline
from phonofilm.types import Clip, Event
from phonofilm.workers import limit_threads

CUT_NEAR, MIX_NEAR = 0.06, 0.35
"""Seconds within which a cut, and the middle of a dissolve, must be found."""

PER_FILM = 4
"""Clips in a film of cuts."""


DUPLICATES, LIKE, CUTS, DISSOLVES, EVENTS = "duplicate", "like test set", "cut", "dissolve", "events"

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

BESIDE = "debris"
"""Events that set in as well, many and faint: to find them is neither right nor wrong."""
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


class Bench:
    """Clips of a store, what is planted in them, and what was measured of it before.

    Args:
        cache: folder of what was measured, a file for each clip and fault. seconds: of the processor, after which
            nothing new is measured.
    """

    def __init__(self, store: RawStore, cache: Path, folder: Path, seconds: float) -> None:
        self.store, self.cache, self.folder, self.seconds = store, cache, folder, seconds
        self.source = str(json.loads((store.folder / "store.json").read_text()).get("source"))

    def clip(self, row: int) -> Clip:
        waveform = self.store.waveforms([row])[0].numpy()
        return Clip(frames=self.store.frames([row])[0].numpy(), fps=self.store.fps, waveform=waveform,
                    sample_rate=self.store.sample_rate)  # fmt: skip

    def family(self, row: int) -> str:
        return self.store.records[row].family

    def kept(self, name: str, row: int, by: Sequence[str], work: Callable[[], Any]) -> Any:
        """What was measured under a name of a row by these steps, now if need be; None after the time is up."""
        versions = [f"{step.name} {step.version}" for step in STEPS if step.name in by] or [f"{VERSION} {made_by()}"]
        key = hashlib.sha256("\n".join([self.source, name, str(row), *versions]).encode()).hexdigest()[:20]
        path = self.cache / f"{key}.json"
        if path.is_file():
            return json.loads(path.read_text())
        if time.process_time() > self.seconds:
            return None
        found = work()
        path.parent.mkdir(parents=True, exist_ok=True)
        (new := path.with_suffix(".new")).write_text(json.dumps(found))
        new.replace(path)
        return found

    def measured(self, name: str, row: int, steps: Sequence[str], make: Callable[[Clip], Clip]) -> Any:
        """Results of steps of a clip, made into another before."""
        return self.kept(name, row, steps, lambda: measured(make(self.clip(row)), steps, self.folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th clip")
    parser.add_argument("--family", help="take clips of this family alone")
    parser.add_argument("--faults", default=",".join([*FAULTS, DUPLICATES, LIKE, CUTS, DISSOLVES, EVENTS]))
    parser.add_argument("--cache", type=Path, help="where what was measured is kept")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="of the processor, then print what there is"
    )
    given = parser.parse_args()
    limit_threads(1)
    store, wanted = RawStore(given.store), given.faults.split(",")
    rows = [row for row in range(given.first, len(store.records), given.every)
            if given.family in (None, store.records[row].family)][: given.count]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(store, given.cache or Path(folder) / "cache", Path(folder), 60 * given.minutes)
        print(f"| fault | planted | found | falsely found, of clean | precision | recall |\n|{'---|' * 6}", flush=True)
        planted_faults(bench, rows, [name for name in wanted if name in FAULTS])
        if DUPLICATES in wanted:
            planted_duplicates(bench, rows)
        if LIKE in wanted:
            planted_copies(bench, rows)
        for kind in (CUTS, DISSOLVES):
            if kind in wanted:
                planted_marks(bench, rows, kind)
        if EVENTS in wanted:
            against_truth(bench, rows)


@dataclass(frozen=True)
class Pair:
    """What was measured of a clip without a fault and with one, and the reasons that each has."""

    family: str
    clean: Mapping[str, Value]
    planted: Mapping[str, Value]
    before: frozenset[str]
    after: frozenset[str]


def planted_faults(bench: Bench, rows: Sequence[int], names: Sequence[str]) -> None:
    found: dict[str, list[Pair]] = {name: [] for name in names}
    for row in rows:  # clip by clip, so that a run that is stopped has something of every fault
        for name in names:
            pair = pair_of(bench, row, name)
            if pair is not None:
                found[name].append(pair)
    for name, pairs in found.items():
        hits = sum(FAULTS[name].reason in pair.after for pair in pairs)
        false = sum(FAULTS[name].reason in pair.before for pair in pairs)
        print(row_of(name, len(pairs), hits, false, len(pairs)), flush=True)
    for name, step, known in (("offset", "sync", "known"), ("drift", "sync", "drift_known"), ("lips", "lips", "known")):
        if found.get(name):
            print_known(name, step, known, found[name])


def pair_of(bench: Bench, row: int, name: str) -> Pair | None:
    fault, rules = FAULTS[name], Rules.of()
    if fault.families and bench.family(row) not in fault.families:
        return None
    before = BEFORE[fault.before]
    draw = np.random.default_rng([row, *map(ord, name)])
    clean = bench.measured(f"clean {fault.before} {' '.join(fault.steps)}", row, fault.steps, before)
    planted = bench.measured(name, row, fault.steps, lambda clip: fault.plant(before(clip), draw))
    if clean is None or planted is None:
        return None
    reasons = [frozenset(one.reason for one in rules.findings(values)) for values in (clean, planted)]
    return Pair(bench.family(row), clean, planted, *reasons)


def print_known(name: str, step: str, known: str, pairs: Sequence[Pair]) -> None:
    """Of a filter that says "unknown" of some clips: how many it knows, what it finds of these, what is kept."""
    print(f"\n| {name}, by family | known of clean | found of those | found of all | thrown out or aside | kept |")
    print("|" + "---|" * 6)
    for family in ("", *sorted({pair.family for pair in pairs})):
        some = [pair for pair in pairs if family in ("", pair.family)]
        sure = [pair for pair in some if pair.clean[step][known]]
        hits = [pair for pair in some if FAULTS[name].reason in pair.after]
        stopped = sum(bool(pair.after & {"offset", "drift", "lip offset", "sync unknown"}) for pair in some)
        of_those = share(sum(pair in hits for pair in sure), len(sure))
        print(f"| {family or 'all'} | {share(len(sure), len(some))} | {of_those} | {share(len(hits), len(some))} "
              f"| {stopped} | {len(some) - stopped} |")  # fmt: skip
    print(flush=True)


def planted_duplicates(bench: Bench, rows: Sequence[int]) -> None:
    hashes: dict[str, Value] = {}
    steps = ("picture", "hashes")
    for row in rows:
        clean = bench.measured("clean hashes", row, steps, lambda clip: clip)
        copy = bench.measured("again", row, steps, lambda clip, row=row: again(clip, np.random.default_rng([5, row])))
        if clean is not None and copy is not None:
            hashes |= {f"{row}": clean["hashes"], f"{row} again": copy["hashes"]}
    hashes = dict(sorted(hashes.items(), key=lambda one: one[0].endswith("again")))
    found = find_duplicates(hashes)
    right = sum(same.original == key.removesuffix(" again") for key, same in found.items() if key.endswith("again"))
    print(row_of(DUPLICATES, len(hashes) // 2, right, len(found) - right, len(hashes) // 2), flush=True)


def planted_copies(bench: Bench, rows: Sequence[int]) -> None:
    """Every other clip is a test set: copies of these, and the clips that are not in it."""
    steps, tests, copies, others = ("picture", "likeness"), dict[str, Value](), dict[str, Value](), dict[str, Value]()
    for place, row in enumerate(rows):
        clean = bench.measured("clean likeness", row, steps, lambda clip: clip)
        if clean is None:
            break
        if place % 2:
            others[f"{row}"] = clean["likeness"]
            continue
        copy = bench.measured("copied", row, steps, lambda clip, row=row: copied(clip, np.random.default_rng([8, row])))
        if copy is None:
            break
        tests[f"{row}"], copies[f"{row}"] = clean["likeness"], copy["likeness"]
    least = Rules.of().thresholds[LIKE]
    hits = sum(one.likeness > least for one in find_like(copies, tests).values())
    false = sum(one.likeness > least for one in find_like(others, tests).values())
    print(row_of(LIKE, len(copies), hits, false, len(others)), flush=True)


def planted_marks(bench: Bench, rows: Sequence[int], kind: str) -> None:
    hits = found_in_all = true_in_all = 0
    for first in range(0, len(rows) - PER_FILM + 1, PER_FILM - 1):
        some = rows[first : first + PER_FILM]

        def work(some: Sequence[int] = some) -> Any:
            draw = np.random.default_rng([6, some[0]])
            film, true = joined([bench.clip(row) for row in some], draw, kind == DISSOLVES)
            return {"true": true, "found": found_marks(write_clip(film, bench.folder / "film.mp4"), kind)}

        marks = bench.kept(f"{kind} {some}", some[0], (), work)
        if marks is None:
            break
        hits += matched(marks["found"], marks["true"], CUT_NEAR if kind == CUTS else MIX_NEAR)
        found_in_all += len(marks["found"])
        true_in_all += len(marks["true"])
    print(row_of(kind, true_in_all, hits, found_in_all - hits, None), flush=True)


def against_truth(bench: Bench, rows: Sequence[int]) -> None:
    """Events, words and captions of whole clips without a fault, against the truth that they were drawn from."""
    steps = ("picture", "content", "faces", "events", "speech", "caption")
    counts: Counter[str] = Counter()
    times: list[float] = []
    for row in rows:
        found = bench.measured("truth", row, steps, lambda clip: clip)
        if found is None:
            break
        counts += counted(found, bench.store.records[row])
        words = [event for event in bench.store.records[row].events if event.kind == "word"]
        times += word_times(found["speech"]["words"], words)
    print_truth(counts, times)


def counted(found: Mapping[str, Value], record: ClipRecord) -> Counter[str]:
    """Of one clip, how many things are stated and how many are true."""
    counts, family, events = Counter[str](), record.family, found["events"]["events"]
    true = [event.time for event in record.events if event.kind == STRUCK.get(family)]
    if true:
        begins = sorted({one["start"] for one in events if one["name"] in (HEARD[family] | {UNNAMED}) - {"music"}})
        both = matched(begins, true, ONSET_NEAR)
        beside = [event.time for event in record.events if event.kind == BESIDE]
        spare = [time for time in begins if all(abs(time - other) > ONSET_NEAR for other in true)]
        counts["onsets true"] += len(true)
        counts["onsets found"] += len(begins) - matched(spare, beside, ONSET_NEAR)
        counts["onsets both"] += both
    named = [one["name"] for one in events if one["name"] != UNNAMED]
    allowed = HEARD[family] | ({"music"} if any(event.kind == "music" for event in record.events) else frozenset())
    counts["classes found"] += len(named)
    counts["classes right"] += sum(name in allowed for name in named)
    counts["clips"] += 1
    counts["clips heard"] += any(name in HEARD[family] for name in named)
    said = {name for name, said in NAMES.items() if said in found["caption"]["sound"].replace(",", " ")}
    counts["sounds stated"] += len(said)
    counts["sounds true"] += len(said & allowed)
    face, words = "face" in found["caption"]["picture"], [event for event in record.events if event.kind == "word"]
    counts["faces stated"] += face
    counts["faces true"] += face and family == "talk"
    counts["talk"] += bool(words)
    counts["talk with face"] += bool(words) and face
    if words:
        errors = word_errors(found["speech"]["text"], " ".join(event.label for event in words))
        counts["words"] += len(words)
        counts["words wrong"] += errors.substitutions + errors.deletions + errors.insertions
    return counts


def word_times(found: Sequence[Mapping[str, Any]], true: Sequence[Event]) -> list[float]:
    """Seconds between the beginnings of the same words, each paired with the nearest of its letters."""
    plain = {one["start"]: re.sub(r"[^a-z']", "", str(one["text"]).lower()) for one in found}
    apart = [min((abs(start - word.time) for start, said in plain.items() if said == word.label), default=None)
             for word in true]  # fmt: skip
    return [one for one in apart if one is not None]


def print_truth(counts: Counter[str], times: Sequence[float]) -> None:
    def of(one: str, other: str) -> str:
        return share(counts[one], counts[other])

    f1 = 2 * counts["onsets both"] / max(counts["onsets true"] + counts["onsets found"], 1)
    median = f"{1000 * float(np.median(times)):.0f} ms of {len(times)}" if times else "-"
    print(f"\n| against truth, {counts['clips']} clips | measured |\n|---|---|")
    print(f"| onsets of impacts, strikes and blasts within 50 ms, F1 | {f1:.2f} of {counts['onsets true']} |")
    print(f"| classes of events that are true | {of('classes right', 'classes found')} |")
    print(f"| clips whose family is heard | {of('clips heard', 'clips')} |")
    print(f"| sounds that captions state, true | {of('sounds true', 'sounds stated')} |")
    print(f"| faces that captions state, true | {of('faces true', 'faces stated')} |")
    print(f"| talking clips whose caption has a face | {of('talk with face', 'talk')} |")
    print(f"| words of talk that are wrong (WER) | {of('words wrong', 'words')} |")
    print(f"| beginnings of words that were heard right, median | {median} |", flush=True)


def share(hits: int, count: int) -> str:
    """As "3 of 4 (0.75; 0.19-0.99)", the latter the interval."""
    if not count:
        return "0 of 0"
    if hits > count:
        return f"{hits} of {count} ({hits / count:.2f})"
    low, high = binomtest(hits, count).proportion_ci(0.95, "exact")
    return f"{hits} of {count} ({hits / count:.2f}; {low:.2f}-{high:.2f})"


def rate(hits: int, count: int) -> str:
    if not count:
        return "-"
    low, high = binomtest(hits, count).proportion_ci(0.95, "exact")
    return f"{hits / count:.2f} ({low:.2f}-{high:.2f})"


def row_of(name: str, planted: int, found: int, false: int, clean: int | None) -> str:
    beside = f"{false} of {clean}" if clean else f"{false}"
    return f"| {name} | {planted} | {found} | {beside} | {rate(found, found + false)} | {rate(found, planted)} |"


if __name__ == "__main__":
    main()
