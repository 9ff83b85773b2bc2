"""Numbers that options may have."""

from __future__ import annotations

import math
from typing import NamedTuple

from phonofilm.errors import PhonofilmError


class Limit(NamedTuple):
    """The value of an option, None where it was not given, and the least and greatest that it may be."""

    name: str
    value: float | None
    least: float = -math.inf
    most: float = math.inf


def check_limits(*limits: Limit) -> None:
    """Refuse the first option whose value is not finite or outside its limits.

    Raises:
        PhonofilmError: which option, its value, and what it may be.
    """
    for name, value, least, most in limits:
        if value is None or (math.isfinite(value) and least <= value <= most):
            continue
        if not math.isinf(most):
            allowed = f"from {least:g} to {most:g}"
        else:
            allowed = "a finite number" if math.isinf(least) else f"{least:g} or more"
        raise PhonofilmError(f"{name} {value:.10g} is not possible; it must be {allowed}")
