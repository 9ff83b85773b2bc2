"""The one configuration system: frozen dataclasses, read from TOML recipes, overridden by flags."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from phonofilm.errors import PhonofilmError

T = TypeVar("T")
LARGEST = 2**63
_FRACTION = re.compile(r"\s*[+-]?\d{1,24}(\.\d{1,24})?([eE][+-]?\d\d?)?(/\d{1,24})?\s*", re.ASCII)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain, JSON-able values: `from_dict(type(config), to_dict(config)) == config`."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a dataclass from plain values; every key is checked against the type of its field.

    Weights and runs that exist keep the names their settings had when they were written: a class may map those to
    today's in a class attribute `RENAMED`.

    Args:
        where: dotted prefix of the keys, for messages.

    Raises:
        PhonofilmError: an unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise PhonofilmError(f"settings of {where.rstrip('.') or cls.__name__} must be a section, not {_shown(values)}")
    hints = get_type_hints(cls)
    known = [f for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    values = {renamed.get(key, key): value for key, value in values.items()}
    for key in values:
        if key not in {f.name for f in known}:
            raise PhonofilmError(_unknown(where, str(key), [f.name for f in known]))
    arguments = {}
    for field in known:
        if field.name in values:
            arguments[field.name] = _typed(hints[field.name], values[field.name], f"{where}{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise PhonofilmError(f"setting {where}{field.name} is missing; it has no default")
    try:
        return cls(**arguments)
    except ValueError as error:
        raise PhonofilmError(f"settings of {where.rstrip('.') or cls.__name__}: {error}") from error


def read_toml(
    path: str | Path, overrides: Sequence[str] = (), what: str = "recipe", hint: str = "recipes/ for those that work"
) -> dict[str, Any]:
    """A recipe, or another file that messages call `what`, as nested dicts, with `key.sub=value` overrides applied.

    Messages name `hint` as the place to see how such a file is written.

    The right-hand side is read as TOML where it is TOML (`3`, `1e-3`, `true`, `[1, 2]`), "none" is
    None, and anything else is text.

    Raises:
        PhonofilmError: an unreadable file or a malformed override.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PhonofilmError(f"{what} {path} is not there; check the path{hint and f', or see {hint}'}") from error
    except OSError as error:
        raise PhonofilmError(f"{what} {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PhonofilmError(f"{what} {path} is not TOML, nor text at all; check the path") from error
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise PhonofilmError(
            f"{what} {path} is not TOML that can be read: {error}; mend it there{hint and f', or see {hint}'}"
        ) from error
    except RecursionError as error:
        raise PhonofilmError(f"{what} {path} is not TOML that can be read: it is nested too deeply") from error
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise PhonofilmError(f"override {override!r} must read key=value or key.sub=value")
        *parents, last = (part.strip() for part in key.split("."))
        table = values
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise PhonofilmError(f"override {override!r}: {parent} is a value, not a section")
        table[last] = _value(text.strip())
    return values


def load_toml(cls: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """Read a recipe into a dataclass, with `key.sub=value` overrides applied (see `read_toml`)."""
    return from_dict(cls, read_toml(path, overrides))


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts, with changes to single settings of them."""
    result = dict(values)
    for key, change in changes.items():
        nested = isinstance(change, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], change) if nested else change
    return result


def _value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def parse_json(text: str | bytes) -> Any:
    """Strict JSON: no NaN or Infinity, no key twice in an object, no surrogates by halves.

    Raises:
        ValueError: with what is wrong, in a few words.
    """
    try:
        values = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    _check_text(values)
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"{twice!r} stands twice in one object")
    return values


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{value!a} holds half of a character") from None
    elif isinstance(value, Mapping):
        for part in (*value.keys(), *value.values()):
            _check_text(part)
    elif isinstance(value, list):
        for part in value:
            _check_text(part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")  # 1e999 is read as infinity


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, (Fraction, Path)) else value


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as `hint` wants it: lists become tuples, ints floats, text fractions and paths."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where)
    if origin is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in arguments):
            raise PhonofilmError(f"setting {where}={_shown(value)} must be one of {', '.join(map(str, arguments))}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise PhonofilmError(f"setting {where} must be a section, not {_shown(value)}")
        return from_dict(hint, value, f"{where}.")
    if origin in (tuple, list, Sequence):
        return _sequence(origin, arguments, value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise PhonofilmError(f"setting {where} must be a section, not {_shown(value)}")
        return {key: _typed(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _scalar(hint, value, where)


def _union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    for option in options[:-1]:
        try:
            return _typed(option, value, where)
        except PhonofilmError:
            continue
    return _typed(options[-1], value, where)


def _sequence(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise PhonofilmError(f"setting {where} must be a list, not {_shown(value)}")
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        if len(value) != len(arguments):
            raise PhonofilmError(f"setting {where} must have {len(arguments)} items, not {len(value)}")
        return tuple(_typed(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True)))
    items = [_typed(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    return items if origin is list else tuple(items)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if type(value) is int and not -LARGEST <= value < LARGEST:
        raise PhonofilmError(f"setting {where} is a number beyond 64 bits; give a smaller one")
    if type(value) is float and math.isnan(value):
        raise PhonofilmError(f"setting {where}=nan is no number; give one")
    if hint is float and type(value) is int:
        return float(value)
    if hint is Fraction and type(value) in (str, int, Fraction):
        return _fraction(value, where)
    if hint is Path and isinstance(value, (str, Path)) and "\0" not in str(value):
        return Path(value)
    # bool is an int to Python, never to a reader of recipes
    if isinstance(value, bool) != (hint is bool) or not isinstance(value, hint):
        name = getattr(hint, "__name__", str(hint))
        raise PhonofilmError(f"setting {where}={_shown(value)} must be of type {name}")
    return value


def _fraction(value: Any, where: str) -> Fraction:
    # a large exponent would make a number of as many digits
    if not isinstance(value, str) or _FRACTION.fullmatch(value):
        with suppress(ValueError, ZeroDivisionError):
            return Fraction(value)
    raise PhonofilmError(f"setting {where}={_shown(value)} is not a fraction")


def _shown(value: Any) -> str:
    """A value in a message, at a length that can be read."""
    text = repr(value) if not isinstance(value, int) or abs(value) < LARGEST else "a number beyond 64 bits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unknown(where: str, key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, n=1, cutoff=0.7)
    name = f"{where}{key}"
    name = name if name.isprintable() and len(name) <= 200 else _shown(name)
    within = where.split()[-1] if where.strip() else ""  # without its file, told by the name
    hint = f"did you mean {within}{close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown setting {name}; {hint}"


def portable(values: Any) -> Any:
    """The same plain values with absolute paths cut to their last part: what leaves a machine names no folder of it."""
    if isinstance(values, Mapping):
        return {key: portable(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [portable(value) for value in values]
    return Path(values).name if isinstance(values, str) and Path(values).is_absolute() else values
