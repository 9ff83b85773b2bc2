"""Taking a source out of a set again: out of shards, index, results and review, and never back in by itself."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from phonofilm.checkpoint import file_sha256
from phonofilm.data.curate.common.results import Results, read_json, write_json
from phonofilm.data.curate.output.record import COLUMNS
from phonofilm.data.curate.output.shards import read_index, write_index
from phonofilm.data.curate.pipeline import WORK
from phonofilm.data.curate.review import decide, decisions
from phonofilm.data.curate.versions import REMOVED, removed_sources, versions_with, weights_that_saw
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic


@dataclass(frozen=True)
class Removal:
    """What was taken out.

    Attributes:
        source: digest. clips: of the shards. results: shots whose results are deleted.
        versions: digests of the set as it was written with this source in it.
        weights: files that say that they were trained on one of these.
    """

    source: str
    clips: int
    results: int
    versions: tuple[str, ...]
    weights: tuple[str, ...]


def remove_source(folder: Path, named: str, weights: Iterable[Path] = ()) -> Removal:
    """Take a source out of a set.

    Args:
        named: a film, or its name, digest, or the beginning of its digest as the index has them.
        weights: folders in which safetensors files are asked what they were trained on.

    Raises:
        PhonofilmError: no set there, or none or several of its sources have that name.
    """
    index = folder / "index.parquet"
    rows = read_index(index) if index.is_file() else []
    digest = _digest_of(folder, named, {row["source"]: row["source_name"] for row in rows})
    # first of all, so that whatever happens next no run takes it in again
    write_json(folder / REMOVED, sorted({*removed_sources(folder), digest}))
    keys = {row["key"] for row in rows if row["source"] == digest}
    shards = {row["shard"] for row in rows if row["source"] == digest}
    if keys:
        write_index(index, [row for row in rows if row["source"] != digest], COLUMNS)
    for name in sorted(shards):
        _without(folder / "shards" / name, keys)
    work = folder / WORK
    if isinstance(held := read_json(work / "shards.json"), dict):
        write_json(work / "shards.json", {name: found for name, found in held.items() if name not in shards})
    deleted = Results(work / "results").remove(digest)
    (work / "shots" / f"{digest}.json").unlink(missing_ok=True)
    _forget_clips(folder, digest)
    found = versions_with(folder, digest)
    return Removal(digest, len(keys), deleted, found, weights_that_saw(weights, (*found, digest)))


def _digest_of(folder: Path, named: str, indexed: dict[str, str]) -> str:
    if not folder.is_dir() or not (folder / WORK).is_dir():
        raise PhonofilmError(f"{folder} is no set; name the folder that phonofilm data curate wrote")
    remembered = read_json(folder / WORK / "films.json")
    known = dict(indexed)
    for stamp, digest in (remembered if isinstance(remembered, dict) else {}).items():
        known.setdefault(digest, stamp.rsplit(" ", 2)[0])
    exact = {digest for digest, name in known.items() if named == name}
    if not exact and Path(named).is_file():
        exact = {file_sha256(Path(named))} & set(known)
    loose = {digest for digest, name in known.items() if Path(name).name == named}
    loose |= {digest for digest in known if len(named) >= 6 and digest.startswith(named)}
    found = exact or loose
    if not found:
        raise PhonofilmError(f"no source of {folder} is called {named}; give its file, its name or its digest")
    if len(found) > 1:
        raise PhonofilmError(f"{len(found)} sources of {folder} are called {named}; give its path or its digest")
    return found.pop()


def _without(path: Path, keys: set[str]) -> None:
    """A shard without some clips; none at all where no other is left."""
    if not path.is_file():
        return
    left = 0
    with (
        atomic(path) as temporary,
        tarfile.open(path) as old,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in old:
            if member.name.split(".")[0] not in keys:
                new.addfile(member, old.extractfile(member))
                left += 1
    if not left:
        path.unlink()


def _forget_clips(folder: Path, digest: str) -> None:
    """What the report plays, and what was decided by hand."""
    mark = digest[:12]
    for clip in folder.glob(f"*-clips/{mark}-*"):
        clip.unlink()
    gone = {key: "undecided" for key in decisions(folder) if key.startswith(mark)}
    if gone:
        decide(folder, gone)
