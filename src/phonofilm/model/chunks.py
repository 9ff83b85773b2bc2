"""Block-causal attention: the tokens of a chunk of time see each other and what lies before, in both streams."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MASKED = -1e4
"""What is added to the score of a token that must not be seen; finite, so that half precision holds it."""


def chunk_numbers(times: np.ndarray, seconds: float) -> Tensor:
    """The chunk of each token: int64 [N].

    The first latent of a clip stands for less time than the others; the first chunk lasts that much longer, so that
    chunks of both streams end together.

    Args:
        times: float64 [N, 2], start and end of each token in seconds; the first token is the clip's first.
        seconds: length of a chunk.
    """
    head = times[0, 1] - times[0, 0]
    later = np.floor((times[:, 0] - times[0, 0] - head) / seconds + 1e-6)
    return torch.from_numpy(np.maximum(later, 0).astype(np.int64))


def causal_bias(own: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """[N, M] to add to the scores of N tokens that ask M: 0 where those are of the same chunk or an earlier one."""
    hidden = other[None, :] > own[:, None]
    return torch.zeros(hidden.shape, device=own.device, dtype=dtype).masked_fill_(hidden, MASKED)


def distance_bias(own: np.ndarray, other: np.ndarray, slopes: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """[H, N, M] to add to the scores of N tokens that ask M: minus a head's slope times the seconds between them.

    Args:
        own, other: float64 [N, 2] and [M, 2], start and end of each token in seconds.
        slopes: of H heads, per second.
    """
    apart = np.abs(own.mean(1)[:, None] - other.mean(1))
    return torch.from_numpy(-np.array(slopes)[:, None, None] * apart).to(dtype)


def noisiest(levels: Tensor, chunks: Tensor) -> Tensor:
    """[B, K] the highest noise level of each chunk, from S levels [B, S] of N tokens, in runs, of chunks [N]."""
    spelled_out = levels.repeat_interleave(len(chunks) // levels.shape[1], 1)
    found = levels.new_zeros(len(levels), int(chunks.max()) + 1)
    return found.scatter_reduce(1, chunks.expand_as(spelled_out), spelled_out, "amax")
