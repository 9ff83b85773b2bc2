"""BRISQUE: how distorted a picture looks, from the statistics of its pixels; 0 is best, 100 bad.

Mittal, Moorthy & Bovik, "No-reference image quality assessment in the spatial domain" (2012). The support vectors,
fitted to people's opinions of distorted photographs (LIVE), ship inside a package (Apache-2.0), so nothing is
downloaded.
"""

from __future__ import annotations

import io
import pickle
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import gamma

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common.optional_imports import packaged

PURPOSE = "judging pictures with BRISQUE"
GREY = np.array([0.2125, 0.7154, 0.0721])
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Rows down and columns across to the neighbour that a pixel is multiplied with."""

Floats = NDArray[np.float64]


class Brisque:
    """A picture to its score.

    Args:
        low, high: float64 [36], limits of the features that are scaled to −1 … 1.
        weights: float64 [vectors]. vectors: float64 [vectors, 36]. width: of the radial kernel. offset: of the score.
    """

    smallest: ClassVar[int] = 32

    def __init__(
        self, low: Floats, high: Floats, weights: Floats, vectors: Floats, width: float, offset: float
    ) -> None:
        self._low, self._high, self._weights, self._vectors = low, high, weights, vectors
        self._width, self._offset = width, offset

    @staticmethod
    def load() -> Brisque:
        """Read the packaged parameters.

        Raises:
            PhonofilmError: the package that they come in is not installed, or holds something else.
        """
        limits = _Plain(io.BytesIO(packaged("brisque", "models/normalize.pickle", PURPOSE).read_bytes())).load()
        return Brisque(
            np.array(limits["min_"], np.float64),
            np.array(limits["max_"], np.float64),
            *_support(packaged("brisque", "models/svm.txt", PURPOSE)),
        )

    def __call__(self, frame: np.ndarray) -> float:
        """uint8 [H, W, 3], both sides of 32 pixels or more.

        Raises:
            ValueError: a smaller picture, or one without any detail.
        """
        if min(frame.shape[:2]) < self.smallest:
            raise ValueError(f"BRISQUE needs {self.smallest} pixels of each side, not {min(frame.shape[:2])}")
        x = 2 * (features(frame @ GREY / 255) - self._low) / (self._high - self._low) - 1
        near = np.exp(-self._width * ((self._vectors - x) ** 2).sum(axis=1))
        return float(self._weights @ near - self._offset)


def features(grey: Floats) -> Floats:
    """[H, W] in 0 … 1 -> [36]: 18 numbers of the picture, 18 of it at half the size (bicubic, not antialiased).

    Raises:
        ValueError: a picture of one colour, which has no statistics.
    """
    height, width = (side // 2 * 2 for side in grey.shape)
    whole = torch.from_numpy(grey[:height, :width].copy())[None, None]
    half = F.interpolate(whole, scale_factor=0.5, mode="bicubic", align_corners=False)
    return np.concatenate([_describe(normalised(x)) for x in (grey, half[0, 0].numpy())])


def normalised(image: Floats) -> Floats:
    """Each pixel freed of its surroundings' mean and divided by their spread (7 pixels, sigma 7/6), plus 1/255."""
    window = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()

    def smooth(values: Floats) -> Floats:
        return correlate1d(correlate1d(values, window, 0, mode="constant"), window, 1, mode="constant")

    mean = smooth(image)
    return (image - mean) / (np.sqrt(np.abs(smooth(image * image) - mean * mean)) + 1 / 255)


def _describe(x: Floats) -> Floats:
    """18 numbers: the distribution of pixels, and of products of neighbours in four directions."""
    shape, left, right = fit(x)
    found = [shape, (left**2 + right**2) / 2]
    for down, across in NEIGHBOURS:
        here, there = x[: len(x) - down], x[down:]
        step = abs(across)
        a, b = (here[:, : x.shape[1] - step], there[:, step:]) if across >= 0 else (here[:, step:], there[:, :-step])
        shape, left, right = fit(a * b)
        mean = (right - left) * np.sqrt(gamma(1 / shape) / gamma(3 / shape)) * gamma(2 / shape) / gamma(1 / shape)
        found += [shape, mean, left**2, right**2]
    return np.array(found)


def fit(values: Floats) -> tuple[float, float, float]:
    """Shape, and spread below and above zero, of an asymmetric generalised Gaussian, by moments (Lasmar et al. 2009).

    Raises:
        ValueError: values that are all zero.
    """
    below, above = values[values < 0], values[values >= 0]
    if not below.size or not (above > 0).any():
        raise ValueError("BRISQUE needs a picture with detail")
    left, right = (float(np.sqrt(np.mean(part**2))) for part in (below, above))
    ratio = left / right
    moments = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _shapes()
    return float(np.interp(wanted, ratios, shapes)), left, right


@cache
def _shapes() -> tuple[Floats, Floats]:
    """Shapes, and the ratio of squared mean and mean square that each has, which rises with it."""
    shapes = np.linspace(0.1, 10, 20_000)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))


def _support(path: Path) -> tuple[Floats, Floats, float, float]:
    """Weights, vectors, kernel width and offset of a support vector regression in libsvm's text."""
    head, _, body = path.read_text().partition("\nSV\n")
    facts = dict(line.split(" ", 1) for line in head.splitlines())
    if facts.get("svm_type") != "epsilon_svr" or facts.get("kernel_type") != "rbf":
        raise PhonofilmError(f"{path} holds no support vector regression with a radial kernel")
    lines = [line.split() for line in body.splitlines() if line.strip()]
    vectors = np.zeros((len(lines), 36))
    for row, (_, *cells) in enumerate(lines):
        for cell in cells:
            place, value = cell.split(":")
            vectors[row, int(place) - 1] = float(value)
    return np.array([float(line[0]) for line in lines]), vectors, float(facts["gamma"]), float(facts["rho"])


class _Plain(pickle.Unpickler):
    """Reads lists and numbers, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        raise PhonofilmError("BRISQUE's limits hold more than numbers and are not read")
