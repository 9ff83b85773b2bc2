"""`calibrate`: every knob turned, every metric asked, every curve judged; the result goes into JSON as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np

from phonofilm.checkpoint import file_sha256
from phonofilm.evaluation.calibration.curves import Curve, linear
from phonofilm.evaluation.calibration.perturbations import KNOBS
from phonofilm.evaluation.calibration.plan import OWNERS, Settings, carry_out, units
from phonofilm.evaluation.calibration.responses import VERSION, Unit, not_run
from phonofilm.evaluation.calibration.sample_size import size_curves
from phonofilm.evaluation.calibration.sources import LENGTH, SECONDS, SIZE
from phonofilm.evaluation.calibration.verdicts import CHANCE, LIP_REACH, Answers, Key, answers, curves
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.suite.registry import METRICS
from phonofilm.types import Progress

SURE = 0.3
"""Confidence from which an offset is listed a second time, apart from those that nothing fits well."""


UNASKED = "no knob is turned for it, or too few clips could answer"
BY = {"offset, signed": "motion", "lip offset, signed": "lips"}


def calibrate(settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Run what the settings ask for.

    Raises:
        PhonofilmError: a film that cannot be read or is too short.
    """
    report = progress or (lambda stage, done, total: None)
    wanted = [metric for metric in METRICS if metric.name in settings.metrics]
    absent = not_run(wanted)
    work = units(_only(settings, absent), report)
    carry_out(work, settings.workers, report)
    found = answers(work)
    drawn = [*curves(found), *_sizes(settings, report)]
    used = {OWNERS.get(name, name) for name in (curve.metric.split(" · ")[0] for curve in drawn)}
    silent = {m.name: UNASKED for m in wanted if m.name not in absent and m.name not in used}
    return {
        "protocol": f"phonofilm-calibrate-{VERSION}" + ("/quick" if settings.quick else ""),
        "versions": {name: metadata.version(name) for name in ("phonofilm", "av", "numpy", "scipy", "torch")},
        "features": {name: feature.version for name, feature in sorted(catalogue().items())},
        "clips": {"seconds": SECONDS, "pixels": SIZE, "of films of seconds": LENGTH},
        "sources": _sources(work),
        "films": {path.name: file_sha256(path) for path in settings.films},
        "passed": all(curve.verdict.passed for curve in drawn if curve.must and curve.verdict),
        "curves": [asdict(curve) for curve in drawn],
        "offset": _offset_table(found),
        "not_run": absent | silent,
    }


def _only(settings: Settings, absent: Mapping[str, str]) -> Settings:
    from dataclasses import replace

    return replace(settings, metrics=tuple(name for name in settings.metrics if name not in absent))


def _sizes(settings: Settings, report: Progress) -> Sequence[Curve]:
    kinds = {name.split("[")[0] for name in settings.metrics}
    made = size_curves(settings.quick, report) if kinds & {"FAD", "FAD-∞", "KAD", "KID"} else []
    return [curve for curve in made if curve.metric in kinds]


def _sources(work: Sequence[Unit]) -> dict[str, Any]:
    found: dict[str, set[int]] = {}
    for unit in work:
        found.setdefault(unit.source.name, set()).add(unit.source.seed)
    return {name: sorted(seeds) for name, seeds in found.items()}


def _offset_table(found: Mapping[Key, Answers]) -> list[dict[str, Any]]:
    """One row for each kind of source and condition: slope, bias, SD of all clips, and of those it is sure of."""
    rows = []
    for (kind, knob, condition, metric), heard in found.items():
        if metric not in BY or knob not in ("offset", "disturbed"):
            continue
        trusted = "offset, confidence" if BY[metric] == "motion" else ""
        sure = found.get((kind, knob, condition, trusted), Answers())
        truth, estimate, trust = [], [], []
        for level, clips in heard.levels.items():
            if BY[metric] == "lips" and abs(level or 0) >= LIP_REACH:
                continue
            for name, value in clips.items():
                truth.append(level)
                estimate.append(value[0] / value[1])
                trust.append(sure.levels.get(level, {}).get(name, np.zeros(1))[0])
        said = {"source": kind, "by": BY[metric], "condition": condition or "as it is"}
        rows.append(said | _row(truth, estimate, trust))
    return rows


def _row(truth: Sequence[float | None], estimate: Sequence[float], trust: Sequence[float]) -> dict[str, Any]:
    x, y = np.array(truth, float), np.array(estimate, float)
    errors = y - x
    near = np.abs(errors) < CHANCE
    certain = np.array(trust) >= SURE
    verdict = linear(x, y, 0.02, 10, 10)
    row = {
        "estimates": len(x), "found": float(near.mean()), "passed": verdict.passed,
        "slope": float(np.polyfit(x, y, 1)[0]), "bias": float(errors.mean()), "sd": float(errors.std()),
        "median_absolute": float(np.median(np.abs(errors))),
    }  # fmt: skip
    if near.any():
        row |= {"bias_found": float(errors[near].mean()), "sd_found": float(errors[near].std())}
    if certain.any():
        row |= {"sure": float(certain.mean()), "found_sure": float(near[certain].mean())}
        row |= {"bias_sure": float(errors[certain].mean()), "sd_sure": float(errors[certain].std())}
    return row


TITLES = {knob.name: knob.title for knob in KNOBS} | {"N": "Sets of one distribution, by their size"}
UNITS = {knob.name: knob.unit for knob in KNOBS} | {"N": "rows in each set"}

__all__ = ["TITLES", "UNITS", "calibrate"]
