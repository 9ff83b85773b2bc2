"""What clips were asked to show: a file of prompts, by the clips' names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.dataset import FAMILIES, normal_name
from phonofilm.files import text_lines

NAMES = ("path", "file", "video", "name", "id", "prompt_en")
TEXTS = ("prompt", "caption", "text", "prompt_en")
"""Columns that may hold a clip's name, those that name a file first, and its text."""
CATEGORIES = ("category", "dimension", "family", "type")
TARGETS = ("object", "object_2", "color", "relation", "action", "scene", "style", "motion")
"""Columns that say what exactly a prompt asks for, which VBench's dimensions of meaning are scored against."""


@dataclass(frozen=True)
class Prompt:
    """One row of a file of prompts.

    Attributes:
        text: the prompt. category: what kind of prompt it is, "" where the file does not say.
        targets: what exactly is asked for, by the names of `TARGETS`.
    """

    text: str
    category: str = ""
    targets: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts that networks read of it."""
        return (self.text, *([self.targets["style"]] if "style" in self.targets else []))


def read_prompts(path: str | Path) -> dict[str, str]:
    """The texts alone of `read_prompt_rows`."""
    return {name: prompt.text for name, prompt in read_prompt_rows(path).items()}


def read_prompt_rows(path: str | Path) -> dict[str, Prompt]:
    """Prompts by clip name, from .json ({name: prompt}, or a list of rows), .jsonl, .csv or .tsv.

    Rows have a name (`path`, `file`, `video`, `name` or `id`; the suffix of a media file is removed) and a text
    (`prompt`, `caption` or `text`). A row with several names, as in the index that `generate` writes, is known by each
    of them; where two rows claim one name, a column that names a file counts more. Names are in normal form C.

    Rows may have a category (`category`, `dimension`, `family` or `type`) and targets (`object`, `object_2`, `color`,
    `relation`, `action`, `scene`, `style`, `motion`). VBench's own list (`prompt_en`, `dimension`, `auxiliary_info`)
    is read as it is: its prompts are its names.

    Raises:
        PhonofilmError: a file that is missing or of another form; the line says where.
    """
    source = Path(path)
    try:
        # decoded as bytes: reading as text would change line ends inside a quoted cell
        rows = _rows(source, source.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PhonofilmError(f"prompts {source} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:  # other than UTF-8, or no JSON
        raise PhonofilmError(f"prompts {source} are not readable {source.suffix or 'text'}: {error}") from error
    if not rows:
        raise PhonofilmError(f"there are no prompts in {source}")
    prompts: dict[str, Prompt] = {}
    for rank in range(max(len(names) for names, _ in rows)):
        for names, text in rows:
            if rank < len(names):
                prompts.setdefault(names[rank], text)
    return prompts


def prompt_of(prompts: Mapping[str, Prompt], clip: str) -> Prompt | None:
    """The prompt of a clip, by its name, by the last part of its path, or by its name less "-0", "-1" … of samples."""
    last = PurePosixPath(clip).name
    tries = (clip, last, re.sub(r"-\d+$", "", last))
    return next((prompts[name] for name in tries if name in prompts), None)


def _rows(source: Path, text: str) -> list[tuple[list[str], Prompt]]:
    suffix = source.suffix.lower()
    if suffix == ".json":
        data = parse_json(text)
        if isinstance(data, Mapping) and all(isinstance(value, str) for value in data.values()):
            return [([_name(name)], Prompt(value)) for name, value in data.items()]
        return _named(source, data if isinstance(data, list) else [data])
    if suffix == ".jsonl":
        lines = [(number, line) for number, line in enumerate(text_lines(text), 1) if line.strip()]
        return _named(source, [_json_line(number, line) for number, line in lines])
    if suffix in (".csv", ".tsv"):
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter="," if suffix == ".csv" else "\t")
        return _named(source, table)
    raise PhonofilmError(f"prompts {source} must be .json, .jsonl, .csv or .tsv")


def _json_line(number: int, line: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"line {number} is not JSON") from error


def _named(source: Path, rows: Iterable[Any]) -> list[tuple[list[str], Prompt]]:
    found = []
    for number, row in enumerate(rows, 1):
        kept = row if isinstance(row, Mapping) else {}
        names = [str(kept[key]) for key in NAMES if _is_name(kept.get(key))]
        text = next((kept[key] for key in TEXTS if isinstance(kept.get(key), str)), None)
        if not names or text is None:
            raise PhonofilmError(f"row {number} of {source} needs a name ({', '.join(NAMES)}) and a prompt")
        known = list(dict.fromkeys(_name(name) for name in names))
        found.append((known, Prompt(text, _category(kept), _targets(kept))))
    return found


def _category(row: Mapping[str, Any]) -> str:
    value = next((row[key] for key in CATEGORIES if row.get(key)), "")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _targets(row: Mapping[str, Any]) -> dict[str, str]:
    own = {key: str(row[key]).strip() for key in TARGETS if isinstance(row.get(key), str) and row[key].strip()}
    return _vbench_targets(row.get("auxiliary_info")) | own


def _vbench_targets(told: Any) -> dict[str, str]:
    """Targets of a row of VBench's list, which has a form of its own for each dimension."""
    found: dict[str, str] = {}
    for dimension, value in told.items() if isinstance(told, Mapping) else ():
        match dimension, value:
            case "object_class", {"object": str(thing)}:
                found["object"] = thing
            case "multiple_objects", {"object": str(things)} if " and " in things:
                found["object"], _, found["object_2"] = things.partition(" and ")
            case "color", {"color": str(color)}:
                found["color"] = color
            case "scene", {"scene": {"scene": str(scene)}}:
                found["scene"] = scene
            case "appearance_style", {"appearance_style": str(style)}:
                found["style"] = style
            case "spatial_relationship", {
                "spatial_relationship": {"object_a": str(a), "object_b": str(b), "relationship": str(relation)}
            }:
                found |= {"object": a, "object_2": b, "relation": relation}
    return {key: re.sub(r"^(an?|the) ", "", value.strip()) for key, value in found.items()}


def _is_name(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and bool(value))


def _name(text: str) -> str:
    path = PurePosixPath(text)
    return normal_name(path.with_suffix("").as_posix() if path.suffix.lower() in FAMILIES else text)
