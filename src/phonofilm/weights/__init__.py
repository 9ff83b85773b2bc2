"""Where the weights of a named model live, the hash that names them, and the one place that fetches any."""

from __future__ import annotations

from phonofilm.weights.catalog import CATALOG, PublicModel, find
from phonofilm.weights.public import family, fetched, models_home, quick_digest
from phonofilm.weights.shipped import EMBEDDED, PARTS, digest, embedded, locate

__all__ = [
    "CATALOG",
    "EMBEDDED",
    "PARTS",
    "PublicModel",
    "digest",
    "embedded",
    "family",
    "fetched",
    "find",
    "locate",
    "models_home",
    "quick_digest",
]
