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
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.distortions import distort
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.signal import CORE, synchrony
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import FeatureSet, distance
from phonofilm.evaluation.metrics.spatial import is_mono
from phonofilm.evaluation.suite.runner import Settings, evaluate
from phonofilm.media import probe, read_clip, write_clip
from phonofilm.media.shots.window import read_window
from phonofilm.signals.onsets import onset_scores
from phonofilm.signals.sync.alignment import Alignment, align
from phonofilm.signals.sync.cues import picture_cues_from, sound_cues_from
from phonofilm.types import Clip

SEED = 42_000_000
SHIFTS = (0.0, 0.04, -0.04, 0.08, -0.08, 0.2, -0.2, 0.5, -0.5)
KNOWN = {"bounce": 0.95, "strike": 0.95, "pass": 0.5, "blast": 0.5, "rain": 0.5, "talk": 0.5}
FEATURES = {feature.name: feature for feature in CORE}


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

    def kept(self, family: str, number: int, feature: str, shift: float = 0.0, speed: float = 1.0) -> Mapping:
        """A feature of a scene whose sound is early by `shift` seconds, or faster."""
        name = f"{self.seed} {family} {number} {self.size} {self.fps} {shift} {speed} {FEATURES[feature].version}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        if self.cache.has(digest, feature) and (found := self.cache.get(digest, feature)) is not None:
            return found[0]
        clip = self.clip(family, number, heard=feature != "motion")
        clip = distort(clip, "audio-shift", shift) if shift else clip
        clip = distort(clip, "audio-speed-up", speed) if speed > 1 else clip
        measured = FEATURES[feature].load(None)(Film(clip))
        self.cache.put(digest, feature, measured)
        return measured

    def offset(self, family: str, seen: int, heard: int, shift: float = 0.0) -> Alignment:
        """Of the picture of one scene and the sound of one."""
        picture = picture_cues_from(self.kept(family, seen, "motion"))
        return align(sound_cues_from(self.kept(family, heard, "onsets", shift)), picture)

    def pair(self, family: str, seen: int, heard: int, shift: float = 0.0, speed: float = 1.0) -> Mapping:
        """Offset and drift of the picture of one scene and the sound of one."""
        sound = sound_cues_from(self.kept(family, heard, "onsets", shift, speed))
        return synchrony(sound, picture_cues_from(self.kept(family, seen, "motion")))


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
            errors = np.array([-row.milliseconds + 1000 * shift for row in rows if row.known])
            known, reach = len(errors) / max(count, 1), 10 if not shift else 15
            error = float(np.median(errors)) if len(errors) else float("nan")
            spread = float(np.abs(errors - error).mean()) if len(errors) else float("nan")
            told = f"median error {error:+.1f} ms (deviation {spread:.0f}), known {known:.3f} of {count}"
            what = f"offset, {family}, sound {-1000 * shift:+.0f} ms"
            passed = bool(abs(error) <= reach and (shift != 0 or known >= least))
            yield Line(what, f"within {reach} ms" + ("" if shift else f", known ≥ {least}"), told, passed)


def swapped(scenes: Scenes, clips: int, pairs: int) -> Iterator[Line]:
    every = []
    for family in scenes.families:
        steps = range(1, max(2, min(clips, -(-pairs // (len(scenes.families) * clips)) + 1)))
        found = [scenes.offset(family, n, (n + k) % clips).known for k in steps for n in range(clips)]
        every += found
        yield Line(f"swapped sounds, {family}", "", f"known {np.mean(found):.3f} of {len(found)}", None)
    share = float(np.mean(every))
    yield Line("swapped sounds, all families", "known ≤ 0.02", f"known {share:.3f} of {len(every)}", share <= 0.02)


def drifts(scenes: Scenes, clips: int) -> Iterator[Line]:
    for family in (name for name in ("bounce", "strike") if name in scenes.families):
        for speed in (1.0, 1.05):
            rows = [scenes.pair(family, n, n, speed=speed)["drift"] for n in range(clips)]
            errors = [row[0] - 1000 * (speed - 1) for row in rows if row[1]]
            error = float(np.median(errors)) if errors else float("nan")
            told = f"median error {error:+.1f} ‰, known {len(errors) / clips:.3f} of {clips}"
            yield Line(f"drift, {family}, {1000 * (speed - 1):+.0f} ‰", "within 10 ‰", told, abs(error) <= 10)


def pictures(scenes: Scenes, clips: int) -> Iterator[Line]:
    repeats, sharpness = (FEATURES[name].load(None) for name in ("stillness", "blur"))
    dropped, frozen, softer = [], [], []
    for n in range(clips):
        clip = scenes.clip(("bounce", "strike", "pass", "talk")[n % 4], n)
        lost, held = clip.frames.copy(), clip.frames.copy()
        lost[10::10] = lost[9:-1:10]
        held[len(held) // 2 :] = held[len(held) // 2 - 1]
        before = repeats(Film(clip))
        dropped.append(repeats(Film(clip.with_(frames=lost)))["dropped"] - before["dropped"])
        frozen.append(repeats(Film(clip.with_(frames=held)))["frozen"] - before["frozen"])
        soft = sharpness(Film(distort(clip, "blur", 1.0)))["value"] - sharpness(Film(clip))["value"]
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
            for part, found in ((0 * side, twice), (side, narrow)):
                path = Path(place) / "a.mp4"
                write_clip(clip.with_(waveform=np.stack([middle + part, middle - part])), path)
                found.append(is_mono(read_clip(path).waveform))
            kept = scenes.kept(clip_family(n), n, "onsets")
            if len(kept["times"]):
                score = onset_scores(kept["times"], kept["times"], kept["confidence"])
                perfect.append(score.accuracy == 1 and score.average_precision == 1)
    yield Line("mono written twice, after AAC", "all found", f"{sum(twice)} of {len(twice)}", all(twice))
    yield Line("narrow stereo (−30 dB), after AAC", "none found", f"{sum(narrow)} of {len(narrow)}", not any(narrow))
    yield Line("identical sounds: onset accuracy, AP", "exactly 1", f"{sum(perfect)} of {len(perfect)}", all(perfect))


def clip_family(number: int) -> str:
    return ("bounce", "strike", "talk", "pass")[number % 4]


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
    parts = []
    for family in scenes.families:
        for n in range(clips):
            parts.append(scenes.kept(family, n, "log-mel")["patches"].mean(axis=1))
    rng, inside = np.random.default_rng(0), []
    half = len(parts) // 2
    for _ in range(splits):
        order = rng.permutation(len(parts))
        sides = FeatureSet(), FeatureSet()
        for place, index in enumerate(order[: 2 * half]):
            sides[place % 2].add(f"{index:064x}", parts[index])
        try:
            found = distance("frechet-infinity", *sides).interval
        except ValueError as error:
            yield Line(f"FAD-∞, {half} clips a side", "n/a below its size", str(error), None)
            return
        inside.append(found.low <= 0 <= found.high)
    told = f"covers 0 on {sum(inside)} of {len(inside)}"
    yield Line(f"FAD-∞, {half} clips a side, splits of one set", "≥ 0.9", told, float(np.mean(inside)) >= 0.9)
    same = FeatureSet()
    for index, rows in enumerate(parts):
        same.add(f"{index:064x}", rows)
    try:
        distance("frechet-infinity", same, same)
        yield Line("FAD-∞ of folders that share clips", "n/a", "a value", False)
    except ValueError as error:
        yield Line("FAD-∞ of folders that share clips", "n/a", str(error), True)


def film(path: Path, most: int, cache: FeatureCache, seconds: int = 8) -> Iterator[Line]:
    """The first windows of a film as it is: known and more than 125 ms wrong."""
    facts, content = probe(path), hashlib.sha256(path.read_bytes()).hexdigest()
    count = min(most, int(float(facts.seconds) / seconds))
    wrong, known = 0, 0
    for n in range(count):
        name = f"{content} {n} {seconds} {[FEATURES[part].version for part in ('onsets', 'motion')]}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        if not (cache.has(digest, "onsets") and cache.has(digest, "motion")):
            part = read_window(path, Fraction(n * seconds), Fraction((n + 1) * seconds), side=64)
            clip = Film(Clip(part.frames, facts.fps, part.waveform, part.sample_rate))
            for feature in ("onsets", "motion"):
                cache.put(digest, feature, FEATURES[feature].load(None)(clip))
        sound, picture = (cache.get(digest, feature) for feature in ("onsets", "motion"))
        if sound is None or picture is None:
            raise PhonofilmError(f"{cache.folder} cannot be read: empty it, or choose another --cache")
        try:
            found = align(sound_cues_from(sound[0]), picture_cues_from(picture[0]))
        except ValueError:
            continue
        known += int(found.known)
        wrong += int(found.known and abs(found.milliseconds) > 125)
    share = wrong / max(count, 1)
    yield Line(
        f"{path.name}: {count} windows", "known and wrong ≤ 0.02", f"known {known}, wrong {wrong}", share <= 0.02
    )


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
