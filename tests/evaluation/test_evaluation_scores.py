import numpy as np
import pytest

from phonofilm.evaluation.metrics import embedding_similarity, vbench
from phonofilm.evaluation.metrics.word_error_rate import normal_words, quoted_words, word_errors


def test_cosine_scores_by_hand():
    text, frames = np.array([1.0, 0.0]), np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    assert embedding_similarity.clip_score(frames, text) == pytest.approx((1 + 0 + np.sqrt(0.5)) / 3)
    assert embedding_similarity.avh_score(text, frames) == embedding_similarity.clip_score(frames, text)
    a, b = np.eye(4)[:3], np.eye(4)[[0, 3, 3]]
    for score in (
        embedding_similarity.clap_score,
        embedding_similarity.clap_audio_score,
        embedding_similarity.imagebind_score,
    ):
        assert score(a, b) == pytest.approx(1 / 3)
        assert score(5 * a, b) == pytest.approx(1 / 3)  # length of an embedding does not count


def test_shuffling_pairs_lowers_a_semantic_score_in_proportion():
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(400, 64))
    video = audio + 0.3 * rng.normal(size=audio.shape)
    scores = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        order = np.arange(400)
        order[: int(400 * share)] = np.roll(order[: int(400 * share)], 1)
        scores.append(embedding_similarity.imagebind_score(audio, video[order]))
    np.testing.assert_allclose(scores, np.linspace(scores[0], scores[-1], 5), atol=0.02)
    assert abs(scores[-1]) < 0.02


def test_cosines_refuse_what_has_no_direction():
    with pytest.raises(ValueError, match="all zeros"):
        embedding_similarity.clap_score(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="pair row by row"):
        embedding_similarity.clap_score(np.ones((2, 3)), np.ones((3, 3)))


def test_javis_score_takes_the_worst_frames_of_each_window():
    audio = np.array([[1.0, 0], [0, 1.0]])
    angles = np.arccos([[0.1, 0.9, 0.5, 0.3, 0.7], [0.2, 0.4, 0.6, 0.8, 1.0]])
    video = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    video[1] = video[1, :, ::-1]
    assert embedding_similarity.javis_score(audio, video) == pytest.approx((0.2 + 0.3) / 2)
    assert embedding_similarity.javis_score(audio, video, 0.01) == pytest.approx(0.15)
    assert embedding_similarity.javis_windows(100, 24) == [(0, 48), (12, 60), (24, 72), (36, 84), (48, 96), (52, 100)]
    assert embedding_similarity.javis_windows(20, 24) == [(0, 20)]
    assert embedding_similarity.javis_windows(96, 24, 2, 0) == [(0, 48), (48, 96)]
    with pytest.raises(ValueError, match="do not fit"):
        embedding_similarity.javis_score(audio, video[:1])
    with pytest.raises(ValueError, match="no windows"):
        embedding_similarity.javis_windows(100, 24, 1, 1)


def film(count=9, size=24):
    """A smooth wave that glides to the right, uint8 [T, H, W, 3]."""
    x = np.arange(size)
    rows = [127 + 100 * np.sin(2 * np.pi * (x - 2 * t) / size) for t in range(count)]
    return np.repeat(np.tile(np.array(rows)[:, None], (1, size, 1))[..., None], 3, axis=-1).astype(np.uint8)


def test_flicker_and_smoothness():
    still = np.full((5, 8, 8, 3), 90, np.uint8)
    assert vbench.temporal_flicker(still) == 1
    blinking = still.copy()
    blinking[1::2] += 51
    assert vbench.temporal_flicker(blinking) == pytest.approx(1 - 51 / 255)

    def average(a, b):
        return (a.astype(float) + b) / 2

    assert vbench.motion_smoothness(still, average) == 1
    assert vbench.motion_smoothness(blinking, average) == pytest.approx(1 - 51 / 255)
    smooth = vbench.motion_smoothness(film(), average)
    jerky = film()
    jerky[3] = jerky[0]
    assert vbench.motion_smoothness(jerky, average) < smooth
    with pytest.raises(ValueError, match="at least 3 frames"):
        vbench.motion_smoothness(still[:2], average)
    with pytest.raises(ValueError, match="interpolator returned"):
        vbench.motion_smoothness(still, lambda a, b: a[:2])
    with pytest.raises(ValueError, match=r"\[T, H, W, 3\]"):
        vbench.temporal_flicker(np.zeros((3, 8, 8)))


def test_flicker_of_8_bit_frames_does_not_wrap():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0] = 255
    assert vbench.temporal_flicker(frames) == 0
    assert vbench.temporal_flicker(frames[::-1]) == 0


def test_dynamic_degree_needs_fast_pixels_in_enough_frames():
    flow = np.zeros((15, 256, 256, 2), np.float32)
    assert not vbench.dynamic_degree(flow)
    flow[:3, :60, :60, 0] = 7  # 5.5 % of the picture, 3 of 16 frames
    assert not vbench.dynamic_degree(flow)
    flow[3, :60, :60, 1] = -7
    assert vbench.dynamic_degree(flow)
    np.testing.assert_allclose(vbench.flow_strength(flow)[:5], [7, 7, 7, 7, 0])
    with pytest.raises(ValueError, match="flow must be"):
        vbench.flow_strength(np.zeros((3, 8, 8)))


def test_consistency():
    assert vbench.consistency(np.ones((5, 3))) == pytest.approx(1)
    turned = np.array([[1.0, 0], [0, 1], [-1, 0]])
    assert vbench.consistency(turned) == 0  # negative cosines count as 0
    assert vbench.consistency([[1, 0], [1, 1]]) == pytest.approx(np.sqrt(0.5))
    with pytest.raises(ValueError, match="at least 2 samples"):
        vbench.consistency(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("said", "meant", "counts"),
    [
        ("The cat sat.", "the cat sat", (0, 0, 0)),
        ("the cat", "the cat sat", (0, 1, 0)),
        ("the big cat sat", "the cat sat", (0, 0, 1)),
        ("a cat sat", "the cat sat", (1, 0, 0)),
        ("", "the cat sat", (0, 3, 0)),
        ("it's fine — isn’t it?", "It’s fine, isn't it", (0, 0, 0)),
    ],
)
def test_word_errors(said, meant, counts):
    found = word_errors(said, meant)
    assert (found.substitutions, found.deletions, found.insertions) == counts


def test_words_that_count_are_those_in_quotes():
    assert normal_words("Über-cool 3 times_now!") == ["über", "cool", "3", "times", "now"]
    assert quoted_words('A man says "Good morning" and then “well, bye”.') == "Good morning well, bye"
