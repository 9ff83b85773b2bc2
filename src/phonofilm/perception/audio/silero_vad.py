"""Silero VAD: where somebody speaks. The model ships inside its package (MIT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from phonofilm.perception.common.optional_imports import mono, onnx_session, packaged

PURPOSE = "finding speech with Silero VAD"


@dataclass(frozen=True)
class Span:
    """A stretch of speech, in seconds."""

    start: float
    end: float


class VoiceActivity:
    """Mono sound at 16 kHz -> probability of speech in each 32 ms."""

    sample_rate: ClassVar[int] = 16_000
    chunk: ClassVar[int] = 512
    context: ClassVar[int] = 64

    def __init__(self, session: Any) -> None:
        self._session = session

    @staticmethod
    def load(threads: int = 1) -> VoiceActivity:
        """Load the packaged model.

        Raises:
            PhonofilmError: silero-vad or onnxruntime is not installed.
        """
        return VoiceActivity(onnx_session(packaged("silero_vad", "data/silero_vad.onnx", PURPOSE), PURPOSE, threads))

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """float [N] at 16 kHz in [-1, 1] -> float32 [ceil(N / 512)]."""
        x = mono(waveform)
        chunks = -(-len(x) // self.chunk)
        # Each chunk is heard with the last 4 ms before it.
        x = np.pad(x, (self.context, chunks * self.chunk - len(x)))
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(self.sample_rate, np.int64)
        found = np.zeros(chunks, np.float32)
        for index in range(chunks):
            start = index * self.chunk
            piece = x[None, start : start + self.context + self.chunk]
            probability, state = self._session.run(None, {"input": piece, "state": state, "sr": rate})
            found[index] = probability[0, 0]
        return found

    def spans(self, waveform: np.ndarray, threshold: float = 0.5, gap: float = 0.1) -> tuple[Span, ...]:
        """Stretches where the probability exceeds `threshold`, joined over pauses shorter than `gap` seconds."""
        step = self.chunk / self.sample_rate
        edges = np.diff(np.concatenate([[0], self(waveform) > threshold, [0]]).astype(int))
        starts, ends = np.flatnonzero(edges > 0) * step, np.flatnonzero(edges < 0) * step
        joined: list[Span] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if joined and start - joined[-1].end < gap:
                joined[-1] = Span(joined[-1].start, end)
            else:
                joined.append(Span(start, end))
        return tuple(joined)
