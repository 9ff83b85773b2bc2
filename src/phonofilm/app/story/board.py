"""A storyboard as a TOML file: shots, who is in them and where, the music under all of them, and how they join.

size = "128x128"
[music]
prompt = "slow piano"        # or file = "song.wav"
[cast]
anna = "a woman with red hair"
[places]
kitchen = "a yellow kitchen"
[[shot]]
prompt = "she looks up"
seconds = 4
cast = ["anna"]
place = "kitchen"
effects = "a clock"
say = ["Hello.@1"]
[[shot]]
prompt = "rain on the window"
seconds = 3
join = "dissolve"            # how it begins: "cut", or "dissolve" over `overlap` seconds
overlap = 0.5
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from phonofilm.config import from_dict, read_toml
from phonofilm.errors import PhonofilmError
from phonofilm.streaming.prompts import check_prompt
from phonofilm.types import nearest

JOINS = ("cut", "dissolve")
LONGEST = 600.0
"""Seconds of one shot, and of the music that a model makes."""


@dataclass(frozen=True)
class Music:
    """The sound bed: what a model makes, or a file; `gain` is in dB."""

    prompt: str = ""
    file: str | None = None
    gain: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One shot; see the example above. `seed` is the story's with the shot's number added where none is given."""

    prompt: str
    seconds: float
    cast: tuple[str, ...] = ()
    place: str | None = None
    effects: str = ""
    say: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    join: str = "cut"
    overlap: float = 0.5
    seed: int | None = None


@dataclass(frozen=True)
class Story:
    """A storyboard.

    Attributes:
        cast, places: what each looks and sounds like, by name. size, fps: as a job has them.
    """

    shot: tuple[Shot, ...]
    music: Music | None = None
    cast: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    size: Any = None
    fps: Any = None

    @property
    def seconds(self) -> float:
        """How long the film is, up to the rounding of each shot to whole frames."""
        return sum(shot.seconds - (shot.overlap if shot.join == "dissolve" else 0) for shot in self.shot)

    def text(self, number: int) -> str:
        """The prompt of a shot, with what is said of its place and its cast."""
        shot = self.shot[number]
        told = [
            f"{self.places[shot.place]}" if shot.place else "",
            shot.prompt,
            *(self.cast[name] for name in shot.cast),
        ]
        return " ".join(part.strip().rstrip(".") + "." for part in told if part.strip())

    def first_with(self, name: str) -> int:
        """The first shot in which somebody of the cast, or a place, appears."""
        return next(n for n, shot in enumerate(self.shot) if name in shot.cast or name == shot.place)


def read_story(path: str | Path) -> Story:
    """Read and check a storyboard.

    Raises:
        PhonofilmError: which shot, and what is wrong with it.
    """
    hint = "docs/live.md for how one is written"
    return story_of(read_toml(path, what="storyboard", hint=hint), str(path), Path(path).parent)


def story_of(values: Mapping[str, Any], path: str, folder: Path, files: bool = True) -> Story:
    """Check the values of a storyboard, wherever they come from.

    Args:
        path: what errors call it. folder: from where the names of files count. files: whether they must be there.

    Raises:
        PhonofilmError: which shot, and what is wrong with it.
    """
    values = dict(values)
    cast, places = _names(path, values, "cast"), _names(path, values, "places")
    shots = values.pop("shot", None)
    if not isinstance(shots, list) or not shots:
        raise PhonofilmError(f"{path}: a storyboard has [[shot]] sections, each with prompt and seconds")
    found = tuple(_shot(path, number, item) for number, item in enumerate(shots, 1))
    music, size, fps = (values.pop(name, None) for name in ("music", "size", "fps"))
    if values:
        raise PhonofilmError(
            f"{path}: unknown setting {min(values)!r}; there are shot, music, cast, places, size and fps"
        )
    try:
        bed = None if music is None else from_dict(Music, music, "music.")
    except PhonofilmError as error:
        raise PhonofilmError(f"{path}: {error}") from error
    story = Story(found, bed, cast, places, size, fps)
    _check(path, story)
    if files and bed is not None and bed.file is not None and not (folder / bed.file).is_file():
        raise PhonofilmError(f"{path}: the music {bed.file} is not there; its place counts from the storyboard's")
    return story


def _names(path: str, values: dict[str, Any], section: str) -> dict[str, str]:
    named = values.pop(section, {})
    if not isinstance(named, dict) or not all(isinstance(text, str) and text.strip() for text in named.values()):
        raise PhonofilmError(
            f'{path}: [{section}] has names and what they look like, as anna = "a woman with red hair"'
        )
    return named


def _shot(path: str, number: int, item: Any) -> Shot:
    try:
        shot = from_dict(Shot, item)
        check_prompt(shot.prompt)
    except PhonofilmError as error:
        raise PhonofilmError(f"{path}: shot {number}: {error}") from error
    where = f"{path}: shot {number}"
    if not (math.isfinite(shot.seconds) and 0 < shot.seconds <= LONGEST):
        raise PhonofilmError(f"{where}: {shot.seconds:g} s is not possible; choose more than 0, up to {LONGEST:g}")
    if shot.join not in JOINS:
        raise PhonofilmError(f"{where}: join = {shot.join!r} is unknown; choose cut or dissolve")
    if shot.join == "dissolve" and not (math.isfinite(shot.overlap) and 0 < shot.overlap < shot.seconds):
        raise PhonofilmError(
            f"{where}: an overlap of {shot.overlap:g} s is not possible; it must be shorter than the shot"
        )
    if shot.seed is not None and not 0 <= shot.seed < 2**63:
        raise PhonofilmError(f"{where}: a seed of {shot.seed} is not possible; choose 0 to {2**63 - 1}")
    return shot


def _check(path: str, story: Story) -> None:
    if story.shot[0].join != "cut":
        raise PhonofilmError(f"{path}: shot 1 begins the film, so it cannot dissolve from another one; leave out join")
    for number, shot in enumerate(story.shot, 1):
        for name in shot.cast:
            if name not in story.cast:
                raise PhonofilmError(
                    f"{path}: shot {number}: nobody in [cast] is called {name!r}; write who that is there"
                )
        if shot.place is not None and shot.place not in story.places:
            raise PhonofilmError(
                f"{path}: shot {number}: no place in [places] is called {shot.place!r}; write it there"
            )
        before = story.shot[number - 2] if number > 1 else None
        if before and shot.join == "dissolve":
            used = shot.overlap + (before.overlap if before.join == "dissolve" else 0)
            if used > before.seconds:
                raise PhonofilmError(
                    f"{path}: shot {number}: shot {number - 1} is too short for the dissolves on its two sides"
                )
    bed = story.music
    if bed is not None and bool(bed.prompt.strip()) == (bed.file is not None):
        raise PhonofilmError(f"{path}: [music] has either prompt, for a model, or file; give one of them")
    if bed is not None and not (math.isfinite(bed.gain) and -60 <= bed.gain <= 20):
        raise PhonofilmError(f"{path}: a gain of {bed.gain:g} dB is not possible for [music]; choose -60 to 20")


@dataclass(frozen=True)
class Placed:
    """Where a shot lies in the film, in frames: `overlap` of them are a dissolve from the one before."""

    start: int
    frames: int
    overlap: int

    @property
    def end(self) -> int:
        return self.start + self.frames


def timeline(story: Story, fps: Fraction) -> tuple[Placed, ...]:
    """The shots on the clock of the film."""
    placed: list[Placed] = []
    for shot in story.shot:
        frames = max(1, nearest(Fraction(str(shot.seconds)) * fps))
        end = placed[-1].end if placed else 0
        overlap = min(frames - 1, nearest(Fraction(str(shot.overlap)) * fps)) if shot.join == "dissolve" else 0
        placed.append(Placed(end - overlap, frames, overlap))
    return tuple(placed)
