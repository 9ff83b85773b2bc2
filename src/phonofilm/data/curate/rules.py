"""What results mean: thresholds over what was measured, and what is done with a shot that passes one.

Moving a threshold measures nothing again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from phonofilm.data.curate.common.step import Value
from phonofilm.errors import PhonofilmError

DROP, ASIDE, NOTE = "drop", "aside", "note"
"""What a reason does: throws a shot out, keeps it apart until somebody decides, or is only written beside it."""


@dataclass(frozen=True)
class Test:
    """One reason: a measure that lies above (or below) a threshold.

    Attributes:
        reason: its name, which is also the name of its threshold in `Rules`.
        step, measure: where the number is. above: whether it is above the threshold that is at fault.
        does: drop, aside or note. unit: of the number. says: what is wrong, for people.
    """

    reason: str
    step: str
    measure: str
    does: str
    unit: str
    says: str
    above: bool = True


TESTS: tuple[Test, ...] = (
    Test("short", "shot", "seconds", DROP, "s", "the shot is too short", above=False),
    Test("black", "picture", "black", DROP, "s", "the picture is black"),
    Test("frozen", "picture", "frozen", DROP, "s", "the picture stands still"),
    Test("interlaced", "picture", "combed", DROP, "share", "rows of two moments are woven together"),
    Test("bars", "picture", "bars", NOTE, "share", "bars around the picture, which the crop leaves out"),
    Test("small", "picture", "inside", DROP, "share", "little is left inside the bars", above=False),
    Test("no sound", "sound", "soundless", DROP, "", "there is no sound"),
    Test("silence", "sound", "silent", DROP, "share", "most of it is silent"),
    Test("gap", "sound", "cutout", DROP, "s", "the sound is cut out for a while"),
    Test("clipping", "sound", "clipped", DROP, "share", "the sound is clipped"),
    Test("clicks", "sound", "clicks", DROP, "a second", "the sound clicks"),
    Test("one channel twice", "sound", "apart", NOTE, "dB", "both channels are the same", above=False),
    Test("lower rate", "sound", "highest", DROP, "share", "the sound comes from a lower sample rate", above=False),
    Test("short sound", "sound", "lacks", DROP, "s", "the sound is shorter than the picture"),
    Test("duplicate", "duplicates", "alike", DROP, "", "the same is there already"),
    Test("burnt-in text", "text", "share", DROP, "share", "text lies on the picture"),
    Test("unsafe", "unsafe", "score", DROP, "chance", "what is seen is unsafe"),
    Test("aesthetic", "aesthetic", "score", NOTE, "of 10", "it is not pleasing to look at", above=False),
    Test("made by a model", "marks", "made", ASIDE, "", "a model made it, or a part of it"),
    Test("sync unknown", "sync", "unknown", ASIDE, "", "whether sound and picture agree cannot be known"),
    Test("offset", "sync", "late", DROP, "ms", "sound and picture are apart"),
    Test("drift", "sync", "running", DROP, "per mille", "sound and picture run apart"),
    Test("lip offset", "lips", "late", DROP, "ms", "lips and voice are apart"),
    Test("desync", "desync", "seconds", NOTE, "s", "Synchformer hears it apart from what it sees"),
    Test("voice off screen", "onscreen", "voice", NOTE, "share", "somebody speaks who is not seen"),
    Test("music bed", "onscreen", "bed", NOTE, "share", "music lies under what is seen"),
    Test("test set", "against", "alike", DROP, "", "it is in a set that is kept for tests"),
    Test("like test set", "against", "likeness", ASIDE, "share", "it is very like what is kept for tests"),
    Test("by hand", "review", "dropped", DROP, "", "somebody looked at it and dropped it"),
)  # fmt: skip

THRESHOLDS: Mapping[str, float] = {
    "short": 1.0, "black": 0.3, "frozen": 1.0, "interlaced": 0.4, "bars": 0.02, "small": 0.4,
    "no sound": 0.5, "silence": 0.9, "gap": 0.3, "clipping": 0.00015, "clicks": 0.5, "one channel twice": -36.0,
    "lower rate": 0.6, "short sound": 0.2, "duplicate": 0.5, "sync unknown": 0.5, "offset": 40.0,
    "drift": 20.0, "voice off screen": 0.5, "music bed": 0.5, "test set": 0.5, "by hand": 0.5,
    "burnt-in text": 0.4, "unsafe": 0.8, "aesthetic": 4.0, "made by a model": 0.5, "lip offset": 100.0, "desync": 0.6,
    "like test set": 0.91,
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A reason that a shot has: the number that was measured, and the threshold that it passes."""

    reason: str
    value: float
    threshold: float
    does: str


@dataclass(frozen=True)
class Rules:
    """Thresholds by reason, and what each reason does.

    Raises:
        PhonofilmError: a reason that is not known, or an action that is none.
    """

    thresholds: Mapping[str, float]
    actions: Mapping[str, str]

    @staticmethod
    def of(settings: Iterable[str] = ()) -> Rules:
        """The usual rules, changed by settings such as "offset=80" or "sync unknown=keep"."""
        thresholds, actions = dict(THRESHOLDS), {test.reason: test.does for test in TESTS}
        for setting in settings:
            name, equals, value = (part.strip() for part in setting.partition("="))
            name = _named(name)
            if name not in thresholds or not equals:
                raise PhonofilmError(f"no rule {setting!r}; write REASON=NUMBER, of {', '.join(thresholds)}")
            if value in (DROP, ASIDE, NOTE, "keep"):
                actions[name] = NOTE if value == "keep" else value
                continue
            try:
                thresholds[name] = float(value)
            except ValueError as error:
                raise PhonofilmError(
                    f"rule {name} = {value!r} is neither a number nor one of drop, aside, keep"
                ) from error
            if math.isnan(thresholds[name]):
                raise PhonofilmError(f"rule {name} = {value!r} is no threshold: give a number")
        return Rules(thresholds, actions)

    def findings(self, results: Mapping[str, Value]) -> tuple[Finding, ...]:
        """Every reason that a shot has. A measure that is not there is no reason."""
        measured = measures(results)
        found = []
        for test in TESTS:
            value, threshold = measured.get(test.reason), self.thresholds[test.reason]
            if value is not None and (value > threshold if test.above else value < threshold):
                found.append(Finding(test.reason, value, threshold, self.actions[test.reason]))
        return tuple(found)


def measures(results: Mapping[str, Value]) -> dict[str, float]:
    """The number that each reason looks at, of the results of a shot's steps."""
    derived = {name: {**value, **_derived(name, value, results)} for name, value in results.items()}
    found = {}
    for test in TESTS:
        value = derived.get(test.step, {}).get(test.measure)
        if isinstance(value, int | float):
            found[test.reason] = float(value)
    return found


def _derived(step: str, value: Value, results: Mapping[str, Value]) -> dict[str, Any]:
    if step == "picture":
        left, top, right, bottom = value["crop"]
        inside = (right - left) * (bottom - top)
        return {"inside": inside, "bars": 1 - inside}
    if step == "sound":
        return {"soundless": float(not value["heard"])}
    if step == "sync":
        offset, drift = value["offset_ms"], value["drift"]
        lips = results.get("lips", {}).get("known", False)
        return {
            "unknown": float(not value["known"] and not lips),
            "late": abs(offset) if value["known"] else None,
            "running": abs(drift) if value["drift_known"] else None,
        }
    if step == "lips":
        return {"late": abs(value["offset_ms"]) if value["known"] else None}
    return {}


def does(findings: Iterable[Finding]) -> str:
    """What becomes of a shot: "drop" before "aside" before "keep"."""
    actions = {finding.does for finding in findings}
    return DROP if DROP in actions else ASIDE if ASIDE in actions else "keep"


def _named(given: str) -> str:
    """The reason that is meant, whatever stands between its words."""
    plain = given.replace("_", " ").replace("-", " ")
    return next((name for name in THRESHOLDS if name.replace("-", " ") == plain), plain)


def without(rules: Rules, *reasons: str) -> Rules:
    """Rules under which some reasons are only noted."""
    return replace(rules, actions={**rules.actions, **dict.fromkeys(reasons, NOTE)})
