"""Faces: where the surest one is, its 468 landmarks, and how far its mouth is open.

BlazeFace (Bazarevsky et al., 2019) finds it, MediaPipe's face mesh (Kartynnik et al., 2019) follows
its surface; both models ship inside a package (Apache-2.0) and run on TensorFlow Lite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.perception.common.frames import to_tensor
from phonofilm.perception.common.optional_imports import lite_interpreter, packaged

PURPOSE = "finding faces"
DETECTOR_SIZE, MESH_SIZE = 128, 192
# Landmarks of the mesh: the inner lips, and the outer corners of both eyes.
UPPER_LIP, LOWER_LIP, EYE_A, EYE_B = 13, 14, 33, 263


@dataclass(frozen=True)
class Faces:
    """The surest face of each frame.

    Attributes:
        landmarks: float32 [T, 468, 3], (x, y, depth) in pixels; NaN where there is no face.
        scores: float32 [T] in [0, 1], how sure the detector is; 0 where there is no face.
    """

    landmarks: np.ndarray
    scores: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """bool [T]."""
        return np.isfinite(self.landmarks[:, 0, 0])

    @property
    def mouth_opening(self) -> np.ndarray:
        """float32 [T]: distance of the inner lips, as a share of the distance of the eyes' outer corners."""
        lips = np.linalg.norm(self.landmarks[:, UPPER_LIP, :2] - self.landmarks[:, LOWER_LIP, :2], axis=-1)
        return lips / np.linalg.norm(self.landmarks[:, EYE_A, :2] - self.landmarks[:, EYE_B, :2], axis=-1)


class FaceTracker:
    """Frames -> `Faces`; each frame is looked at by itself."""

    def __init__(self, detector: Any, mesh: Any) -> None:
        self._detector, self._mesh = detector, mesh
        self._anchors = anchors()

    @staticmethod
    def load(threads: int = 1) -> FaceTracker:
        """Load the packaged models.

        Raises:
            PhonofilmError: the packages that they come in are not installed.
        """
        files = ("face_detection/face_detection_short_range.tflite", "face_landmark/face_landmark.tflite")
        paths = [packaged("mediapipe", f"modules/{file}", PURPOSE) for file in files]
        detector, mesh = (lite_interpreter(path, PURPOSE, threads) for path in paths)
        return FaceTracker(detector, mesh)

    def __call__(self, frames: np.ndarray, threshold: float = 0.5) -> Faces:
        """uint8 [T, H, W, 3]; a face must be surer than `threshold` to both networks."""
        landmarks = np.full((len(frames), 468, 3), np.nan, np.float32)
        scores = np.zeros(len(frames), np.float32)
        for index, frame in enumerate(to_tensor(frames)):
            score, points = self._detect(frame)
            if score <= threshold:
                continue
            mesh = self._landmarks(frame, points, threshold)
            if mesh is not None:
                scores[index], landmarks[index] = score, mesh
        return Faces(landmarks, scores)

    def _detect(self, frame: Tensor) -> tuple[float, np.ndarray]:
        """The surest face: its score, and float [8, 2] box centre, box size and six points in pixels."""
        side = float(max(frame.shape[-2:]))
        square = similarity(np.array([frame.shape[-1] / 2, frame.shape[-2] / 2]), side, 0.0, DETECTOR_SIZE)
        raw, logits = _run(self._detector, crop(frame, square, DETECTOR_SIZE) / 127.5 - 1.0)
        best = int(logits.argmax())
        points = raw.reshape(-1, 8, 2)[best] * (side / DETECTOR_SIZE)
        centre = self._anchors[best] * side - (side - np.array([frame.shape[-1], frame.shape[-2]])) / 2
        points[[0, *range(2, 8)]] += centre
        return float(_sigmoid(logits.ravel()[best])), points

    def _landmarks(self, frame: Tensor, points: np.ndarray, threshold: float) -> np.ndarray | None:
        """The mesh inside a square half as wide again as the face, upright by its eyes; None if it is no face."""
        eyes = points[3] - points[2]
        angle = float(np.arctan2(eyes[1], eyes[0]))
        side = 1.5 * float(points[1].max())
        transform = similarity(points[0], side, angle, MESH_SIZE)
        flat, presence = _run(self._mesh, crop(frame, transform, MESH_SIZE) / 255.0)
        if _sigmoid(presence.ravel()[0]) <= threshold:
            return None
        mesh = flat.reshape(468, 3)
        placed = mesh[:, :2] @ transform[:, :2].T + transform[:, 2]
        return np.concatenate([placed, mesh[:, 2:] * (side / MESH_SIZE)], 1).astype(np.float32)


def anchors() -> np.ndarray:
    """float64 [896, 2]: the places (x, y) in [0, 1] that BlazeFace looks at, two per cell of 8, six of 16 pixels."""
    grids = []
    for stride, repeats in ((8, 2), (16, 6)):
        cells = DETECTOR_SIZE // stride
        y, x = np.divmod(np.arange(cells * cells), cells)
        grids.append(np.repeat((np.stack([x, y], -1) + 0.5) / cells, repeats, axis=0))
    return np.concatenate(grids)


def similarity(centre: np.ndarray, side: float, angle: float, size: int) -> np.ndarray:
    """float64 [2, 3]: from pixels of a `size` square to those of the picture it is cut from.

    The square has its centre and side given in pixels of the picture, and is turned by `angle` radians.
    """
    scale = side / size
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([rotation, (centre - rotation @ np.full(2, size / 2))[:, None]], 1)


def crop(frame: Tensor, transform: np.ndarray, size: int) -> Tensor:
    """Cut float [3, H, W] along a `similarity` -> [3, size, size], black outside the picture."""
    height, width = frame.shape[-2:]
    steps = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    matrix = torch.from_numpy(transform)
    where = torch.stack([x, y], -1) @ matrix[:, :2].T + matrix[:, 2]
    grid = (2 * where / torch.tensor([width, height], dtype=torch.float64) - 1).to(frame.dtype)
    return F.grid_sample(frame[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _run(interpreter: Any, picture: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Run a model with one picture in and two tensors out, the larger one first."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture.permute(1, 2, 0)[None].numpy())
    interpreter.invoke()
    tensors = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    large, small = sorted(tensors, key=np.size, reverse=True)
    return large, small


def _sigmoid(x: float | np.ndarray) -> Any:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -100.0, 100.0)))
