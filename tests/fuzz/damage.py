"""Ways to damage a file: single bits, missing ends, moved and foreign pieces, and numbers that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Damage = Callable[[bytearray, np.random.Generator, Sequence[bytes]], bytearray]
# What a field of sizes, counts, times or rates may be told to be: nothing, one, signs turned, and far too much
ABSURD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def damaged(content: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """The content after one to four kinds of damage."""
    data = bytearray(content)
    for _ in range(int(generator.integers(1, 5))):
        kind = KINDS[int(generator.integers(len(KINDS)))]
        if len(data) > 8:
            data = kind(data, generator, others)
    return bytes(data)


def _flip_bits(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    for _ in range(int(2 ** generator.uniform(0, 6))):
        data[_place(data, generator)] ^= 1 << int(generator.integers(8))
    return data


def _random_bytes(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    start, length = _place(data, generator), int(2 ** generator.uniform(0, 5))
    data[start : start + length] = generator.bytes(len(data[start : start + length]))
    return data


def _truncate(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    return data[: int(generator.integers(4, len(data)))]


def _zero(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    start, length = _place(data, generator), int(2 ** generator.uniform(0, 10))
    data[start : start + length] = bytes(len(data[start : start + length]))
    return data


def _remove(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    start, length = _place(data, generator), int(2 ** generator.uniform(0, 10))
    del data[start : start + length]
    return data


def _repeat(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    start, length = _place(data, generator), int(2 ** generator.uniform(2, 10))
    data[start:start] = data[start : start + length]
    return data


def _splice(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    """A piece of another file in place of one of this."""
    other = others[int(generator.integers(len(others)))] if others else bytes(data)
    length = int(2 ** generator.uniform(2, 10))
    start, source = _place(data, generator), int(generator.integers(len(other)))
    data[start : start + length] = other[source : source + length]
    return data


def _absurd_number(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    width = int(generator.choice([1, 2, 4, 8]))
    start = _place(data, generator) // width * width
    value = ABSURD[int(generator.integers(len(ABSURD)))] % 2 ** (8 * width)
    data[start : start + width] = value.to_bytes(width, "big" if generator.integers(2) else "little")
    return data


def _absurd_box(data: bytearray, generator: np.random.Generator, others: Sequence[bytes]) -> bytearray:
    """Another size before or after a name of four letters, as boxes (MP4) and chunks (AVI, WAV, PNG) have them."""
    names = [i for i in range(4, len(data) - 8) if all(0x20 <= byte < 0x7F for byte in data[i : i + 4])]
    if not names:
        return _absurd_number(data, generator, others)
    at = names[int(generator.integers(len(names)))] + (-4 if generator.integers(2) else 4)
    size = int.from_bytes(data[at : at + 4], "big")
    changed = int(generator.choice([size + 1, size - 1, size * 2, 0, 2**31 - 1, 2**32 - 1, 8])) % 2**32
    data[at : at + 4] = changed.to_bytes(4, "big" if generator.integers(4) else "little")
    return data


def _place(data: bytearray, generator: np.random.Generator) -> int:
    """Anywhere, and in half of all cases near the beginning, where headers are."""
    end = len(data) if generator.integers(2) else min(len(data), 1024)
    return int(generator.integers(end))


KINDS: tuple[Damage, ...] = (
    _flip_bits, _random_bytes, _truncate, _zero, _remove, _repeat, _splice, _absurd_number, _absurd_number,
    _absurd_box,
)  # fmt: skip
