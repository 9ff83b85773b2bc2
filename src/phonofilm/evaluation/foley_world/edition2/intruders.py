"""Speech and music in a stem of effects, as YAMNet hears them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from phonofilm.media import resample_audio


class Classifier(Protocol):
    """Names of classes, and scores [patches, classes] of mono sound at 16 kHz."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    def __call__(self, waveform: np.ndarray) -> Any: ...


CLASSES = {"speech_in_effects": "Speech", "music_in_effects": "Music"}


def intruders(effects: np.ndarray, sample_rate: int, network: Classifier) -> dict[str, float]:
    """Mean score of speech and of music, 0 ... 1, over a sound; compare it with that of true effects.

    Args:
        effects: float32 [C, N]. network: `perception.audio.yamnet.YAMNet`.
    """
    sound = resample_audio(effects.mean(0, keepdims=True), sample_rate, 16_000)[0]
    scores = np.asarray(network(sound).scores).mean(0)
    labels = list(network.labels)
    return {name: float(scores[labels.index(label)]) for name, label in CLASSES.items()}
