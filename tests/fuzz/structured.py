"""Damage to what has a structure: JSON, lines of JSON, TOML and the headers of safetensors, value by value."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from fuzz.damage import damaged

Container = dict[str, Any] | list[Any]
# what stands where something else is needed: other types, ends of ranges, and what no format should take
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e-320, 1e300, float("nan"),
    float("inf"), float("-inf"), "", " ", "0", "nan", "1/0", "1e999999999", "../../x", "a\0b", "\u2028", "\ud800",
    "é" * 300, [], {}, [[]], [None], [1, "a"], {"": None}, {"a": {"a": {}}},
)  # fmt: skip


def json_damaged(content: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """One JSON value with one to three parts changed; one in four is damaged as bytes."""
    if generator.random() < 0.25:
        return damaged(content, generator, others)
    return _encoded(_changed(json.loads(content), generator), generator)


def lines_damaged(content: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """Lines of JSON, of which one is changed, missing, there twice, or elsewhere."""
    if generator.random() < 0.25:
        return damaged(content, generator, others)
    lines = content.splitlines()
    place = int(generator.integers(len(lines)))
    kind = int(generator.integers(8))
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.append(lines[place])
    else:
        lines[place] = _encoded(_changed(json.loads(lines[place]), generator), generator)
    return b"\n".join(lines) + b"\n"


def toml_damaged(content: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """A recipe with one to three settings changed; one in four is damaged as bytes."""
    if generator.random() < 0.25:
        return damaged(content, generator, others)
    return "\n".join(toml_lines(_changed(tomllib.loads(content.decode()), generator))).encode("utf-8", "surrogatepass")


def tensors_damaged(content: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """A safetensors file whose header, or the JSON in its metadata, is changed; one in four is damaged as bytes."""
    if generator.random() < 0.25:
        return damaged(content, generator, others)
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.get("__metadata__", {})
    inner = [name for name, value in metadata.items() if value[:1] in "{["]
    if inner and generator.random() < 0.6:
        name = inner[int(generator.integers(len(inner)))]
        metadata[name] = _encoded(_changed(json.loads(metadata[name]), generator), generator).decode("utf-8", "replace")
    else:
        header = _changed(header, generator)
    text = _encoded(header, generator)
    told = len(text) if generator.random() < 0.9 else int(2 ** generator.uniform(0, 64)) % 2**64
    return told.to_bytes(8, "little") + text + data


def _changed(value: Any, generator: np.random.Generator) -> Any:
    value = deepcopy(value)
    for _ in range(int(generator.integers(1, 4))):
        places = list(_places(value))
        if not places or generator.random() < 0.03:
            return STRANGE[int(generator.integers(len(STRANGE)))]
        holder, key = places[int(generator.integers(len(places)))]
        _change(holder, key, generator, places)
    return value


def _change(holder: Any, key: Any, generator: np.random.Generator, places: Sequence[tuple[Container, Any]]) -> None:
    kind = int(generator.integers(10))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
    elif kind == 2:
        other, place = places[int(generator.integers(len(places)))]
        holder[key] = deepcopy(other[place])
    elif kind == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * (-1, 7, 1000)[int(generator.integers(3))]
    else:
        holder[key] = deepcopy(STRANGE[int(generator.integers(len(STRANGE)))])


def _places(value: Any) -> Iterator[tuple[Container, Any]]:
    """Every place of a value that can be changed, as (container, key)."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _encoded(value: Any, generator: np.random.Generator) -> bytes:
    text = json.dumps(value, ensure_ascii=bool(generator.random() < 0.5))
    if generator.random() < 0.05 and "{" in text:  # a key that stands twice
        text = text.replace("{", '{"seed": 1, "seed": [], ', 1)
    return text.encode("utf-8", "surrogatepass")


def toml_lines(value: Any) -> Iterator[str]:
    """A table as TOML, or something that is none where the value is none."""
    if not isinstance(value, dict):
        yield json.dumps(value)
        return
    for key, item in value.items():
        if not isinstance(item, dict):
            yield f"{json.dumps(key)} = {_toml_value(item)}"
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"[{json.dumps(key)}]"
            yield from (f"{json.dumps(name)} = {_toml_value(part)}" for name, part in item.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, float):
        return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(json.dumps(value), repr(value))
    return "" if value is None else json.dumps(value)
