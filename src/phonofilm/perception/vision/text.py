"""Text in pictures: PP-OCRv4 (PaddleOCR, Apache-2.0) by rapidocr-onnxruntime, whose weights ship inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.perception.common.optional_imports import require

PURPOSE = "reading text in pictures"

SIDE = 480
"""Pixels of the short side at which text is looked for; smaller pictures are made as large."""


@dataclass(frozen=True)
class Line:
    """A line of text in a picture.

    Attributes:
        box: (left, top, right, bottom) as shares of the picture, 0 … 1. score: how surely it is read, 0 … 1.
    """

    box: tuple[float, float, float, float]
    text: str
    score: float


class TextReader:
    """Pictures -> the lines of text in each."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @staticmethod
    def load(threads: int = 1) -> TextReader:
        """Load the packaged models.

        Raises:
            PhonofilmError: the package that they come in is not installed.
        """
        module = require("rapidocr_onnxruntime", PURPOSE)
        settings = {"intra_op_num_threads": threads, "inter_op_num_threads": threads}
        return TextReader(module.RapidOCR(det_limit_side_len=SIDE, det_limit_type="min", **settings))

    def __call__(self, pictures: np.ndarray) -> list[list[Line]]:
        """uint8 [T, H, W, 3]; lines that are hardly read are left out."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: np.ndarray) -> list[Line]:
        height, width = picture.shape[:2]
        found, _ = self._engine(np.ascontiguousarray(picture[..., ::-1]), use_cls=False)
        lines = []
        for corners, text, score in found or ():
            x, y = np.clip(np.array(corners, np.float64).T / [[width], [height]], 0, 1)
            lines.append(Line((x.min(), y.min(), x.max(), y.max()), str(text), float(score)))
        return lines
