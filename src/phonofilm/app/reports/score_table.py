"""The score as a table a person reads: value, interval, truth, and what chance gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TITLES = {
    "sync_f1_60ms": "sync F1 ±60 ms",
    "sync_f1_40ms": "sync F1 ±40 ms",
    "colour": "colour",
    "material": "material",
    "pitch": "pitch",
    "melody": "melody",
    "pan_sign": "pan sign",
    "silent": "silent clips",
    "flicker": "flicker (levels)",
    "heard_vs_truth_f1_60ms": "heard vs truth F1 ±60 ms",
    "seen_vs_truth_f1_80ms": "seen vs truth F1 ±80 ms",
}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A table per family, then what could not be read, then the instrument's self-test."""
    reference = result.get("reference", {})
    for family, table in result["scores"].items():
        clips = max(value["clips"] for value in table.values())
        yield f"{family} ({clips} clips)"
        yield f"  {'':<26}{'value':>7}   {'95 % interval':<16}{'truth':>6}{'shuffled':>10}"
        for name, title in TITLES.items():
            if name in table:
                value = table[name]
                true = reference.get(family, {}).get(name)
                chance = table.get(f"{name}_shuffled")
                yield (
                    f"  {title:<26}{value['value']:>7.3f}   {value['low']:.3f} … {value['high']:.3f}"
                    f"{_number(true):>9}{_number(chance):>10}"
                ).rstrip()
        yield ""
    for bad in result["unreadable"]:
        yield f"not read: {bad['file']}: {bad['why']}"
    for bad in result["outside"]:
        yield f"no score: {bad['file']}: {bad['why']}"
    for name in result["unpaired"]:
        yield f"no true clip of this name: {name}"
    if "self_test" in result:
        yield _self_test(result["self_test"])


def _number(value: dict[str, float] | None) -> str:
    return "" if value is None else f"{value['value']:.3f}"


def _self_test(test: dict[str, Any]) -> str:
    found = ", ".join(
        f"{name.replace('_', ' ')} {test[name]['value']:.3f}"
        for name in ("seen_precision", "seen_recall", "heard_precision", "heard_recall")
    )
    chance = ", ".join(
        f"{title} {test[name]['value']:.2f}"
        for name, title in (
            ("f1_shuffled", "shuffled"),
            ("f1_after_250ms", "250 ms late"),
            ("f1_still_picture", "still picture"),
            ("f1_click_track", "click track"),
        )
    )
    return f"self-test {'passed' if test['passed'] else 'FAILED'}: {found}; sync F1 of {chance}"
