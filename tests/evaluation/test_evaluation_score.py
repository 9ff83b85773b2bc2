"""The score: exact on counts, blind to nothing, at chance where nothing fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world.audio_events import onsets
from phonofilm.evaluation.foley_world.benchmark import score_folder, self_test
from phonofilm.evaluation.foley_world.detect import PromptSpec, observe, outside
from phonofilm.evaluation.foley_world.metrics import METRICS, f1_counts, match, pooled, shuffled_sync, summarise, sync
from phonofilm.media import write_clip
from phonofilm.signals.loudness import loudness
from phonofilm.signals.onsets import detect_onsets, onset_agreement, onset_strength

TIMES = st.lists(st.floats(0, 4), max_size=8).map(sorted)


@pytest.fixture(scope="module")
def clips():
    truths = [world.sample(("bounce", "strike")[i % 2], 5_000_000 + i // 2) for i in range(12)]
    return world.clips(truths)


@pytest.fixture(scope="module")
def observed(clips):
    return [observe(clip, str(i), clip.events) for i, clip in enumerate(clips)]


@given(TIMES, TIMES, st.floats(0.01, 0.5))
def test_greedy_pairs_are_as_many_as_any_pairing_can_have(first, second, tolerance):
    pairs = match(first, second, tolerance)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    if first and second:
        near = np.abs(np.subtract.outer(first, second)) <= tolerance + 1e-9
        rows, columns = linear_sum_assignment(near, maximize=True)
        assert len(pairs) == near[rows, columns].sum()


def test_pooling_is_a_ratio_of_sums_and_its_interval_covers_it():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(60):
        wholes = rng.integers(1, 6, 60)
        value = pooled([(float(rng.binomial(n, 0.7)), float(n)) for n in wholes], seed=trial)
        inside += value.low <= 0.7 <= value.high
    assert inside >= 51  # 95 % nominal
    assert pooled([(1.0, 4.0), (3.0, 4.0)]).value == 0.5


def test_truth_scores_high_and_its_shuffled_control_low(observed):
    table = summarise(observed)["all"]
    for name in ("sync_f1_60ms", "material", "pitch", "melody", "pan_sign", "heard_vs_truth_f1_60ms"):
        assert table[name]["value"] >= 0.95, name
    assert table["silent"]["value"] == 0
    assert table["sync_f1_60ms_shuffled"]["value"] < 0.4
    assert set(table) <= {*METRICS, "sync_f1_60ms_shuffled"}


def test_late_sound_loses_its_sync(clips):
    late = []
    for clip in clips:
        shift = clip.sample_rate // 4
        delayed = np.concatenate([np.zeros((2, shift), np.float32), clip.waveform[:, :-shift]], 1)
        late.append(sync(observe(clip.with_(waveform=delayed)), 0.06))
    assert pooled(late).value < 0.3


def test_a_clip_without_sound_or_without_motion_counts_against_it(clips, observed):
    mute = observe(clips[0].with_(waveform=np.zeros_like(clips[0].waveform)))
    still = observe(clips[0].with_(frames=np.repeat(clips[0].frames[:1], 48, 0)))
    for broken in (mute, still):
        part, whole = sync(broken, 0.06)
        assert part == 0
        assert whole > 0
    assert METRICS["silent"](mute) == (1.0, 1.0)
    assert METRICS["colour"](replace(observed[0], colours=frozenset())) == (0.0, 1.0)


def test_the_wrong_note_and_the_wrong_side_are_noticed(observed):
    strike = next(o for o in observed if o.wanted.family == "strike" and len(o.sights) > 2)
    wrong = replace(strike, notes=tuple("C6" if n == "C5" else "C5" for n in strike.notes))
    assert METRICS["pitch"](wrong)[0] == 0
    mirrored = replace(strike, onsets=tuple(replace(o, pan=-o.pan) for o in strike.onsets))
    assert METRICS["pan_sign"](mirrored)[0] == 0


def test_prompts_are_read():
    assert PromptSpec.of("A red rubber ball and a blue wood box fall.") == PromptSpec(
        "bounce", ("red", "blue"), ("rubber", "wood")
    )
    assert PromptSpec.of("A mallet plays a wooden xylophone: red, pink.").family == "strike"


def test_loudness_of_a_full_scale_sine_is_the_standards():
    # BS.1770: a 997 Hz sine at 0 dBFS in one channel reads -3.01 LUFS
    wave = np.sin(2 * np.pi * 997 * np.arange(48_000 * 2) / 48_000).astype(np.float32)[None]
    assert loudness(wave, 48_000) == pytest.approx(-3.01, abs=0.05)
    assert loudness(np.zeros((2, 100), np.float32), 48_000) == -np.inf


def test_onsets_are_found_to_a_few_milliseconds_at_any_rate():
    for rate in (16_000, 44_100, 48_000):
        wave = np.zeros((2, rate * 2), np.float32)
        for time in (0.4, 1.0, 1.35):
            start = round(time * rate)
            t = np.arange(rate // 4) / rate
            wave[:, start : start + len(t)] += (0.4 * np.sin(2 * np.pi * 660 * t) * np.exp(-t / 0.05)).astype(
                np.float32
            )
        assert [o.time for o in onsets(wave, rate)] == pytest.approx([0.4, 1.0, 1.35], abs=0.008)


def test_both_detectors_agree_on_true_sounds_and_only_the_absolute_one_finds_nothing_in_noise(clips):
    for clip in clips[:4]:
        relative = detect_onsets(onset_strength(clip.waveform, clip.sample_rate))
        mine = [onset.time for onset in onsets(clip.waveform, clip.sample_rate)]
        assert onset_agreement(relative.clip(0), mine, 0.02).f1 > 0.9
    noise = 0.01 * np.random.default_rng(0).standard_normal((2, 64_000)).astype(np.float32)
    assert onsets(noise, 16_000) == []
    assert len(detect_onsets(onset_strength(noise, 16_000))) > 5


def test_self_test_passes_on_truth_and_fails_when_events_are_missed(observed):
    clicks = [replace(clip, onsets=()) for clip in observed]
    assert self_test(observed, clicks)["passed"]
    deaf = [replace(clip, onsets=clip.onsets[::2]) for clip in observed]
    assert not self_test(deaf, clicks)["passed"]


def test_a_folder_is_scored_from_its_files_and_bad_files_are_listed(tmp_path, clips):
    for index, clip in enumerate(clips[:4]):
        write_clip(clip, tmp_path / f"{index}.mp4")
    (tmp_path / "broken.mp4").write_text("not a film")
    told: list[tuple[str, int, int]] = []
    result = score_folder(tmp_path, reference=0, workers=1, progress=lambda *where: told.append(where))
    assert told == [*(("scoring", done, 5) for done in range(6)), ("drawing truth", 0, 0)]
    assert result["clips"] == 4
    assert [bad["file"] for bad in result["unreadable"]] == ["broken.mp4"]
    assert result["scores"]["all"]["sync_f1_60ms"]["value"] > 0.9
    assert result["scores"]["all"]["heard_vs_truth_f1_60ms"]["value"] > 0.9


def test_nothing_to_score_is_said_in_one_line(tmp_path):
    with pytest.raises(PhonofilmError, match="no clip in"):
        score_folder(tmp_path, reference=0)
    with pytest.raises(PhonofilmError, match="does not exist"):
        score_folder(tmp_path / "nowhere", reference=0)


def test_every_kind_of_film_is_scored_wherever_it_lies_and_hidden_files_are_not(tmp_path, clips):
    """A .m4v, a sub-folder, and what macOS leaves beside every file of a foreign disk."""
    truth, made = tmp_path / "truth", tmp_path / "made"
    for folder in (truth, made):
        (folder / "sub").mkdir(parents=True)
        write_clip(clips[0], folder / "a.m4v")
        write_clip(clips[1], folder / "sub" / "b.mkv")
        (folder / "._a.m4v").write_bytes(bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(64))
    told: list[tuple[str, int, int]] = []
    result = score_folder(made, truth, reference=2, workers=1, progress=lambda *where: told.append(where))
    assert ("reading truth", 2, 2) in told
    assert [where for where in told if where[0] == "drawing truth"] == [("drawing truth", done, 2) for done in range(3)]
    assert (result["clips"], result["unreadable"], result["unpaired"]) == (2, [], [])
    assert result["scores"]["all"]["heard_vs_truth_f1_60ms"]["clips"] == 2


@pytest.mark.parametrize("prompt", ["A dog barks at a passing train.", "Rain falls on a roof.", "A woman talks."])
def test_a_prompt_outside_the_families_has_no_score_and_says_why(clips, prompt):
    assert "outside the scored families" in (outside(clips[0].with_(prompt=prompt)) or "")


def test_without_a_prompt_the_picture_decides(clips):
    moving = np.roll(np.random.default_rng(0).integers(0, 255, (48, 64, 64, 3), np.uint8), 1, axis=0)
    assert outside(clips[0].with_(prompt=None)) is None
    assert observe(clips[0].with_(prompt=None)).wanted.family == "bounce"
    assert observe(clips[1].with_(prompt=None)).wanted.family == "strike"
    assert "no prompt" in (outside(clips[0].with_(prompt=None, frames=moving)) or "")


def test_a_folder_outside_the_families_is_no_score_but_one_line(tmp_path, clips):
    write_clip(clips[0].with_(prompt="A dog barks at a passing train."), tmp_path / "dog.mp4")
    with pytest.raises(PhonofilmError, match=r"can be scored: dog\.mp4: its prompt .* outside"):
        score_folder(tmp_path, reference=0, workers=1)
    write_clip(clips[0], tmp_path / "ball.mp4")
    result = score_folder(tmp_path, reference=0, workers=1)
    assert (result["clips"], [left["file"] for left in result["outside"]]) == (1, ["dog.mp4"])
    assert "sync_f1_60ms_shuffled" not in result["scores"]["all"]  # one clip has no other sound: no NaN in JSON


def test_a_few_equal_clips_have_a_wide_interval():
    for count, low in ((4, 0.398), (64, 0.944)):
        value = pooled([(6.0, 6.0)] * count)
        assert (value.value, value.high) == (1.0, 1.0)
        assert value.low == pytest.approx(low, abs=1e-3)  # Clopper and Pearson: 0.025^(1/n)


def test_counts_of_nothing_are_nothing():
    assert f1_counts([], [], 0.06) == (0.0, 0.0)
    assert np.isnan(pooled([]).value)
    assert np.isnan(shuffled_sync([]).value)
