"""The clips that score worst, playable inside the page."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.suite.compare import is_best_at_zero
from phonofilm.types import Clip, Event

SHOWN = 4
"""Scores to show of a clip, those that stand out most first."""

SECONDS = 10


@dataclass(frozen=True)
class Bad:
    """A clip: `badness` is the mean share of clips that score better; `why` its scores and ranks, the worst first."""

    name: str
    badness: float
    why: tuple[tuple[str, float, float], ...]


def ranked(result: Mapping[str, Any], count: int) -> list[Bad]:
    """The worst clips over all metrics that have a better and a worse.

    Of offset and drift the size counts, whatever its sign. A clip is ranked by the scores that it has: one whose offset
    is not known, by the others.
    """
    names = list(result["clips"])
    shares: dict[str, dict[str, float]] = {name: {} for name in names}
    for row in result["metrics"]:
        values = {n: v[row["name"]] for n, v in result["clips"].items() if row["name"] in v}
        scores = np.array(list(values.values()))
        if is_best_at_zero(row):
            ordered = np.abs(scores)
        elif row["better"] == "neither":
            continue
        else:
            ordered = scores if row["better"] == "lower" else -scores
        if len(values) < 2 or np.ptp(ordered) <= 1e-12:
            continue
        for (name, value), own in zip(values.items(), ordered, strict=True):
            shares[name][row["name"]] = float((ordered < own).mean() + (ordered == own).mean() / 2)
            assert np.isfinite(value)
    found = []
    for name, ranks in shares.items():
        if ranks:
            worst = sorted(ranks, key=lambda metric: -ranks[metric])[:SHOWN]
            why = tuple((metric, result["clips"][name][metric], ranks[metric]) for metric in worst)
            found.append(Bad(name, float(np.mean(list(ranks.values()))), why))
    return sorted(found, key=lambda bad: (-bad.badness, bad.name))[:count]


def embedded(path: Path) -> tuple[str, str]:
    """(player, sheet) of a clip as HTML with everything inside; a clip that cannot be shown says so.

    It is written anew, small and in a form that browsers play; what was measured was the file itself.
    """
    from phonofilm.evaluation.features.decoded_clip import whole
    from phonofilm.media import write_clip
    from phonofilm.media.sheet import draw_sheet

    try:
        clip = whole(path)
        picture = BytesIO()
        draw_sheet(clip, measured_events(clip)).convert("RGB").save(picture, format="JPEG", quality=82)
        short = clip.with_(
            frames=None if clip.frames is None else _even(clip.frames[: round(SECONDS * float(clip.fps or 1))]),
            waveform=None if clip.waveform is None else clip.waveform[:2, : SECONDS * (clip.sample_rate or 1)],
            stems={},
        )
        with tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / ("clip.mp4" if clip.frames is not None else "clip.wav")
            data = write_clip(short, film).read_bytes()
    except (PhonofilmError, ValueError) as error:
        return f'<p class="soft">It cannot be shown: {error}</p>', ""
    kind, tag = ("video/mp4", "video") if short.frames is not None else ("audio/wav", "audio")
    player = f'<{tag} controls preload="metadata"{_poster(short)} src="data:{kind};base64,{_text(data)}"></{tag}>'
    return player, f'<img loading="lazy" alt="contact sheet" src="data:image/jpeg;base64,{_text(picture.getvalue())}">'


def measured_events(clip: Clip) -> list[Event]:
    """What sets in and what changes in this file, as the metrics of sync find it.

    Events in the file's own metadata are not shown: they may tell of the clip before it was cut, shifted or edited.
    """
    from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
    from phonofilm.signals.motion import when_it_changes
    from phonofilm.signals.onsets import detect_onsets

    film, found = Film(clip), []
    if clip.waveform is not None and clip.waveform.size:
        found += [Event(float(time), "sound") for time in detect_onsets(film.strength)]
    if clip.frames is not None:
        with suppress(UnfitError):
            found += [Event(float(time), "motion") for time in when_it_changes(film.motion)]
    return sorted(found, key=lambda event: event.time)


def _poster(clip: Clip) -> str:
    """The middle frame, to be seen before the film is played."""
    if clip.frames is None:
        return ""
    picture = BytesIO()
    Image.fromarray(clip.frames[len(clip.frames) // 2]).save(picture, format="JPEG", quality=80)
    return f' poster="data:image/jpeg;base64,{_text(picture.getvalue())}"'


def _even(frames: np.ndarray) -> np.ndarray:
    # H.264 with colour at half resolution needs even sides
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, :height, :width])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
