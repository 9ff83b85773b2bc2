"""What a scene of the second edition was asked to show and sound, as far as its caption says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.common.scene import Truth

STEMS = ("speech", "effects", "music")
LISTED = 8
"""Strikes that a caption lists at most."""


@dataclass(frozen=True)
class Asked:
    """What a caption asks for.

    Attributes:
        family: of the scene. holds: all families that it may be taken for, since scenes combine.
        colours, materials: of bodies; of the one thing that passes. count: of bodies, 0 where there are none.
        melody: colours of struck bars in order, as many as the caption lists.
        side: "left", "right" or "": where the one body, blast or speaker is. way: 1 to the right, -1 left, else 0.
        crossing: how many things cross the picture, trains apart, which fill it.
        speakers: who are seen. taking_turns: two of them speak.
        silent: stems that are asked to be silent. negated: what the caption says is not there.
    """

    family: str
    holds: frozenset[str]
    colours: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    count: int = 0
    melody: tuple[str, ...] = ()
    side: str = ""
    way: int = 0
    crossing: int = 0
    speakers: int = 0
    taking_turns: bool = False
    silent: frozenset[str] = frozenset()
    negated: frozenset[str] = frozenset()

    @staticmethod
    def of(truth: Truth) -> Asked:
        """From the truth of a scene of the second edition.

        Raises:
            PhonofilmError: the truth is of another edition.
        """
        if truth.edition != 2 or "said" not in truth.params:
            raise PhonofilmError("these scorers are for edition 2 of Foley World: sample the truth with edition=2")
        facts = truth.params
        things, movers = facts.get("objects", ()), facts.get("movers", ())
        seen = [person for person in facts.get("people", ()) if person["seen"]]
        one_passes = truth.family == "pass" and len(movers) == 1
        return Asked(
            truth.family,
            _holds(truth, bool(seen)),
            tuple(m["colour"] for m in movers) if one_passes else tuple(t["colour"] for t in things),
            tuple(thing["material"] for thing in things),
            len(things),
            tuple(facts["colours"][:LISTED]) if truth.family == "strike" else (),
            _side(truth.caption) if _alone(truth.family, facts, len(seen)) else "",
            int(movers[0]["facing"]) if one_passes and movers[0]["kind"] != "train" else 0,
            len(movers) if truth.family == "pass" and movers[0]["kind"] != "train" else 0,
            len(seen),
            truth.family == "talk" and len(seen) == 2 and all(person["words"] for person in seen),
            frozenset(stem for stem in STEMS if facts["said"][stem].startswith("No ")),
            _negated(truth.caption),
        )


SHOWN = {"pass": "pass", "flash": "blast", "lightning": "rain", "drop": "rain"}
"""Families by kinds of events."""


def _holds(truth: Truth, face: bool) -> frozenset[str]:
    """A car that passes in the rain is of both families; so is who speaks while something explodes."""
    also = {SHOWN[event.kind] for event in truth.events if event.kind in SHOWN}
    also |= {"rain"} if "shower" in truth.params else set()
    return frozenset({truth.family, *also, *(["talk"] if face else [])})


def _alone(family: str, facts: Mapping[str, Any], seen: int) -> bool:
    """Only one thing, or only one person, can be meant by a side."""
    if family == "talk":
        return len(facts["people"]) == 1
    return not seen and len(facts.get("objects", ())) + len(facts.get("blasts", ())) == 1


def _side(caption: str) -> str:
    """The one side that a caption names."""
    said = set(re.findall(r"on the (left|right)", caption))
    return said.pop() if len(said) == 1 else ""


def _negated(caption: str) -> frozenset[str]:
    """Stems, colours and materials that are said not to be there."""
    patterns = {
        "music": r"[Tt]here is no music",
        "speech": r"[Nn]obody speaks",
        "effects": r"[Tt]here are no sound effects",
    }
    found = {stem for stem, pattern in patterns.items() if re.search(pattern, caption)}
    found |= {name for name in COLOURS if re.search(rf"(nothing is|is not) {name}\b", caption, re.IGNORECASE)}
    found |= {name for name in MATERIALS if re.search(rf"nothing is made of {name}\b", caption, re.IGNORECASE)}
    return frozenset(found)
