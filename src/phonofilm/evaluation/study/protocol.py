"""A blinded study of human opinion: what is asked about which clips, in whose order, and when a rater is left out.

A study is one frozen object, fixed before the first rating and named by its hash. Everything a rater sees follows from
it and from the number of the rater's seat, so an answer needs only say (seat, trial).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from math import lcm
from pathlib import Path
from typing import Literal

import numpy as np

from phonofilm.config import from_dict, parse_json, to_dict
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.study.latin_square import balanced_seats, seat_cells
from phonofilm.files import write_bytes

StimulusKind = Literal["system", "reference", "anchor", "catch", "mushra-anchor", "open-reference"]
Role = Literal["main", "anchor", "catch", "duplicate", "pair", "mushra"]
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Scale:
    """One question with five answers.

    Attributes:
        name: what the results call it; question: what the rater reads; ends: what 1 and 5 mean.
        optional: whether "cannot tell" is an answer.
    """

    name: str
    question: str
    ends: tuple[str, str] = ("bad", "excellent")
    optional: bool = False


SCALES = (
    Scale("video", "How good does the picture look?"),
    Scale("audio", "How good does the sound sound?"),
    Scale("sync", "Do sound and picture happen at the same moment?", ("never", "always")),
    Scale(
        "semantics",
        "Is it the right sound for what you see, and for any text shown?",
        ("not at all", "fully"),
    ),
    Scale("spatial", "Does the sound come from where you see its source?", ("never", "always"), optional=True),
    Scale("overall", "All in all, how good is this clip?"),
)
PAIR_SCALES = (
    Scale("sync", "In which one do sound and picture fit together better in time?"),
    Scale("overall", "Which one is better, all in all?"),
)
CATCH_SECONDS = 1.0
MUSHRA_SCALES = {
    "audio": Scale("audio", "How good is the sound of each version, compared with the reference?"),
    "sync": Scale("sync", "How well do sound and picture agree in time, compared with the reference?"),
}
MUSHRA_MOST = 12
"""Versions in one MUSHRA trial at most, hidden reference and anchors included (ITU-R BS.1534-3)."""
MOST_CONTROLS = 1000
MOST_SECONDS = 86_400.0


@dataclass(frozen=True)
class Stimulus:
    """One file that can be shown.

    Attributes:
        file: blinded name inside the study's `clips`, without a folder.
        system: who made it: a system's name, "reference", or an anchor's name.
        item: the scene, by the name that all systems share.
        seconds: duration; sha256: of the file; prompt: shown with it, if any.
    """

    file: str
    system: str
    item: str
    kind: StimulusKind
    seconds: float
    sha256: str
    prompt: str | None = None


@dataclass(frozen=True)
class Rules:
    """When a rater's answers are left out, fixed before anybody answers.

    Attributes:
        catch_most: on a clip whose sound is a second off, "sync" may be rated this high at most.
        catches_missed: so many of these may be rated higher.
        duplicate_apart: largest mean distance, in points, between two ratings of one clip.
        headphones_right: least share of right answers to "left or right?".
        latency_most: largest believable delay of the rater's device, in seconds, by the flash and the beep.
        flattest: least standard deviation of all a rater's answers.
        answered: least share of the trials.
    """

    catch_most: int = 3
    catches_missed: int = 0
    duplicate_apart: float = 1.5
    headphones_right: float = 1.0
    latency_most: float = 0.2
    flattest: float = 0.25
    answered: float = 0.5


@dataclass(frozen=True)
class Mushra:
    """A MUSHRA test (ITU-R BS.1534-3): all versions of a scene beside its open reference, on sliders from 0 to 100.

    Attributes:
        scenes: how many each rater judges.
        scale: what the sliders mean.
        anchors: names of the low and of the mid-range anchor.
        reference_least, anchor_most, failures_most: a rater is left out who rates the hidden reference below, or the
            mid-range anchor above, these scores in more than this share of the scenes (section 4.1.2).
    """

    scenes: int
    scale: Scale = MUSHRA_SCALES["audio"]
    anchors: tuple[str, str] = ("low-pass 3.5 kHz", "low-pass 7 kHz")
    reference_least: int = 90
    anchor_most: int = 90
    failures_most: float = 0.15


@dataclass(frozen=True)
class Trial:
    """What a rater sees at one place: one clip to rate, two to choose from, or a scene in all versions.

    Attributes:
        stimuli: numbers into `Study.stimuli`; of a MUSHRA trial first the open reference.
        repeats: for a duplicate, the index of the trial it repeats.
    """

    index: int
    role: Role
    stimuli: tuple[int, ...]
    repeats: int | None = None


@dataclass(frozen=True)
class Study:
    """All that is fixed before the first rating.

    Attributes:
        title: shown to raters; says nothing of systems.
        seed: decides blinded names, orders and places of control trials.
        systems: names, the hidden reference among them; items: scenes.
        likert, pairs: rated clips and pairwise choices for each rater, without controls.
        anchors, catches, duplicates: control trials for each rater.
        raters: how many are planned; any number may come.
        left_out: files that could not be used, each with the reason.
        mushra: None where there is no MUSHRA test.
    """

    title: str
    seed: int
    systems: tuple[str, ...]
    items: tuple[str, ...]
    stimuli: tuple[Stimulus, ...]
    likert: int
    pairs: int = 0
    anchors: int = 0
    catches: int = 0
    duplicates: int = 0
    raters: int = 20
    scales: tuple[Scale, ...] = SCALES
    pair_scales: tuple[Scale, ...] = PAIR_SCALES
    rules: Rules = field(default_factory=Rules)
    left_out: tuple[str, ...] = ()
    version: int = 1
    mushra: Mushra | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_files()
        cells = len(self.systems) * len(self.items)
        for name in ("anchors", "catches", "duplicates", "pairs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: a number of trials cannot be negative")
        if self.raters < 1:
            raise ValueError(f"raters = {self.raters}: a study needs a rater")
        asked = self.likert + self.pairs + (self.mushra.scenes if self.mushra else 0)
        if len(self.systems) < 1:
            raise ValueError("a study needs a system")
        if len(self.items) < 1:
            raise ValueError("a study needs a scene")
        if asked < 1:
            raise ValueError("a study needs something to ask: likert, pairs or mushra above 0")
        if not 0 <= self.likert <= cells:
            raise ValueError(f"a rater can rate {cells} clips at most, not {self.likert}")
        if self.pairs and len(self.systems) < 2:
            raise ValueError("pairwise choices need two systems, a reference included")
        if not 0 <= self.pairs <= len(self.ordered_pairs) * len(self.items):
            raise ValueError(f"a rater can make {len(self.ordered_pairs) * len(self.items)} choices at most")
        if self.duplicates > self.likert // 2:
            raise ValueError(f"{self.duplicates} duplicates need twice as many clips to rate, not {self.likert}")
        if self.likert == 0 and self.anchors + self.catches:
            raise ValueError("anchors and catch trials are rated, so a study with them needs clips to rate")
        if self.mushra is not None:
            self._check_mushra(self.mushra)
        self._check_stimuli()

    def _check_mushra(self, mushra: Mushra) -> None:
        if not 1 <= mushra.scenes <= len(self.items):
            raise ValueError(f"MUSHRA needs 1 to {len(self.items)} scenes a rater, not {mushra.scenes}")
        if "reference" not in self.systems:
            raise ValueError("MUSHRA needs a reference")
        if len(self.systems) + len(mushra.anchors) > MUSHRA_MOST:
            most = MUSHRA_MOST - len(mushra.anchors) - 1
            raise ValueError(f"MUSHRA compares {most} systems at most, beside reference and anchors")

    def _check_stimuli(self) -> None:
        """Every scene of every system is there once, and so is what MUSHRA adds."""
        wanted = {(kind, system, item) for kind, system in self._versions() for item in self.items}
        found = [(s.kind, s.system, s.item) for s in self.stimuli if s.kind not in ("anchor", "catch")]
        if len(found) != len(set(found)) or set(found) != wanted:
            raise ValueError("the clips are not one for each scene of each system")
        for kind, count in (("anchor", self.anchors), ("catch", self.catches)):
            if count and not any(s.kind == kind for s in self.stimuli):
                raise ValueError(f"{count} {kind} trials need clips made for them")

    def _versions(self) -> list[tuple[StimulusKind, str]]:
        """(kind, name) of every version of a scene that a rater may compare."""
        found: list[tuple[StimulusKind, str]] = []
        found += [("reference" if name == "reference" else "system", name) for name in self.systems]
        if self.mushra is not None:
            found += [("mushra-anchor", name) for name in self.mushra.anchors] + [("open-reference", "open reference")]
        return found

    def _check_numbers(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed} is negative")
        if max(self.anchors, self.catches) > MOST_CONTROLS:
            raise ValueError(f"{max(self.anchors, self.catches)} control trials for one rater are too many")
        for name, values in (("systems", self.systems), ("items", self.items)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} holds one name twice")

    def _check_files(self) -> None:
        for stimulus in self.stimuli:
            if not 0 < stimulus.seconds <= MOST_SECONDS:
                raise ValueError(f"the clip {stimulus.file} lasts {stimulus.seconds:g} s")
            if Path(stimulus.file).name != stimulus.file or not stimulus.file:
                raise ValueError(f"{stimulus.file!r} is no file in the folder of clips")
            if stimulus.item not in self.items:
                raise ValueError(f"the clip {stimulus.file} is of {stimulus.item}, which is none of its scenes")

    @property
    def hash(self) -> str:
        """SHA-256 of everything here, the hashes of the clips included."""
        values = to_dict(self)
        if self.mushra is None:
            del values["mushra"]  # studies made before there was MUSHRA keep their hash
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def ordered_pairs(self) -> list[tuple[str, str]]:
        """Every two systems, in both orders."""
        return [(a, b) for a in self.systems for b in self.systems if a != b]

    @property
    def balanced_raters(self) -> int:
        """After each so many raters every clip, pair and scene was given equally often."""
        parts = [(self.likert, len(self.systems)), (self.pairs, len(self.ordered_pairs))]
        parts.append((self.mushra.scenes if self.mushra else 0, 1))
        return lcm(*(balanced_seats(block, len(self.items), columns)[0] for block, columns in parts if block))

    @property
    def minutes(self) -> float:
        """About how long one rater takes: every clip once (for MUSHRA three times), five seconds a question or
        slider, two minutes to begin."""
        seconds = 0.0
        for trial in self.trials(0):
            mushra = trial.role == "mushra"
            seconds += (3 if mushra else 1) * sum(self.stimuli[i].seconds for i in trial.stimuli)
            seconds += 5 * (len(trial.stimuli) - 1 if mushra else len(self.scales_of(trial)))
        return seconds / 60 + 2

    def scales_of(self, trial: Trial) -> tuple[Scale, ...]:
        """The questions that a trial asks."""
        if trial.role == "mushra" and self.mushra is not None:
            return (self.mushra.scale,)
        return self.pair_scales if trial.role == "pair" else self.scales

    def trials(self, seat: int) -> tuple[Trial, ...]:
        """The trials of one seat: rated clips in the order of the Latin square with control trials among them, then
        pairwise choices, then MUSHRA. The same for the same study and seat."""
        by_cell = {(s.item, s.system): i for i, s in enumerate(self.stimuli) if s.kind in ("system", "reference")}
        rng = np.random.default_rng([self.seed, seat])
        items, systems, pairs = self._shuffled()
        shown: list[tuple[Role, tuple[int, ...], int | None]] = []
        if self.likert:
            cells = seat_cells(seat, self.likert, len(items), len(systems))
            shown = [("main", (by_cell[items[row], systems[column]],), None) for row, column in cells]
            shown = self._with_controls(shown, seat, rng)
        if self.pairs:
            for row, column in seat_cells(seat, self.pairs, len(items), len(pairs)):
                first, second = pairs[column]
                shown.append(("pair", (by_cell[items[row], first], by_cell[items[row], second]), None))
        if self.mushra is not None:
            for row, _ in seat_cells(seat, self.mushra.scenes, len(items), 1):
                shown.append(("mushra", self._mushra_stimuli(items[row], rng), None))
        return tuple(Trial(i, role, stimuli, repeats) for i, (role, stimuli, repeats) in enumerate(shown))

    def _mushra_stimuli(self, item: str, rng: np.random.Generator) -> tuple[int, ...]:
        """The open reference of a scene, then all its versions in a random order."""
        versions = self._versions()
        found = {(s.kind, s.system): i for i, s in enumerate(self.stimuli) if s.item == item}
        hidden = [found[kind, name] for kind, name in versions if kind != "open-reference"]
        return (found["open-reference", "open reference"], *(int(i) for i in rng.permutation(hidden)))

    def _shuffled(self) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        """Items, systems and pairs in the study's own order, so that the square favours no name."""
        rng = np.random.default_rng(self.seed)
        items = [self.items[i] for i in rng.permutation(len(self.items))]
        systems = [self.systems[i] for i in rng.permutation(len(self.systems))]
        pairs = self.ordered_pairs
        return items, systems, [pairs[i] for i in rng.permutation(len(pairs))]

    def _with_controls(
        self, shown: list[tuple[Role, tuple[int, ...], int | None]], seat: int, rng: np.random.Generator
    ) -> list[tuple[Role, tuple[int, ...], int | None]]:
        """Anchors and catches at random places but the first; each duplicate half a round behind what it repeats."""
        chosen = self._turn("anchor", self.anchors, seat) + self._turn("catch", self.catches, seat)
        for stimulus in chosen:
            role: Role = "anchor" if self.stimuli[stimulus].kind == "anchor" else "catch"
            shown.insert(int(rng.integers(1, len(shown) + 1)), (role, (stimulus,), None))
        early = [i for i, trial in enumerate(shown) if trial[0] == "main" and i < len(shown) // 2]
        for source in rng.permutation(early)[: self.duplicates]:
            # places behind the first half only, so that what is repeated keeps its index
            place = int(rng.integers(max(len(shown) * 3 // 4, int(source) + 1), len(shown) + 1))
            shown.insert(place, ("duplicate", shown[int(source)][1], int(source)))
        return shown

    def _turn(self, kind: StimulusKind, count: int, seat: int) -> list[int]:
        """The next `count` stimuli of a kind: first one of each anchor, scenes changing from seat to seat."""
        names = list(dict.fromkeys(s.system for s in self.stimuli if s.kind == kind))
        found = []
        for turn in range(count if names else 0):
            step = seat * count + turn
            choices = [i for i, s in enumerate(self.stimuli) if s.kind == kind and s.system == names[step % len(names)]]
            found.append(choices[(step // len(names)) % len(choices)])
        return found


def save_study(study: Study, folder: Path) -> Path:
    """Write `study.json`; it says which system each blinded file is of, so it must not be given to raters."""
    return write_bytes(folder / STUDY_FILE, (json.dumps(to_dict(study), indent=1) + "\n").encode())


def load_study(folder: Path) -> Study:
    """The study of a folder.

    Raises:
        PhonofilmError: there is none, or its file is damaged or of another version.
    """
    path = folder / STUDY_FILE
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PhonofilmError(f"{folder} holds no study: make one with phonofilm study new DIR… -o {folder}") from error
    except ValueError as error:
        raise PhonofilmError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict) or values.get("version") != 1:
        raise PhonofilmError(f"{path} is not a study of a version that this program knows")
    return from_dict(Study, values)
