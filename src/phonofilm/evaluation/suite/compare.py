"""Which of two evaluations is better where, and whether that could be chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import NORMAL
from phonofilm.evaluation.statistics import holm, paired_permutation_test
from phonofilm.evaluation.suite.runner import PROTOCOL


@dataclass(frozen=True)
class Difference:
    """One metric of two evaluations.

    Attributes:
        first, second: the two values; `difference` is second − first, over the clips both have where it is paired.
        p: two-sided. adjusted: after Holm, over all metrics compared. None where it was not compared.
        test: "paired" (sign-flip permutation over clips of the same name) or "interval" (normal, from both intervals).
        better: "first", "second" or None. n: pairs. reason: why it was not compared.
    """

    name: str
    group: str
    first: float | None
    second: float | None
    difference: float | None = None
    p: float | None = None
    adjusted: float | None = None
    test: str = ""
    better: str | None = None
    n: int = 0
    reason: str = ""


def read_result(path: str | Path) -> dict[str, Any]:
    """A result of `evaluate` from its JSON.

    Raises:
        PhonofilmError: it is missing, or something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PhonofilmError(f"{path} is not JSON; give a results.json of phonofilm evaluate") from error
    if not isinstance(found, dict) or not {"protocol", "metrics", "clips", "generated"} <= found.keys():
        raise PhonofilmError(f"{path} is not a result of phonofilm evaluate; give its results.json")
    if str(found["protocol"]).split("/")[0] != PROTOCOL:
        raise PhonofilmError(
            f"{path} was made by protocol {found['protocol']}, not {PROTOCOL}; evaluate that folder again"
        )
    return found


def compare(first: Mapping[str, Any], second: Mapping[str, Any], level: float = 0.05) -> list[Difference]:
    """Every metric both evaluations have, with p-values that hold for all of them together (Holm).

    Metrics that are sums over clips are paired by clip name. Distances between sets are compared by their intervals,
    and only against the same reference.
    """
    others = {row["name"]: row for row in second["metrics"]}
    rows = [_one(row, others[row["name"]], first, second) for row in first["metrics"] if row["name"] in others]
    tested = {index: row.p for index, row in enumerate(rows) if row.p is not None}
    for index, value in zip(tested, holm(list(tested.values())), strict=True):
        row = rows[index]
        winner = _winner(row, others[row.name]["better"]) if value < level else None
        rows[index] = replace(row, adjusted=float(value), better=winner)
    return rows


def _one(a: Mapping[str, Any], b: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any]) -> Difference:
    base = Difference(a["name"], a["group"], a.get("value"), b.get("value"))
    if a["status"] != "ok" or b["status"] != "ok":
        lacking = a if a["status"] != "ok" else b
        return replace(base, reason=f"{lacking['status']}: {lacking.get('reason', '')}")
    if a["depends"] != b["depends"]:
        return replace(base, reason="made with other versions or weights; evaluate both again")
    mine, theirs = ({n: s[a["name"]] for n, s in side["clips"].items() if a["name"] in s} for side in (first, second))
    if not mine and not theirs:
        return _by_interval(base, a, b, first, second)
    shared = sorted(mine.keys() & theirs.keys())
    if len(shared) < 2:
        return replace(base, reason=f"{len(shared)} clips share a name; a paired test needs 2")
    found = paired_permutation_test([theirs[name] for name in shared], [mine[name] for name in shared])
    return replace(base, difference=found.difference, p=found.p, test="paired", n=len(shared))


def _by_interval(
    base: Difference, a: Mapping[str, Any], b: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Difference:
    digests = [(side["reference"] or {}).get("digest") for side in (first, second)]
    if digests[0] != digests[1]:
        return replace(base, reason="measured against other references")
    # the upper limit: a lower one at 0 is cut off
    spreads = [(row["high"] - row["value"]) / NORMAL for row in (a, b)]
    gap = b["value"] - a["value"]
    error = float(np.hypot(*spreads))
    p = float(2 * stats.norm.sf(abs(gap) / error)) if error > 0 else float(gap == 0)
    return replace(base, difference=gap, p=p, test="interval", n=min(a["n"], b["n"]))


def _winner(row: Difference, better: str) -> str | None:
    if better == "neither" or not row.difference:
        return None
    return "second" if (row.difference < 0) == (better == "lower") else "first"
