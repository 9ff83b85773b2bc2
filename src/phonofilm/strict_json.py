"""JSON as RFC 8259 has it, read and written: no NaN, no Infinity, no lone surrogates, no numbers beyond 64 bits."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_DIGITS = 400  # of one number; json would spend quadratic time on very long ones
LARGEST = 2**63


def loads(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: one sentence that says what is wrong, without repeating any of the text.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the text is not UTF-8") from None
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_int=_integer, parse_float=_real, object_pairs_hook=_object
        )
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise ValueError("the text is not JSON") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a character (a lone surrogate)") from None
    except RecursionError:
        raise ValueError("the values are nested too deeply") from None
    return value


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON text of plain values, without NaN and Infinity (null stands for them) and without lone surrogates."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """The same values with null for NaN and Infinity, and U+FFFD for lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain(k) if isinstance(k, str) else k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def _constant(name: str) -> Any:
    raise ValueError("NaN and Infinity are not numbers of JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -LARGEST <= (number := int(digits)) < LARGEST:
        raise ValueError("a number is beyond 64 bits")
    return number


def _real(digits: str) -> float:
    if len(digits) > MOST_DIGITS or not math.isfinite(number := float(digits)):
        raise ValueError("a number is beyond 64 bits")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has one name twice")
    return found
