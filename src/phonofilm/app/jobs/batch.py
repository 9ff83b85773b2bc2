"""Many jobs from one file: a line is a prompt, or a JSON object with any field of a `RequestSpec`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phonofilm import strict_json
from phonofilm.app.jobs.outputs import MIX, StemOutput
from phonofilm.app.jobs.pool import BackendPool, Loading
from phonofilm.app.jobs.runner import check_job, numbered, run
from phonofilm.app.jobs.spec import LOADING, InvalidRequest, RequestSpec
from phonofilm.app.jobs.speech import check_subtitles
from phonofilm.app.session import Report
from phonofilm.backends.registry import fingerprint
from phonofilm.checkpoint import file_sha256
from phonofilm.errors import Cancelled, PhonofilmError, Unwritable
from phonofilm.files import check_folder, check_not_read, folder_for, identity, write_bytes
from phonofilm.media import FORMATS, check_output

SUFFIX = ".mp4"
INDEX = "index.jsonl"
MAX_COUNT = 10_000
NAME, COUNT = "name", "count"
"""Fields of a line besides those of a `RequestSpec`: the name of its file, and how many to make of it."""


@dataclass(frozen=True)
class Item:
    """One clip of a batch.

    Attributes:
        where: file and line of its job, for messages.
        digest: names all that decides the content of the clip.
    """

    where: str
    path: Path
    spec: RequestSpec
    digest: str = ""

    @property
    def name(self) -> str:
        return self.path.stem


def run_batch(
    report: Report, base: RequestSpec, prompts: Path, folder: Path, count: int = 1, resume: bool = False
) -> None:
    """Make every clip of a batch. All lines are checked first; those that are wrong are reported, the rest is made.

    Args:
        base: what a line does not say.
        count: clips of each line that does not say so itself, with seeds from its own on.
        resume: keep files that an earlier run made of the same job.

    Raises:
        PhonofilmError: no line can be made, the folder cannot be written, or the disk is full.
        Cancelled: the session was interrupted; whole clips stay.
    """
    check_folder(folder)
    check_not_read(folder / INDEX, [prompts])
    items, faults = read_items(prompts, base, folder, count)
    items, unknown = _named(items)
    known = _indexed(folder) if resume else {}
    kept = [item for item in items if item.path.exists() and known.get(item.path.name) == item.digest]
    there = {item.path for item in kept}
    pool = BackendPool()
    wanted, replacing = _apart([item for item in items if item.path not in there], items)
    wanted, refused = _possible(wanted, pool, report)
    faults += unknown + replacing + refused
    if faults and not wanted and not kept:
        raise PhonofilmError(faults[0] + (f"; and {len(faults) - 1} more" if len(faults) > 1 else ""))
    for fault in faults:
        report.error(fault)
    if kept:
        refused_too = f", {len(faults)} refused" if faults else ""
        report.warn(f"{len(kept)} clips are there already and kept, {len(wanted)} to be made{refused_too}")
    made = _make(wanted, folder, pool, report) if wanted else []
    there |= {Path(facts["path"]) for facts in made}
    rows = [_row(item) + "\n" for item in items if item.path in there]
    write_bytes(folder / INDEX, "".join(rows).encode())
    for facts in made:
        report.print_files(facts)
    report.set_fields(outputs=made, model=base.model, kept=len(kept), index=str(folder / INDEX))


def _make(items: Sequence[Item], folder: Path, pool: BackendPool, report: Report) -> list[dict[str, Any]]:
    """The facts of the clips that could be made; the others are reported."""
    made: list[dict[str, Any]] = []
    report.begin()
    with folder_for(folder):
        for number, item in enumerate(items, start=1):
            try:
                made.append(run(item.spec, item.path, report.job(item.name), pool))
            except Unwritable as error:
                raise Unwritable(f"{error}; with --resume the {len(made)} clips before it are kept") from error
            except Cancelled:
                raise
            except PhonofilmError as error:
                report.error(f"{item.where}, {item.name}: {error}")
                continue
            with (folder / INDEX).open("a", encoding="utf-8") as index:
                index.write(_row(item) + "\n")
            report.finished(item.path.name, number, len(items))
    return made


def _named(items: Sequence[Item]) -> tuple[list[Item], list[str]]:
    """The clips with their digests, and a line for each whose model is not here."""
    named: list[Item] = []
    faults: list[str] = []
    weights: dict[Loading, str | PhonofilmError] = {}
    for item in items:
        loading = item.spec.loading
        if loading not in weights:
            try:
                weights[loading] = fingerprint(loading.model, **dict(loading.options))
            except PhonofilmError as error:
                weights[loading] = error
        if isinstance(found := weights[loading], PhonofilmError):
            faults.append(f"{item.where}: {found}")
        else:
            named.append(replace(item, digest=_digest(item.spec, found)))
    return named, faults


def _apart(wanted: Sequence[Item], items: Sequence[Item]) -> tuple[list[Item], list[str]]:
    """Those whose file no clip of the batch reads, and a line for each of the others."""
    read = {identity(file): file for item in items for file in item.spec.files}
    apart: list[Item] = []
    faults: list[str] = []
    for item in wanted:
        try:
            check_not_read(item.path, [read.get(identity(item.path))])
            StemOutput.of(item.spec).check(item.path, read.values())
            if item.spec.subtitles:
                check_subtitles(item.path, read.values())
        except PhonofilmError as error:
            faults.append(f"{item.where}: {error}")
        else:
            apart.append(item)
    return apart, faults


def _possible(items: Sequence[Item], pool: BackendPool, report: Report) -> tuple[list[Item], list[str]]:
    """Those that their models can make, model by model, and a line for each of the others."""
    possible: list[Item] = []
    faults: list[str] = []
    job = report.job()
    for loading in dict.fromkeys(item.spec.loading for item in items):
        for item in (item for item in items if item.spec.loading == loading):
            try:
                with pool.use(loading, job) as backend:
                    check_job(item.spec, backend)
            except Cancelled:
                raise
            except PhonofilmError as error:
                faults.append(f"{item.where}: {error}")
            else:
                possible.append(item)
    return possible, faults


def _writes(item: Item) -> list[str]:
    """Names of the files that a clip of a batch is written to: itself, its subtitles and its stems."""
    beside = [item.path.with_suffix(".vtt").name] if item.spec.subtitles else []
    stems = [] if item.spec.stems is None else [f"{item.spec.stems}/{item.path.stem}-{MIX}.wav"]
    return [item.path.name, *beside, *stems]


def read_items(path: Path, base: RequestSpec, folder: Path, count: int = 1) -> tuple[list[Item], list[str]]:
    """The clips of a JSONL file, and one line for each line of it that is no job.

    Raises:
        PhonofilmError: a file that cannot be read, is not text, or is empty.
    """
    items: list[Item] = []
    faults: list[str] = []
    taken: dict[str, str] = {}
    for number, (line, text) in enumerate(_lines(path)):
        where = f"{path} line {line}"
        try:
            made = _items(_parsed(text), where, f"{number:04d}", base, folder, count)
            writes = [file for item in made for file in _writes(item)]
            for file in writes:
                if (other := taken.get(file.casefold())) is not None:
                    raise PhonofilmError(f"name: {file!r} is the name of {other} already")
            taken |= {file.casefold(): f"line {line}" for file in writes}
            items += made
        except InvalidRequest as error:
            faults += [f"{where}: {fault}" for fault in error.faults]
        except PhonofilmError as error:
            faults.append(f"{where}: {error}")
    if not items and not faults:
        raise PhonofilmError(f"{path} holds no prompts; write one JSON object or string a line")
    return items, faults


def _lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of each line that is not blank; only a line feed ends one, as in JSON itself."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PhonofilmError(f"{path} is not text; write one JSON object or string a line") from error
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = strict_json.loads(text.encode())
    except ValueError as error:
        hint = "" if text.lstrip().startswith(("{", "[", '"')) else '; write a prompt in quotes: "a red ball bounces"'
        raise PhonofilmError(f"it is not JSON that can be read: {error}{hint}") from error
    values = {"prompt": values} if isinstance(values, str) else values
    if not isinstance(values, dict):
        raise PhonofilmError('a job is a string, or an object as {"prompt": "…", "seed": 1}')
    return values


def _items(
    values: Mapping[str, Any], where: str, number: str, base: RequestSpec, folder: Path, count: int
) -> list[Item]:
    """The clips of one line."""
    job = {key: value for key, value in values.items() if key not in (NAME, COUNT)}
    spec = RequestSpec.from_json(job, base)
    wanted = values.get(COUNT)
    wanted = count if wanted is None else wanted
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MAX_COUNT:
        raise PhonofilmError(f"count: {json.dumps(wanted)} is not possible; choose 1 to {MAX_COUNT}")
    paths = numbered(folder / _file_name(values.get(NAME), number), wanted)
    return [Item(where, check_output(path), replace(spec, seed=spec.seed + extra)) for extra, path in enumerate(paths)]


def _file_name(name: Any, number: str) -> str:
    """The name of a file: as given, with .mp4 where it says no format."""
    if name is None:
        return number + SUFFIX
    if not isinstance(name, str):
        raise PhonofilmError(f"name: {json.dumps(name)} is not text")
    if not name.strip():
        raise PhonofilmError(f"name: it is empty; leave it out for {number + SUFFIX}, or say how the file is called")
    if (
        any(letter in '/\\"*?<>|:' or not letter.isprintable() for letter in name)
        or name[0] in ".- "
        or len(name) > 200
    ):
        raise PhonofilmError(f"name: {name[:60]!r} cannot be the name of a file")
    if name.casefold() == INDEX:
        raise PhonofilmError(f"name: {name!r} is the name of the batch's own list")
    return name if Path(name).suffix.lower() in FORMATS else name + SUFFIX


def _digest(spec: RequestSpec, weights: str) -> str:
    """Names all that decides the content of a clip: the job, the files that it reads, and the weights."""
    job = {key: value for key, value in spec.to_json().items() if key not in ("device", *LOADING)}
    stems = job.get("given_stems", {})
    read = [(job, name) for name in ("image", "source", "follow", "hits")]
    for place, name in [*read, *((stems, stem) for stem in stems)]:
        if name in place and Path(place[name]).is_file():
            place[name] = file_sha256(place[name])
    return hashlib.sha256(json.dumps([job, weights], sort_keys=True).encode()).hexdigest()


def _row(item: Item) -> str:
    """What the index says of a clip: which file came from which job."""
    row = {"path": item.path.name, "name": item.name, "prompt": item.spec.prompt, "seed": item.spec.seed}
    return json.dumps({**row, "digest": item.digest}, ensure_ascii=False)


def _indexed(folder: Path) -> dict[str, str]:
    """The digest of each file that an earlier run noted, the last one where a file was made again."""
    found: dict[str, str] = {}
    try:
        lines = (folder / INDEX).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return found
    for line in lines:
        try:
            row = json.loads(line)
            found[str(row["path"])] = str(row["digest"])
        except (ValueError, KeyError, TypeError, RecursionError):  # a line cut off as a run was stopped
            continue
    return found
