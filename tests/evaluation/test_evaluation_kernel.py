import numpy as np
import pytest
import scipy.spatial.distance
from parity_files import answers, arrays

from phonofilm.evaluation.metrics.distribution import kernel
from phonofilm.evaluation.metrics.distribution.divergence import inception_score, kl_divergence
from phonofilm.evaluation.metrics.distribution.kernel import (
    kernel_audio_distance,
    median_pairwise_distance,
    polynomial_distance,
)

SETS = ["a_full_rank_n500_d128", "b_singular_n64_d512", "d_identical_n200_d64"]


@pytest.mark.parametrize("name", SETS)
def test_kad_equals_the_reference_with_the_reference_sets_bandwidth(name):
    data, known = arrays(name), answers("distribution_metrics")["kad"][name]
    assert median_pairwise_distance(data["reference"]) == pytest.approx(
        known["median_pairwise_distance"]["reference"], rel=1e-6
    )
    for shape in ("gaussian", "iq", "imq"):
        value = kernel_audio_distance(data["evaluated"], data["reference"], kernel=shape)
        assert value == pytest.approx(known[f"kadtk.reference_bandwidth.{shape}"]["value"], abs=1e-4)
    shipped = known["kadtk.as_shipped.gaussian"]["value"]
    sigma = known["median_pairwise_distance"]["evaluated"]  # kadtk's defect, which we only get by asking for it
    assert kernel_audio_distance(data["evaluated"], data["reference"], sigma) == pytest.approx(shipped, abs=1e-4)


def test_kads_defect_is_seen_on_sets_of_different_width():
    data = arrays("a_full_rank_n500_d128")
    known = answers("distribution_metrics")["kad"]["a_full_rank_n500_d128"]
    value = kernel_audio_distance(data["evaluated"], data["reference"])
    assert abs(value - known["kadtk.as_shipped.gaussian"]["value"]) > 0.05


@pytest.mark.parametrize("name", SETS)
def test_kernel_distances_of_whole_sets_equal_the_references(name):
    data, known = arrays(name), answers("distribution_metrics")["kid"][name]
    whole = polynomial_distance(data["evaluated"], data["reference"])
    for reference in ("torch_fidelity.kernel_mmd.full_equal_n", "javisbench.polynomial_mmd"):
        assert whole == pytest.approx(known[reference]["value"], abs=1e-6)
    spoilt = known["javisbench.polynomial_mmd.after_frechet_distance"]["value"]  # on inputs centred in place
    assert abs(whole - spoilt) > 1e-4


def brute(generated, real, sigma):
    def kernel_mean(x, y, same):
        k = np.exp(-scipy.spatial.distance.cdist(x, y, "sqeuclidean") / (2 * sigma**2 + 1e-8))
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)) if same else k.mean()

    cross = kernel_mean(generated, real, False)
    return 100 * (kernel_mean(generated, generated, True) + kernel_mean(real, real, True) - 2 * cross)


@pytest.mark.parametrize("block", [7, 64, 1024])
def test_blocks_do_not_show(monkeypatch, block):
    monkeypatch.setattr(kernel, "BLOCK", block)
    monkeypatch.setattr(kernel, "EXACT_PAIRS", 10 if block == 7 else 10**6)
    rng = np.random.default_rng(0)
    generated, real = rng.normal(5, 1.2, (90, 6)), rng.normal(5, 1, (131, 6))
    distances = np.sort(scipy.spatial.distance.pdist(real))
    sigma = median_pairwise_distance(real)
    assert sigma == pytest.approx(distances[(len(distances) - 1) // 2], rel=1e-10)
    assert kernel_audio_distance(generated, real) == pytest.approx(brute(generated, real, sigma), rel=1e-9)


@pytest.mark.parametrize("margin", [0.02, 1e-6])
@pytest.mark.parametrize("spread", ["normal", "two lumps", "half the same"])
def test_the_median_is_exact_wherever_it_is_first_looked_for(monkeypatch, margin, spread):
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 1, (700, 6))
    if spread == "two lumps":
        rows[:350] += 100
    if spread == "half the same":
        rows[:500] = rows[0]
    monkeypatch.setattr(kernel, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(kernel, "BLOCK", 128)
    monkeypatch.setattr(kernel, "MARGIN", margin)
    distances = np.sort(scipy.spatial.distance.pdist(rows))
    assert median_pairwise_distance(rows) == pytest.approx(distances[(len(distances) - 1) // 2], rel=1e-10, abs=1e-5)


def test_kad_is_unbiased_at_every_n():
    rng = np.random.default_rng(0)
    for n in (20, 50, 200):
        values = [kernel_audio_distance(rng.normal(size=(n, 8)), rng.normal(size=(n, 8))) for _ in range(60)]
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_kad_grows_with_the_shift_and_ignores_where_the_origin_is():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(200, 8)), rng.normal(size=(150, 8))
    values = [kernel_audio_distance(generated + shift, real) for shift in (0, 0.2, 0.5, 1, 2)]
    assert values == sorted(values)
    assert kernel_audio_distance(generated + 1e4, real + 1e4) == pytest.approx(values[0], abs=1e-5)
    assert kernel_audio_distance(7 * generated, 7 * real) == pytest.approx(values[0], abs=1e-6)


def test_kl_and_inception_score_equal_the_references():
    data, known = arrays("logits_n256_c527"), answers("distribution_metrics")
    generated, real = data["evaluated"], data["reference"]
    ours = known["kl"]["logits_n256_c527"]["av_bench.compute_kl"]["value"]
    assert kl_divergence(generated, real) == pytest.approx(ours["kl_softmax"], rel=1e-6)
    assert kl_divergence(generated, real, "sigmoid") == pytest.approx(ours["kl_sigmoid"], rel=1e-6)
    theirs = known["kl"]["logits_n256_c527"]["audioldm_eval.calculate_kl"]["value"]
    assert kl_divergence(generated, real, epsilon=1e-6) == pytest.approx(
        theirs["kullback_leibler_divergence_softmax"], rel=1e-6
    )
    assert kl_divergence(generated, real, "sigmoid", 1e-6) == pytest.approx(
        theirs["kullback_leibler_divergence_sigmoid"], rel=1e-6
    )
    for name in ("reference", "evaluated"):
        score, value = inception_score(data[name]), known["isc"][name]["av_bench.compute_isc"]["value"]
        assert score.mean == pytest.approx(value["inception_score_mean"], rel=1e-12)
        assert score.std == pytest.approx(value["inception_score_std"], rel=1e-9)


def test_kl_by_hand_and_its_direction():
    real, generated = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert kl_divergence(generated, real) == pytest.approx(expected)
    assert kl_divergence(real, generated) != pytest.approx(expected)
    assert kl_divergence(real, real) == 0
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 9))
    assert kl_divergence(a, b, "bernoulli") > 0  # a divergence; the published "sigmoid" is not one
    assert kl_divergence(np.full((3, 4), 2.0), np.full((3, 4), -2.0), "sigmoid") < 0


def test_inception_score_has_its_known_ends():
    sure = np.eye(10).repeat(20, axis=0) * 1000
    assert inception_score(sure, splits=1).mean == pytest.approx(10)
    assert inception_score(np.zeros((40, 10)), splits=4).mean == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_audio_distance(np.ones((1, 2)), np.ones((3, 2))), "at least 2 samples"),
        (lambda: kernel_audio_distance(np.ones((3, 2)), np.ones((3, 2))), "bandwidth is 0"),
        (lambda: kernel_audio_distance(np.eye(3), np.eye(3), kernel="cubic"), "unknown kernel"),
        (lambda: kl_divergence(np.eye(3), np.eye(4)), "pair row by row"),
        (lambda: kl_divergence(np.eye(3), np.eye(3), "tanh"), "unknown answers"),
        (lambda: inception_score(np.eye(3), splits=4), "cannot cut 3 samples into 4"),
        (lambda: median_pairwise_distance(np.ones((1, 2))), "at least 2 samples"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
