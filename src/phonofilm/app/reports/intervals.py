"""A number with its interval, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def interval_text(
    row: Mapping[str, Any] | None, form: str | Callable[[float], str] = "{:.2f}", absent: str = "–"
) -> str:
    """ "value [low, high]"; "value (n = 4)" or the value alone where it has no limits; `absent` where it has no value.

    Args:
        row: `value`, `low` and `high`, and perhaps `n`, of how many values.
        form: how a number is written.
    """
    if row is None or row["value"] is None or row["value"] != row["value"]:
        return absent
    show = form.format if isinstance(form, str) else form
    value = show(row["value"])
    if row.get("low") is not None:
        return f"{value} [{show(row['low'])}, {show(row['high'])}]"
    return f"{value} (n = {row['n']})" if "n" in row else value
