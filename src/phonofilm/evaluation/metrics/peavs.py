"""`PEAVS[phonofilm]`: what people would say of a clip's synchrony, 1 … 5, from flaws that can be measured.

PEAVS (Goncalves et al. 2024) is a network over VGGish and I3D features. This is not it, but a curve over four flaws,
fitted to the mean opinions its authors published (nine distortions of ten levels):

    score = 1 + 3.7 · exp(−h),   h = offset + drift + lone + cuts, each ≥ 0 and growing with its flaw

Higher is better, not scaled; a clip without these flaws gets 4.7, what people give undistorted film. It knows these
flaws only: sound that never belonged to the picture is not noticed. Left out one by one (`leave_one_out`), distortions
are predicted with a mean absolute error of 0.55 of a point and Spearman 0.72: shifts and speeds (0.2 to 0.35) and
muting (0.45) well, gaps, flicker and shuffling (about 1) badly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from phonofilm.evaluation.statistics import spearman
from phonofilm.signals.validation import Floats

BEST, WORST = 4.7, 1.0


@dataclass(frozen=True)
class Flaws:
    """What is wrong with the synchrony of one clip.

    Attributes:
        offset: seconds, positive = audio early (`evaluation.offset`).
        drift: speed of the sound over that of the picture, less 1.
        lone: share of time in which only one of the two is cut out (silence under a picture, black over sound).
        cuts: gaps and jumps that both share, a second.
    """

    offset: float = 0.0
    drift: float = 0.0
    lone: float = 0.0
    cuts: float = 0.0


@dataclass(frozen=True)
class Curve:
    """What each flaw weighs.

    Attributes:
        early, late: seconds of offset that count as one; steep: how suddenly; depth: all that an offset can do.
        drift: weight of |log speed| to the power `drift_power`; lone and cuts likewise.
    """

    early: float
    late: float
    steep: float
    depth: float
    drift: float
    drift_power: float
    lone: float
    lone_power: float
    cuts: float
    cuts_power: float

    def score(self, flaws: Flaws) -> float:
        """Predicted mean opinion, 1 … 4.7."""
        away = abs(flaws.offset) / (self.early if flaws.offset > 0 else self.late)
        harm = self.depth * -np.expm1(-(away**self.steep))
        harm += self.drift * abs(np.log1p(flaws.drift)) ** self.drift_power
        harm += self.lone * flaws.lone**self.lone_power + self.cuts * flaws.cuts**self.cuts_power
        return float(WORST + (BEST - WORST) * np.exp(-harm))


PRIOR = Curve(
    early=0.18, late=0.37, steep=2.0, depth=1.5, drift=2.0, drift_power=1.0, lone=2.0, lone_power=1.0, cuts=0.2,
    cuts_power=0.5,
)  # fmt: skip
"""Where a fit starts, and stays for flaws it has no data of: twice what ITU-R BT.1359 accepts for the offsets, plain
guesses for the others."""

FITTED = Curve(
    early=0.2198, late=0.423, steep=4.009, depth=1.669, drift=2.484, drift_power=1.033, lone=2.667, lone_power=1.040,
    cuts=0.3849, cuts_power=0.2969,
)  # fmt: skip
"""`fit` of all 90 published conditions: mean absolute error 0.32 of a point, Spearman 0.91."""


def predict(flaws: Flaws, curve: Curve = FITTED) -> float:
    """`PEAVS[phonofilm]` of a clip, 1 … 4.7 on the five-point scale.

    Raises:
        ValueError: flaws that no clip can have.
    """
    if not np.isfinite(astuple(flaws)).all() or flaws.drift <= -1 or not 0 <= flaws.lone <= 1 or flaws.cuts < 0:
        raise ValueError(f"flaws must be finite, drift above −1, lone in 0 … 1 and cuts 0 or more: {flaws}")
    return curve.score(flaws)


def published_flaws(distortion: str, level: float) -> Flaws:
    """The flaws that a level of one of PEAVS' nine distortions makes, by the names of `peavs_human_curves.json`."""
    match distortion:
        case "audio_shift_seconds":
            return Flaws(offset=level)
        case "audio_speed_up" | "audio_slow_down":
            return Flaws(drift=level - 1)
        case "video_speed_up" | "video_slow_down":
            return Flaws(drift=1 / level - 1)
        case "inter_muting":  # 0.4 s of silence after every `level` seconds
            return Flaws(lone=0.4 / (level + 0.4))
        case "video_gaps":  # black is put in after 40 % of the pieces, so the picture also falls behind
            return Flaws(lone=0.4 / 1.4)
        case "av_flicker":  # 40 % gaps of half a level on average, between whole levels of film
            return Flaws(cuts=0.4 / (0.8 * level))
        case "fragment_shuffle":
            return Flaws(cuts=1 / level)
    raise ValueError(f"unknown distortion {distortion!r}: PEAVS has nine")


@dataclass(frozen=True)
class Condition:
    """One level of one distortion and the mean opinion people gave it."""

    distortion: str
    flaws: Flaws
    opinion: float


def conditions(curves: Mapping[str, Any]) -> list[Condition]:
    """The 90 conditions of the published file `peavs_human_curves.json`, parsed."""
    try:
        return [
            Condition(part["name"], published_flaws(part["name"], level["level"]), level["mean"])
            for part in curves["distortions"].values()
            for level in part["levels"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"these are not PEAVS' human curves: {error!r} is missing or wrong") from error


def fit(known: Sequence[Condition], hold: float = 0.05) -> Curve:
    """The curve of least squared error on mean opinions, held weakly to `PRIOR` on a log scale."""
    if not known:
        raise ValueError("there are no conditions to fit to")
    start = np.log(astuple(PRIOR))
    opinions = np.array([condition.opinion for condition in known])

    def residuals(log: Floats) -> Floats:
        curve = Curve(*np.exp(log))
        return np.append(np.array([curve.score(c.flaws) for c in known]) - opinions, hold * (log - start))

    found = least_squares(residuals, start, bounds=(start - 3, start + 3)).x
    return Curve(*(float(value) for value in np.exp(found)))


@dataclass(frozen=True)
class Foretold:
    """How well distortions are predicted by a curve fitted without them.

    Attributes:
        error: mean absolute error over all conditions, in points of 1 … 5.
        rank: Spearman correlation over all conditions.
        errors: mean absolute error of each distortion.
    """

    error: float
    rank: float
    errors: Mapping[str, float]


def leave_one_out(known: Sequence[Condition]) -> Foretold:
    """Each distortion predicted by a curve fitted to all the others."""
    names = list(dict.fromkeys(condition.distortion for condition in known))
    if len(names) < 2:
        raise ValueError("leaving one distortion out needs two or more")
    opinions, guesses, errors = [], [], {}
    for name in names:
        curve = fit([c for c in known if c.distortion != name])
        out = [c for c in known if c.distortion == name]
        guessed = np.array([curve.score(c.flaws) for c in out])
        truth = np.array([c.opinion for c in out])
        errors[name] = float(np.abs(guessed - truth).mean())
        opinions.append(truth)
        guesses.append(guessed)
    truth, guessed = np.concatenate(opinions), np.concatenate(guesses)
    return Foretold(float(np.abs(guessed - truth).mean()), spearman(guessed, truth).value, errors)
