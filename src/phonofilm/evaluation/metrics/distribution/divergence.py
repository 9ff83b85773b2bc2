"""Divergences of a classifier's answers: KL and the inception score, from logits."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit, log_softmax, logsumexp

from phonofilm.evaluation.metrics.distribution.kernel import SubsetMean
from phonofilm.signals.validation import Floats, matrix, pairs

Answers = Literal["softmax", "sigmoid", "bernoulli"]


def kl_divergence(generated: ArrayLike, real: ArrayLike, answers: Answers = "softmax", epsilon: float = 0.0) -> float:
    """Mean over pairs of KL(real ‖ generated), from logits [N, C] whose rows belong together; nats, lower is better.

    Args:
        answers: "softmax" takes one class of C (AudioGen, MMAudio, av-benchmark). "sigmoid" is the published sum of
            p·log(p/q) over classes, which leaves out the complements and so may be negative; "bernoulli" adds them,
            and is a divergence.
        epsilon: added to the generated probabilities; audioldm_eval has 1e-6, others 0.

    Raises:
        ValueError: NaN, or rows that do not pair.
    """
    fake, true = pairs(generated, real)
    log_p, log_q = _log_answers(true, answers), _log_answers(fake, answers)
    total = _relative_entropy(log_p, log_q, epsilon)
    if answers == "bernoulli":
        total += _relative_entropy(log_expit(-true), log_expit(-fake), epsilon)
    return total / len(fake)


def _log_answers(logits: Floats, answers: Answers) -> Floats:
    if answers == "softmax":
        return log_softmax(logits, axis=1)
    if answers in ("sigmoid", "bernoulli"):
        return log_expit(logits)
    raise ValueError(f"unknown answers {answers!r}: choose softmax, sigmoid or bernoulli")


def _relative_entropy(log_p: Floats, log_q: Floats, epsilon: float) -> float:
    if epsilon:
        log_q = np.log(np.exp(log_q) + epsilon)
    return float((np.exp(log_p) * (log_p - log_q)).sum())


def inception_score(generated: ArrayLike, splits: int = 10, seed: int | None = 2020) -> SubsetMean:
    """exp of the mean KL(p(y|x) ‖ p(y)) over `splits` parts, from logits [N, C] (Salimans et al. 2016).

    Range 1 … C, higher is better. Needs no real set; it says nothing of what the classes should be.

    Args:
        seed: of the shuffle before splitting (2020 as in torch-fidelity and av-benchmark), None for no shuffle.
    """
    logits = matrix(generated, "generated")
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"cannot cut {count} samples into {splits} splits")
    if seed is not None:
        logits = logits[np.random.RandomState(seed).permutation(count)]
    log_p = log_softmax(logits, axis=1)
    scores = []
    for i in range(splits):
        part = log_p[i * count // splits : (i + 1) * count // splits]
        marginal = logsumexp(part, axis=0) - np.log(len(part))
        scores.append(np.exp((np.exp(part) * (part - marginal)).sum(axis=1).mean()))
    return SubsetMean(float(np.mean(scores)), float(np.std(scores)))
