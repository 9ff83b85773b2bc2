"""What the comparison says: each system's scores, and paired differences from the joint one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonofilm.app.experiments.training_comparison.plan import LEADER, Plan
from phonofilm.evaluation.foley_world.detect import Observation
from phonofilm.evaluation.foley_world.metrics import METRICS, RESAMPLES, f1_counts, summarise

Seen = dict[str, list[list[Observation]]]
"""Observed clips by system, seed and prompt."""

SHOWN = ("sync_f1_60ms", "sync_f1_40ms", "colour", "material", "pitch", "pan_sign", "silent")


def analyse(plan: Plan, seen: Seen, truth: list[Observation]) -> dict[str, Any]:
    """Everything that the page shows, as JSON can hold it."""
    found: dict[str, Any] = {
        "recipe": plan.values,
        "clips": len(truth),
        "budget": plan.budget,
        "truth": summarise(truth)["all"],
        "systems": {name: _system(plan, name, runs) for name, runs in seen.items()},
        "differences": {},
    }
    for name, runs in seen.items():
        if name != LEADER:
            count = min(len(runs), len(seen[LEADER]))
            found["differences"][name] = {
                metric: difference(_counts(runs[:count], metric), _counts(seen[LEADER][:count], metric))
                for metric in SHOWN
            }
    return found


def _system(plan: Plan, name: str, runs: list[list[Observation]]) -> dict[str, Any]:
    """Cost, scores of all seeds together and of each, and what validation said at the end of training."""
    stages = plan.systems[name]
    steps, batch = plan.steps(name), plan.task(stages[0], 0).recipe.run.batch
    return {
        "stages": list(stages),
        "parameters": sum(plan.costs[stage].parameters for stage in stages),
        "flops_per_clip": sum(plan.costs[stage].flops for stage in stages),
        "clips_seen": steps * batch,
        "training_flops": steps * batch * sum(plan.costs[stage].flops for stage in stages),
        "scores": {metric: together(_counts(runs, metric)) for metric in SHOWN},
        "shuffled": [_ratio(_shuffled([clips])) for clips in runs],
        "above_chance": difference(_counts(runs, "sync_f1_60ms"), _shuffled(runs)),
        "each": [{metric: _ratio(_counts([clips], metric)) for metric in SHOWN} for clips in runs],
        "events": [[_mean(clips, "sights"), _mean(clips, "onsets")] for clips in runs],
        "validation": [_validation(plan, stages, seed) for seed in range(len(runs))],
        "minutes": [sum(_last(plan, stage, seed, "minutes") for stage in stages) for seed in range(len(runs))],
    }


def _counts(runs: Sequence[Sequence[Observation]], metric: str) -> NDArray[np.float64]:
    """(part, whole) of a metric: [seeds, prompts, 2]."""
    return np.array([[METRICS[metric](clip) for clip in clips] for clips in runs], float)


def _shuffled(runs: Sequence[Sequence[Observation]], tolerance: float = 0.06) -> NDArray[np.float64]:
    """Sync counts of each picture with the sounds of all other clips of its family and seed: [seeds, prompts, 2]."""
    return np.array([[_with_others(clip, clips, tolerance) for clip in clips] for clips in runs], float)


def _with_others(clip: Observation, clips: Sequence[Observation], tolerance: float) -> NDArray[np.float64]:
    """Mean counts, so that a clip weighs as much as in the sync it is held against."""
    others = [other for other in clips if other is not clip and other.wanted.family == clip.wanted.family]
    sights = [sight.time for sight in clip.sights]
    counts = [f1_counts(sights, [onset.time for onset in other.onsets], tolerance) for other in others]
    return np.mean(counts, 0) if counts else np.zeros(2)


def together(counts: NDArray[np.float64]) -> dict[str, float | None]:
    """The pooled ratio of counts [S, N, 2] with its 95 % interval.

    Prompts are drawn anew, each with the clips of all seeds, because clips of one prompt are alike.
    """
    draws = _resampled(counts)
    return {"value": _ratio(counts), **_ends(draws)}


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float | None]:
    """Ratio of `one` minus ratio of `other`, [S, N, 2] each over the same seeds and prompts, with its 95 % interval."""
    first, second = _ratio(one), _ratio(other)
    value = None if first is None or second is None else first - second
    return {"value": value, **_ends(_resampled(one) - _resampled(other))}


def _ratio(counts: NDArray[np.float64]) -> float | None:
    part, whole = counts.reshape(-1, 2).sum(0)
    return float(part / whole) if whole else None


def _resampled(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ratio for each of many draws of prompts; the same draws whichever system they are for."""
    prompts = counts.sum(0)
    drawn = np.random.default_rng(0).integers(0, len(prompts), (RESAMPLES, len(prompts)))
    part, whole = np.moveaxis(prompts[drawn].sum(1), -1, 0)
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _ends(draws: NDArray[np.float64]) -> dict[str, float | None]:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return {"low": None, "high": None}
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"low": float(low), "high": float(high)}


def _mean(clips: Sequence[Observation], kind: str) -> float:
    """Events a clip."""
    return float(np.mean([len(getattr(clip, kind)) for clip in clips]))


def _validation(plan: Plan, stages: Sequence[str], seed: int) -> dict[str, float]:
    """Errors of the clean estimate on held-out latents at sigma 0.9, of the tasks that the stage was trained for."""
    names = {"joint": ("joint_video", "joint_audio"), "picture": ("alone_video",), "sound": ("foley_audio",)}
    return {
        f"{stage} {name.partition('_')[2]}": _last(plan, stage, seed, f"validation/{name}")
        for stage in stages
        for name in names.get(stage, names["joint"])
    }


def _last(plan: Plan, stage: str, seed: int, name: str) -> float:
    """The last value of that name in a run's log."""
    lines = map(json.loads, _log(plan, stage, seed).read_text(encoding="utf-8").splitlines())
    values: list[Mapping[str, float]] = [line for line in lines if name in line]
    return float(values[-1][name]) if values else float("nan")


def _log(plan: Plan, stage: str, seed: int) -> Path:
    return plan.run_folder(stage, seed) / "log.jsonl"
