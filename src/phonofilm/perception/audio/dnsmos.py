"""DNSMOS: how good speech would be judged, without a reference. The model ships inside speechmos (MIT).

Reddy, Gopal & Cutler, "DNSMOS P.835" (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from phonofilm.perception.common.optional_imports import mono, onnx_session, packaged

PURPOSE = "judging speech with DNSMOS"
# The network's raw scores are bent to the listeners' scale by these parabolas (highest power first).
CURVES = {
    "signal": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}


@dataclass(frozen=True)
class SpeechQuality:
    """Predicted P.835 opinion scores from 1 (bad) to 5 (excellent)."""

    signal: float
    background: float
    overall: float


class DNSMOS:
    """Mono speech at 16 kHz -> `SpeechQuality`, the mean over windows of 9.01 s every second."""

    sample_rate: ClassVar[int] = 16_000
    window: ClassVar[int] = 144_160

    def __init__(self, session: Any) -> None:
        self._session = session

    @staticmethod
    def load(threads: int = 1) -> DNSMOS:
        """Load the packaged model.

        Raises:
            PhonofilmError: speechmos or onnxruntime is not installed.
        """
        path = packaged("speechmos", "dnsmos_models/sig_bak_ovr.onnx", PURPOSE)
        return DNSMOS(onnx_session(path, PURPOSE, threads))

    def __call__(self, waveform: np.ndarray) -> SpeechQuality:
        """float [N] at 16 kHz in [-1, 1]; shorter sound is doubled until it fills a window, as the reference does.

        Raises:
            ValueError: there is no sound at all.
        """
        x = mono(waveform)
        if not len(x):
            raise ValueError("DNSMOS needs sound, and this has no samples")
        while len(x) < self.window:
            x = np.concatenate([x, x])
        hops = int(len(x) // self.sample_rate - self.window / self.sample_rate) + 1
        windows = [x[hop * self.sample_rate :][: self.window] for hop in range(hops)]
        raw = np.concatenate([self._session.run(None, {"input_1": window[None]})[0] for window in windows])
        means = {name: float(np.polyval(curve, raw[:, i]).mean()) for i, (name, curve) in enumerate(CURVES.items())}
        return SpeechQuality(**means)
