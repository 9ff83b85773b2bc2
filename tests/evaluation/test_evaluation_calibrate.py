"""The instrument that measures the instruments: films cut to the sample, shapes judged, a quick run that must hold."""

from dataclasses import replace

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.calibration import sources
from phonofilm.evaluation.calibration.curves import apart, flat, linear, monotone
from phonofilm.evaluation.calibration.perturbations import KNOBS
from phonofilm.evaluation.calibration.sample_size import size_curves
from phonofilm.evaluation.calibration.verdicts import REACH
from phonofilm.signals.camera_motion import camera_shift, coarse, shot_cuts, translated
from phonofilm.signals.sync.alignment import SPEEDS

pytest.importorskip("pymunk")


@pytest.fixture(scope="module")
def film():
    return sources.reel("strike", 0)


def test_shifted_sound_is_cut_from_the_film_and_never_padded(film):
    early = sources.cut(film, early=0.5)
    first = round((sources.START + 0.5) * sources.SAMPLE_RATE)
    np.testing.assert_array_equal(early.waveform, film.waveform[:, first : first + 160_000])
    assert len(early.frames) == 250
    with pytest.raises(ValueError, match="not in the film"):
        sources.cut(film, early=-3)
    with pytest.raises(ValueError, match="are not in a film"):
        sources.cut(film, start=15)


def test_sound_at_another_speed_keeps_its_length(film):
    fast = sources.heard(film, 1.0, 5.0, 1.5)
    assert fast.shape == (2, 80_000)
    with pytest.raises(ValueError, match="not in the film"):
        sources.heard(film, 10.0, 10.0, 1.75)


def test_cuts_of_a_reel_are_found_and_impacts_are_none(film):
    rng = np.random.default_rng([0, 1])  # as the reel draws its shots
    lengths, time = [], 0
    while time < sources.LENGTH * sources.FPS:
        lengths.append(int(rng.integers(sources.SHOTS[0], sources.SHOTS[1] + 1)))
        rng.integers(2**31)
        time += lengths[-1]
    images = sources.framed(film).frames.mean(-1, dtype=np.float32) / 255
    assert set(shot_cuts(images)) == set(np.cumsum(lengths)[:-1])


def test_a_cut_between_like_scenes_is_found_in_a_shaken_picture():
    ground = np.full((64, 64), 0.3, np.float32)
    ground[52:] = 0.45
    rng = np.random.default_rng(3)
    images = []
    for index in range(40):
        scene = ground + (0.02 if index >= 20 else 0.0)
        y, x = rng.integers(-2, 3, 2)
        scene = np.roll(scene, (y, x), (0, 1))
        scene[:4], scene[-4:] = scene[4], scene[-5]
        images.append(scene)
    images = np.stack(images)
    before, after = images[:-1], images[1:]
    steady = coarse(translated(after, camera_shift(before, after)) - before)
    assert list(shot_cuts(images, steady)) == [20]
    assert list(shot_cuts(images)) == []


def test_the_shake_of_a_camera_is_found_within_a_fifth_of_a_pixel(film):
    still = sources.cut(film, seconds=2.0)
    shaken = sources.framed(still, jitter=2.0, seed=1).frames[..., 0].astype(np.float32) / 255
    ways = np.random.default_rng(1).uniform(-2, 2, (50, 2))
    found = camera_shift(shaken[:-1], shaken[1:])
    assert np.median(np.abs(found - np.diff(ways, axis=0)[:, ::-1])) < 0.2
    square = np.zeros((2, 64, 64), np.float32)
    square[0, 20:30, 20:30] = square[1, 20:30, 22:32] = 1
    assert np.abs(camera_shift(square[:1], square[1:])).max() < 0.2  # a lone object on a bare ground


def test_translation_undoes_a_shift():
    picture = np.random.default_rng(0).random((1, 32, 32)).astype(np.float32)
    moved = np.roll(picture, (2, -3), axis=(1, 2))
    back = translated(moved, np.array([[-3.0, 2.0]], np.float32))
    np.testing.assert_allclose(back[:, 4:-4, 4:-4], picture[:, 4:-4, 4:-4], atol=1e-6)


def test_shapes_are_judged():
    x = np.arange(10.0)
    assert linear(x, x + 0.1, 0.02, 1, 1).passed
    assert not linear(x, 1.1 * x, 0.02, 1, 1).passed
    assert not linear(x, x + 2, 0.02, 1, 1).passed
    assert monotone(x, x**2, 1).passed
    assert not monotone(x, x**2, -1).passed
    assert not monotone(x, np.ones(10), 1).passed
    assert flat(x, 4.5, 5).passed
    assert not flat(x, 0, 5).passed
    assert apart([0.9, 0.8], [0.5], "higher").passed
    assert not apart([0.9, 0.8], [0.5], "lower").passed


def test_every_speed_that_is_judged_is_one_that_is_tried():
    for knob in KNOBS:
        if "drift, signed" not in knob.asks:
            continue
        judged = np.array([level for level in knob.levels if abs(level) < REACH["drift, signed"]])
        speeds = np.log1p(judged) * (1 if knob.name == "audio speed" else -1)
        assert SPEEDS.min() < speeds.min() < speeds.max() < SPEEDS.max()


def test_distances_of_one_distribution_do_as_they_must():
    curves = {curve.metric: curve for curve in size_curves(quick=True)}
    assert curves.keys() == {"FAD", "FAD-∞", "KAD", "KID"}
    assert all(curve.verdict.passed for curve in curves.values())


def test_a_quick_calibration_holds_and_goes_on_where_it_was(tmp_path):
    from phonofilm.evaluation.calibration.plan import Settings
    from phonofilm.evaluation.calibration.run import calibrate

    names = ("offset", "drift", "onset–motion F1", "pan error", "FAD[log-mel]", "KAD[log-mel]",
             "FAD[log-mel, stereo]", "FD[places]")  # fmt: skip
    settings = Settings(metrics=names, seeds=2, quick=True, cache=tmp_path)
    result = calibrate(settings)
    musts = {(curve["metric"], curve["knob"]) for curve in result["curves"] if curve["must"]}
    assert {("offset, signed", "offset"), ("drift, signed", "audio speed"), ("KAD", "N")} <= musts
    assert {("FAD[log-mel]", "noise"), ("KAD[log-mel]", "noise")} <= musts
    assert {("FAD[log-mel, stereo]", "ears"), ("FD[places]", "ears")} <= musts
    assert [c for c in result["curves"] if c["must"] and not c["verdict"]["passed"]] == []
    assert result["passed"]
    row = result["offset"][0]
    assert row["estimates"] == 2 * 8
    assert abs(row["bias"]) < 10
    stages = []
    less = replace(settings, metrics=names[:4])  # without distances, whose curves over N are drawn anew each time
    again = calibrate(less, lambda stage, done, total: stages.append((stage, done, total)))
    assert again["offset"] == result["offset"]
    assert again["curves"] == [c for c in result["curves"] if c["metric"][:3] not in ("FAD", "KAD", "FD[")]
    assert ("turning knobs", 0, 0) in stages  # all of it was in the cache


def test_a_metric_that_cannot_run_says_why(tmp_path):
    from phonofilm.evaluation.calibration.plan import Settings
    from phonofilm.evaluation.calibration.run import calibrate

    result = calibrate(Settings(metrics=("FVD",), seeds=4, quick=True, cache=tmp_path))
    assert result["not_run"] == {"FVD": "needs the weights of i3d"}


def test_a_film_that_is_too_short_is_refused(tmp_path):
    from phonofilm.evaluation.calibration.plan import Settings
    from phonofilm.evaluation.calibration.run import calibrate
    from phonofilm.media import write_clip

    path = write_clip(sources.cut(sources.reel("bounce", 1), seconds=2.0), tmp_path / "short.mkv")
    with pytest.raises(PhonofilmError, match=r"short\.mkv is too short"):
        calibrate(Settings(metrics=("offset",), seeds=4, quick=True, films=(path,), cache=tmp_path))
