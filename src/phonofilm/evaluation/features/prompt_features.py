"""Features of prompts: taken once of each text, and kept in the same cache as those of clips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.extraction import Plan, load_extractor
from phonofilm.types import Progress


def text_digest(prompt: str) -> str:
    """What names a prompt in the cache."""
    return hashlib.sha256(f"prompt {prompt}".encode()).hexdigest()


def take_words(prompts: Iterable[str], plan: Plan, progress: Progress | None = None) -> dict[str, int]:
    """Take the plan's features of every prompt that the cache does not have.

    Returns:
        For each feature, how many prompts are longer than its network reads.

    Raises:
        NetworkError: a network cannot be loaded.
    """
    report = progress or (lambda stage, done, total: None)
    cache, texts = FeatureCache(plan.cache), sorted(set(prompts))
    longer = dict.fromkeys(plan.texts, 0)
    for number, text in enumerate(texts if plan.texts else ()):
        report("reading prompts", number, len(texts))
        for name in plan.texts:
            kept = cache.get(text_digest(text), plan.keys[name])
            if kept is None:
                found = load_extractor(name, plan.weights.get(name), plan.device)(text)
                cache.put(text_digest(text), plan.keys[name], found)
            else:
                found = kept[0]
            longer[name] += bool(found["cut"] > 0)
    return longer
