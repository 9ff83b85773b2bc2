"""Samplers: one flat function per method, over a callable. They know neither networks nor tasks.

All integrate the flow from noise (sigma 1) to data (sigma 0) along x = (1 - sigma)·clean + sigma·noise,
whose direction dx/dsigma = (x - clean) / sigma is known once `denoise(x, sigma)` has estimated what is
clean. Some positions may be `Given`: their noise level is 0 throughout and they come out bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from phonofilm.choices import SamplerName
from phonofilm.errors import Cancelled
from phonofilm.types import Latents

Denoise = Callable[[Latents, Latents], Latents]
"""(x, sigma) -> clean estimate; sigma has one channel and broadcasts to x."""


@dataclass(frozen=True)
class Given:
    """Positions that are not made but kept.

    Attributes:
        values: clean latents, in the shapes of what is sampled (anything where nothing is given).
        mask: bool, True where given; one channel, as little expanded as is known: video [B, 1, 1, 1, 1]
            for a picture given or made as a whole, up to [B, 1, T, H, W]; audio [B, S or 1, 1, T or 1].
    """

    values: Latents
    mask: Latents

    def into(self, x: Latents) -> Latents:
        """x with the given values in their places."""
        return x.map(lambda made, kept, mask: torch.where(mask, kept.to(made), made), self.values, self.mask)


@dataclass(frozen=True)
class Watch:
    """How a caller follows a job and stops it.

    Attributes:
        progress: called with (evaluations done, evaluations in all).
        cancel: asked before every evaluation; True raises `Cancelled`.
    """

    progress: Callable[[int, int], None] | None = None
    cancel: Callable[[], bool] | None = None


class Sampler(Protocol):
    """What every sampler is."""

    def __call__(
        self, denoise: Denoise, noise: Latents, sigmas: Tensor, given: Given | None = None, watch: Watch = Watch()
    ) -> Latents: ...


def euler(
    denoise: Denoise, noise: Latents, sigmas: Tensor, given: Given | None = None, watch: Watch = Watch()
) -> Latents:  # fmt: skip
    """First order, one evaluation a step: a straight line towards the clean estimate."""
    evaluate = _Evaluations(denoise, given, watch, total=len(sigmas) - 1)
    x = evaluate.keep(noise)
    for sigma, after in pairwise(sigmas.tolist()):
        x = evaluate.keep(_towards(x, evaluate(x, sigma), after / sigma))
    return x


def heun(
    denoise: Denoise, noise: Latents, sigmas: Tensor, given: Given | None = None, watch: Watch = Watch()
) -> Latents:  # fmt: skip
    """Second order, two evaluations a step and one for the last (Karras et al. 2022, algorithm 1 without churn)."""
    evaluate = _Evaluations(denoise, given, watch, total=2 * (len(sigmas) - 1) - 1)
    x = evaluate.keep(noise)
    for sigma, after in pairwise(sigmas.tolist()):
        clean = evaluate(x, sigma)
        ahead = evaluate.keep(_towards(x, clean, after / sigma))
        if after > 0:
            step, first, second = after - sigma, _slope(x, clean, sigma), _slope(ahead, evaluate(ahead, after), after)
            ahead = evaluate.keep(x.map(lambda v, a, b, step=step: v + step * (a + b) / 2, first, second))
        x = ahead
    return x


def multistep(
    denoise: Denoise, noise: Latents, sigmas: Tensor, given: Given | None = None, watch: Watch = Watch()
) -> Latents:  # fmt: skip
    """Second order, one evaluation a step: Adams-Bashforth over uneven steps, the first one Euler's."""
    evaluate = _Evaluations(denoise, given, watch, total=len(sigmas) - 1)
    x = evaluate.keep(noise)
    last: tuple[Latents, float] | None = None
    for sigma, after in pairwise(sigmas.tolist()):
        slope, step = _slope(x, evaluate(x, sigma), sigma), after - sigma
        ahead = slope
        if last is not None:
            before, ratio = last[0], step / last[1] / 2
            ahead = slope.map(lambda new, old, ratio=ratio: new + ratio * (new - old), before)
        x = evaluate.keep(x.map(lambda v, d, step=step: v + step * d, ahead))
        last = slope, step
    return x


def unipc(
    denoise: Denoise, noise: Latents, sigmas: Tensor, given: Given | None = None, watch: Watch = Watch()
) -> Latents:  # fmt: skip
    """Second order, one evaluation a step: an estimate first corrects the step that led to it, then predicts the next.

    UniPC of Zhao et al. 2023 with B2(h), in the logarithm of the signal-to-noise ratio: Wan's own sampler.
    """
    steps = len(sigmas) - 1
    evaluate = _Evaluations(denoise, given, watch, total=steps)
    start = x = evaluate.keep(noise)
    past: list[tuple[float, Latents]] = []  # (sigma, clean estimate) of the last two steps
    order = 1
    for number, (sigma, after) in enumerate(pairwise(sigmas.tolist())):
        clean = evaluate(x, sigma)
        if past:
            x = evaluate.keep(_unipc_step(start, past, sigma, order, clean))
        past = [*past[-1:], (sigma, clean)]
        start, order = x, min(2, number + 1, steps - number)
        x = evaluate.keep(_unipc_step(start, past, after, order))
    return x


def _unipc_step(
    x: Latents, past: list[tuple[float, Latents]], after: float, order: int, clean: Latents | None = None
) -> Latents:
    """From the last sigma of `past` to `after`: predicted, or corrected once `clean` is known there."""
    sigma, last = past[-1]
    step = _log_snr(after) - _log_snr(sigma)
    ratio = (_log_snr(past[-2][0]) - _log_snr(sigma)) / step if order == 2 else None
    weights = _unipc_weights(step, ratio, clean is not None)
    aim = last
    for weight, other in zip(weights, (past[0][1], clean), strict=True):
        if weight and other is not None:
            aim = aim.map(lambda a, one, m, w=weight: a + w * (one - m), other, last)
    keep, new = after / min(sigma, _NEARLY_ONE), -(1 - after) * math.expm1(-step)
    return x.map(lambda v, a: keep * v + new * a, aim)


def _unipc_weights(step: float, ratio: float | None, correcting: bool) -> tuple[float, float]:
    """What the distances of the estimates before, and at the end of the step, from the last one count.

    Args:
        step: in the logarithm of the signal-to-noise ratio.
        ratio: where the estimate before lies, in steps, or None for first order.
    """
    if not correcting:
        return (0.0, 0.0) if ratio is None else (0.5 / ratio, 0.0)
    if ratio is None:
        return 0.0, 0.5
    decay = -math.expm1(-step)
    first, second = 1 / decay - 1 / step, (1 - 2 / step) / decay + 2 / step**2
    before = (first - second) / (1 - ratio)
    return before / ratio, first - before


def _log_snr(sigma: float) -> float:
    """Logarithm of signal over noise, in amplitude; pure noise counts as very nearly so."""
    sigma = min(sigma, _NEARLY_ONE)
    return math.inf if sigma == 0 else math.log((1 - sigma) / sigma)


_NEARLY_ONE = 1 - 1e-6

SAMPLERS: dict[SamplerName, Sampler] = {"euler": euler, "heun": heun, "multistep": multistep, "unipc": unipc}


def steps_for(sampler: str, evaluations: int) -> int:
    """How many steps of a sampler cost about so many network evaluations (never more, but at least one step)."""
    return max(1, (evaluations + 1) // 2) if sampler == "heun" else max(1, evaluations)


class _Evaluations:
    """The denoiser with its given positions, counted and interruptible."""

    def __init__(self, denoise: Denoise, given: Given | None, watch: Watch, total: int) -> None:
        self.denoise, self.given, self.watch = denoise, given, watch
        self.done, self.total = 0, total

    def keep(self, x: Latents) -> Latents:
        return x if self.given is None else self.given.into(x)

    def __call__(self, x: Latents, sigma: float) -> Latents:
        if self.watch.cancel is not None and self.watch.cancel():
            raise Cancelled(f"stopped after {self.done} of {self.total} evaluations")
        clean = self.denoise(x, self._levels(x, sigma))
        self.done += 1
        if self.watch.progress is not None:
            self.watch.progress(self.done, self.total)
        return clean

    def _levels(self, x: Latents, sigma: float) -> Latents:
        """sigma everywhere but at given positions: float32 with one channel, no larger than the mask."""
        levels = x.map(lambda v: torch.full((len(v), *(1 for _ in v.shape[1:])), sigma, device=v.device))
        if self.given is None:
            return levels
        return levels.map(lambda level, given: torch.where(given, 0.0, level), self.given.mask)


def _towards(x: Latents, clean: Latents, keep: float) -> Latents:
    """`keep` of x and the rest of the clean estimate."""
    return x.map(lambda noisy, estimate: estimate + keep * (noisy - estimate), clean)


def _slope(x: Latents, clean: Latents, sigma: float) -> Latents:
    """dx / dsigma."""
    return x.map(lambda noisy, estimate: (noisy - estimate) / sigma, clean)
