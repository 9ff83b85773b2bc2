"""Where the weights of a named model live, the hash that names them, and the one place that fetches any."""

from __future__ import annotations

from phonofilm.weights.catalog import CATALOG, PublicModel, Published, find
from phonofilm.weights.judges import JUDGES, Judge, describe, fetched_judges
from phonofilm.weights.public import family, fetched, models_home, quick_digest
from phonofilm.weights.shipped import CODECS, EMBEDDED, PARTS, codecs_folder, digest, embedded, locate, part_files
from phonofilm.weights.speakers import SPEAKERS, Speaker

__all__ = [
    "CATALOG",
    "CODECS",
    "EMBEDDED",
    "JUDGES",
    "PARTS",
    "SPEAKERS",
    "Judge",
    "PublicModel",
    "Published",
    "Speaker",
    "codecs_folder",
    "describe",
    "digest",
    "embedded",
    "family",
    "fetched",
    "fetched_judges",
    "find",
    "locate",
    "models_home",
    "part_files",
    "quick_digest",
]
