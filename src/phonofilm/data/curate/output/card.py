"""A card of the set in Croissant (MLCommons, 1.0), the JSON-LD that search engines and loaders of data sets read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.results import write_json
from phonofilm.data.curate.output.record import COLUMNS

FILE = "croissant.json"
CONTEXT: Mapping[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    "recordSet": "cr:recordSet", "field": "cr:field", "source": "cr:source", "extract": "cr:extract",
    "fileObject": "cr:fileObject", "column": "cr:column", "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "includes": "cr:includes", "fileSet": "cr:fileSet", "containedIn": "cr:containedIn",
}  # fmt: skip
TYPES = {"string": "sc:Text", "float64": "sc:Float", "int64": "sc:Integer", "bool": "sc:Boolean"}
UNKNOWN = "not said"


def write_card(folder: Path, rows: Sequence[Mapping[str, Any]], digest: str) -> Path:
    """Write the card of a set whose index lies in the same folder."""
    path = folder / FILE
    write_json(path, card_of(rows, digest, hashlib.sha256((folder / "index.parquet").read_bytes()).hexdigest()))
    return path


def card_of(rows: Sequence[Mapping[str, Any]], digest: str, index_sha256: str) -> dict[str, Any]:
    """The card as JSON-LD."""
    seconds = sum(row["seconds"] for row in rows)
    sources = {row["source"] for row in rows}
    index = {
        "@type": "cr:FileObject", "@id": "index", "name": "index", "contentUrl": "index.parquet",
        "encodingFormat": "application/vnd.apache.parquet", "sha256": index_sha256,
    }  # fmt: skip
    shards = {
        "@type": "cr:FileSet", "@id": "shards", "name": "shards", "includes": "shards/*.tar",
        "encodingFormat": "application/x-tar",
    }  # fmt: skip
    fields = [
        {
            "@type": "cr:Field", "@id": f"clips/{name}", "name": name, "dataType": TYPES[kind],
            "source": {"fileObject": {"@id": "index"}, "extract": {"column": name}},
        }
        for name, kind in COLUMNS.items()
    ]  # fmt: skip
    return {
        "@context": dict(CONTEXT), "@type": "sc:Dataset", "name": "phonofilm-curated",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "description": f"{len(rows)} shots of film with sound, {seconds / 60:.1f} minutes, of {len(sources)} films, "
        "curated by phonofilm data curate. Rights are told per clip.",
        "version": digest[:16], "license": said(rows, "license"), "isBasedOn": said(rows, "origin"),
        "usageInfo": "Consent: " + "; ".join(said(rows, "consent")),
        "distribution": [index, shards],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "clips", "name": "clips", "field": fields}],
    }  # fmt: skip


def said(rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """All values that clips have for something, in order; what is not said is said to be so."""
    return sorted({str(row.get(name) or UNKNOWN) for row in rows}) or [UNKNOWN]
