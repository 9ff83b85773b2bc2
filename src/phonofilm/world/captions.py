"""Says in prose what happens in a scene, in many phrasings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def listing(words: Sequence[str], last: str = " and ") -> str:
    """ "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + last + words[-1]


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def bounce(rng: np.random.Generator, things: Sequence[Mapping[str, Any]], path: np.ndarray) -> str:
    """things: shape, colour, material, start; path [S, things, 5]."""
    nouns = [f"{thing['colour']} {thing['material']} {thing['shape']}" for thing in things]
    if len(things) > 1:
        lead = listing([article(noun) for noun in nouns])
        verb = pick(rng, ("fall and bounce", "drop and bounce", "tumble down and bounce", "bounce about"))
        tail = pick(rng, ("in a small room", "on the floor", "and knock against the floor and the walls", ""))
        return f"{lead} {verb} {tail}".strip().capitalize() + "."
    noun, thing = article(nouns[0]), things[0]
    side = "left" if thing["start"] < 0.4 else "right" if thing["start"] > 0.6 else "middle"
    going = "right" if path[0, 0, 3] > 0 else "left"
    kind = thing["shape"]
    template = pick(
        rng,
        (
            "{noun} falls on the {side} and bounces to the {going}",
            "{noun} drops from the {side} and bounces across the floor towards the {going}",
            "{noun} bounces on the floor, moving {going}",
            "{noun} falls and bounces in a small room",
            "On the {side}, {noun} falls to the floor and bounces to the {going}",
            "{noun} is dropped; the {kind} hits the floor and bounces {going}",
        ),
    )
    text = template.format(noun=noun, side=side, going=going, kind=kind)
    return text[0].upper() + text[1:] + "."


def strike(rng: np.random.Generator, params: Mapping[str, Any], way: str) -> str:
    colours, instrument = params["colours"], params["instrument"]
    pace = "slowly" if params["beat"] > 0.64 else "quickly" if params["beat"] < 0.48 else "steadily"
    size = NUMBERS[params["bars"]]
    if way == "repeat":
        template = pick(
            rng,
            (
                "A mallet strikes the {first} bar of a {instrument} {times} times, {pace}",
                "The {first} bar of a {instrument} with {size} bars is struck {times} times {pace}",
                "{times} strikes on the {first} bar of a {instrument}, played {pace}",
            ),
        )
    else:
        template = pick(
            rng,
            (
                "A mallet plays a {instrument} {pace}: {list}",
                "A mallet {pace} strikes the {list} bars of a {instrument}",
                "On a {instrument} with {size} bars, a mallet {pace} plays {list}",
                "A {instrument} is played {pace}, {list}",
            ),
        )
    text = template.format(
        first=colours[0],
        instrument=instrument,
        pace=pace,
        size=size,
        times=NUMBERS[len(colours)],
        list=listing(colours, ", "),
    )
    return text[0].upper() + text[1:] + "."
