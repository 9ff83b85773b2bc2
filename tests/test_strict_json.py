"""JSON in and out holds what RFC 8259 allows, and nothing else."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonofilm import strict_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"NaN", "NaN"),
        (b'{"a": [-Infinity]}', "NaN"),
        (b"1e999", "64 bits"),
        (b"9223372036854775808", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1" * 5000, "64 bits"),
        (b"0." + b"1" * 5000, "64 bits"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\udc00x": 1}', "surrogate"),
        (rb'[[["\ud83d"]]]', "surrogate"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"\xff\xfe1\x00", "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[" * 100_000, "deeply"),
        (b'{"a":' * 100_000, "deeply"),
        (b"{'a': 1}", "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_is_no_json_is_refused_in_one_sentence(text, said):
    with pytest.raises(ValueError, match=said) as error:
        strict_json.loads(text)
    assert len(str(error.value)) < 100
    assert not isinstance(error.value, json.JSONDecodeError)


def test_what_is_json_is_taken():
    text = rb'{"a": [9223372036854775807, -9223372036854775808, 1.5e300, true, null, "\ud83d\ude00"]}'
    assert strict_json.loads(text) == {"a": [2**63 - 1, -(2**63), 1.5e300, True, None, "😀"]}


@given(VALUES)
def test_what_is_written_any_strict_reader_takes(value):
    text = strict_json.dumps(value).encode("utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(text, parse_constant=refuse)
    assert strict_json.plain(found) == found


def test_what_json_cannot_say_becomes_null_or_a_replacement():
    assert strict_json.plain([math.nan, -math.inf, 1.0, "a\ud800b", "😀"]) == [None, None, 1.0, "a\ufffdb", "😀"]


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_one_sentence(data):
    try:
        value = strict_json.loads(data)
    except ValueError as error:
        value = str(error)
        assert type(error) is ValueError, "no error of the parser itself"  # noqa: PT017
    strict_json.dumps(value)
