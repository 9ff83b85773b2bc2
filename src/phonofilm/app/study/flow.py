"""What a rater does next, and whether an answer is allowed: the rules of the page, without any HTTP.

A clip can be rated once it has played to its end. The page says when that is; here it is believed only if enough time
has passed since the trial was first shown for all clips reported so far.
"""

from __future__ import annotations

import hmac
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.study.mushra import letters
from phonofilm.evaluation.study.protocol import Study, Trial, load_study
from phonofilm.evaluation.study.store import Rater, Ratings

HEADPHONE_SOUNDS = 4
HEADPHONE_TRIES = 3
SLACK = 0.3  # seconds by which a player may end early
KINDS = ("play", "pause", "ended", "hidden", "shown", "seek", "stalled", "error", "comment")
"""What the page may report besides answers."""


@dataclass
class Flow:
    """One study being answered. Holds nothing that is not on disk, so it can be killed at any moment.

    Attributes:
        signed_only: whether raters need a signed link to begin; `events`: how many of one rater are kept.
    """

    folder: Path
    study: Study
    ratings: Ratings
    clock: Callable[[], float] = time.time
    signed_only: bool = False
    events: int = 5000

    @staticmethod
    def of(folder: Path, clock: Callable[[], float] = time.time, signed_only: bool = False, events: int = 5000) -> Flow:
        """Open a study folder for answers.

        Raises:
            PhonofilmError: no study, clips that are missing, or ratings that belong to another study.
        """
        study = load_study(folder)
        missing = [s.file for s in study.stimuli if not (folder / "clips" / s.file).is_file()]
        if missing:
            raise PhonofilmError(f"{folder} lacks {len(missing)} of its clips, {missing[0]} first; copy it whole")
        return Flow(folder, study, Ratings(folder, study.hash), clock, signed_only, events)

    def join(self, outside: str | None, key: str | None, agent: str | None) -> Rater:
        """A new rater; or, with a signed link, the one who came before by this outside name.

        Raises:
            RefusedError: as for `check_link`.
        """
        outside = _name(outside)
        known = self.check_link(outside, key)
        rater = known or self.ratings.join(self.clock(), outside, agent)
        # None: the same name joined between the two lines above
        return rater if rater is not None else self.join(outside, key, agent)

    def check_link(self, outside: str | None, key: str | None) -> Rater | None:
        """The rater that a link leads back to; None where it begins a new one.

        Raises:
            RefusedError: a wrong signature, a name that has a seat and no signature to prove it, or no signature where
                the study wants one.
        """
        outside = _name(outside)
        if key is not None:
            right = self.ratings.link_key(outside or "")
            if outside is None or not hmac.compare_digest(key.encode(), right.encode()):
                raise RefusedError(403, "this link is not complete; open it exactly as you were given it")
        if key is None and self.signed_only:
            raise RefusedError(403, "this study is by invitation; open the whole link that you were given")
        known = self.ratings.named(outside) if outside is not None else None
        if known is not None and key is None:
            raise RefusedError(
                403, "this name has begun already; go on in the browser used then, or open the link shown there"
            )
        return known

    def link_key(self, rater: Rater) -> str | None:
        """What a rater's own link is signed with; None for raters without an outside name."""
        return None if rater.outside is None else self.ratings.link_key(rater.outside)

    def who(self, token: str | None) -> Rater:
        """The rater with this token.

        Raises:
            RefusedError: there is none, or the rater has withdrawn.
        """
        rater = self.ratings.rater(token) if token else None
        if rater is None:
            raise RefusedError(401, "this study does not know you; start from its first page")
        if rater.withdrawn is not None:
            raise RefusedError(410, "you have withdrawn from this study; your answers are deleted")
        return rater

    def withdraw(self, rater: Rater) -> None:
        """Delete what this rater has answered; the rater cannot go on."""
        self.ratings.withdraw(rater.seat, self.clock())

    def state(self, rater: Rater) -> dict[str, Any]:
        """Where the rater stands: {"stage": "headphones", "latency", "trial" or "done", …}."""
        trials = self.study.trials(rater.seat)
        answered = self.ratings.answered(rater.seat)
        progress = {"done": len(answered), "total": len(trials)}
        tries = self.ratings.events(rater.seat, kind="headphones")
        passed = any(event.detail["right"] == event.detail["asked"] for event in tries)
        if not passed and len(tries) < HEADPHONE_TRIES:
            failed = len(tries)
            return {"stage": "headphones", "sounds": HEADPHONE_SOUNDS, "failed": failed, "progress": progress}
        if not self.ratings.events(rater.seat, kind="latency"):
            return {"stage": "latency", "progress": progress}
        following = next((trial for trial in trials if trial.index not in answered), None)
        if following is None:
            return {"stage": "done", "progress": progress, "code": rater.code}
        return {"stage": "trial", "progress": progress, "trial": self._show(rater, following)}

    def _show(self, rater: Rater, trial: Trial) -> dict[str, Any]:
        if not self.ratings.events(rater.seat, trial.index, "open"):
            self.ratings.note(rater.seat, trial.index, "open", self.clock())
        shown = [self.study.stimuli[i] for i in trial.stimuli]
        ended = self._ended(rater.seat, trial.index)
        scales = self.study.scales_of(trial)
        return {
            "index": trial.index,
            "kind": trial.role if trial.role in ("pair", "mushra") else "rating",
            "clips": [
                {"url": f"media/{s.file}", "seconds": s.seconds, "ended": i in ended} for i, s in enumerate(shown)
            ],
            "prompt": shown[0].prompt,
            "scales": [asdict(scale) for scale in scales],
        }

    def report(self, rater: Rater, trial: int | None, kind: str, detail: Mapping[str, Any]) -> None:
        """Keep what the page says has happened.

        Raises:
            RefusedError: an unknown kind, a trial or clip that is not there, an end that comes too soon to be true, or
                more events than are kept.
        """
        if kind not in KINDS:
            raise RefusedError(422, f"there is no such event; the events are {', '.join(KINDS)}")
        clip = detail.get("clip")
        if trial is not None or clip is not None:
            shown = self._trial(rater, trial).stimuli
            if clip is not None and clip not in range(len(shown)):
                raise RefusedError(404, "there is no such clip in this trial")
        if kind == "ended":
            self._check_end(rater, trial, clip)
        if self.ratings.count_events(rater.seat) >= self.events:
            if kind != "ended":
                raise RefusedError(429, "too many events of one rater; answer the next question")
            if trial is not None and clip in self._ended(rater.seat, trial):
                return
        self.ratings.note(rater.seat, trial, kind, self.clock(), detail)

    def _check_end(self, rater: Rater, index: int | None, clip: Any) -> None:
        trial = self._trial(rater, index)
        opened = self.ratings.events(rater.seat, trial.index, "open")
        if not opened or clip not in range(len(trial.stimuli)):
            raise RefusedError(409, "this clip is not on show")
        played = self._ended(rater.seat, trial.index) | {clip}
        least = sum(self.study.stimuli[trial.stimuli[i]].seconds for i in played) - SLACK
        if self.clock() - opened[0].at < least:
            raise RefusedError(423, "the clip has not played to its end yet")

    def _ended(self, seat: int, trial: int) -> set[int]:
        return {event.detail["clip"] for event in self.ratings.events(seat, trial, "ended")}

    def _trial(self, rater: Rater, index: int | None) -> Trial:
        trials = self.study.trials(rater.seat)
        if index is None or not 0 <= index < len(trials):
            raise RefusedError(404, "there is no such trial")
        return trials[index]

    def rate(self, rater: Rater, index: int, answers: Mapping[str, int | None]) -> None:
        """Keep an answer. The same trial answered again keeps its first answer, without complaint.

        Raises:
            RefusedError: a trial that is not the next one, a clip not yet played, or answers that are not complete.
        """
        trial = self._trial(rater, index)
        answered = self.ratings.answered(rater.seat)
        if index in answered:
            return
        if index != next(t.index for t in self.study.trials(rater.seat) if t.index not in answered):
            raise RefusedError(409, "this is not the clip on show; reload the page")
        if self._ended(rater.seat, index) != set(range(len(trial.stimuli))):
            raise RefusedError(423, "play each clip to its end first")
        self._check_answers(trial, answers)
        self.ratings.rate(rater.seat, index, dict(answers), self.clock())

    def _check_answers(self, trial: Trial, answers: Mapping[str, int | None]) -> None:
        scales = self.study.scales_of(trial)
        optional = {scale.name for scale in scales if scale.optional}
        names: tuple[str, ...] = tuple(scale.name for scale in scales)
        allowed = range(-1, 2) if trial.role == "pair" else range(1, 6)
        if trial.role == "mushra":
            names, optional, allowed = letters(trial), set(), range(101)
        if set(answers) != set(names):
            raise RefusedError(422, f"answer all of {', '.join(names)}")
        for name in names:
            value = answers[name]
            if value not in allowed and not (value is None and name in optional):
                raise RefusedError(422, f"{name} takes a whole number from {min(allowed)} to {max(allowed)}")

    def sides(self, rater: Rater) -> list[str]:
        """The right answers of the coming left-or-right check, other ones at each try; at least one of each side."""
        tries = len(self.ratings.events(rater.seat, kind="headphones"))
        rng = np.random.default_rng([self.study.seed, rater.seat, tries])
        drawn = list(rng.permutation(["left", "right"] * (HEADPHONE_SOUNDS // 2)))
        return [str(side) for side in drawn]

    def check_headphones(self, rater: Rater, heard: list[str], attempt: int | None = None) -> bool:
        """Keep one try at the left-or-right check; True if all were right.

        Args:
            attempt: how many tries came before; one that was counted already, or that comes when no more are asked
                for, changes nothing.

        Raises:
            RefusedError: answers that are not one side for each sound.
        """
        tries = self.ratings.events(rater.seat, kind="headphones")
        passed = any(event.detail["right"] == event.detail["asked"] for event in tries)
        if passed or len(tries) >= HEADPHONE_TRIES or (attempt is not None and attempt < len(tries)):
            return passed
        sides = self.sides(rater)
        if not set(heard) <= {"left", "right"}:
            raise RefusedError(422, "each sound is heard left or right")
        if len(heard) != len(sides):
            raise RefusedError(422, f"answer all {len(sides)} sounds")
        right = sum(a == b for a, b in zip(heard, sides, strict=True))
        found = {"right": right, "asked": len(sides), "heard": heard}
        self.ratings.note(rater.seat, None, "headphones", self.clock(), found)
        return right == len(sides)

    def set_latency(self, rater: Rater, offset: float | None, audio: Mapping[str, Any]) -> None:
        """Keep the beep's delay, in ms, at which flash and beep seemed together: the device delays by its opposite.

        The first value stays: sent again after a lost connection it changes nothing.
        """
        if self.ratings.events(rater.seat, kind="latency"):
            return
        latency = None if offset is None else -offset / 1000
        self.ratings.note(rater.seat, None, "latency", self.clock(), {"latency": latency, "audio": dict(audio)})


def _name(outside: str | None) -> str | None:
    """An outside name in one form, so that the same name written in two ways is one person; None for an empty one.

    Raises:
        RefusedError: it holds control characters.
    """
    name = unicodedata.normalize("NFC", outside or "").strip()
    if not name.isprintable():
        raise RefusedError(422, "a name holds printable characters only")
    return name or None
