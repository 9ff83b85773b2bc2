"""Many jobs from one file: a line is a prompt, or a JSON object with a prompt and its own options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phonofilm.app.cli.options import parse_guidance, parse_size
from phonofilm.app.cli.session import Report, Session
from phonofilm.app.jobs.runner import Maker
from phonofilm.backends.base import fingerprint
from phonofilm.backends.requests import as_request
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.files import check_folder, folder_for, write_bytes
from phonofilm.types import Request

FIELDS = ("prompt", "name", "seconds", "size", "fps", "seed", "steps", "sampler", "guidance", "negative", "image")
SUFFIX = ".mp4"
INDEX = "index.jsonl"


@dataclass(frozen=True)
class Item:
    """One job of a batch: the name that its file begins with, and its request."""

    name: str
    request: Request

    def path(self, folder: Path, weights: str) -> Path:
        """Named by all that decides the content, so that a file that is there is the one that is wanted."""
        decided = hashlib.sha256(f"{self.request.digest} {weights}".encode()).hexdigest()
        return folder / f"{self.name}-{decided[:10]}{SUFFIX}"


def run_batch(
    session: Session,
    report: Report,
    base: Request,
    prompts: Path,
    folder: Path,
    count: int,
    device: str,
    resume: bool,
    options: Mapping[str, Any] = {},
) -> None:
    """Make every clip of a batch; with `resume` those that are there are kept.

    Raises:
        PhonofilmError: a line that is no job, or a folder that cannot be made; nothing is written then.
    """
    items = [
        Item(item.name, replace(item.request, seed=item.request.seed + n))
        for item in read_items(prompts, base)
        for n in range(count)
    ]
    check_folder(folder)
    weights = fingerprint(base.model, **options)
    paths = [item.path(folder, weights) for item in items]
    wanted = [(item, path) for item, path in zip(items, paths, strict=True) if not (resume and path.exists())]
    kept = len(items) - len(wanted)
    if kept:
        report.warn(f"{kept} of {len(items)} clips are there already and kept")
    maker = Maker(session, report, base.model, device, options) if wanted else None
    with folder_for(folder):
        made = [_made(maker, item, path, kept + n) for n, (item, path) in enumerate(wanted) if maker is not None]
        _write_index(folder, items, paths)
    for facts in made:
        report.print_line(facts["path"])
    report.set_fields(outputs=made, model=base.model, kept=kept, index=str(folder / INDEX))


def _made(maker: Maker, item: Item, path: Path, whole: int) -> dict[str, Any]:
    """One clip of a batch; `whole` of them are there already."""
    try:
        return maker.make(item.request, path)
    except Cancelled:
        raise
    except PhonofilmError as error:
        raise PhonofilmError(f"clip {item.name}: {error}; with --resume the {whole} before it are kept") from error


def read_items(path: Path, base: Request) -> list[Item]:
    """The jobs of a JSONL file; what a line does not say is taken from `base`.

    Raises:
        PhonofilmError: with the number of the first line that is no job.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise PhonofilmError(f"{path} is not text; write one JSON object or string a line") from error
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error
    items: list[Item] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                items.append(_item(json.loads(line), f"{len(items):04d}", base))
            except json.JSONDecodeError as error:
                raise PhonofilmError(f"{path} line {number} is not JSON: {error.msg}") from error
            except PhonofilmError as error:
                raise PhonofilmError(f"{path} line {number}: {error}") from error
    if not items:
        raise PhonofilmError(f"{path} holds no prompts; write one JSON object or string a line")
    return items


def _item(values: Any, number: str, base: Request) -> Item:
    values = {"prompt": values} if isinstance(values, str) else values
    if not isinstance(values, dict):
        raise PhonofilmError('a job is a string, or an object as {"prompt": "…", "seed": 1}')
    unknown = sorted(values.keys() - set(FIELDS))
    if unknown:
        raise PhonofilmError(f"unknown field {unknown[0]!r}; there are {', '.join(FIELDS)}")
    fields = {key: _field(key, value) for key, value in values.items() if value is not None}
    name = fields.pop("name", "")
    if any(character in name for character in '/\\\0"*?<>|:') or name.startswith("."):
        raise PhonofilmError(f"the name {name!r} cannot be part of a file's name")
    return Item(f"{number}-{name}" if name else number, as_request(base, fields))


def _field(key: str, value: Any) -> Any:
    kinds: dict[str, tuple[type, ...]] = {
        "seconds": (int, float),
        "seed": (int,),
        "steps": (int,),
        "guidance": (int, float, str),
    }
    kinds |= {"size": (int, str), "fps": (int, float, str)}
    if isinstance(value, bool) or not isinstance(value, kinds.get(key, (str,))):
        raise PhonofilmError(f"{key} cannot be {json.dumps(value)}")
    if key == "size":
        return parse_size(str(value))
    if key == "guidance":
        return parse_guidance(str(value))
    if key == "image":
        from phonofilm.media import read_image

        return read_image(str(value))
    return value


def _write_index(folder: Path, items: list[Item], paths: list[Path]) -> None:
    """Which file came from which prompt and seed, for whoever scores or shows the folder."""
    rows = [
        {"path": path.name, "name": item.name, "prompt": item.request.prompt, "seed": item.request.seed}
        for item, path in zip(items, paths, strict=True)
    ]
    write_bytes(folder / INDEX, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
