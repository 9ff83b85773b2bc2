"""DeSync: Synchformer's offset, in steps of 0.2 s, where its weights are present."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.errors import PhonofilmError
from phonofilm.media.shots.window import read_window
from phonofilm.perception.audiovisual.synchformer import (
    FPS,
    SAMPLE_RATE,
    Synchformer,
    frame_segments,
    mel_segments,
    prepare_frames,
)
from phonofilm.perception.common import ported_checkpoints
from phonofilm.signals.sync.desync import SEGMENTS, desync, desync_offsets, segment_windows
from phonofilm.weights import fetched_judges

SIDE = 224
"""Pixels that the network sees: the shot is read once more, for other steps see fewer."""


def _desync(material: Material, known: Mapping[str, Value]) -> Value:
    if not material.heard:
        return {"known": False, "seconds": None, "offset_ms": None}
    window = read_window(material.path, material.shot.start, material.shot.stop, SIDE)
    frames = window.steady()
    times = np.arange(round(window.seconds * FPS)) / FPS
    pictures = frames[np.minimum(np.rint(times * window.fps).astype(int), len(frames) - 1)]
    return judged(pictures, material.mono(SAMPLE_RATE))


def judged(pictures: np.ndarray, mono: np.ndarray) -> Value:
    """Mean size of the offset of the first and the last 4.8 s in seconds, and its median with sign in ms (positive =
    audio early), of pictures uint8 [T, H, W, 3] at 25 a second; not known of less than 4.8 s."""
    with torch.inference_mode():
        seen, heard = frame_segments(prepare_frames(pictures)), mel_segments(torch.from_numpy(mono.copy()))
        count = min(len(seen), len(heard))
        if count < SEGMENTS:
            return {"known": False, "seconds": None, "offset_ms": None}
        network = _network()
        logits = torch.cat(
            [
                network.compare(network.vision(seen[None, part]), network.audio(heard[None, part]))
                for part in segment_windows(count)
            ]
        ).numpy()
    return {
        "known": True, "seconds": desync(logits), "offset_ms": 1000 * float(np.median(desync_offsets(logits))),
    }  # fmt: skip


@cache
def _network() -> Synchformer:
    path = fetched_judges().get("synchformer")
    if path is None:
        raise PhonofilmError("DeSync needs weights: phonofilm weights get synchformer")
    return ported_checkpoints.load(Synchformer, path)


DESYNC = Step("desync", 1, _desync, weights=("synchformer",), costly=True)
