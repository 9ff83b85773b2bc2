"""From scored clips to curves: what each metric answers, and whether that is the shape it must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from phonofilm.evaluation.calibration.audio_cases import CONTAINERS
from phonofilm.evaluation.calibration.curves import Curve, Verdict, apart, flat, linear, monotone
from phonofilm.evaluation.calibration.perturbations import KNOBS, MUST, Knob
from phonofilm.evaluation.calibration.responses import DELAY, Unit
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import FeatureSet, plain_distance
from phonofilm.evaluation.suite.registry import METRICS, PICTURE, SETS, SPEECH, Distance, Kind

CHANCE = 100.0
"""ms from the truth past which an offset was not found: what is left of the estimate is chance."""

FALLING = ("noise", "low-pass", "quantisation", "voice")
"""Knobs whose lowest level is the greatest damage."""

LIP_REACH = 1000.0
"""ms within which an offset of lips is sought at all."""

REACH = {"lip offset, signed": LIP_REACH, "drift, signed": 0.3}
"""Size of a level from which on it is not sought, by metric; of speeds in factor − 1 (`signals.sync.alignment`)."""


@dataclass
class Answers:
    """What one metric said under one knob and condition: results of each source, by level."""

    levels: dict[float | None, dict[str, np.ndarray]] = field(default_factory=dict)

    def add(self, level: float | None, source: str, found: np.ndarray) -> None:
        self.levels.setdefault(level, {})[source] = found

    def scores(self, level: float | None) -> np.ndarray:
        """One value a clip, float64 [clips]."""
        return np.array([row[0] / row[1] for row in self.levels.get(level, {}).values()])

    def pooled(self, level: float | None) -> float:
        rows = np.array(list(self.levels[level].values()))
        return float(rows[:, 0].sum() / rows[:, 1].sum())


Key = tuple[str, str, str, str]
"""(kind of source, knob, condition, metric)."""


def answers(work: Sequence[Unit]) -> dict[Key, Answers]:
    """All results of a plan that was carried out."""
    found: dict[Key, Answers] = {}
    for unit in work:
        for name in unit.names:
            for where, value in (unit.done(name) or {}).items():
                condition, level = where.split("|")
                key = kind_of(unit), unit.knob, condition, name
                at = None if level == "clean" else float(level)
                found.setdefault(key, Answers()).add(at, f"{unit.source.name} {unit.source.seed}", value)
    return found


def kind_of(unit: Unit) -> str:
    """ "world", "talk", or the name of a film."""
    return unit.source.name if unit.source.path or unit.source.name == "talk" else "world"


def curves(found: Mapping[Key, Answers]) -> list[Curve]:
    """A curve for every metric and knob, judged where a shape is required."""
    made = []
    order = {knob.name: place for place, knob in enumerate(KNOBS)}
    for (kind, knob, condition, metric), heard in sorted(found.items(), key=lambda item: order[item[0][1]]):
        if metric == "offset, confidence":
            continue
        if knob == "pan" and condition:
            continue  # one level each, which the verdict of the curve takes in
        turned = {name: found.get((kind, knob, name, metric), Answers()) for name in ("mirrored", "mono")}
        curve = _curve(kind, next(k for k in KNOBS if k.name == knob), condition, metric, heard, turned)
        if curve is not None:
            made.append(curve)
    return made


def _curve(
    kind: str, knob: Knob, condition: str, metric: str, heard: Answers, turned: Mapping[str, Answers]
) -> Curve | None:
    if knob.name == "mismatch":
        return _mixed(kind, metric, heard)
    reach = REACH.get(metric, np.inf)
    levels = [level for level in heard.levels if level is not None and abs(level) < reach]
    levels = sorted(levels, reverse=knob.name in FALLING)
    sets = _kind(metric)
    if sets:
        clean = _rows(heard, None)
        if clean.clips < 2 or None not in heard.levels:
            return None
        values = np.array([plain_distance(sets, _rows(heard, level), clean) for level in levels])
        low = high = values
    else:
        values = np.array([heard.pooled(level) for level in levels])
        spread = np.array([heard.scores(level).std() for level in levels])
        low, high = values - spread, values + spread
    clips = max(len(heard.levels[level]) for level in levels)
    if knob.name == "pan":
        verdict, expected, band = _pan(metric, np.array(levels), values, turned)
    else:
        verdict, expected, band = _judged(knob.name, metric, np.array(levels), values, heard)
    name = f"{metric} · {condition}" if condition else metric
    must = kind == "world" and knob.name in MUST.get(metric, ()) and verdict is not None and condition != "12 fps"
    return Curve(
        name, knob.name, kind, tuple(levels), tuple(map(float, values)), tuple(map(float, low)),
        tuple(map(float, high)), clips, must, tuple(map(float, expected)), band, verdict,
    )  # fmt: skip


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _mixed(kind: str, metric: str, heard: Answers) -> Curve | None:
    """The mean over clips of which a share, drawn at random, has the sound of another film."""
    own, other = (heard.levels.get(level, {}) for level in (0.0, 1.0))
    names = sorted(own.keys() & other.keys())
    if len(names) < 4:
        return None
    order = np.random.default_rng(0).permutation(len(names))
    good, bad = (np.array([side[names[i]][0] / side[names[i]][1] for i in order]) for side in (own, other))
    values = []
    for share in SHARES:
        count = round(share * len(names))
        values.append(float(np.concatenate([bad[:count], good[count:]]).mean()))
    line = np.interp(SHARES, (0, 1), (values[0], values[-1]))
    error = float(np.abs(values - line).max() / max(abs(values[-1] - values[0]), 1e-12))
    band = 0.25 * abs(values[-1] - values[0])
    spread = np.sqrt((good.std() ** 2 + bad.std() ** 2) / 2) / np.sqrt(len(names))
    split = abs(values[-1] - values[0]) > 3 * spread
    verdict = Verdict(bool(error <= 0.25 and split), "linear in the share; ends 3 standard errors apart",
                      f"off the line by {error:.0%} of its height, ends {'' if split else 'not '}apart")  # fmt: skip
    found = np.array(values)
    return Curve(metric, "mismatch", kind, SHARES, tuple(values), tuple(found - spread), tuple(found + spread),
                 len(names), False, tuple(map(float, line)), band, verdict)  # fmt: skip


def _kind(name: str) -> Kind | None:
    for metric in METRICS:
        if metric.name == name and isinstance(metric.measures, Distance):
            return metric.measures.kind
    return None


def _rows(heard: Answers, level: float | None) -> FeatureSet:
    rows = FeatureSet()
    for place, part in enumerate(heard.levels.get(level, {}).values()):
        rows.add(f"{place:064x}", part)
    return rows


Judged = tuple[Verdict | None, Sequence[float], float]


def _judged(knob: str, metric: str, levels: np.ndarray, values: np.ndarray, heard: Answers) -> Judged:
    """The verdict, and where the shape is a line: that line and how far from it is allowed."""
    if metric in ("offset, signed", "lip offset, signed"):
        return _offset(knob, levels, heard)
    if metric == "drift, signed":
        truth = levels if knob == "audio speed" else 1 / (1 + levels) - 1
        pairs = _pairs(levels, heard)
        return linear(1 / (1 + pairs[0]) - 1 if knob != "audio speed" else pairs[0], pairs[1], 0.02, 0.01, 0.02, ""), \
            list(truth), 0.02  # fmt: skip
    if metric == DELAY:
        worst = float(np.abs([heard.scores(level) for level in levels]).max())
        return Verdict(worst < 2, "|Δ| < 2 ms", f"{', '.join(CONTAINERS[1:])}: {worst:.2f} ms"), [0.0] * len(levels), 2
    if knob in ("offset", "audio speed"):
        return _sync(knob, metric, levels, values)
    if knob == "fragments":
        clean = heard.scores(None)
        within = 3 * float(clean.std() / np.sqrt(max(len(clean), 1))) + 1e-9
        return flat(values, heard.pooled(None), within), [heard.pooled(None)] * len(levels), within
    if knob == "ears":
        return _ears(metric, levels, values), (), 0.0
    if knob == "gain" and metric in ("loudness", "loudness gap"):
        sign = 1 if metric == "loudness" else -1
        expected = values[np.argmax(levels)] + sign * levels
        return linear(expected, values, 0.02, 0.5, 0.5, "dB"), list(expected), 0.5
    if metric == "silence" and knob == "muting":
        return linear(levels, values, 0.02, 0.02, 0.02, ""), list(levels), 0.02
    if knob == "insertion":
        if metric.startswith("IH@dur"):
            return linear(*_pairs(levels, heard), 0.1, 0.05, 0.1, ""), list(levels), 0.1
        return None, (), 0.0
    return _damage(knob, metric, levels, values), (), 0.0


def _pairs(levels: np.ndarray, heard: Answers) -> tuple[np.ndarray, np.ndarray]:
    """True and found values of every clip at every level."""
    truth = np.concatenate([np.full(len(heard.scores(level)), level) for level in levels])
    return truth, np.concatenate([heard.scores(level) for level in levels])


def _offset(knob: str, levels: np.ndarray, heard: Answers) -> Judged:
    if knob in ("offset", "disturbed"):
        truth, found = _pairs(levels, heard)
        verdict = linear(truth, found, 0.02, 10, 10)
        ranks = monotone(np.abs(levels), [np.abs(heard.scores(level)).mean() for level in levels], 1, 0.99)
        if knob == "offset":
            verdict = Verdict(verdict.passed and ranks.passed, f"{verdict.required}; Spearman of |offset| ≥ .99",
                              f"{verdict.measured}; {ranks.measured}")  # fmt: skip
        return verdict, list(levels), 10
    errors = [heard.scores(level) for level in levels if knob != "noise" or level >= 10]
    if not errors:
        return None, (), 0.0
    flatten = np.concatenate(errors)
    passed = abs(flatten.mean()) < 10 and flatten.std() < 10
    required = "flat to 10 dB: bias < 10, SD < 10 ms" if knob == "noise" else "flat: bias < 10, SD < 10 ms"
    return Verdict(bool(passed), required, f"bias {flatten.mean():+.1f}, SD {flatten.std():.1f} ms"), \
        [0.0] * len(levels), 10  # fmt: skip


def _sync(knob: str, metric: str, levels: np.ndarray, values: np.ndarray) -> Judged:
    """Good near 0 and bad far from it; what has a tolerance is at chance past it and need not fall any further."""
    better = next(m.better for m in METRICS if m.name == metric)
    if knob == "offset":
        near, far = (values[np.abs(levels) <= 25], values[np.abs(levels) >= 125])
        if len(near) and len(far) and better != "neither":
            return apart(list(near), list(far), better), (), 0.0
        return None, (), 0.0
    return monotone(np.abs(np.log1p(levels)), values, -1 if better == "higher" else 1, 0.9), (), 0.0


def _pan(metric: str, levels: np.ndarray, values: np.ndarray, turned: Mapping[str, Answers]) -> Judged:
    """Sounds of scenes whose true side is the right one; mirrored they must miss, and mono has no places at all."""
    if metric == "pan, located":
        return linear(levels, values, 0.1, 0.05, 0.05, ""), list(levels), 0.1
    if not metric.startswith("Spatial") or len(levels) < 3 or -1.0 not in turned["mirrored"].levels:
        return None, (), 0.0
    best, mirrored = float(levels[values.argmax()]), turned["mirrored"].pooled(-1.0)
    mono = len(turned["mono"].levels)
    wrong = max(float(values[levels <= -0.5].max()), mirrored)
    said = f"best at {best:+.2f}, {values.max():.2f}; on the wrong side {wrong:.2f}; mono {'scored' if mono else 'n/a'}"
    passed = best > 0 and values.max() > 2 * wrong and not mono
    return Verdict(passed, "peaks at the true side, at most half on the wrong one; mono n/a", said), (), 0.0


def _ears(metric: str, levels: np.ndarray, values: np.ndarray) -> Verdict | None:
    """Distances that hear both ears grow the more the sides are wrong; one of the ears' mean does not change."""
    said = dict(zip(levels.tolist(), values.tolist(), strict=True))
    if not {1.0, -1.0} <= said.keys():
        return None
    own, swapped, most = said[1.0], said[-1.0], float(np.abs(values).max())
    if metric == "FAD[log-mel]":
        return Verdict(
            abs(swapped - own) <= 0.01 * most, "unchanged by swapped ears", f"{swapped - own:+.3g} of {most:.3g}"
        )
    rises = monotone(-levels, values, 1, 0.95)
    required = rises.required.replace("the damage", "what is wrong with the sides")
    return Verdict(rises.passed, required, f"{rises.measured}; as they are {own:.3g}, swapped {swapped:.3g}")


def _damage(knob: str, metric: str, levels: np.ndarray, values: np.ndarray) -> Verdict | None:
    """Distances grow with damage and opinions of quality fall; what asks something else is only drawn."""
    known = next((m for m in METRICS if m.name == metric), None)
    if known is None or known.better == "neither" or knob in ("gain", "muting"):
        return None
    if known.group not in (SETS, PICTURE, SPEECH) and not metric.startswith("KL"):
        return None
    damage = -levels if knob in FALLING else levels
    return monotone(damage, values, 1 if known.better == "lower" else -1, 0.95)
