"""`evaluate`: two folders in, every number out, with all that each number depends on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import Folder, scan
from phonofilm.evaluation.features.cache import default_cache
from phonofilm.evaluation.features.decoded_clip import DECODING
from phonofilm.evaluation.features.extraction import ExtractedClip, Plan, extract_all
from phonofilm.evaluation.features.prompt_features import take_words
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.prompts import Prompt, prompt_of, read_prompt_rows
from phonofilm.evaluation.suite.aggregate import Measured, measure
from phonofilm.evaluation.suite.registry import UNSUPPORTED_BENCHMARK_METRICS, Metric, choose
from phonofilm.evaluation.suite.result_cache import ResultCache
from phonofilm.evaluation.suite.screening import ScreeningNote, screen_clips, uneven_pairs, unpaired
from phonofilm.extras import install_command
from phonofilm.files import check_folder, printable
from phonofilm.perception.common.optional_imports import BY_HAND
from phonofilm.types import Progress
from phonofilm.weights import JUDGES, describe, fetched_judges

PROTOCOL = "phonofilm-evaluate-5"
"""Raised whenever a number of an unchanged folder would change."""


@dataclass(frozen=True)
class Settings:
    """How to evaluate.

    Attributes:
        preset: "quick", "full", "javis" or "avbench"; `metrics` names single ones instead.
        cache: folder of features, None for the user's own. workers: processes that decode.
        weights: files or folders of published weights by network; those that were fetched are found without.
        conditioned_on: networks that the generating system was conditioned on or trained with, whose scores are
            therefore circular.
        keep_mismatched: score clips of other rates or channels than the rest. seed: of control and intervals.
        device: where networks with published weights compute, as "cpu", "cuda", "cuda:1", "mps" or "auto".
    """

    preset: str = "quick"
    metrics: tuple[str, ...] = ()
    cache: Path | None = None
    workers: int = 1
    weights: Mapping[str, Path] = field(default_factory=dict)
    conditioned_on: tuple[str, ...] = ()
    keep_mismatched: bool = False
    seed: int = 0
    device: str = "cpu"


def evaluate(
    generated: str | Path,
    reference: str | Path | None = None,
    prompts: str | Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a folder of clips; the result is plain and goes into JSON as it is (see docs/metrics.md for its fields).

    Args:
        reference: real clips; those of the same name pair.
        prompts: a file for `read_prompts`; without it the prompts in the clips' own metadata are not used.

    Raises:
        PhonofilmError: a folder, file, preset or metric that does not exist, or a folder without a clip to score.
    """
    settings = settings or Settings()
    check_folder(settings.cache or default_cache())
    metrics = choose(settings.preset, settings.metrics)
    given_weights = _weights(metrics, settings.weights)
    folders = [scan(generated), *([scan(reference)] if reference is not None else [])]
    known = read_prompt_rows(prompts) if prompts is not None else {}
    given = {"reference": reference is not None, "prompts": prompts is not None}
    blocked = {m.name: reason for m in metrics if (reason := _blocked(m, given, given_weights))}
    ready = [metric for metric in metrics if metric.name not in blocked]
    features = sorted({"facts", *(name for metric in ready for name in metric.features)})
    plan = Plan.of(features, settings.cache or default_cache(), given_weights, str(pick_device(settings.device)))
    takings = [
        extract_all(folder.clips, plan, settings.workers, progress, stage)
        for folder, stage in zip(folders, ("generated", "reference"), strict=False)
    ]
    sorted_out = [screen_clips(taking, settings.keep_mismatched or side > 0) for side, taking in enumerate(takings)]
    for (clips, _), folder in zip(sorted_out, folders, strict=True):
        if not clips:
            worst = Counter(item.kind for item in sorted_out[folders.index(folder)][1]).most_common(1)[0]
            raise PhonofilmError(
                f"no clip of {folder.path} can be scored: {worst[1]} {worst[0]}; see phonofilm info FILE"
            )
    mine = sorted_out[0][0]
    real = sorted_out[1][0] if len(sorted_out) > 1 else []
    asked = {clip.name: row for clip in (*mine, *real) if (row := prompt_of(known, clip.name)) is not None}
    longer = take_words((text for row in asked.values() for text in row.texts), plan, progress)
    found = _measured(ready, mine, real, asked, plan, settings.seed, progress)
    listed = [sorted_out[0][1] + unpaired(mine, real, "reference") + uneven_pairs(mine, real)]
    if real:
        listed.append(sorted_out[1][1] + unpaired(real, mine, "generated folder"))
    sides = [_side(*row) for row in zip(folders, takings, (mine, real), listed, strict=False)]
    return {
        "protocol": f"{PROTOCOL}/{settings.preset if not settings.metrics else 'chosen'}",
        "versions": {name: metadata.version(name) for name in ("phonofilm", "av", "numpy", "scipy", "torch")},
        "decoding": DECODING,
        "seed": settings.seed,
        "device": plan.device,
        "conditioned_on": list(settings.conditioned_on),
        "generated": sides[0],
        "reference": sides[1] if real else None,
        "paired": len({clip.name for clip in mine} & {clip.name for clip in real}),
        "prompts": len({clip.name for clip in mine} & asked.keys()),
        "categories": {c.name: asked[c.name].category for c in mine if c.name in asked and asked[c.name].category},
        "weights": {name: describe(name, path) for name, path in sorted(given_weights.items())},
        "metrics": [_row(m, found.get(m.name), blocked.get(m.name), settings, given_weights, longer) for m in metrics],
        "lacking": []
        if settings.metrics
        else [
            {"name": name, "reason": reason} for name, reason in UNSUPPORTED_BENCHMARK_METRICS.get(settings.preset, ())
        ],
        "clips": _by_clip(mine, found),
    }


def _measured(
    metrics: Sequence[Metric],
    mine: Sequence[ExtractedClip],
    real: Sequence[ExtractedClip],
    prompts: Mapping[str, Prompt],
    plan: Plan,
    seed: int,
    progress: Progress | None,
) -> dict[str, Measured]:
    """Every metric: those that were measured before on the same clips are read, the others measured and kept."""
    results = ResultCache(plan, mine, real, prompts, seed)
    kept = {metric.name: found for metric in metrics if (found := results.get(metric)) is not None}
    left = [metric for metric in metrics if metric.name not in kept]
    fresh = measure(left, mine, real, prompts, plan, seed, progress) if left else {}
    for metric in left:
        results.put(metric, fresh[metric.name])
    return {metric.name: (kept | fresh)[metric.name] for metric in metrics}


def _weights(metrics: Sequence[Metric], given: Mapping[str, Path]) -> dict[str, Path]:
    """The weights that the metrics need: those given, or else those that were fetched.

    Raises:
        PhonofilmError: weights of a network that no metric takes, or that are not there.
    """
    known = {feature.weights for feature in catalogue().values() if feature.weights}
    for name, path in given.items():
        if name not in known:
            raise PhonofilmError(f"no metric takes weights of {name!r}; there are {', '.join(sorted(known))}")
        if not path.exists():
            raise PhonofilmError(f"no weights of {name} at {path}; check the path")
        if path.is_file() is (_kind_of(name) == "DIR"):
            raise PhonofilmError(
                f"--weights {name} takes a {'folder' if path.is_file() else 'file'}, and {path} is none"
            )
    needed = {catalogue()[name].weights for metric in metrics for name in metric.features}
    return {name: path for name, path in {**fetched_judges(), **given}.items() if name in needed}


def unused_weights(settings: Settings) -> list[str]:
    """Networks whose weights are given, and that none of the metrics to compute takes."""
    needed = {
        catalogue()[name].weights for metric in choose(settings.preset, settings.metrics) for name in metric.features
    }
    return sorted(settings.weights.keys() - needed)


SINGLE_FILES = ("panns", "passt")
"""Networks that nobody publishes with a hash, so that they cannot be fetched, and whose weights are one file."""


def _kind_of(judge: str) -> str:
    """Whether a network's weights are a folder in transformers' layout or one file."""
    return "FILE" if judge in SINGLE_FILES or (judge in JUDGES and JUDGES[judge].file) else "DIR"


def _blocked(metric: Metric, given: Mapping[str, bool], weights: Mapping[str, Path]) -> dict[str, str] | None:
    """Why a metric cannot be computed here, and what would help."""
    for name in metric.features:
        feature = catalogue()[name]
        if feature.weights and feature.weights not in weights:
            wanted = feature.weights
            return {
                "status": "needs weights",
                "reason": f"{'phonofilm weights get ' + wanted + ', or ' if wanted in JUDGES else ''}"
                f"--weights {wanted}={_kind_of(wanted)}{'' if wanted in JUDGES else ' (docs/metrics.md says whose)'}",
            }
        if feature.weights and feature.lacks and (reason := feature.lacks(weights[feature.weights])):
            return {"status": "needs weights", "reason": reason}
        if absent := feature.missing():
            alone = [BY_HAND[m] for d, m in feature.packages.items() if d in absent and m in BY_HAND]
            command = " && ".join(alone) or install_command("evaluation")
            return {"status": "needs packages", "reason": f"{command} ({', '.join(absent)})"}
    for need in metric.needs:
        if not given[need]:
            return {"status": f"needs {need}", "reason": f"give --{need}"}
    return None


def _side(
    folder: Folder, taking: Sequence[ExtractedClip], scored: Sequence[ExtractedClip], listed: Sequence[ScreeningNote]
) -> dict[str, Any]:
    hashes = "".join(sorted(f"{clip.digest}  {clip.name}\n" for clip in scored))
    out = Counter(item.kind for item in listed)
    return {
        "folder": printable(str(folder.path)),
        "digest": hashlib.sha256(hashes.encode()).hexdigest(),
        "files": len(folder.clips),
        "scored": len(scored),
        "left_out": len(folder.clips) - len(scored),
        "from_cache": sum(clip.cached for clip in taking),
        "counts": dict(sorted(out.items())),
        "listed": [asdict(item) for item in listed],
        "no_clips": list(folder.others),
        "hashes": {clip.name: clip.digest for clip in scored},
        "paths": {clip.name: printable(clip.path.relative_to(folder.path).as_posix()) for clip in scored},
    }


def _row(
    metric: Metric,
    found: Measured | None,
    blocked: Mapping[str, str] | None,
    settings: Settings,
    weights: Mapping[str, Path],
    longer: Mapping[str, int],
) -> dict[str, Any]:
    features = {name: catalogue()[name] for name in metric.features}
    row: dict[str, Any] = {
        "name": metric.name,
        "group": metric.group,
        "unit": metric.unit,
        "better": metric.better,
        "range": metric.range,
        "protocol": metric.protocol,
        "source": metric.source,
        "failure": metric.failure,
        "circular": metric.network is not None and metric.network in settings.conditioned_on,
        "depends": [f.depends(weights.get(f.weights or "")) for f in features.values()],
    }
    if blocked is not None:
        return row | dict(blocked)
    assert found is not None
    if found.value is None:
        reason = (
            found.notes[0] if found.notes else max(found.absent, key=lambda r: len(found.absent[r]), default="no clip")
        )
        row |= {"status": "n/a", "reason": reason}
    else:
        row |= {"status": "ok"}
    plain = asdict(found)
    for name in metric.features:
        if longer.get(name):
            told = f"{longer[name]} prompts are longer than the network reads; their ends do not count"
            plain["notes"] = (*plain["notes"], told)
    return row | {key: value for key, value in plain.items() if key != "clips"}


def _by_clip(clips: Sequence[ExtractedClip], found: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    return {
        clip.name: {name: m.clips[clip.name] for name, m in found.items() if clip.name in m.clips} for clip in clips
    }


def write_json(result: Mapping[str, Any], path: Path) -> None:
    """Write a result; the file is whole or not there."""
    from phonofilm.files import write_bytes

    write_bytes(path, (json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
