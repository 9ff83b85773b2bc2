"""What `phonofilm evaluate` can be trusted with: known manipulations of Foley World, each with its bar and its value.

    python benchmarks/evaluator.py                       # 200 clips a family: hours on one core
    python benchmarks/evaluator.py --clips 8 --splits 10   # a few minutes
    python benchmarks/evaluator.py --part offsets,swapped --film bbb.mp4 --json

Scenes are drawn from seeds that nothing was fitted to. What was measured of a clip is kept in --cache, so a run that
was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.stats import binomtest

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.distortions import distort
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.signal import CORE, blur, log_mel, onsets, stillness
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import EXTRAPOLATED, FeatureSet, distance
from phonofilm.evaluation.metrics.spatial import is_mono
from phonofilm.evaluation.statistics import Interval, bootstrap_interval
from phonofilm.evaluation.suite.compare import ComparisonSettings, compare, significant
from phonofilm.evaluation.suite.runner import Settings, evaluate
from phonofilm.media import probe, read_clip, write_clip
from phonofilm.media.shots.window import read_window
from phonofilm.signals.onsets import onset_scores
from phonofilm.signals.sync.alignment import Alignment, align, pace
from phonofilm.signals.sync.cues import PictureCues, SoundCues, arrays_of, picture_cues_from, sound_cues_from
from phonofilm.types import Clip

SEED = 42_000_000
SHIFTS = (0.0, 0.04, -0.04, 0.08, -0.08, 0.2, -0.2, 0.5, -0.5)
KNOWN = {"bounce": 0.95, "strike": 0.95, "pass": 0.5, "blast": 0.5, "rain": 0.5, "talk": 0.5}
VERSIONS = {feature.name: feature.version for feature in CORE}
MEASURES = {
    "seen": (VERSIONS["motion"], lambda film: arrays_of(film.seen)),
    "heard": (VERSIONS["onsets"], lambda film: arrays_of(film.heard)),
    "log-mel": (VERSIONS["log-mel"], log_mel),
}
"""What is measured of a scene: its version, and how. Cues are kept as `phonofilm evaluate` keeps them."""


@dataclass(frozen=True)
class Line:
    """One line of the table; `passed` is None where there is no bar."""

    what: str
    bar: str
    value: str
    passed: bool | None


class Scenes:
    """Held-out scenes, and what is measured of them, kept in a cache."""

    def __init__(self, cache: Path, size: int, fps: int, seed: int, families: Sequence[str]) -> None:
        self.cache, self.size, self.fps, self.seed = FeatureCache(cache), size, fps, seed
        self.families = tuple(family for family in KNOWN if family in families)
        self._drawn: dict[tuple[str, int, bool], Clip] = {}

    def clip(self, family: str, number: int, heard: bool = False) -> Clip:
        """A scene; one that is only heard has hardly a picture, which would cost most.

        The last scene is kept, for its sound is measured at several shifts.
        """
        for seen in (False, heard):
            if (family, number, seen) in self._drawn:
                return self._drawn[family, number, seen]
        size, fps = (16, 4) if heard else (self.size, self.fps)
        clip = world.clips([world.sample(family, self.seed + number)], size, fps)[0]
        self._drawn = {(family, number, heard): clip}
        return clip

    def kept(self, family: str, number: int, measure: str, shift: float = 0.0, speed: float = 1.0) -> Mapping:
        """A measure of a scene whose sound is early by `shift` seconds, or faster."""
        version, measured = MEASURES[measure]
        name = f"{self.seed} {family} {number} {self.size} {self.fps} {shift} {speed} {version}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        if self.cache.has(digest, measure) and (found := self.cache.get(digest, measure)) is not None:
            return found[0]
        clip = self.clip(family, number, heard=measure != "seen")
        clip = distort(clip, "audio-shift", shift) if shift else clip
        clip = distort(clip, "audio-speed-up", speed) if speed > 1 else clip
        arrays = measured(Film(clip))
        self.cache.put(digest, measure, arrays)
        return arrays

    def cues(
        self, family: str, seen: int, heard: int, shift: float = 0.0, speed: float = 1.0
    ) -> tuple[SoundCues, PictureCues]:
        """Of the sound of one scene and the picture of one."""
        picture = picture_cues_from(self.kept(family, seen, "seen"))
        return sound_cues_from(self.kept(family, heard, "heard", shift, speed)), picture

    def offset(self, family: str, seen: int, heard: int, shift: float = 0.0) -> Alignment:
        """Of the picture of one scene and the sound of one."""
        return align(*self.cues(family, seen, heard, shift))


def offsets(scenes: Scenes, clips: int, shifted: int) -> Iterator[Line]:
    for family in scenes.families:
        least = KNOWN[family]
        found: dict[float, list[Alignment]] = {shift: [] for shift in SHIFTS}
        for n in range(clips):
            for shift in SHIFTS if n < shifted else (0.0,):
                found[shift].append(scenes.offset(family, n, n, shift))
        for shift, rows in found.items():
            if not (count := len(rows)):
                continue
            errors = [-row.milliseconds + 1000 * shift for row in rows if row.known]
            known, reach = len(errors) / count, 10 if not shift else 15
            told, error = median_error(errors, "ms")
            within = np.mean(np.abs(errors) <= reach) if errors else float("nan")
            told += f", {within:.2f} of clips within {reach}; known {share(len(errors), count)}"
            what = f"offset, {family}, sound {-1000 * shift:+.0f} ms"
            passed = bool(abs(error) <= reach and (shift != 0 or known >= least))
            yield Line(what, f"within {reach} ms" + ("" if shift else f", known ≥ {least}"), told, passed)


def median_error(errors: Sequence[float], unit: str) -> tuple[str, float]:
    """The median with its 95 % bootstrap interval, in words and as a number."""
    if len(errors) < 2:
        return f"{len(errors)} known", float(errors[0]) if errors else float("nan")
    found = bootstrap_interval(errors, lambda rows: float(np.median(rows)), method="percentile", resamples=1000)
    return f"median error {found.value:+.1f} {unit} [{found.low:+.1f}, {found.high:+.1f}]", found.value


def share(found: int, count: int) -> str:
    """A share with Clopper and Pearson's 95 % interval, and of how many."""
    limits = binomtest(found, count).proportion_ci(method="exact")
    return f"{found / count:.3f} [{limits.low:.3f}, {limits.high:.3f}] of {count}"


def swapped(scenes: Scenes, clips: int, pairs: int) -> Iterator[Line]:
    every = []
    for family in scenes.families:
        steps = range(1, max(2, min(clips, -(-pairs // (len(scenes.families) * clips)) + 1)))
        found = [scenes.offset(family, n, (n + k) % clips).known for k in steps for n in range(clips)]
        every += found
        yield Line(f"swapped sounds, {family}", "", f"known {share(sum(found), len(found))}", None)
    told = f"known {share(sum(every), len(every))}"
    yield Line("swapped sounds, all families", "known ≤ 0.02", told, float(np.mean(every)) <= 0.02)


def drifts(scenes: Scenes, clips: int) -> Iterator[Line]:
    for family in (name for name in ("bounce", "strike") if name in scenes.families):
        for speed in (1.0, 1.05):
            rows = [pace(*scenes.cues(family, n, n, speed=speed)) for n in range(clips)]
            errors = [row.permille - 1000 * (speed - 1) for row in rows if row.known]
            told, error = median_error(errors, "‰")
            told += f", known {share(len(errors), clips)}"
            yield Line(f"drift, {family}, {1000 * (speed - 1):+.0f} ‰", "within 10 ‰", told, abs(error) <= 10)


def pictures(scenes: Scenes, clips: int) -> Iterator[Line]:
    dropped, frozen, softer = [], [], []
    for n in range(clips):
        clip = scenes.clip(("bounce", "strike", "pass", "talk")[n % 4], n)
        lost, held = clip.frames.copy(), clip.frames.copy()
        lost[10::10] = lost[9:-1:10]
        held[len(held) // 2 :] = held[len(held) // 2 - 1]
        before = stillness(Film(clip))
        dropped.append(stillness(Film(clip.with_(frames=lost)))["dropped"] - before["dropped"])
        frozen.append(stillness(Film(clip.with_(frames=held)))["frozen"] - before["frozen"])
        soft = blur(Film(distort(clip, "blur", 1.0)))["value"] - blur(Film(clip))["value"]
        softer.append(float(soft))
    yield Line("dropped frames, each tenth", "rises by > 0.03", f"{np.mean(dropped):+.3f}", np.mean(dropped) > 0.03)
    yield Line("frozen frames, the second half", "rises by > 0.3", f"{np.mean(frozen):+.3f}", np.mean(frozen) > 0.3)
    rises = float(np.mean(np.array(softer) > 0))
    yield Line("blur of 1 px", "rises in every clip", f"rises in {rises:.2f}, by {np.mean(softer):.3f}", rises == 1)


def sounds(scenes: Scenes, clips: int) -> Iterator[Line]:
    twice, narrow, perfect = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for n in range(clips):
            clip = scenes.clip(("bounce", "strike", "talk", "pass")[n % 4], n)
            middle, side = clip.waveform.mean(axis=0), (clip.waveform[0] - clip.waveform[1]) / 2
            side = side * np.sqrt((middle**2).mean() / max((side**2).mean(), 1e-12)) * 10 ** (-30 / 20)
            for part, answers in ((0 * side, twice), (side, narrow)):
                path = Path(place) / "a.mp4"
                write_clip(clip.with_(waveform=np.stack([middle + part, middle - part])), path)
                answers.append(is_mono(read_clip(path).waveform))
            found = onsets(Film(clip))
            if len(found["times"]):
                score = onset_scores(found["times"], found["times"], found["confidence"])
                perfect.append(score.accuracy == 1 and score.average_precision == 1)
    yield Line("mono written twice, after AAC", "all found", f"{sum(twice)} of {len(twice)}", all(twice))
    yield Line("narrow stereo (−30 dB), after AAC", "none found", f"{sum(narrow)} of {len(narrow)}", not any(narrow))
    yield Line("identical sounds: onset accuracy, AP", "exactly 1", f"{sum(perfect)} of {len(perfect)}", all(perfect))


def missing(scenes: Scenes) -> Iterator[Line]:
    """Six clips, of which two are silent and two have no sound; and six silent ones."""
    with tempfile.TemporaryDirectory() as place:
        for folder in ("some", "none"):
            (Path(place) / folder).mkdir()
            for n in range(6):
                clip = scenes.clip("bounce", n)
                quiet = clip.with_(waveform=np.zeros_like(clip.waveform))
                mute = clip.with_(waveform=None, sample_rate=None, stems={})
                made = quiet if folder == "none" or n < 2 else mute if n < 4 else clip
                write_clip(made, Path(place) / folder / f"{n}.mkv")
        for folder, share in (("some", 1 / 3), ("none", 0.0)):
            settings = Settings(cache=Path(place) / "cache")
            result = evaluate(Path(place) / folder, settings=settings)
            rows = {row["name"]: row for row in result["metrics"]}
            values = [rows[name]["value"] for name in ("clips with sound", "in sync")]
            invented = [name for name in ("offset", "drift", "DeSync[phonofilm-sync]", "loudness")
                        if rows[name]["n"] > (2 if folder == "some" else 0)]  # fmt: skip
            passed = np.allclose(values, share) and rows["temporal flicker"]["n"] == 6 and not invented
            told = f"{values[0]:.2f}, {values[1]:.2f}; picture of {rows['temporal flicker']['n']}; invented: {invented}"
            bar = f"both {share:.2f}, picture of 6, nothing invented"
            yield Line(f"clips with sound, in sync: {folder} of 6 sound", bar, told, bool(passed))


def extrapolation(scenes: Scenes, clips: int, splits: int) -> Iterator[Line]:
    """Each split draws as many clips as both sides need from all that there are."""
    parts = [
        scenes.kept(family, n, "log-mel")["patches"].mean(axis=1) for family in scenes.families for n in range(clips)
    ]
    whole = len(parts) // 2
    for half in (min(EXTRAPOLATED, whole), *([whole] if whole >= 2 * EXTRAPOLATED else [])):
        what = f"FAD-∞, {half} clips a side"
        try:
            found = [split_distance(parts, half, seed) for seed in range(splits)]
        except ValueError as error:
            yield Line(what, f"n/a below {EXTRAPOLATED}", str(error), half < EXTRAPOLATED)
            continue
        covers = sum(row.low <= 0 <= row.high for row in found)
        told = f"covers 0 on {share(covers, splits)}; mean {np.mean([row.value for row in found]):+.2f}"
        yield Line(f"{what}, splits of one set", "≥ 0.9", told, covers >= 0.9 * splits)
    same = FeatureSet()
    for index, rows in enumerate(parts):
        same.add(f"{index:064x}", rows)
    try:
        value = distance("frechet-infinity", same, same).interval.value
        yield Line("FAD-∞ of folders that share clips", "n/a", f"{value:.2f}", False)
    except ValueError as error:
        yield Line("FAD-∞ of folders that share clips", "n/a", str(error), True)


def split_distance(parts: Sequence[np.ndarray], half: int, seed: int) -> Interval:
    """FAD-∞ between two disjoint draws of `half` clips each."""
    sides = FeatureSet(), FeatureSet()
    for place, index in enumerate(np.random.default_rng(seed).permutation(len(parts))[: 2 * half]):
        sides[place % 2].add(f"{index:064x}", parts[index])
    return distance("frechet-infinity", *sides, seed=seed).interval


def comparison(scenes: Scenes, clips: int, permutations: int) -> Iterator[Line]:
    """Two systems of one quality, whose labels are exchanged clip by clip; and one whose sound lies further off."""
    rng, settings = np.random.default_rng(0), ComparisonSettings(permutations=1000)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for n in range(clips):
            clip = scenes.clip(("bounce", "strike")[n % 2], n)
            write_clip(clip, root / "real" / f"{n}.mp4")
            own = rng.normal(0, 0.05, 2)
            for name, shift in {"a": own[0], "b": own[1], "near": -0.163, "far": -0.455}.items():
                write_clip(distort(clip, "audio-shift", float(shift * rng.uniform(0.7, 1.3))), root / name / f"{n}.mp4")
        paths = Settings(cache=root / "cache")
        found, took = {}, []
        for name in ("a", "a", "b", "near", "far"):
            start = perf_counter()
            found[name] = evaluate(root / name, root / "real", settings=paths)
            took.append(perf_counter() - start)
        told = f"{took[0]:.1f} s, then {took[1]:.1f} s"
        yield Line(f"evaluate twice, {2 * clips} clips", "the second within 10 s", told, took[1] < 10)
        settings = replace(settings, cache=root / "cache")
        hits = 0
        for _ in range(permutations):
            hits += any(significant(compare(exchanged(found["a"], found["b"], rng), settings)))
        told = f"findings in {share(hits, permutations)}"
        yield Line(f"compare, labels exchanged, {clips} clips", "≤ 0.05", told, hits <= 0.05 * permutations)
        (row,) = compare([found["near"], found["far"]], replace(settings, metrics=("offset",), permutations=None))
        told = f"{row.first:.0f} and {row.second:.0f} ms, p = {row.adjusted:.4f}, better: {row.better}"
        yield Line("compare, offset 163 and 455 ms", "the first is better", told, row.better == "first")


def exchanged(first: Mapping, second: Mapping, rng: np.random.Generator) -> list[dict]:
    """Two results in which half of the clips have changed sides."""
    names = [name for name in first["clips"] if rng.random() < 0.5]
    sides = []
    for mine, other in ((first, second), (second, first)):
        clips = mine["clips"] | {name: other["clips"][name] for name in names if name in other["clips"]}
        hashes = mine["generated"]["hashes"] | {name: other["generated"]["hashes"][name] for name in names}
        sides.append({**mine, "clips": clips, "generated": {**mine["generated"], "hashes": hashes}})
    return sides


def film(path: Path, most: int, cache: FeatureCache, seconds: int = 8) -> Iterator[Line]:
    """The first windows of a film as it is: known and more than 125 ms wrong."""
    facts, content = probe(path), hashlib.sha256(path.read_bytes()).hexdigest()
    count = min(most, int(float(facts.seconds) / seconds))
    wrong, known = 0, 0
    for n in range(count):
        name = f"{content} {n} {seconds} {[MEASURES[part][0] for part in ('heard', 'seen')]}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        if not (cache.has(digest, "heard") and cache.has(digest, "seen")):
            part = read_window(path, Fraction(n * seconds), Fraction((n + 1) * seconds), side=64)
            clip = Film(Clip(part.frames, facts.fps, part.waveform, part.sample_rate))
            for measure in ("heard", "seen"):
                cache.put(digest, measure, MEASURES[measure][1](clip))
        sound, picture = (cache.get(digest, measure) for measure in ("heard", "seen"))
        if sound is None or picture is None:
            raise PhonofilmError(f"{cache.folder} cannot be read: empty it, or choose another --cache")
        try:
            found = align(sound_cues_from(sound[0]), picture_cues_from(picture[0]))
        except ValueError:
            continue
        known += int(found.known)
        wrong += int(found.known and abs(found.milliseconds) > 125)
    told = f"known {known}, wrong {share(wrong, count)}"
    yield Line(f"{path.name}: {count} windows", "known and wrong ≤ 0.02", told, wrong <= 0.02 * count)


def table(options: argparse.Namespace) -> Iterator[Line]:
    families = options.families.split(",") if options.families else [*KNOWN]
    if unknown := set(families) - set(KNOWN):
        raise PhonofilmError(f"there is no family {min(unknown)!r}; choose from {', '.join(KNOWN)}")
    scenes = Scenes(options.cache, options.size, options.fps, options.seed, families)
    shifted = options.clips if options.shifted is None else min(options.clips, options.shifted)
    parts = {
        "sounds": lambda: sounds(scenes, min(options.clips, 100)),
        "missing": lambda: missing(scenes),
        "pictures": lambda: pictures(scenes, min(options.clips, 40)),
        "offsets": lambda: offsets(scenes, options.clips, shifted),
        "swapped": lambda: swapped(scenes, options.clips, options.pairs),
        "drifts": lambda: drifts(scenes, shifted),
        "compare": lambda: comparison(scenes, min(options.clips, 24), options.permutations),
        "fad": lambda: extrapolation(scenes, options.clips, options.splits),
        "film": lambda: (line for path in options.film for line in film(path, options.windows, scenes.cache)),
    }
    wanted = options.part.split(",") if options.part else list(parts)
    for name in wanted:
        if name not in parts:
            raise PhonofilmError(f"there is no part {name!r}; choose from {', '.join(parts)}")
    for name in wanted:
        yield from parts[name]()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="clips a family")
    parser.add_argument("--shifted", type=int, help="clips a family whose sound is shifted or faster; all if not given")
    parser.add_argument("--pairs", type=int, default=600, help="swapped pairs, over all families")
    parser.add_argument("--splits", type=int, default=100, help="splits of one set for FAD-∞")
    parser.add_argument("--permutations", type=int, default=200, help="of the labels of two systems of one quality")
    parser.add_argument("--families", default="", help="with commas between; all six if not given")
    parser.add_argument("--seed", type=int, default=SEED, help="of the first scene of each family")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fps", type=int, default=24)
    parser.add_argument("--film", type=Path, action="append", default=[], help="a real film; may be repeated")
    parser.add_argument("--windows", type=int, default=60, help="windows of 8 s of a film")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "phonofilm" / "evaluator")
    parser.add_argument("--part", default="", help="parts of the table, with commas between; all of them if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    if options.clips < 2:
        raise PhonofilmError("--clips starts at 2")
    lines = []
    if not options.json:
        print("| what | bar | value | |\n|---|---|---|---|")
    for line in table(options):
        lines.append(line)
        if not options.json:
            verdict = "" if line.passed is None else "met" if line.passed else "**not met**"
            print(f"| {line.what} | {line.bar} | {line.value} | {verdict} |", flush=True)
    if options.json:
        rows = [asdict(line) | {"passed": None if line.passed is None else bool(line.passed)} for line in lines]
        print(json.dumps({"clips": options.clips, "lines": rows}, ensure_ascii=False, indent=1))
    return 0 if all(line.passed is not False for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
