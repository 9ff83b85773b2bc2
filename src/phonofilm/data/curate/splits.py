"""Training, validation and test without leakage: a source lies in one split, with all that share content with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

SPLITS = ("train", "validation", "test")


def split_sources(
    sources: Iterable[str], linked: Iterable[tuple[str, str]], shares: Mapping[str, float]
) -> dict[str, str]:
    """The split of each source, by digest. It does not change when other sources come or go, unless they are linked.

    Args:
        linked: pairs of sources that share content, which may not lie in different splits.
        shares: of "validation" and "test", 0 … 1; the rest is "train".
    """
    parent = {source: source for source in sources}

    def root(source: str) -> str:
        while parent[source] != source:
            source = parent[source]
        return source

    for one, other in linked:
        if one in parent and other in parent:
            first, second = sorted((root(one), root(other)))
            parent[second] = first
    return {source: _split(root(source), shares) for source in parent}


def _split(source: str, shares: Mapping[str, float]) -> str:
    place = int(hashlib.sha256(f"split {source}".encode()).hexdigest()[:12], 16) / 16**12
    for name in ("test", "validation"):
        share = shares.get(name, 0.0)
        if place < share:
            return name
        place -= share
    return "train"
