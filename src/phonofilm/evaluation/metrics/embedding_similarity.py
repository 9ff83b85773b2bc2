"""Scores that are cosines between embeddings: CLIPScore, CLAP, ImageBind, AVHScore, JavisScore.

All are unscaled cosines in −1 … 1, higher is better; papers often print them ×100. What they mean depends on the
checkpoint that made the embeddings (which one can flip a ranking), so a result must name it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.signals.validation import Floats, finite, matrix, pairs, vector


def cosines(generated: ArrayLike, other: ArrayLike) -> Floats:
    """Cosine of each pair of rows of [N, D] and [N, D], as [N].

    Raises:
        ValueError: shapes that do not pair, NaN, or a row of zeros, which has no direction.
    """
    first, second = pairs(generated, other, names=("first embeddings", "second embeddings"))
    return (_unit(first) * _unit(second)).sum(axis=1)


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("an embedding is all zeros and has no direction: was that clip silent or black?")
    return rows / length


def clip_score(frames: ArrayLike, text: ArrayLike) -> float:
    """Mean cosine between the frames [T, D] of one clip and its text [D] (Hessel et al. 2021, over frames).

    torchmetrics prints max(0, ·) × 100. Text past the 77 tokens of CLIP loses its end token: cut it before.
    VBench's overall consistency is this for one ViCLIP embedding of the clip, [1, D].
    """
    images, words = matrix(frames, "frame embeddings"), vector(text, "text embedding")
    return float(cosines(images, np.broadcast_to(words, (len(images), len(words)))).mean())


def clap_score(audio: ArrayLike, text: ArrayLike) -> float:
    """Mean cosine between audio [N, D] and the text [N, D] it was made from (text–audio CLAP score)."""
    return float(cosines(audio, text).mean())


def clap_audio_score(generated: ArrayLike, real: ArrayLike) -> float:
    """Mean cosine between generated [N, D] and reference audio [N, D]; not the text–audio CLAP score."""
    return float(cosines(generated, real).mean())


def imagebind_score(audio: ArrayLike, video: ArrayLike) -> float:
    """Mean cosine between the audio [N, D] and the video [N, D] of the same clips (ImageBind, or PE-AV named so)."""
    return float(cosines(audio, video).mean())


def avh_score(audio: ArrayLike, frames: ArrayLike) -> float:
    """AVHScore of one clip: mean cosine between its audio [D] and each of its frames [T, D] (Mao et al. 2024)."""
    return clip_score(frames, audio)


def javis_windows(frames: int, fps: float, seconds: float = 2.0, overlap: float = 1.5) -> list[tuple[int, int]]:
    """(first, end) frame of the windows of JavisScore; the last one is moved back to fit, as published.

    JavisBench's command line has 2 s without overlap, its function 0.5 s; the paper has 2 s and 1.5 s. Name yours.
    """
    length, step = int(seconds * fps), int(seconds * fps) - int(overlap * fps)
    if frames < 1 or length < 1 or step < 1:
        raise ValueError(f"no windows of {seconds} s overlapping {overlap} s fit {frames} frames at {fps} fps")
    if frames <= length:
        return [(0, frames)]
    starts = [min(start, frames - length) for start in range(0, frames, step)]
    return [(start, start + length) for start in sorted(set(starts))]


def javis_score(audio: ArrayLike, video: ArrayLike, share: float = 0.4) -> float:
    """JavisScore of one clip: how well sound and picture agree in each window's worst frames (arXiv 2503.23377).

    Args:
        audio: one embedding per window, [M, D].
        video: the frames of each window, [M, N, D].
        share: of the N frames, those that agree least, whose mean counts (at least one frame).
    """
    sounds, images = matrix(audio, "audio embeddings"), finite(video, "video embeddings")
    if images.ndim != 3 or images.shape[::2] != sounds.shape or not images.shape[1]:
        raise ValueError(f"audio [M, D] and video [M, N, D] do not fit: {sounds.shape} and {images.shape}")
    if not 0 < share <= 1:
        raise ValueError(f"the share of worst frames must lie in (0, 1], not {share}")
    agreement = np.einsum("mnd,md->mn", _unit(images), _unit(sounds))
    worst = max(1, int(images.shape[1] * share))
    return float(np.sort(agreement, axis=1)[:, :worst].mean())
