"""The same content twice, by perceptual hashes of picture and sound, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phonofilm.data.curate.common.step import Value
from phonofilm.data.curate.steps.hashes import pictures_of, sound_of
from phonofilm.signals.fingerprint import sound_distance

NEAR, ALONE = 0.25, 0.14
"""Share of a picture's 256 bits that differ at most in the same picture, coded again and seen at other moments; and
where there is no sound that agrees."""

SOUND_NEAR, TOGETHER = 0.34, 0.45
"""Share of a sound's bits that differ at most in the same sound, coded again, of two others half of them do; and of the
shares of both together."""

COVER, OVERLAP = 0.5, 4
"""Share of the shorter shot's pictures that must lie on one another at one lag, and how many at least."""

AT_ONCE = 4096


@dataclass(frozen=True)
class Same:
    """Of which shot another one is a copy, and the shares of bits of picture and of sound that differ."""

    original: str
    picture: float
    sound: float


def find_duplicates(hashes: Mapping[str, Value], originals: Mapping[str, Value] | None = None) -> dict[str, Same]:
    """The shots that are copies of an earlier one, by key; the first of each content stays.

    Args:
        hashes: results of the step "hashes" in order.
        originals: others that copies are looked for of instead, such as a set for tests.
    """
    keys = list(hashes)
    others = keys if originals is None else list(originals)
    stock = hashes if originals is None else originals
    pictures = {key: pictures_of(hashes[key]) for key in keys}
    theirs = pictures if originals is None else {key: pictures_of(originals[key]) for key in others}
    found: dict[str, Same] = {}
    rank = {key: place for place, key in enumerate(others)}
    for later, candidates in _candidates(keys, pictures, others, theirs).items():
        for other in sorted(candidates, key=rank.__getitem__):
            if originals is None and (other in found or rank[other] >= rank[later]):
                continue
            same = _same(later, other, pictures[later], theirs[other], hashes[later], stock[other])
            if same is not None:
                found[later] = same
                break
    return found


def _candidates(
    keys: Sequence[str],
    pictures: Mapping[str, np.ndarray],
    others: Sequence[str],
    theirs: Mapping[str, np.ndarray],
) -> dict[str, set[str]]:
    """For each shot those with any picture that is near one of its own, in the order of shots."""
    signs, owners = _stacked(others, theirs)
    found: dict[str, set[str]] = {}
    for key in keys:
        own = np.where(pictures[key], 1.0, -1.0).astype(np.float32)
        near: set[int] = set()
        for first in range(0, len(signs) if len(own) else 0, AT_ONCE):
            part = signs[first : first + AT_ONCE]
            differ = 0.5 - (part @ own.T).max(axis=1) / (2 * part.shape[1])
            near |= set(owners[first : first + AT_ONCE][differ <= NEAR].tolist())
        names = {others[place] for place in near} - ({key} if theirs is pictures else set())
        if names:
            found[key] = names
    return found


def _stacked(keys: Sequence[str], pictures: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """±1 float32 [N, 256] of all pictures, and the number of the shot that each is of."""
    whole = np.concatenate([pictures[key] for key in keys]) if keys else np.zeros((0, 256), bool)
    owners = np.repeat(np.arange(len(keys)), [len(pictures[key]) for key in keys])
    return np.where(whole, 1.0, -1.0).astype(np.float32), owners


def _same(later: str, other: str, one: np.ndarray, two: np.ndarray, own: Value, its: Value) -> Same | None:
    picture = picture_distance(one, two)
    if picture > NEAR:
        return None
    heard, known = sound_of(own), sound_of(its)
    if len(heard) < 10 or len(known) < 10:  # silence on either side: the picture says it alone
        return Same(other, picture, float("nan")) if picture <= ALONE else None
    sound = sound_distance(heard, known)
    return Same(other, picture, sound) if sound <= SOUND_NEAR and picture + sound <= TOGETHER else None


def picture_distance(one: np.ndarray, two: np.ndarray) -> float:
    """Mean share of bits that differ at the lag where hashes [T, 256] fit best; 1 where too little overlaps."""
    shorter = min(len(one), len(two))
    least = max(min(OVERLAP, shorter), int(np.ceil(COVER * shorter)))
    if least == 0:
        return 1.0
    differ = 0.5 - np.where(one, 1.0, -1.0) @ np.where(two, 1.0, -1.0).T / (2 * one.shape[1])
    lags = range(least - len(one), len(two) - least + 1)
    return float(min(np.diagonal(differ, lag).mean() for lag in lags))
