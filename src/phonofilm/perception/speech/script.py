"""Who says what: the words in quotes in a prompt, and lines that are given beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from phonofilm.errors import PhonofilmError
from phonofilm.media.subtitles.cues import Cue
from phonofilm.perception.speech.registry import MAN, USUAL, WOMAN
from phonofilm.perception.speech.voice import words_of

QUOTED = re.compile(
    r"""(?<![\w"])"(?P<straight>[^"\s](?:[^"]*[^"\s])?)"(?!\w)"""
    r"|“(?P<english>[^“”]+)”|„(?P<low>[^„“”]+)[“”]|«(?P<angled>[^«»]+)»|»(?P<inward>[^«»]+)«"
    r"|(?<!\w)‘(?P<single>[^‘’]+(?:’\w[^‘’]*)*)’(?!\w)"
)
"""Words in straight or typographic quotes; a straight mark after a digit or a letter is an inch or a slip."""
PEOPLE = {
    WOMAN: "woman|women|girl|lady|mother|mum|mom|sister|daughter|grandmother|queen|actress|waitress|female|she|her",
    MAN: "man|men|boy|guy|gentleman|father|dad|brother|son|grandfather|king|actor|waiter|male|he|him",
}
ONE = re.compile(rf"\b(?:(?P<woman>{PEOPLE[WOMAN]})|(?P<man>{PEOPLE[MAN]}))\b", re.IGNORECASE)
SENTENCES = re.compile(r"[.!?;]\s")
NUMBERS = {"first": 1, "one": 1, "second": 2, "another": 2, "other": 2, "third": 3, "fourth": 4}
WHICH = re.compile(rf"\b({'|'.join(NUMBERS)})\b", re.IGNORECASE)
VERBS = "says?|said|saying|tells?|told|asks?|asked|answers?|answered|repl(?:y|ies|ied)|responds?|whispers?|adds?"
SAYS = re.compile(rf"\b(?:{VERBS})\b", re.IGNORECASE)
AFTER = re.compile(
    rf"^[\s,]*(?:{VERBS})\b(?P<clause>.*?)(?:[.!?;,]\s|\band\b|\bthen\b|\bwhile\b|$)", re.IGNORECASE | re.DOTALL
)
"""What follows a quote and tells who said it, and up to where it does."""
PREFIX = re.compile(r"\s*(?P<who>[A-Za-z ]{1,30}?)\s*:\s+(?P<text>\S.*)", re.DOTALL)
TIMED = re.compile(
    r"(?P<text>.*?)\s*@\s*(?P<time>[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|nan))", re.DOTALL | re.IGNORECASE
)
"""Words and their time: what follows the last @ is a time where it is a number, and words where it is not."""
WORDLESS = re.compile(r"\s*@\s*\S*\s*")
UNSAID = re.compile(r"\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?|[♫♬]")
NAMED = re.compile(r"^[A-Z][A-Z .'-]+:\s*")
SHIFTS = (0, -3, 3, -5, 5)
"""Semitones by which the first, second, … person of the same kind speaks lower or higher than the voice."""


@dataclass(frozen=True)
class Speaker:
    """Somebody in a prompt.

    Attributes:
        who: "woman", "man", or "" where nothing tells.
        number: the first, second, … one of the kind.
    """

    who: str = ""
    number: int = 1


@dataclass(frozen=True)
class Line:
    """Something that is said.

    Attributes:
        at: when, in seconds; None for after what is said before it.
    """

    text: str
    speaker: Speaker = Speaker()
    at: float | None = None


def quoted_lines(prompt: str) -> tuple[Line, ...]:
    """The words in quotes of a prompt, in order, and who says each.

    Who speaks stands before the quote ('a woman says "hi"') or after it ('"hi", says a man'); "she" and "he" are the
    last of their kind, and where nothing is said the one before goes on.
    """
    found = list(QUOTED.finditer(prompt))
    edges = [(match.start(), match.end()) for match in found]
    gaps = [prompt[end:start] for (_, end), (start, _) in pairwise([(0, 0), *edges, (len(prompt), 0)])]
    lines: list[Line] = []
    for number, match in enumerate(found):
        before, after = gaps[number], gaps[number + 1]
        if number and (told := AFTER.match(before)) and _named(told["clause"]):  # it tells of the quote before
            before = before[told.end() :]
        named = _speaker(before, lines)
        if named is None and (told := AFTER.match(after)):
            named = _speaker(told["clause"], lines)
        text = next(part for part in match.groups() if part is not None).strip().rstrip(",")
        lines.append(Line(text, named or _same(lines)))
    return tuple(lines)


def given_line(said: str) -> Line:
    """One line from "TEXT", "TEXT@SECONDS" or "WHO: TEXT@SECONDS" with WHO as "woman", "man" or "second man".

    An @ that no number follows is said: "write to me@home".

    Raises:
        PhonofilmError: no text, or a time that no clip has.
    """
    match, shown = TIMED.fullmatch(said), repr(said if len(said) <= 60 else said[:59] + "…")
    text, at = (match["text"], float(match["time"])) if match else (said, None)
    if at is not None and not (math.isfinite(at) and at >= 0):
        raise PhonofilmError(f"{shown} cannot be said at {at:g} s; choose 0 or later, as in TEXT@1.5")
    speaker = Speaker()
    if (prefixed := PREFIX.fullmatch(text)) and (named := _speaker(prefixed["who"], [])) is not None:
        speaker, text = named, prefixed["text"]
    if (
        not text.strip()
        or WORDLESS.fullmatch(text)
        or (text.strip().endswith(":") and _speaker(text.strip()[:-1], []) is not None)
    ):
        raise PhonofilmError(f"{shown} says nothing; write the words, as in TEXT or TEXT@1.5")
    return Line(text.strip(), speaker, at)


def script(prompt: str, says: Sequence[str] = ()) -> tuple[Line, ...]:
    """All that is said in a clip, in order.

    A given line with the words of a quote says when that one is said; any other is said besides.

    Raises:
        PhonofilmError: a given line that cannot be said.
    """
    lines = list(quoted_lines(prompt))
    for said in says:
        given = given_line(said)
        alike = (place for place, line in enumerate(lines) if _same_words(line.text, given.text) and line.at is None)
        place = next(alike, None)
        if place is not None and given.at is not None:
            speaker = given.speaker if given.speaker.who else lines[place].speaker
            lines[place] = replace(lines[place], at=given.at, speaker=speaker)
        else:
            lines.append(given)
    return tuple(lines)


def cast(lines: Sequence[Line], voices: Sequence[str] = ()) -> dict[Speaker, str]:
    """The name of a voice for each speaker: those given in the order of the speakers, and usual ones for the rest.

    Raises:
        PhonofilmError: more voices than speakers.
    """
    speakers = list(dict.fromkeys(line.speaker for line in lines))
    if len(voices) > len(speakers):
        count = f"{len(speakers)} {'person speaks' if len(speakers) == 1 else 'people speak'}"
        raise PhonofilmError(
            f"{len(voices)} voices are given and {count if speakers else 'nobody speaks'}; leave out some"
        )
    chosen = dict(zip(speakers, voices, strict=False))
    for speaker in speakers[len(voices) :]:
        chosen[speaker] = usual_voice(speaker)
    return chosen


def usual_voice(speaker: Speaker) -> str:
    """The voice of somebody for whom none is given; those who are only counted take turns, woman and man."""
    if not speaker.who:
        who, place = (WOMAN, MAN)[(speaker.number - 1) % 2], (speaker.number - 1) // 2
    else:
        who, place = speaker.who, speaker.number - 1
    shift = SHIFTS[place % len(SHIFTS)]
    return USUAL[who] + (f"{shift:+d}" if shift else "")


def subtitle_lines(cues: Sequence[Cue]) -> tuple[Line, ...]:
    """The words of subtitles, without the sounds in brackets, the notes of songs and the names of who speaks.

    A dash begins the words of another person; names in capitals before a colon are left out.
    """
    lines: list[Line] = []
    for cue in cues:
        said = UNSAID.sub(" ", cue.text)
        parts = [part.strip() for part in re.split(r"(?:^|\s)[-–—]\s?(?=\w)", said) if words_of(part)]
        for number, part in enumerate(parts):
            share = cue.start + (cue.end - cue.start) * number / len(parts)
            lines.append(Line(" ".join(NAMED.sub("", part).split()), Speaker("", number + 1), share))
    return tuple(line for line in lines if words_of(line.text))


def _speaker(text: str, before: Sequence[Line]) -> Speaker | None:
    """The last person that a text names, as far as those of the lines before tell which one that is."""
    text = next((part for part in reversed(SENTENCES.split(text)) if _named(part)), text)
    verb = next((match.start() for match in reversed(list(SAYS.finditer(text)))), len(text))
    text = text[:verb] if _named(text[:verb]) else text  # whom it is said to stands after the verb
    people, which = list(ONE.finditer(text)), list(WHICH.finditer(text))
    if not _named(text):
        return None
    if not people:  # "the other", "the second": of the kind that is there, or of any
        kinds = {line.speaker.who for line in before}
        who = kinds.pop() if len(kinds) == 1 else ""
        return Speaker(who, NUMBERS[which[-1][1].lower()])
    person = people[-1]
    who = WOMAN if person["woman"] else MAN
    near = [match for match in which if 0 <= person.start() - match.end() <= 20]
    same = [line.speaker for line in before if line.speaker.who == who]
    if near:
        number = NUMBERS[near[-1][1].lower()]
        is_new = near[-1][1].lower() in ("another", "other") and not same
        return Speaker(who, 1 if is_new else number)
    pronoun = person[0].lower() in ("she", "her", "he", "him")
    return same[-1] if pronoun and same else Speaker(who)


def _named(text: str) -> bool:
    return ONE.search(text) is not None or WHICH.search(text) is not None


def _same(lines: Sequence[Line]) -> Speaker:
    return lines[-1].speaker if lines else Speaker()


def _same_words(one: str, other: str) -> bool:
    return re.findall(r"\w+", one.casefold()) == re.findall(r"\w+", other.casefold())
