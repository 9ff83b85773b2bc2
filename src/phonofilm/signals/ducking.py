"""Ducking: one sound gives way to another, by a gain with attack and release (a side chain).

The gain moves towards its goal exponentially in decibels, as in Giannoulis, Massberg & Reiss, "Digital dynamic range
compressor design" (JAES 2012), with a gate as its static curve: down by `depth` while the other is heard, else 0 dB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

STEP = 0.01
"""Seconds between two values of the gain, which is a straight line between them."""


@dataclass(frozen=True)
class Ducking:
    """How a sound gives way.

    Attributes:
        depth: dB by which it is lowered.
        threshold: dBFS (RMS of 10 ms) above which the other is heard.
        attack, release: seconds in which the gain comes 63 % nearer to its goal, on its way down and up.
        hold: seconds for which it stays down after the other was heard: pauses between words.
    """

    depth: float = 10.0
    threshold: float = -45.0
    attack: float = 0.05
    release: float = 0.4
    hold: float = 0.3


@dataclass(frozen=True, eq=False)
class Ducked:
    """Where a gain stands between two pieces of a sound.

    Attributes:
        gain: dB at the end.
        held: seconds for which it will stay down.
        rest: samples of the side chain that no step was made of yet, float [C, N].
    """

    gain: float = 0.0
    held: float = 0.0
    rest: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), np.float32))


def ducking_gain(
    side: np.ndarray, sample_rate: int, how: Ducking, state: Ducked | None = None
) -> tuple[np.ndarray, Ducked]:
    """The gain under a side chain, piece by piece as if in one.

    Args:
        side: float [C, N], the sound that is given way to.
        state: what the piece before returned.

    Returns:
        Factors float32 [N'], and the state for the next piece. N' is N in whole steps of 10 ms; the rest comes with
        the next piece, or by a piece of as many zeros as fill up a step.
    """
    state = state or Ducked()
    rest = state.rest if state.rest.shape[1] else np.zeros((len(side), 0), side.dtype)
    side = np.concatenate([rest, side], axis=1)
    size = max(1, round(STEP * sample_rate))
    steps = side.shape[1] // size
    blocks = side[:, : steps * size].reshape(len(side), steps, size)
    power = (blocks.astype(np.float64) ** 2).mean(axis=2).max(axis=0) if steps else np.zeros(0)
    heard = power > 10 ** (how.threshold / 10)
    gain, held, values = state.gain, state.held, [state.gain]
    down, up = np.exp(-STEP / how.attack), np.exp(-STEP / how.release)
    for here in heard.tolist():
        held = how.hold + STEP if here else max(0.0, held - STEP)
        goal = -how.depth if held > STEP / 2 else 0.0
        gain = goal + (gain - goal) * float(down if goal < gain else up)
        values.append(gain)
    ends = np.array(values)
    ramp = np.arange(1, size + 1) / size
    decibels = ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * ramp
    factors = (10 ** (decibels.ravel() / 20)).astype(np.float32)
    return factors, Ducked(gain, held, side[:, steps * size :])
