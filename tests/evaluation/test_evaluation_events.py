import numpy as np
import pytest
from parity_files import answers

from phonofilm.evaluation.metrics.insertion_hallucination import (
    inserted_seconds,
    merged,
    sustained,
)
from phonofilm.signals.onsets import (
    detect_onsets,
    onset_agreement,
    onset_confidence,
    onset_scores,
    onset_strength,
    suppress,
)
from phonofilm.signals.sync.av_align import av_align, flow_peaks
from phonofilm.signals.sync.desync import GRID, desync, desync_expected, desync_offsets, segment_windows


@pytest.mark.parametrize("variant", ["tempotokens", "javisbench"])
def test_av_align_equals_both_published_variants(variant):
    known = answers("event_metrics")
    for case in known["av_align_iou"]:
        assert av_align(case["audio_peaks"], case["video_peaks"], case["fps"], variant) == pytest.approx(
            case[variant], rel=1e-12
        )
    for case in known["av_align_local_max"]:
        np.testing.assert_array_equal(flow_peaks(case["flow"], case["fps"], variant), case[variant])


def test_av_align_ends():
    assert av_align([1, 2, 3], [1, 2, 3], 25) == 1
    assert av_align([1, 2], [], 25) == 0
    assert av_align([1.04], [1.0], 25) == 0  # one frame away exactly is outside
    assert len(flow_peaks([1, 2], 25)) == 0
    with pytest.raises(ValueError, match="neither audio onsets nor flow peaks"):
        av_align([], [], 25)
    with pytest.raises(ValueError, match="unknown AV-Align variant"):
        av_align([1], [1], 25, "mine")
    with pytest.raises(ValueError, match="frame rate must be positive"):
        av_align([1], [1], 0)


def test_desync_grid_and_score():
    np.testing.assert_allclose(GRID, answers("event_metrics")["desync_grid"]["grid"], atol=1e-7)
    logits = np.full((3, 2, 21), -9.0)
    for row, (first, second) in enumerate([(10, 10), (8, 12), (0, 20)]):
        logits[row, 0, first] = logits[row, 1, second] = 9
    assert desync(logits) == pytest.approx((0 + 0 + 0.4 + 0.4 + 2 + 2) / 6)
    assert desync_offsets(logits).mean() == pytest.approx(0)  # signed offsets cancel: the score must not use them
    np.testing.assert_allclose(desync_expected(logits), desync_offsets(logits), atol=1e-4)
    between = np.zeros(21)
    between[[10, 11]] = 30
    assert desync_expected(between) == pytest.approx(0.1)
    assert [(w.start, w.stop) for w in segment_windows(24)] == [(0, 14), (10, 24)]
    with pytest.raises(ValueError, match=r"needs 14 segments \(4.8 s"):
        segment_windows(13)
    with pytest.raises(ValueError, match="must be"):
        desync(np.zeros((3, 20)))


def test_onset_scores_equal_the_reference():
    for case in answers("event_metrics")["onset_acc_ap"]:
        rate, made = case["sample_rate"], np.array(case["pred_onsets"])
        wave = np.zeros(44100)
        for onset, amplitude in zip(made, case["amplitudes"], strict=True):
            wave[onset : onset + 2000] += amplitude * np.exp(-np.arange(2000) / 300)
        trust = onset_confidence(wave, rate, made / rate)
        np.testing.assert_allclose(trust, case["amplitudes"])
        score = onset_scores(*_swap(suppress(made / rate, trust), np.array(case["true_onsets"]) / rate))
        assert score.accuracy == case["onset_acc"]
        assert score.average_precision == pytest.approx(case["onset_ap"])


def _swap(made, truth):
    return made[0], truth, made[1]


def test_missed_onsets_lower_the_precision():
    """CondFoleyGen stops at the last generated onset, so that one hit of four scores an AP of 1; right is 1/4."""
    score = onset_scores([1.0], [1.0, 2.0, 3.0, 4.0], [0.9])
    assert (score.accuracy, score.average_precision, score.same_count) == (0.25, 0.25, False)
    false_first = onset_scores([1.0, 9.0], [1.0], [0.5, 0.9])
    assert false_first.average_precision == pytest.approx(0.5)
    false_last = onset_scores([1.0, 9.0], [1.0], [0.9, 0.5])
    assert false_last.average_precision == pytest.approx(1)
    assert onset_scores([], [1.0], []).average_precision == 0
    assert onset_scores([1.125], [1.0], [1], delta=0.125).accuracy == 0  # exactly delta away is outside
    with pytest.raises(ValueError, match="without real onsets"):
        onset_scores([1.0], [], [1.0])
    with pytest.raises(ValueError, match="must pair"):
        onset_scores([1.0], [1.0], [])


def test_suppression_keeps_the_most_confident():
    times, trust = suppress([1.0, 1.02, 1.04, 1.08, 2.0], [0.2, 0.9, 0.5, 0.3, 0.1])
    np.testing.assert_allclose(times, [1.02, 1.08, 2.0])
    np.testing.assert_allclose(trust, [0.9, 0.3, 0.1])


def test_agreement_finds_the_most_pairs():
    both = onset_agreement([1.0, 1.05], [1.04, 1.1], 0.06)
    assert (both.precision, both.recall, both.f1) == (1, 1, 1)
    np.testing.assert_allclose(both.errors, [-0.04, -0.05])
    assert onset_agreement([], []).f1 == 1
    assert onset_agreement([1.0], []).f1 == 0
    some = onset_agreement([1.0, 2.0, 3.0], [1.01, 5.0], 0.06)
    assert (some.precision, some.recall) == (pytest.approx(1 / 3), 0.5)


def struck(times, rate=16_000, seconds=6, gains=None):
    t = np.arange(rate * seconds) / rate
    wave = np.zeros_like(t)
    for i, hit in enumerate(times):
        after = np.maximum(t - hit, 0)
        gain = 1 if gains is None else gains[i]
        wave += gain * (t >= hit) * np.sin(2 * np.pi * (500 + 70 * i) * after) * np.exp(-9 * after)
    return wave


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_onsets_are_found_where_they_are_however_loud(rate):
    truth = np.array([0.4031, 1.11, 1.9277, 2.85, 3.4444, 4.2, 5.001])
    wave = struck(truth, rate, gains=[1, 0.1, 0.5, 0.05, 1, 0.2, 0.7])
    found = onset_agreement(detect_onsets(onset_strength(wave, rate)), truth, 0.02)
    assert found.f1 == 1
    assert abs(found.errors.mean()) < 0.002
    assert np.abs(found.errors).max() < 0.005


def test_onsets_hear_every_channel():
    wave = struck([1.0, 2.5])
    silence = np.zeros_like(wave)
    for stereo in ([silence, wave], [wave, silence], [wave, -wave]):  # the last one cancels in a downmix
        np.testing.assert_allclose(detect_onsets(onset_strength(np.array(stereo), 16_000)), [1.0, 2.5], atol=0.004)
    assert len(detect_onsets(onset_strength(silence, 16_000))) == 0
    with pytest.raises(ValueError, match="waveform must be"):
        onset_strength(np.zeros((2, 0)), 16_000)


def test_what_sounds_once_is_not_sustained():
    ring = np.zeros(20)
    ring[9] = 1.0
    assert sustained(ring, 10.5, 0.48, 0.975, 2.4, 0.5) == []
    lasting = np.zeros(20)
    lasting[:10] = 0.9
    ((begin, end),) = sustained(lasting, 10.5, 0.48, 0.975, 2.4, 0.5)
    assert begin == 0
    assert end == pytest.approx(0.975 / 2 + 9.5 * 0.48)  # half way from the last patch of it to the first without
    assert sustained(np.ones(20), 10.5, 0.48, 0.975, 2.4, 0.5) == [(0.0, 10.5)]
    assert sustained([0.9], 0.7, 0.48, 0.975, 2.4, 0.5) == [(0.0, 0.7)]  # a clip shorter than a patch


def test_insertion_is_what_nothing_explains():
    assert merged([(2, 3), (0, 1), (0.5, 1.5), (9, 12), (4, 4)], 10) == [(0, 1.5), (2, 3), (9, 10)]
    assert inserted_seconds([(0, 4), (3, 6)], [(1, 2), (1.5, 3)], 10) == pytest.approx(4)
    assert inserted_seconds([], [], 10) == 0
    for share in np.linspace(0, 1, 5):  # the injected share comes out
        assert inserted_seconds([(0, 10)], [(10 * share, 10)], 10) == pytest.approx(10 * share)
    with pytest.raises(ValueError, match="ends before it starts"):
        merged([(2, 1)], 3)
