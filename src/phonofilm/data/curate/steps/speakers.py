"""Who speaks when: stretches of speech by voice, numbered in the order in which they are first heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.perception.audio.voices import VoiceEncoder

PIECE, HOP, SHORTEST = 1.6, 0.4, 0.6
"""Seconds of speech that a voice is known by, between one piece and the next, and of the shortest that is judged."""

PAUSE = 0.35
"""Seconds between two stretches of speech that may belong to one piece: a change of speakers is hardly shorter."""

APART = 0.35
"""Mean distance (1 less the cosine) of the pieces of two groups from which on they are two voices."""


def _speakers(material: Material, known: Mapping[str, Value]) -> Value:
    spans = known["speech"]["spans"]
    if not spans:
        return {"count": 0, "turns": []}
    mono = material.mono(VoiceEncoder.sample_rate)
    pieces = pieces_of(spans)
    if not pieces:
        return {"count": 1, "turns": [{"speaker": 0, "start": spans[0][0], "end": spans[-1][1]}]}
    vectors = np.concatenate([_voices().embed(_cut(mono, start, stop)[None]) for start, stop in pieces])
    turns = turns_of(spans, pieces, voices_of(vectors))
    return {"count": len({turn["speaker"] for turn in turns}), "turns": turns}


def pieces_of(spans: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Stretches of speech as pieces of `PIECE` seconds that overlap; a shorter stretch is one piece."""
    joined: list[list[float]] = []
    for start, stop in spans:
        if joined and start - joined[-1][1] < PAUSE:
            joined[-1][1] = stop
        else:
            joined.append([start, stop])
    pieces = []
    for start, stop in joined:
        if stop - start < SHORTEST:
            continue
        count = max(1, int(np.ceil((stop - start - PIECE) / HOP - 1e-9)) + 1)
        firsts = np.linspace(start, max(start, stop - PIECE), count)
        pieces += [(float(first), min(stop, float(first) + PIECE)) for first in firsts]
    return pieces


def voices_of(vectors: np.ndarray) -> list[int]:
    """The voice of each unit vector [N, D], by average linkage; numbered as they first come."""
    if len(vectors) == 1:
        return [0]
    groups = fcluster(linkage(vectors.astype(np.float64), "average", "cosine"), APART, "distance")
    order = list(dict.fromkeys(groups.tolist()))
    return [order.index(group) for group in groups.tolist()]


def turns_of(
    spans: Sequence[Sequence[float]], pieces: Sequence[tuple[float, float]], voices: Sequence[int]
) -> list[dict[str, float]]:
    """Turns in order: each moment of speech has the voice of the piece whose middle is nearest."""
    middles = np.array([(start + stop) / 2 for start, stop in pieces])
    turns: list[dict[str, float]] = []
    for start, stop in spans:
        marks = (middles[1:] + middles[:-1]) / 2
        edges = [start, *marks[(marks > start) & (marks < stop)].tolist(), stop]
        for first, last in pairwise(edges):
            voice = voices[int(np.abs(middles - (first + last) / 2).argmin())]
            if turns and turns[-1]["speaker"] == voice:
                turns[-1]["end"] = last
            else:
                turns.append({"speaker": voice, "start": first, "end": last})
    return turns


def _cut(mono: np.ndarray, start: float, stop: float) -> np.ndarray:
    rate = VoiceEncoder.sample_rate
    return mono[round(start * rate) : max(round(stop * rate), round(start * rate) + rate // 10)]


@cache
def _voices() -> VoiceEncoder:
    return VoiceEncoder.load()


SPEAKERS = Step(
    "speakers", 1, _speakers, needs=("speech",), modules=("resemblyzer",), packages=("Resemblyzer",), costly=True
)
