"""Where one shot of a film ends and the next begins: by TransNet V2 where it is installed, else hard cuts by
PySceneDetect and dissolves and fades by our own."""

from __future__ import annotations

import importlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.data.curate.common.records import Shot
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.media.resample import resize_frames
from phonofilm.media.shots.scan import small_frames
from phonofilm.perception.vision import transnet
from phonofilm.signals.dissolves import dissolves
from phonofilm.signals.faults.picture import runs

VERSION = 3
"""Raised whenever shots of a film would come out differently."""

SURE, MEMBER, HARD = 0.5, 0.4, 2
"""Chance from which on the network's change is one, that of a frame that belongs to it, and how many frames a hard cut
takes at most."""

SIDE, TINY = 72, 32
"""Pixels of the short side that cuts are looked for at, and of the height that dissolves are."""

RATIO, LEAST = 3.0, 8.0
"""PySceneDetect's adaptive threshold, and the least change of hue, saturation and lightness (0 … 255) of a cut."""

AFTER, STAYS = 0.7, 0.5
"""Seconds on either side of a change at which the pictures must still differ, and by which share of the change: after a
flash the same picture comes back."""

CLOSE = 0.25
"""Seconds that cuts are apart at least: what flashes is no cut."""


def find_shots(path: Path, digest: str, longest: float = 20.0) -> list[Shot]:
    """The shots of a film, in order. Frames of a dissolve belong to none of them.

    Args:
        longest: seconds; a longer shot is split into equal parts.

    Raises:
        PhonofilmError: a film that cannot be read to its end, or the extra "curate" is not installed.
    """
    if transnet.version() is not None:
        return _by_network(path, digest, longest)
    times, end, cuts, tiny = _looked_through(path)
    fps = 1 / float(np.median(np.diff([float(time) for time in times]))) if len(times) > 1 else 25.0
    cuts = [cut for cut in cuts if stays(tiny, cut - 1, cut, round(AFTER * fps))]
    mixed = [(first, stop) for first, stop in dissolves(tiny, fps) if stays(tiny, first, stop, round(AFTER * fps))]
    return shots_between(digest, [*times, end], cuts, mixed, longest)


def made_by() -> str:
    """What finds shots here, by name and version: another one may find others."""
    return f"transnet {transnet.version()}" if transnet.version() is not None else "scenedetect"


def _by_network(path: Path, digest: str, longest: float) -> list[Shot]:
    times: list[Fraction] = []
    small: list[np.ndarray] = []
    end = Fraction(0)
    for time, until, picture in small_frames(path, SIDE):
        times.append(time)
        end = until
        small.append(resize_frames(picture[None], transnet.SIZE, crop=False)[0])
    cuts, mixed = changes_of(*transnet.shot_changes(np.stack(small)))
    return shots_between(digest, [*times, end], cuts, mixed, longest)


def changes_of(middle: np.ndarray, member: np.ndarray) -> tuple[list[int], list[tuple[int, int]]]:
    """First frames after hard cuts, and gradual changes, of what `shot_changes` says [T].

    A gradual change is the last frame that is all of the shot before, and the first that is all of the next.
    """
    cuts: list[int] = []
    mixed: list[tuple[int, int]] = []
    for first, stop in runs((member > MEMBER) | (middle > SURE)):
        peak = first + int(middle[first:stop].argmax())
        if middle[peak] <= SURE:
            continue
        if stop - first <= HARD:
            cuts.append(peak + 1)
        else:
            mixed.append((max(first - 1, 0), min(stop, len(middle) - 1)))
    return [cut for cut in cuts if cut < len(middle)], mixed


def shots_between(
    digest: str, times: list[Fraction], cuts: list[int], mixed: list[tuple[int, int]], longest: float
) -> list[Shot]:
    """Shots between cuts (first frames of the next shot) and dissolves (first and last frame of each).

    Args:
        times: of all frames, and of the end of the last.
    """
    last = len(times) - 1
    edges = [(0, 0, "end"), *((first + 1, stop, "dissolve") for first, stop in mixed), (last, last, "end")]
    inside = [any(first < cut <= stop for first, stop in mixed) for cut in cuts]
    edges += [(cut, cut, "cut") for cut, hidden in zip(cuts, inside, strict=True) if not hidden and 0 < cut < last]
    edges.sort()
    found: list[Shot] = []
    for (_, first, before), (stop, _, after) in pairwise(edges):
        if stop <= first:
            continue
        parts = _parts(times, first, stop, longest)
        for place, (one, other) in enumerate(parts):
            opened = before if place == 0 else "split"
            closed = after if place == len(parts) - 1 else "split"
            found.append(Shot(digest, len(found), times[one], times[other], opened, closed))
    return found


def stays(tiny: np.ndarray, last: int, first: int, away: int) -> bool:
    """Whether pictures uint8 [T, h, w] further away differ as those on both sides of a change do.

    Args:
        last, first: the last frame before it and the first one after it.
        away: frames from there that are looked at.
    """

    def apart(one: int, other: int) -> float:
        pair = tiny[[max(one, 0), min(other, len(tiny) - 1)]].astype(np.float32)
        return float(np.abs(pair[1] - pair[0]).mean())

    return apart(last - away, first + away) > STAYS * apart(last, first)


def _parts(times: list[Fraction], first: int, stop: int, longest: float) -> list[tuple[int, int]]:
    count = max(1, int(np.ceil(float(times[stop] - times[first]) / longest - 1e-9)))
    marks = np.linspace(first, stop, count + 1).round().astype(int).tolist()
    return [(one, other) for one, other in pairwise(marks) if other > one]


def _looked_through(path: Path) -> tuple[list[Fraction], Fraction, list[int], np.ndarray]:
    """Times of all frames, the end, first frames of shots, and tiny luminance uint8 [T, h, w]."""
    detector, code = _detector()
    times: list[Fraction] = []
    cuts: list[int] = []
    tiny: list[np.ndarray] = []
    end = Fraction(0)
    for number, (time, until, picture) in enumerate(small_frames(path, SIDE)):
        times.append(time)
        end = until
        # frames are counted at one a "second": what is between them is told by their own times
        cuts += [found.frame_num for found in detector.process_frame(code(number, 1.0), picture[..., ::-1])]
        wide = max(4, round(TINY * picture.shape[1] / picture.shape[0] / 4) * 4)
        small = resize_frames(picture[None], (min(wide, 128), TINY), crop=False)[0]
        tiny.append((small @ np.array([0.299, 0.587, 0.114])).astype(np.uint8))
    cuts += [found.frame_num for found in detector.post_process(code(len(times), 1.0))]
    return times, end, _spaced(cuts, times), np.stack(tiny)


def _spaced(cuts: list[int], times: list[Fraction]) -> list[int]:
    kept: list[int] = []
    for cut in sorted(set(cuts)):
        if not kept or times[cut] - times[kept[-1]] >= CLOSE:
            kept.append(cut)
    return kept


def _detector() -> tuple[Any, Any]:
    with optional("finding shots"):
        detectors = importlib.import_module("scenedetect.detectors")
        common = importlib.import_module("scenedetect.common")
        return detectors.AdaptiveDetector(RATIO, 1, min_content_val=LEAST), common.FrameTimecode
    raise PhonofilmError("PySceneDetect is not installed")
