"""What a film in the making is about, and when: a script, and whoever changes it while it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from phonofilm.config import read_toml
from phonofilm.errors import PhonofilmError

LONGEST = 2000
"""Letters of a prompt."""


@dataclass(frozen=True)
class Cue:
    """From `at` seconds of the film on it is about `prompt`."""

    at: Fraction
    prompt: str


def check_prompt(text: str) -> str:
    """The prompt without space around it.

    Raises:
        PhonofilmError: it is empty, too long, or no text.
    """
    prompt = text.strip()
    if not prompt:
        raise PhonofilmError("the prompt is empty; say what is seen and heard")
    if len(prompt) > LONGEST:
        raise PhonofilmError(f"a prompt of {len(prompt)} letters is too long; use {LONGEST} at most")
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise PhonofilmError("the prompt is not text in UTF-8; type it again")
    return prompt


def read_script(path: str | Path) -> tuple[Cue, ...]:
    """The cues of a script, a TOML file of times and prompts in their order:

        [[prompt]]
        at = 4.0
        text = "a car passes"

    Raises:
        PhonofilmError: a file that cannot be read, or whose cues are wrong, and which.
    """
    values = read_toml(path, what="script", hint="docs/live.md for how one is written")
    listed = values.get("prompt")
    if set(values) != {"prompt"} or not isinstance(listed, list) or not listed:
        raise PhonofilmError(f'{path}: a script has [[prompt]] sections, each with at = SECONDS and text = "…"')
    cues = tuple(_cue(path, number, item) for number, item in enumerate(listed, 1))
    for before, after in itertools.pairwise(cues):
        if after.at <= before.at:
            raise PhonofilmError(f"{path}: times must rise, and {float(after.at):g} s follows {float(before.at):g} s")
    return cues


def _cue(path: str | Path, number: int, item: Any) -> Cue:
    where = f"{path}: prompt {number}"
    if not isinstance(item, dict) or set(item) != {"at", "text"}:
        raise PhonofilmError(f'{where} must have at = SECONDS and text = "…", and nothing else')
    at, text = item["at"], item["text"]
    if isinstance(at, bool) or not isinstance(at, int | float) or not (math.isfinite(at) and at >= 0):
        raise PhonofilmError(f"{where}: at = {at!r} is no time; write seconds, as 4.5")
    if not isinstance(text, str):
        raise PhonofilmError(f"{where}: text = {text!r} is no text")
    try:
        return Cue(Fraction(str(at)), check_prompt(text))
    except PhonofilmError as error:
        raise PhonofilmError(f"{where}: {error}") from error


def cue_at(cues: Sequence[Cue], moment: Fraction) -> Cue | None:
    """The last cue that has come by a moment, or None before the first."""
    return next((cue for cue in reversed(cues) if cue.at <= moment), None)
