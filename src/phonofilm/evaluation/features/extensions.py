"""Metrics and features of other packages, by the entry points of the group `phonofilm.metrics` (docs/extending.md)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from phonofilm.errors import PhonofilmError

GROUP = "phonofilm.metrics"


@cache
def extensions() -> tuple[tuple[str, Any], ...]:
    """What the installed packages offer, each with the name of its package: one object, or several in a sequence.

    Raises:
        PhonofilmError: an entry point cannot be loaded.
    """
    found: list[tuple[str, Any]] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        package = entry.dist.name if entry.dist is not None else entry.module
        offered = _load(entry, package)
        several = offered if isinstance(offered, Iterable) else (offered,)
        found += [(package, one) for one in several]
    return tuple(found)


def _load(entry: EntryPoint, package: str) -> Any:
    try:
        return entry.load()
    except Exception as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PhonofilmError(
            f"the metric {entry.name} of the package {package} cannot be loaded: {told}; repair or uninstall {package}"
        ) from error
