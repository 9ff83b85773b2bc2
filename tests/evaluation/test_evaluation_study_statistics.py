"""Statistics of a study against raters whose truth is known, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from phonofilm.evaluation.study.bradley_terry import davidson
from phonofilm.evaluation.study.krippendorff import alpha_interval, ordinal_alpha
from phonofilm.evaluation.study.mean_opinion import Spread, _Crossed, difference, mean_opinion, power, raters_needed

STUDIES = 500


def simulated(rng, raters, scenes, spread=(0.4, 0.4, 0.8), mean=3.4, kept=1):
    """(raters, scenes, answers 1 … 5) of one study in which each rater sees one scene in `kept`."""
    opinion = mean + rng.normal(0, spread[0], (raters, 1)) + rng.normal(0, spread[1], (1, scenes))
    answers = np.clip(np.round(opinion + rng.normal(0, spread[2], (raters, scenes))), 1, 5)
    who, what = np.indices(answers.shape)
    seen = (who + what) % kept == 0
    return who[seen], what[seen], answers[seen]


def true_mean(spread=(0.4, 0.4, 0.8), mean=3.4) -> float:
    """The mean of rounded and clipped normal opinions."""
    edges = np.array([1.5, 2.5, 3.5, 4.5])
    return float(1 + stats.norm.sf(edges, mean, np.sqrt(np.square(spread).sum())).sum())


@pytest.mark.parametrize(("raters", "scenes", "kept"), [(20, 24, 1), (20, 24, 3), (12, 40, 2)])
def test_intervals_of_500_studies_cover_the_truth_and_are_as_wide_as_they_should(raters, scenes, kept):
    rng = np.random.default_rng(raters + kept)
    truth, spread = true_mean(), (0.4, 0.4, 0.8)
    found = [mean_opinion(*simulated(rng, raters, scenes, spread, kept=kept), seed=k) for k in range(STUDIES)]
    covered = np.mean([f.low <= truth <= f.high for f in found])
    assert 0.93 <= covered <= 0.97
    error = np.sqrt(spread[0] ** 2 / raters + spread[1] ** 2 / scenes + spread[2] ** 2 * kept / (raters * scenes))
    analytic = 2 * stats.norm.ppf(0.975) * error
    assert np.median([f.high - f.low for f in found]) == pytest.approx(analytic, rel=0.2)


def test_without_any_difference_p_values_are_uniform():
    rng = np.random.default_rng(0)
    ps = []
    for k in range(300):
        shift = [rng.normal(0, 0.3, (12, 1)) + rng.normal(0, 0.3, (1, 16)) for _ in range(2)]
        base = 3 + rng.normal(0, 0.5, (12, 1)) + rng.normal(0, 0.5, (1, 16))
        answers = np.stack([base + s + rng.normal(0, 0.7, (12, 16)) for s in shift])
        system, who, what = np.indices(answers.shape)
        found = difference(who.ravel(), what.ravel(), answers.ravel(), system.ravel() == 0, seed=k)
        ps.append(found.p)
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    assert 0.025 <= np.mean(np.array(ps) < 0.05) <= 0.08


def test_what_raters_and_scenes_share_drops_out_of_a_difference():
    rng = np.random.default_rng(1)
    base = rng.normal(0, 2, (10, 1)) + rng.normal(0, 2, (1, 20))
    answers = np.stack([base + 0.5 + rng.normal(0, 0.1, base.shape), base + rng.normal(0, 0.1, base.shape)])
    system, who, what = np.indices(answers.shape)
    found = difference(who.ravel(), what.ravel(), answers.ravel(), system.ravel() == 0)
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert found.high - found.low < 0.15


def test_labels_and_their_order_do_not_matter():
    who, what, answers = simulated(np.random.default_rng(2), 8, 10)
    plain = mean_opinion(who, what, answers)
    named = mean_opinion([f"rater {10 + w}" for w in who], [f"scene {10 + w}" for w in what], answers)
    assert named == plain
    assert plain.value == pytest.approx(answers.mean())


@pytest.mark.parametrize(("raters", "scenes"), [(10, 24), (30, 24)])
def test_power_is_the_share_of_studies_that_find_the_effect(raters, scenes):
    spread, effect, rng = Spread(0.3, 0.3, 0.8), 0.35, np.random.default_rng(raters)
    foretold = power(effect, raters, scenes, ratings=scenes, spread=spread)
    hits = 0
    for k in range(200):
        answers = np.stack(
            [
                mean
                + rng.normal(0, spread.rater, (raters, 1))
                + rng.normal(0, spread.scene, (1, scenes))
                + rng.normal(0, spread.noise, (raters, scenes))
                for mean in (effect, 0.0)
            ]
        )
        system, who, what = np.indices(answers.shape)
        hits += difference(who.ravel(), what.ravel(), answers.ravel(), system.ravel() == 0, seed=k).p < 0.05
    assert hits / 200 == pytest.approx(foretold.power, abs=0.1)


def test_power_grows_with_all_it_should():
    base = power(0.3, 20, 24, 12)
    assert power(0.5, 20, 24, 12).power > base.power
    assert power(0.3, 40, 24, 12).power > base.power
    assert power(0.3, 20, 48, 12).power > base.power
    assert power(0.3, 20, 24, 12, tests=6).power < base.power
    assert power(base.least, 20, 24, 12).power == pytest.approx(0.8, abs=0.01)
    needed = raters_needed(0.5, 24, 12)
    assert needed is not None
    assert power(0.5, needed, 24, 12).power >= 0.8 > power(0.5, needed - 1, 24, 12).power
    assert raters_needed(0.1, 24, 12) is None, "too few scenes: no number of raters is enough"


# Krippendorff (2011), example C: four observers, twelve units, five values; ordinal α printed there
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, np.nan, np.nan, np.nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, np.nan, 3],
        [np.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, np.nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, np.nan],
    ]
)


def test_alpha_of_the_published_example():
    assert ordinal_alpha(EXAMPLE) == pytest.approx(0.815, abs=5e-4)


def test_alpha_by_hand():
    # two raters, two values: the ordinal distance is one constant, so α is 1 − (n − 1) · disagreements / (n₀ · n₁)
    table = np.array([[1, 1, 2, 2, 1, 2], [1, 1, 2, 2, 2, 1]])
    assert ordinal_alpha(table) == pytest.approx(1 - 11 * 2 / (6 * 6))


def test_alpha_at_its_ends_and_only_by_order():
    rng = np.random.default_rng(0)
    agreed = np.tile(rng.integers(1, 6, 40), (5, 1))
    assert ordinal_alpha(agreed) == pytest.approx(1)
    assert abs(np.mean([ordinal_alpha(rng.integers(1, 6, (5, 60))) for _ in range(40)])) < 0.02
    table = np.clip(agreed + rng.integers(-1, 2, agreed.shape), 1, 5).astype(float)
    assert ordinal_alpha(table**3) == pytest.approx(ordinal_alpha(table)), "ordinal: any growing scale is the same"
    assert np.isnan(ordinal_alpha(np.ones((3, 4))))


def test_full_agreement_on_a_few_clips_has_no_interval():
    found = alpha_interval(np.tile([1, 2, 4, 5], (3, 1)))
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(alpha_interval([[1], [2]]).low)


def test_the_variance_of_raters_and_scenes_is_the_analytic_one():
    # drawn raters of a balanced table: the variance of their mean is that of their means, over their number
    answers = np.random.default_rng(6).normal(3, 1, (40, 25))
    who, what = np.indices(answers.shape)
    rating = _Crossed.of(who.ravel(), what.ravel(), answers.ravel(), 0.95)
    ones = [(np.ones(answers.size), 1.0)]
    for clusters, means in ((rating.raters, answers.mean(axis=1)), (rating.scenes, answers.mean(axis=0))):
        found = rating._variance(clusters, ones, np.random.default_rng(0))
        assert found == pytest.approx(means.var(ddof=1) / len(means), rel=0.1)


def test_alpha_interval_covers_the_alpha_of_very_many_clips():
    rng = np.random.default_rng(5)

    def table(clips):
        truth = rng.normal(3, 1, clips)
        return np.clip(np.round(truth + rng.normal(0, 0.8, (6, clips))), 1, 5)

    truth = ordinal_alpha(table(20_000))
    found = [alpha_interval(table(40), resamples=300, seed=k) for k in range(150)]
    assert 0.88 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.99


def choices(rng, strengths, tie, count):
    first = rng.integers(0, len(strengths), count)
    second = (first + rng.integers(1, len(strengths), count)) % len(strengths)
    a, b = np.exp(strengths)[first], np.exp(strengths)[second]
    middle = tie * np.sqrt(a * b)
    drawn = rng.random(count) * (a + b + middle)
    return first, second, np.where(drawn < a, 1, np.where(drawn < a + middle, 0, -1))


def test_two_systems_have_a_closed_form():
    # wins 30 : 10 and no ties: the log-odds are log 3, with variance 1/30 + 1/10
    outcome = [1] * 30 + [-1] * 10
    found = davidson([0] * 40, [1] * 40, outcome, 2)
    gap = found.contests()[0].gap
    assert gap.value == pytest.approx(np.log(3), rel=0.02)
    assert (gap.high - gap.low) / 2 / 1.96 == pytest.approx(np.sqrt(1 / 30 + 1 / 10), rel=0.02)
    assert found.contests()[0].share == pytest.approx(0.75, abs=0.005)
    assert found.tie is None


def test_a_tie_rate_has_a_closed_form():
    # equal wins: strengths are equal, and ties / wins = ν / 2
    outcome = [1] * 20 + [-1] * 20 + [0] * 30
    found = davidson([0] * 70, [1] * 70, outcome, 2)
    assert found.values == pytest.approx([0, 0], abs=1e-9)
    assert np.exp(found.tie) == pytest.approx(30 / 20, rel=1e-6)


def test_nothing_but_ties_tells_no_system_from_another():
    found = davidson([0, 1, 2] * 4, [1, 2, 0] * 4, [0] * 12, 3, [[0, 1] * 6, [0, 1, 2, 3] * 3])
    assert found.values == pytest.approx([0, 0, 0], abs=1e-9)
    assert np.isfinite(found.covariance).all()
    assert found.contests()[0].p > 0.9


def test_strengths_and_ties_are_found_again_with_honest_intervals():
    truth, rng = np.array([0.8, 0.2, -0.2, -0.8]), np.random.default_rng(3)
    covered = []
    for _ in range(100):
        found = davidson(*choices(rng, truth, 0.7, 400), 4)
        limits = [found.interval(i) for i in range(4)]
        covered += [f.low <= t <= f.high for f, t in zip(limits, truth, strict=True)]
    assert 0.92 <= np.mean(covered) <= 0.98
    assert found.tie == pytest.approx(np.log(0.7), abs=0.4)


def test_raters_with_their_own_taste_widen_the_intervals():
    rng = np.random.default_rng(4)
    raters = np.repeat(np.arange(20), 30)
    scenes = np.tile(np.arange(30), 20)
    taste = rng.normal(0, 1.0, 20)[raters]
    outcome = np.where(rng.random(600) < 1 / (1 + np.exp(-taste)), 1, -1)
    first, second = np.zeros(600, int), np.ones(600, int)
    plain, clustered = davidson(first, second, outcome, 2), davidson(first, second, outcome, 2, [raters, scenes])
    assert clustered.covariance[0, 0] > 3 * plain.covariance[0, 0]


def test_a_system_that_always_wins_stays_finite_and_significant():
    found = davidson([0, 0, 1, 1] * 15, [1, 2, 2, 2] * 15, [1, 1, 1, -1] * 15, 3)
    assert np.isfinite(found.values).all()
    assert found.values[0] == found.values.max()
    assert found.contests()[0].adjusted < 0.05


@pytest.mark.parametrize("bad", [([], [], []), ([0], [0], [1]), ([0], [5], [1]), ([0], [1], [2])])
def test_choices_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=r"choices|outcome"):
        davidson(*bad, 2)
