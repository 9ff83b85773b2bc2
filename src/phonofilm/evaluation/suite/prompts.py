"""What clips were asked to show: a file of prompts, by the clips' names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.suite.dataset import FAMILIES

NAMES, TEXTS = ("name", "id", "file", "path", "video"), ("prompt", "caption", "text")


def read_prompts(path: str | Path) -> dict[str, str]:
    """Prompts by clip name, from .json ({name: prompt}, or a list of rows), .jsonl, .csv or .tsv.

    Rows have a name (`name`, `id`, `file`, `path` or `video`; a suffix is taken off) and a text (`prompt`, `caption`
    or `text`).

    Raises:
        PhonofilmError: a file that is missing or of another form; the line says where.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8-sig")
        rows = _rows(source, text)
    except OSError as error:
        raise PhonofilmError(f"prompts {source} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise PhonofilmError(f"prompts {source} are not readable {source.suffix or 'text'}: {error}") from error
    prompts = dict(rows)
    if not prompts:
        raise PhonofilmError(f"there are no prompts in {source}")
    return prompts


def _rows(source: Path, text: str) -> list[tuple[str, str]]:
    suffix = source.suffix.lower()
    if suffix == ".json":
        data = json.loads(text)
        if isinstance(data, Mapping) and all(isinstance(value, str) for value in data.values()):
            return [(_name(name), value) for name, value in data.items()]
        return _named(source, data if isinstance(data, list) else [data])
    if suffix == ".jsonl":
        return _named(source, [json.loads(line) for line in text.splitlines() if line.strip()])
    if suffix in (".csv", ".tsv"):
        return _named(source, csv.DictReader(text.splitlines(), delimiter="," if suffix == ".csv" else "\t"))
    raise PhonofilmError(f"prompts {source} must be .json, .jsonl, .csv or .tsv")


def _named(source: Path, rows: Iterable[Any]) -> list[tuple[str, str]]:
    found = []
    for number, row in enumerate(rows, 1):
        name = next((row[key] for key in NAMES if isinstance(row, Mapping) and row.get(key)), None)
        text = next((row[key] for key in TEXTS if isinstance(row, Mapping) and isinstance(row.get(key), str)), None)
        if name is None or text is None:
            raise PhonofilmError(f"row {number} of {source} needs a name ({', '.join(NAMES)}) and a prompt")
        found.append((_name(str(name)), text))
    return found


def _name(text: str) -> str:
    path = PurePosixPath(text)
    return path.with_suffix("").as_posix() if path.suffix.lower() in FAMILIES else text
