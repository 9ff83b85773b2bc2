"""Which clips of a folder are scored, and for every other one, why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from phonofilm.evaluation.features.extraction import ExtractedClip

LEAST, SHORTEST = 1.0, 0.25
"""Seconds of picture and of sound that a clip needs where most clips of its folder have them, and that any needs."""

USUAL = 0.8
"""Share of a folder's clips that makes a frame rate, a sample rate or a number of channels its usual one."""

SHORT = 0.5
"""Share of its folder's median length below which a clip is short."""

SILENT = -60.0
"""Peak in dBFS below which a clip is silent."""


@dataclass(frozen=True)
class ScreeningNote:
    """A clip that is left out of every metric (`scored` False), or scored with something to know of it.

    `kind` is one of unreadable, no picture, no sound, one frame, too short, odd, silent, uneven,
    short, unpaired.
    """

    name: str
    kind: str
    reason: str
    scored: bool = False


def screen_clips(
    clips: Sequence[ExtractedClip], keep_mismatched: bool = False
) -> tuple[list[ExtractedClip], list[ScreeningNote]]:
    """The clips to score, and everything there is to say about the others and about some of them.

    A clip must have the streams that most clips of its folder have. One whose rates or channels differ from those
    that at least 80 % share is odd: it would be measured, but not like the rest.
    """
    listed = [ScreeningNote(c.name, "unreadable", c.problem) for c in clips if c.problem]
    left = [c for c in clips if not c.problem]
    picture, sound = (_most(left, key) for key in ("picture_seconds", "sound_seconds"))
    usual = {} if keep_mismatched else _usual(left)
    long = 2 * sum(max(c.facts["picture_seconds"], c.facts["sound_seconds"]) >= LEAST for c in left) > len(left)
    kept = []
    for clip in left:
        found = _flaw(clip, picture, sound, LEAST if long else SHORTEST) or _odd(clip, usual)
        if found is None:
            kept.append(clip)
            listed += _remarks(clip, picture, sound)
        else:
            listed.append(ScreeningNote(clip.name, *found))
    listed += _short(kept)
    return kept, sorted(listed, key=lambda item: (item.scored, item.kind, item.name))


def _most(clips: Sequence[ExtractedClip], key: str) -> bool:
    return 2 * sum(clip.facts[key] > 0 for clip in clips) > len(clips)


def _flaw(clip: ExtractedClip, picture: bool, sound: bool, least: float) -> tuple[str, str] | None:
    facts = clip.facts
    if picture and not facts["picture_seconds"]:
        return "no picture", "has no picture"
    if sound and not facts["sound_seconds"] and not facts["picture_seconds"]:
        return "no sound", "has no sound"
    if picture and facts["frames"] == 1:
        return "one frame", "has one frame only"
    for wanted, key in ((picture, "picture_seconds"), (sound, "sound_seconds")):
        if wanted and facts[key] < least and not (key == "sound_seconds" and not facts[key]):
            return "too short", f"its {key.split('_')[0]} lasts {facts[key]:.2f} s; {least:g} s are needed"
    if picture and min(facts["width"], facts["height"]) < 16:
        return "odd", f"is {facts['width']:.0f}x{facts['height']:.0f} pixels; 16 are needed"
    return None


READABLE: dict[str, Callable[[float], str]] = {
    "channels": lambda value: f"{value:.0f} channel{'s' * (value != 1)}",
    "rate": lambda value: f"{value:.0f} Hz",
    "fps": lambda value: f"{value:.6g} fps",
}


def _usual(clips: Sequence[ExtractedClip]) -> dict[str, float]:
    found = {}
    for key in READABLE:
        values = Counter(round(clip.facts[key], 3) for clip in clips if clip.facts[key] > 0)
        if values:
            value, count = values.most_common(1)[0]
            if count >= USUAL * sum(values.values()):
                found[key] = value
    return found


def _odd(clip: ExtractedClip, usual: Mapping[str, float]) -> tuple[str, str] | None:
    for key, value in usual.items():
        own = round(clip.facts[key], 3)
        if own and own != value:
            say = READABLE[key]
            return "odd", f"has {say(own)} where the folder has {say(value)}; --keep-mismatched scores it"
    return None


def _remarks(clip: ExtractedClip, picture: bool, sound: bool) -> list[ScreeningNote]:
    facts = clip.facts
    remarks = []
    if not facts["sound_seconds"]:
        told = "has no sound: it counts as failed in clips with sound and in sync"
        return [ScreeningNote(clip.name, "no sound", told, scored=True)] if sound else []
    if sound and facts["peak"] < SILENT:
        remarks.append(ScreeningNote(clip.name, "silent", "is silent (peak below −60 dBFS)", scored=True))
    gap = abs(facts["picture_seconds"] - facts["sound_seconds"])
    if picture and sound and gap > max(0.25, 0.05 * facts["picture_seconds"]):
        lengths = f"picture {facts['picture_seconds']:.2f} s, sound {facts['sound_seconds']:.2f} s"
        remarks.append(ScreeningNote(clip.name, "uneven", f"ends apart: {lengths}", scored=True))
    return remarks


def _short(clips: Sequence[ExtractedClip]) -> list[ScreeningNote]:
    """Clips much shorter than most: fewer events, fewer rows in a distance, and easier to keep in step."""
    lengths = [max(clip.facts["picture_seconds"], clip.facts["sound_seconds"]) for clip in clips]
    usual = median(lengths) if lengths else 0.0
    return [
        ScreeningNote(clip.name, "short", f"lasts {length:.2f} s where most last {usual:.2f} s", scored=True)
        for clip, length in zip(clips, lengths, strict=True)
        if length < SHORT * usual
    ]


def uneven_pairs(mine: Sequence[ExtractedClip], others: Sequence[ExtractedClip]) -> list[ScreeningNote]:
    """Pairs of different length: what is compared pair by pair compares all of both."""
    partners = {clip.name: clip for clip in others}
    notes = []
    for clip in mine:
        other = partners.get(clip.name)
        if other is None:
            continue
        own, real = (max(c.facts["picture_seconds"], c.facts["sound_seconds"]) for c in (clip, other))
        if abs(own - real) > max(0.25, 0.05 * real):
            told = f"lasts {own:.2f} s, its reference {real:.2f} s; scores against the reference compare all of both"
            notes.append(ScreeningNote(clip.name, "pair of different length", told, scored=True))
    return notes


def unpaired(mine: Sequence[ExtractedClip], others: Sequence[ExtractedClip], where: str) -> list[ScreeningNote]:
    """Clips without a scored partner of the same name, where any pair at all."""
    names = {clip.name for clip in others}
    if not any(clip.name in names for clip in mine):
        return []
    return [
        ScreeningNote(c.name, "unpaired", f"has no scored partner in the {where}", scored=True)
        for c in mine
        if c.name not in names
    ]
