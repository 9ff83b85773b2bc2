"""Comparisons of systems: what differs is found, chance is not, and distances are paired clip by clip."""

import hashlib

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.feature import key_of
from phonofilm.evaluation.metrics.distribution.frechet import Moments, frechet_from_moments, moments
from phonofilm.evaluation.metrics.distribution.influence import (
    frechet_influence,
    gaussian_influence,
    inception_influence,
    polynomial_influence,
)
from phonofilm.evaluation.metrics.distribution.kernel import (
    kernel_audio_distance,
    median_pairwise_distance,
    polynomial_distance,
)
from phonofilm.evaluation.suite.compare import ComparisonSettings, compare, significant
from phonofilm.evaluation.suite.runner import PROTOCOL

CLIPS, WIDTH = 20, 6
NAMES = [f"clip {index:02d}" for index in range(CLIPS)]
LOG_MEL = {"feature": "log-mel v1", "decoding": "test", "av": "1", "numpy": "2"}
SCORES = ("offset", "in sync", "drift", "onset–motion F1", "temporal flicker", "silence", "loudness gap", "onset AP")
SETS = ("FAD[log-mel]", "KAD[log-mel]")
BETTER = {"offset": "lower", "drift": "lower", "loudness gap": "lower"}


def digest(*words):
    return hashlib.sha256(repr(words).encode()).hexdigest()


def put(cache, name, rows):
    """Keep rows as a clip's log-mel patches, both ears alike; returns the clip's hash."""
    key = digest(name, rows.tobytes())
    cache.put(key, key_of(LOG_MEL), {"patches": np.repeat(rows[:, None], 2, axis=1).astype(np.float32)})
    return key


def result(scores, hashes, real, names=NAMES, categories=None):
    """A result of `evaluate`: scores {metric: [clips]}, hash of each clip, hashes of the reference."""
    rows = [
        {"name": name, "group": "g", "range": "0 …",
         "better": BETTER.get(name, "higher"), "status": "ok", "depends": [LOG_MEL],
         "value": float(np.mean(scores.get(name, 1.0))), "low": 0.5, "high": 1.5, "n": len(names)}
        for name in (*scores, *SETS)
    ]  # fmt: skip
    return {
        "protocol": f"{PROTOCOL}/chosen",
        "metrics": rows,
        "clips": {clip: {name: float(values[k]) for name, values in scores.items()} for k, clip in enumerate(names)},
        "generated": {"hashes": dict(zip(names, hashes, strict=True))},
        "reference": {"digest": digest(sorted(real.items())), "hashes": real},
        "categories": categories or {},
    }


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """Two systems of one quality: scores that depend on the clip, features likewise, and the reference."""
    folder = tmp_path_factory.mktemp("features")
    cache, rng = FeatureCache(folder), np.random.default_rng(0)
    real = {name: put(cache, f"real {name}", rng.normal(0, 1, (3, WIDTH))) for name in NAMES[:10]}
    hashes, scores = [], []
    shared = rng.normal(0, 1, (len(SCORES), CLIPS))
    for system in "ab":
        hashes.append([put(cache, system + name, rng.normal(0.3, 1.1, (3, WIDTH))) for name in NAMES])
        own = rng.standard_t(2, (len(SCORES), CLIPS))
        scores.append({name: shared[k] + own[k] for k, name in enumerate(SCORES)})
    return folder, cache, real, hashes, scores


def test_swapped_labels_make_findings_in_no_more_than_five_of_a_hundred(systems, monkeypatch):
    folder, _, real, hashes, scores = systems
    kept, read = {}, FeatureCache.get
    monkeypatch.setattr(
        FeatureCache,
        "get",
        lambda self, *name: kept[name] if name in kept else kept.setdefault(name, read(self, *name)),
    )
    monkeypatch.setattr("gc.collect", lambda *generation: 0)  # statsmodels collects all garbage at every correction
    settings = ComparisonSettings(cache=folder, permutations=400)
    rng, found = np.random.default_rng(1), 0
    for _ in range(200):
        swap = rng.random(CLIPS) < 0.5
        sides = []
        for side in (0, 1):
            pick = np.where(swap, 1 - side, side)
            values = {name: np.choose(pick, [scores[0][name], scores[1][name]]) for name in SCORES}
            sides.append(result(values, [hashes[which][k] for k, which in enumerate(pick)], real))
        rows = compare(sides, settings)
        assert sum(row.p is not None for row in rows) == len(SCORES) + len(SETS)
        found += any(significant(rows))
    assert found <= 10


def test_an_offset_of_163_ms_is_told_from_one_of_455(systems):
    folder, _, real, hashes, scores = systems
    rng = np.random.default_rng(2)
    # a few clips are wildly wrong in either, as real film is
    offsets = [np.abs(rng.normal(mean, 60, CLIPS)) for mean in (100, 410)]
    offsets[0][:2], offsets[1][1:4] = 700, [900, 750, 1100]
    offsets = [values * mean / values.mean() for values, mean in zip(offsets, (163, 455), strict=True)]
    sides = [result({**scores[k], "offset": offsets[k]}, hashes[k], real) for k in (0, 1)]
    rows = {row.name: row for row in compare(sides, ComparisonSettings(cache=folder))}
    assert rows["offset"].adjusted < 0.01
    assert rows["offset"].better == "first"
    assert [row.name for row in significant(list(rows.values()))] == ["offset"]


def test_a_distance_that_is_worse_clip_by_clip_is_found_and_needs_no_intervals(systems):
    folder, cache, real, _, scores = systems
    rng = np.random.default_rng(3)
    noise = {name: rng.normal(0, 1, (3, WIDTH)) for name in NAMES}
    near = [put(cache, f"near {name}", noise[name] + 0.5) for name in NAMES]
    far = [put(cache, f"far {name}", noise[name] + 0.7) for name in NAMES]
    sides = [result(scores[0], near, real), result(scores[0], far, real)]
    for side, value in zip(sides, (1.0, 1.4), strict=True):
        for row in side["metrics"][-2:]:
            row.update(value=value, low=value - 2, high=value + 2)
    rows = {row.name: row for row in compare(sides, ComparisonSettings(cache=folder))}
    for name in SETS:
        assert rows[name].test == "paired"
        assert rows[name].n == CLIPS
        assert rows[name].adjusted < 0.01
        assert rows[name].better == ("second" if name not in BETTER else "first")
    apart = compare(sides, ComparisonSettings(cache=folder / "elsewhere", metrics=("FAD",)))
    assert apart[0].test == "interval"
    assert apart[0].p > 0.5


@pytest.mark.parametrize("kind", [{"better": "neither", "known": 1.0}, {"better": "lower"}])
def test_a_signed_metric_that_is_best_at_0_is_compared_by_its_size(systems, kind):
    folder, _, real, hashes, scores = systems
    early = {**scores[0], "offset": np.linspace(-90, -60, CLIPS)}
    late = {**scores[0], "offset": np.linspace(10, 20, CLIPS)}
    sides = [result(values, hashes[0], real) for values in (early, late)]
    for side in sides:
        side["metrics"][0].update({"range": "−2500 … 2500", **kind})
    (row,) = compare(sides, ComparisonSettings(cache=folder, metrics=("offset",)))
    assert row.difference == pytest.approx(15 - 75)
    assert row.better == "second"


def test_what_is_asked_for_is_what_is_corrected_for(systems):
    folder, _, real, hashes, scores = systems
    gap = {**scores[1], "drift": scores[0]["drift"] + np.linspace(0.1, 1, CLIPS), "silence": scores[0]["silence"]}
    sides = [result(scores[0], hashes[0], real), result(gap, hashes[1], real)]
    everything = {row.name: row for row in compare(sides, ComparisonSettings(cache=folder))}
    assert everything["silence"].p is None
    assert everything["silence"].reason == "equal on every clip"
    tested = sum(row.p is not None for row in everything.values())
    assert tested == len(SCORES) + len(SETS) - 1
    assert everything["drift"].adjusted == pytest.approx(everything["drift"].p * tested)
    (alone,) = compare(sides, ComparisonSettings(cache=folder, metrics=("DRIFT",)))
    assert alone.adjusted == alone.p
    with pytest.raises(PhonofilmError, match="no metric 'drist'; near it"):
        compare(sides, ComparisonSettings(metrics=("drist",)))
    with pytest.raises(PhonofilmError, match="two results or more"):
        compare(sides[:1])


def test_three_systems_categories_and_folders_that_share_no_names(systems):
    folder, _, real, hashes, scores = systems
    kinds = {name: "loud" if k % 2 else "quiet" for k, name in enumerate(NAMES)}
    worse = {**scores[0], "offset": scores[0]["offset"] + np.where(np.arange(CLIPS) % 2, 5.0, 0.0)}
    sides = [
        result(scores[0], hashes[0], real, categories=kinds),
        result(worse, hashes[0], real, categories=kinds),
        result(worse, hashes[1], real, [f"other {name}" for name in NAMES]),
    ]
    settings = ComparisonSettings(cache=folder, metrics=("offset", "FAD[log-mel]"), categories=True)
    rows = {(row.name, row.systems, row.category): row for row in compare(sides, settings)}
    assert rows["offset", (0, 1), ""].better == "first"
    assert rows["offset", (0, 1), "loud"].difference == pytest.approx(5)
    assert rows["offset", (0, 1), "loud"].n == CLIPS // 2
    assert rows["offset", (0, 1), "quiet"].reason == "equal on every clip"
    assert rows["FAD[log-mel]", (0, 1), ""].reason == "equal on every clip"
    assert rows["FAD[log-mel]", (0, 1), "loud"].p is None
    assert rows["offset", (0, 2), ""].test == "labels"
    assert rows["FAD[log-mel]", (0, 2), ""].test == "labels"


def test_influence_is_the_derivative_of_the_frechet_distance():
    rng = np.random.default_rng(4)
    pool, real = rng.normal(0, 1, (200, 5)) * [1, 2, 1, 1, 0.5], rng.normal(0.3, 1.2, (300, 5))
    found = frechet_influence(pool, moments(real))
    tilt = rng.normal(0, 1, 200)
    tilt -= tilt.mean()

    def distance(step):
        weights = (1 + step * tilt) / 200
        mean = weights @ pool
        scatter = 199 * (pool - mean).T @ (weights[:, None] * (pool - mean)) * 200 / 199
        return frechet_from_moments(Moments(200, mean, scatter), moments(real))

    slope = (distance(1e-4) - distance(-1e-4)) / 2e-4
    assert tilt @ found / 200 == pytest.approx(slope, rel=0.006)  # Σ / N there, Σ / (N − 1) here


def test_influence_adds_up_to_the_difference_of_kernel_distances():
    rng = np.random.default_rng(6)
    first, second, real = (rng.normal(mean, 1, (n, 5)) for mean, n in ((0.2, 400), (0.6, 400), (0.0, 300)))
    sigma = median_pairwise_distance(real)
    pool = np.concatenate([first, second])
    kinds = (
        (gaussian_influence(pool, real, sigma), lambda a: kernel_audio_distance(a, real, sigma) / 100),
        (polynomial_influence(pool, real), lambda a: polynomial_distance(a, real)),
    )
    for found, distance in kinds:
        gap = found[400:].mean() - found[:400].mean()
        assert gap == pytest.approx(distance(second) - distance(first), rel=0.01)


def test_influence_knows_fewer_rows_than_features_and_classes():
    rng = np.random.default_rng(5)
    pool, real = rng.normal(0, 1, (20, 40)), rng.normal(0, 1, (30, 40))
    found = frechet_influence(pool, moments(real))
    assert np.isfinite(found).all()
    logits = rng.normal(0, 2, (50, 7))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_hand = (p * np.log(p / p.mean(axis=0))).sum(axis=1)
    np.testing.assert_allclose(inception_influence(logits), by_hand)
