import numpy as np
import pytest
import scipy.stats
from parity_files import answers

from phonofilm.evaluation.metrics.peavs import (
    FITTED,
    PRIOR,
    Flaws,
    conditions,
    fit,
    leave_one_out,
    predict,
    published_flaws,
)
from phonofilm.evaluation.statistics import (
    bootstrap_interval,
    holm,
    resampled,
    sign_flip_test,
    spearman,
    two_sample_test,
)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_cover_the_truth_as_often_as_they_say(method):
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(150):
        found = bootstrap_interval(rng.normal(3, 1, 40), resamples=250, method=method, seed=trial)
        inside += found.low <= 3 <= found.high
    assert 0.89 < inside / 150 < 0.99


def test_bca_follows_skew():
    rng = np.random.default_rng(1)
    values = rng.exponential(size=60)
    bca, plain = (bootstrap_interval(values, method=m) for m in ("bca", "percentile"))
    assert bca.high + bca.low > plain.high + plain.low
    known = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=2).confidence_interval
    assert bca.low == pytest.approx(known.low, abs=0.03)
    assert bca.high == pytest.approx(known.high, abs=0.03)


def test_bootstrap_of_rows_and_of_nothing_that_varies():
    rows = np.random.default_rng(2).normal(size=(30, 4))
    found = bootstrap_interval(rows, lambda r: float(np.linalg.norm(r.mean(0))), resamples=200)
    assert found.low < found.high
    flat = bootstrap_interval(np.full(9, 2.0))
    assert (flat.value, flat.low, flat.high) == (2, 2, 2)
    assert resampled(5, 7).shape == (7, 5)
    for bad, message in (([1.0], "at least 2 clips"), ([1, np.nan], "NaN")):
        with pytest.raises(ValueError, match=message):
            bootstrap_interval(bad)
    with pytest.raises(ValueError, match="unknown bootstrap method"):
        bootstrap_interval([1, 2], method="t")


def test_sign_flips_are_exact_for_few_clips_and_close_to_known_tests_for_many():
    assert sign_flip_test([1, 2, 3, 4]) == pytest.approx(2 / 16)
    assert sign_flip_test([0, 0, 0]) == 1
    rng = np.random.default_rng(3)
    gaps = rng.normal(0.3, 1, 60)
    known = min(scipy.stats.ttest_1samp(gaps, 0).pvalue, scipy.stats.wilcoxon(gaps).pvalue)
    assert known * 0.9 < sign_flip_test(gaps) < 2 * known
    assert sign_flip_test(gaps + 5) == pytest.approx(1 / 10_000)
    with pytest.raises(ValueError, match="at least 2"):
        sign_flip_test([1.0])


def test_a_few_wild_clips_do_not_hide_a_difference():
    rng = np.random.default_rng(6)
    gaps = rng.normal(290, 60, 40)
    gaps[:4] = [-2300, 2100, -2400, -1900]
    assert scipy.stats.ttest_1samp(gaps, 0).pvalue > 0.1
    assert sign_flip_test(gaps) < 0.002


@pytest.mark.parametrize("test", ["paired", "apart"])
def test_p_values_hold_their_level_under_the_null(test):
    rng = np.random.default_rng(4)
    draws = rng.standard_t(2, size=(300, 2, 20))
    p = [sign_flip_test(a - b, 999, 1) if test == "paired" else two_sample_test(a, b, 999) for a, b in draws]
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 3.5 * np.sqrt(level * (1 - level) / 300)


def test_clips_that_do_not_pair_are_tested_by_their_labels():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, 30), rng.normal(0.5, 1, 45)
    known = scipy.stats.ttest_ind(a, b).pvalue
    assert known / 2 < two_sample_test(a, b) < 2 * known
    assert two_sample_test([1, 1], [1, 1, 1]) == 1


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    assert len(holm([])) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


def test_spearman_equals_scipy_with_ties():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 6, 50)
    y = x + rng.integers(0, 5, 50)
    found = spearman(x, y)
    assert found.value == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert found.low < found.value < found.high
    assert spearman([1, 2, 3, 4], [10, 20, 30, 50]).value == 1
    with pytest.raises(ValueError, match="scores that differ"):
        spearman([1, 1, 1, 1], [1, 2, 3, 4])


def test_peavs_constants_are_the_fit_of_the_published_curves():
    known = conditions(answers("peavs_human_curves"))
    assert len(known) == 90
    curve = fit(known)
    for condition in known:
        assert predict(condition.flaws, curve) == pytest.approx(predict(condition.flaws), abs=0.02)
    guesses, opinions = [predict(c.flaws) for c in known], [c.opinion for c in known]
    assert np.abs(np.subtract(guesses, opinions)).mean() < 0.35
    assert spearman(guesses, opinions).value > 0.9


def test_peavs_left_out_distortions_are_foretold_as_well_as_its_text_says():
    found = leave_one_out(conditions(answers("peavs_human_curves")))
    assert found.error == pytest.approx(0.55, abs=0.02)
    assert found.rank == pytest.approx(0.72, abs=0.02)
    assert max(found.errors[name] for name in found.errors if "speed" in name or "slow" in name) < 0.36


def test_peavs_has_the_human_shape():
    offsets = [0, -0.125, -0.25, -0.5, -1]
    scores = [predict(Flaws(offset=s)) for s in offsets]
    assert scores == sorted(scores, reverse=True)
    assert predict(Flaws(offset=0.125)) == pytest.approx(predict(Flaws(offset=-0.25)), abs=0.3)  # early is worse
    assert predict(Flaws()) == pytest.approx(4.7)
    for flaw in ("drift", "lone", "cuts"):
        falling = [predict(Flaws(**{flaw: x})) for x in (0, 0.1, 0.3, 0.9)]
        assert falling == sorted(falling, reverse=True)
    assert 1 <= predict(Flaws(2, 3, 1, 20)) < 1.1
    assert PRIOR != FITTED


def test_peavs_refuses_nonsense():
    with pytest.raises(ValueError, match="flaws must be finite"):
        predict(Flaws(drift=-1.0))
    with pytest.raises(ValueError, match="unknown distortion"):
        published_flaws("hiss", 1)
    with pytest.raises(ValueError, match="not PEAVS' human curves"):
        conditions({})
    with pytest.raises(ValueError, match="no conditions"):
        fit([])
