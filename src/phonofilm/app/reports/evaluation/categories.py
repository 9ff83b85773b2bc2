"""Means by category of prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class CategoryMean:
    """The mean of one metric over the n clips of a category."""

    value: float
    n: int


def category_means(result: Mapping[str, Any]) -> dict[str, dict[str, CategoryMean]]:
    """Mean of each metric that is one of clips, by category; nothing where the prompts have fewer than two."""
    categories = result.get("categories") or {}
    if len(set(categories.values())) < 2:
        return {}
    found: dict[str, dict[str, list[float]]] = {}
    for clip, values in result["clips"].items():
        for metric, value in values.items():
            if clip in categories:
                found.setdefault(metric, {}).setdefault(categories[clip], []).append(value)
    order = [row["name"] for row in result["metrics"] if row["name"] in found]
    return {
        metric: {name: CategoryMean(float(np.mean(each)), len(each)) for name, each in found[metric].items()}
        for metric in order
    }
