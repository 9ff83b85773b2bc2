"""Bootstrap draws of clusters (raters, scenes, clips) by scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from phonofilm.signals.validation import Floats


def bootstrap_draws(
    count: int,
    statistic: Callable[[NDArray[np.int64], int], Floats],
    resamples: int,
    rng: np.random.Generator,
    batch: int | None = None,
) -> Floats:
    """The statistic of `resamples` draws of `count` clusters with replacement; draws without a value are left out.

    Args:
        count: 2 or more.
        statistic: (numbers of the drawn clusters [..., count], axis of the draw) to values [...], NaN for none.
        batch: how many draws are worked on at once; None takes all.
    """
    with warnings.catch_warnings():
        # scipy's own interval, which is not used, warns of the draws without a value
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        drawn = stats.bootstrap(
            (np.arange(count),),
            statistic,
            n_resamples=resamples,
            batch=batch,
            vectorized=True,
            method="percentile",
            rng=rng,
        ).bootstrap_distribution
    return drawn[np.isfinite(drawn)]
