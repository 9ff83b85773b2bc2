"""What every metric asks of its arrays, said once and in one line."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def finite(values: ArrayLike, name: str) -> Floats:
    """`values` as float64 of any shape.

    Raises:
        ValueError: they are not numbers, or hold NaN or infinity.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers of one shape: {error}") from error
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{name} holds {count} values that are NaN or infinite: leave those clips out and say so")
    return array


def vector(values: ArrayLike, name: str, least: int = 1) -> Floats:
    """`values` as float64 [N] with at least `least` entries."""
    array = finite(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, not of shape {array.shape}")
    if len(array) < least:
        raise ValueError(f"{name} needs at least {least} values and has {len(array)}")
    return array


def matrix(values: ArrayLike, name: str, least: int = 1) -> Floats:
    """`values` as float64 [N, D] with at least `least` rows and one column."""
    array = finite(values, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must be [samples, features], not of shape {array.shape}")
    if len(array) < least or array.shape[1] < 1:
        raise ValueError(f"{name} needs at least {least} samples of 1 feature and is {array.shape}")
    return array


def two_sets(generated: ArrayLike, real: ArrayLike, least: int = 2) -> tuple[Floats, Floats]:
    """Two sets of features, float64 [N, D] and [M, D]."""
    fake, true = matrix(generated, "generated", least), matrix(real, "real", least)
    if fake.shape[1] != true.shape[1]:
        raise ValueError(f"generated has {fake.shape[1]} features and real {true.shape[1]}: use one network for both")
    return fake, true


def pairs(
    generated: ArrayLike, real: ArrayLike, least: int = 1, names: tuple[str, str] = ("generated", "real")
) -> tuple[Floats, Floats]:
    """Two sets of features whose rows belong together, float64 [N, D] each."""
    fake, true = matrix(generated, names[0], least), matrix(real, names[1], least)
    if fake.shape != true.shape:
        raise ValueError(f"{names[0]} {fake.shape} and {names[1]} {true.shape} must pair row by row")
    return fake, true
