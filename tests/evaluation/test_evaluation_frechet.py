from functools import reduce
from operator import add

import numpy as np
import pytest
import scipy.linalg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parity_files import answers, arrays

from phonofilm.evaluation.metrics.distribution.frechet import (
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
    moments,
)

SETS = ["a_full_rank_n500_d128", "b_singular_n64_d512", "d_identical_n200_d64"]


@pytest.mark.parametrize("name", SETS)
def test_it_equals_the_references(name):
    data, known = arrays(name), answers("distribution_metrics")["frechet"][name]
    value = frechet_distance(data["evaluated"], data["reference"])
    exact = known["cross_check_float64_nuclear_norm"]["value"]
    assert value == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert frechet_from_moments(moments(data["evaluated"]), moments(data["reference"])) == pytest.approx(
        exact, rel=1e-6, abs=1e-9
    )
    for reference in ("av_bench.compute_fd", "fadtk.calc_frechet_distance", "torchmetrics._compute_fid"):
        assert value == pytest.approx(known[reference]["value"], rel=1e-6, abs=1e-6)
    for single in ("kadtk.calc_frechet_distance", "javisbench.frechet_distance"):  # float32 loses digits where N < D
        assert value == pytest.approx(known[single]["value"], rel=2e-3, abs=3e-3)
    population = frechet_distance(data["evaluated"], data["reference"], ddof=0)
    assert population == pytest.approx(known["stylegan_v.population_covariance"]["value"], rel=1e-6, abs=1e-9)


def matrix_root(generated, real):
    """The textbook formula, by Schur decomposition; good for full rank only."""
    first, second = np.cov(generated, rowvar=False), np.cov(real, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(((generated.mean(0) - real.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


def gaussians(seed, n, m, d, spread=1.0):
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + 0.3 * rng.normal(size=(d, d))
    return spread * rng.normal(size=(n, d)) @ mix + rng.normal(size=d), rng.normal(size=(m, d))


@pytest.mark.parametrize(("n", "m"), [(40, 60), (9, 200), (200, 9), (5, 7)])
def test_every_path_gives_one_value(n, m):
    generated, real = gaussians(0, n, m, 8)
    whole = frechet_distance(generated, real)
    if min(n, m) > 8:
        assert whole == pytest.approx(matrix_root(generated, real), rel=1e-9)
    padded = [np.pad(x, ((0, 0), (0, 300))) for x in (generated, real)]  # N < D now: the nuclear norm
    assert frechet_distance(*padded) == pytest.approx(whole, rel=1e-9)
    assert frechet_from_moments(*map(moments, padded)) == pytest.approx(whole, rel=1e-7)


def test_features_that_never_vary_do_no_harm():
    generated, real = gaussians(1, 500, 500, 6)
    flat = [np.pad(x, ((0, 0), (0, 10))) for x in (generated, real)]
    assert frechet_distance(*flat) == pytest.approx(frechet_distance(generated, real), rel=1e-9)


def test_known_gaussians():
    """Whitened samples have exactly the mean and covariance that we say."""
    rng = np.random.default_rng(2)
    white = rng.normal(size=(400, 5))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    scale = np.array([1, 2, 3, 4, 5.0])
    shifted = white * scale + 2
    assert frechet_distance(shifted, white) == pytest.approx(5 * 4 + ((scale - 1) ** 2).sum(), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40), st.integers(2, 40), st.integers(1, 30))
@example(422, 17, 2, 11)  # uneven eigenvalues
def test_symmetry_and_invariance(seed, n, m, d):
    generated, real = gaussians(seed, n, m, d)
    value = frechet_distance(generated, real)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    assert value >= 0
    assert frechet_distance(real, generated) == pytest.approx(value, rel=1e-7, abs=1e-7)
    assert frechet_distance(generated @ turn + 3, real @ turn + 3) == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert frechet_distance(3 * generated, 3 * real) == pytest.approx(9 * value, rel=1e-6, abs=1e-6)
    assert frechet_distance(generated, generated[::-1]) == pytest.approx(0, abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_streamed_equals_whole(seed, sizes):
    rows = np.random.default_rng(seed).normal(1000, 1, (sum(sizes), 4))  # far from 0: naive sums lose digits
    streamed = reduce(add, map(moments, np.split(rows, np.cumsum(sizes)[:-1])))
    whole = moments(rows)
    assert streamed.count == whole.count
    np.testing.assert_allclose(streamed.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(streamed.scatter, whole.scatter, atol=1e-9)


def test_inputs_stay_as_they_were():
    generated, real = gaussians(3, 20, 20, 4)
    before = generated.copy(), real.copy()
    frechet_distance(generated, real)
    np.testing.assert_array_equal(before, (generated, real))


def test_bias_falls_with_n_and_extrapolation_removes_it():
    """D = 64, N = 1500: the plain distance is several times the truth, with replacement it stays so."""
    rng = np.random.default_rng(0)
    shift = np.full(64, np.sqrt(0.32 / 64))
    plain, carried, same = [], [], []
    for _ in range(4):
        generated, real = rng.normal(size=(1500, 64)) + shift, rng.normal(size=(1500, 64))
        plain.append(frechet_distance(generated, real))
        carried.append(frechet_infinity(generated, real, seed=1).value)
        same.append(frechet_infinity(generated - shift, real, seed=1).value)
    assert np.mean(plain) > 1.2
    assert np.mean(carried) == pytest.approx(0.32, abs=0.08)
    assert np.mean(same) == pytest.approx(0, abs=0.08)


def test_extrapolating_one_side_needs_a_large_reference():
    rng = np.random.default_rng(1)
    generated, real = rng.normal(size=(1000, 16)), rng.normal(size=(20_000, 16))
    line = frechet_infinity(generated, real, extrapolate="generated")
    assert abs(line.value) < 0.03
    assert line.slope > 0
    assert line.points[-1][0] == 1000


@pytest.mark.parametrize(
    ("generated", "real", "message"),
    [
        (np.ones((1, 3)), np.ones((5, 3)), "at least 2 samples"),
        (np.ones((5, 3)), np.ones((5, 4)), "3 features and real 4"),
        (np.full((5, 3), np.nan), np.ones((5, 3)), "15 values that are NaN"),
        (np.ones(5), np.ones((5, 3)), r"\[samples, features\]"),
        ([[1, 2], [3]], np.ones((5, 3)), "numbers of one shape"),
    ],
)
def test_bad_input_is_named_in_one_line(generated, real, message):
    with pytest.raises(ValueError, match=message) as caught:
        frechet_distance(generated, real)
    assert "\n" not in str(caught.value)


def test_other_bad_input():
    rows = np.random.default_rng(0).normal(size=(10, 3))
    with pytest.raises(ValueError, match="cannot add"):
        moments(rows) + moments(rows[:, :2])
    with pytest.raises(ValueError, match="at least 2 samples"):
        frechet_from_moments(moments(rows[:1]), moments(rows))
    with pytest.raises(ValueError, match="too few samples"):
        frechet_infinity(rows[:3], rows)


def test_subsets_of_whole_clips_extrapolate_rows_that_are_alike_to_zero():
    """Rows of one clip are its own mean and a little noise: subsets of rows know all clips, and leave the bias."""
    rng = np.random.default_rng(0)
    found = {"rows": [], "clips": []}
    for seed in range(12):
        sides = [np.repeat(rng.normal(size=(120, 12)), 6, 0) + 0.2 * rng.normal(size=(720, 12)) for _ in range(2)]
        number = np.repeat(np.arange(120), 6)
        found["rows"].append(frechet_infinity(*sides, seed=seed).value)
        found["clips"].append(frechet_infinity(*sides, seed=seed, clips=(number, number)).value)
    mean, error = np.mean(found["clips"]), np.std(found["clips"], ddof=1) / np.sqrt(12)
    assert abs(mean) < 3 * error
    assert np.mean(found["rows"]) > 3 * max(abs(mean), error)
