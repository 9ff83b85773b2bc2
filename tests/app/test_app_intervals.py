"""A number with its interval is written in one way."""

import math

import pytest

from phonofilm.app.reports.intervals import interval_text


@pytest.mark.parametrize(
    ("row", "options", "text"),
    [
        ({"value": 0.5, "low": 0.25, "high": 0.75}, {}, "0.50 [0.25, 0.75]"),
        ({"value": -0.5, "low": -1, "high": 0}, {"form": "{:+.1f}"}, "-0.5 [-1.0, +0.0]"),
        ({"value": 4, "low": 3, "high": 5}, {"form": lambda number: f"<{number}>"}, "<4> [<3>, <5>]"),
        ({"value": 1.0, "low": None, "high": None, "n": 4}, {}, "1.00 (n = 4)"),
        ({"value": 1.0, "low": None, "high": None}, {}, "1.00"),
        ({"value": math.nan, "low": math.nan, "high": math.nan}, {"absent": "no event"}, "no event"),
        ({"value": None, "low": None, "high": None}, {}, "–"),
        (None, {"absent": "-"}, "-"),
    ],
)
def test_a_number_with_its_interval(row, options, text):
    assert interval_text(row, **options) == text
