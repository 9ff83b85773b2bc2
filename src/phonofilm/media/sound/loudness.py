"""Loudness by ITU-R BS.1770 and EBU R128, of any length: the filter `ebur128` of FFmpeg hears it piece after piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

SILENT = -70.0
"""LUFS below which nothing counts (the absolute gate); silence measures so."""


@dataclass(frozen=True)
class Loudness:
    """What was measured.

    Attributes:
        integrated: LUFS of the whole, gated; `SILENT` where nothing passes the gate, as of less than .4 s.
        true_peak: dBTP, of four times or more the samples between them; -inf for silence.
    """

    integrated: float
    true_peak: float

    @property
    def silent(self) -> bool:
        return self.integrated <= SILENT


def loudness(pieces: Iterable[np.ndarray], sample_rate: int) -> Loudness:
    """The loudness of sound float32 [1 or 2, N], piece after piece."""
    graph: Any = None
    said: dict[str, str] = {}
    start = 0
    for piece in pieces:
        layout = "stereo" if len(piece) == 2 else "mono"
        if graph is None:
            graph = _graph(sample_rate, layout)
        for part in np.array_split(piece, max(1, piece.shape[1] // sample_rate), axis=1):
            if not part.shape[1]:
                continue
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part.T).reshape(1, -1), "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
            start += part.shape[1]
            graph.push(frame)
            said = _drained(graph, said)
    if graph is not None:
        graph.push(None)
        said = _drained(graph, said)
    peak = max((float(said.get(f"lavfi.r128.true_peaks_ch{n}", 0.0)) for n in range(2)), default=0.0)
    return Loudness(
        max(SILENT, float(said.get("lavfi.r128.I", SILENT))), 20 * float(np.log10(peak)) if peak > 0 else -np.inf
    )


def _graph(sample_rate: int, layout: str) -> Any:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout=layout, time_base=Fraction(1, sample_rate))
    meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
    source.link_to(meter)
    meter.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _drained(graph: Any, said: dict[str, str]) -> dict[str, str]:
    """What the last frame says that comes out of the filter, or what was said before it."""
    while True:
        try:
            said = dict(graph.pull().metadata) or said
        except (av.error.BlockingIOError, av.error.EOFError):
            return said
