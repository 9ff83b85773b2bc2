"""Marks: found where they are, after codecs, crops and changes of speed; not found elsewhere; given parts untouched."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from phonofilm.provenance.watermark.given import Made, made_of, mark_clip, mark_pieces
from phonofilm.provenance.watermark.picture import find_in_picture, mark_frames
from phonofilm.provenance.watermark.signs import PUBLIC, best_sum, signs
from phonofilm.provenance.watermark.sound import find_in_sound, mark_sound
from phonofilm.types import Clip, Request

RATE, FPS, KEYS = 24_000, Fraction(24), (PUBLIC, b"private")


def rain(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """Noise that swells, with a struck tone, float32 [2, N]."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    noise = 0.03 * random.standard_normal((2, len(times))) * (1.2 + np.sin(2 * np.pi * times))
    tone = 0.3 * np.exp(-3 * (times % 1.0)) * np.sin(2 * np.pi * 700 * times)
    return (noise + tone).astype(np.float32)


def room(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """A still background with texture and a disc that moves, uint8 [T, 128, 128, 3]."""
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 180, (16, 16, 3), np.uint8)
    wall = np.asarray(Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC), np.int16)
    wall = wall + random.integers(-6, 7, wall.shape)
    frames = np.empty((round(seconds * 24), 128, 128, 3), np.uint8)
    y, x = np.mgrid[:128, :128]
    for number, frame in enumerate(frames):
        frame[:] = np.clip(wall, 0, 255)
        frame[(y - 64) ** 2 + (x - 20 - number) ** 2 < 200] = (200, 40, 40)
    return frames


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return rain()


@pytest.fixture(scope="module")
def marked_sound(sound: np.ndarray) -> np.ndarray:
    return sound + mark_sound(sound, RATE, KEYS)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return room()


@pytest.fixture(scope="module")
def marked_frames(frames: np.ndarray) -> np.ndarray:
    return mark_frames(frames, FPS, KEYS)


def test_signs_are_fair_and_lasting() -> None:
    drawn = signs(PUBLIC, "sound", (64, 50))
    assert set(np.unique(drawn)) == {-1, 1}
    assert abs(drawn.mean()) < 0.06
    # films of today must be found in thirty years: these never change
    assert "".join("+-"[int(one < 0)] for one in drawn[0, :16]) == "+++-+-++++++-+-+"
    assert not np.array_equal(drawn, signs(b"another", "sound", (64, 50)))


def test_the_best_sum_is_that_of_the_right_shift() -> None:
    table = signs(b"key", "test", (6, 5))
    features = np.stack([np.random.default_rng(0).standard_normal((6, 5)), np.roll(table, 2, axis=0)])
    assert best_sum(features, table, (0,)) == pytest.approx(np.sqrt(30), rel=1e-5)
    naive = max((features[0] * np.roll(table, shift, axis=0)).sum() for shift in range(6)) / np.linalg.norm(features[0])
    assert best_sum(features[:1], table, (0,)) == pytest.approx(naive, rel=1e-5)


def test_random_keys_stay_below_what_hoeffding_allows(sound: np.ndarray) -> None:
    scores = [find_in_sound(sound, RATE, b"%d" % number) for number in range(60)]
    assert max(one.score for one in scores) < scores[0].threshold
    assert max(one.score for one in scores) > 0.4 * scores[0].threshold  # it is the largest of many alignments


def test_sound_is_found_with_either_key_and_with_no_other(marked_sound: np.ndarray, sound: np.ndarray) -> None:
    assert all(find_in_sound(marked_sound, RATE, key).present for key in KEYS)
    assert not find_in_sound(marked_sound, RATE, b"another").present
    assert not find_in_sound(sound, RATE, PUBLIC).present
    change = 10 * np.log10(((marked_sound - sound) ** 2).sum() / (sound**2).sum())
    assert change < -15


def test_sound_is_found_after_aac_speed_cut_and_resampling(marked_sound: np.ndarray) -> None:
    times = np.arange(int(marked_sound.shape[1] / 1.01)) * 1.01
    fast = np.stack([np.interp(times, np.arange(marked_sound.shape[1]), one) for one in marked_sound])
    attacked = {
        "aac": aac(marked_sound),
        "speed": fast.astype(np.float32),
        "cut": 0.3 * marked_sound[:, 7777:-2000],
        "rate": marked_sound[:, ::1][:, : marked_sound.shape[1] // 2 * 2].reshape(2, -1, 2).mean(-1),
    }
    rates = dict.fromkeys(attacked, RATE) | {"rate": RATE // 2}
    scores = {name: find_in_sound(found, rates[name], PUBLIC) for name, found in attacked.items()}
    assert {name for name, one in scores.items() if one.present} == set(attacked), scores


def test_the_volume_makes_no_difference() -> None:
    marked = rain(4.0)
    marked = marked + mark_sound(marked, RATE, KEYS)
    loud, soft = (find_in_sound(gain * marked, RATE, PUBLIC).score for gain in (0.5, 0.0005))
    assert loud > 8
    assert abs(loud - soft) < 0.1


def test_silence_stays_silent_and_cannot_be_looked_into() -> None:
    silence = np.zeros((2, 2 * RATE), np.float32)
    assert not mark_sound(silence, RATE, KEYS).any()
    assert find_in_sound(silence, RATE, PUBLIC).reason == "there is no sound"
    late = silence.copy()
    late[:, RATE:] = rain(1.0)
    assert not mark_sound(late, RATE, KEYS)[:, : RATE - 3000].any()  # nothing is heard before anything was


def test_pieces_are_marked_like_the_whole() -> None:
    whole = rain(6.0)
    pieces = [Clip(waveform=part, sample_rate=RATE) for part in np.split(whole, [50_000, 99_001], axis=1)]
    together = np.concatenate([one.waveform for one in mark_pieces(iter(pieces), KEYS)], axis=1)
    assert together.shape == whole.shape
    assert all(find_in_sound(together, RATE, key).present for key in KEYS)


def test_the_picture_is_found_and_changed_by_42_db_or_less(frames: np.ndarray, marked_frames: np.ndarray) -> None:
    assert all(find_in_picture(marked_frames, FPS, key).present for key in KEYS)
    assert not find_in_picture(marked_frames, FPS, b"another").present
    assert not find_in_picture(frames, FPS, PUBLIC).present
    error = ((marked_frames.astype(np.float32) - frames) ** 2).mean()
    assert 10 * np.log10(255**2 / error) >= 42


def test_the_picture_is_found_after_h264_and_a_crop(marked_frames: np.ndarray) -> None:
    assert find_in_picture(h264(marked_frames), FPS, PUBLIC).present
    cropped = marked_frames[:, 7:122, 4:119]
    assert find_in_picture(cropped, FPS * Fraction(101, 100), PUBLIC).present


def test_the_picture_is_found_in_a_mirror(frames: np.ndarray, marked_frames: np.ndarray) -> None:
    mirrored = marked_frames[:, 3:, ::-1]
    assert find_in_picture(mirrored, FPS, PUBLIC).present
    assert not find_in_picture(mirrored, FPS, b"another").present
    assert not find_in_picture(frames[:, :, ::-1], FPS, PUBLIC).present


@pytest.mark.parametrize(
    ("shape", "fps", "reason"),
    [((48, 40, 40, 3), 24, "smaller"), ((12, 64, 64, 3), 24, "shorter"), ((48, 64, 64, 3), 4, "fewer")],
)
def test_it_is_said_why_a_picture_cannot_be_looked_into(shape: tuple[int, ...], fps: int, reason: str) -> None:
    found = find_in_picture(np.zeros(shape, np.uint8), Fraction(fps), PUBLIC)
    assert reason in found.reason
    assert not found.present


def test_a_small_picture_without_a_mark_proves_nothing_and_a_large_one_does(frames: np.ndarray) -> None:
    small = find_in_picture(np.ascontiguousarray(frames[:, ::2, ::2]), FPS, PUBLIC)
    assert not small.present
    assert "64x64" in small.unsure
    assert find_in_picture(frames, FPS, PUBLIC).unsure == ""


def test_what_was_given_keeps_every_bit(frames: np.ndarray, sound: np.ndarray) -> None:
    source = Clip(frames, FPS, sound[:, : 3 * RATE], RATE)
    new = frames.copy()
    new[24:48] = room(1.0, seed=5)
    heard = sound[:, : 3 * RATE].copy()
    heard[:, RATE : 2 * RATE] = rain(1.0, seed=6)
    clip = source.with_(frames=new, waveform=heard)
    made = made_of(clip, Request(task="retake", span=(1.0, 2.0), source=source))
    assert made == Made((24, 48), (RATE, 2 * RATE), (), True)
    marked = mark_clip(clip, made, KEYS)
    assert np.array_equal(marked.frames[:24], frames[:24])
    assert np.array_equal(marked.frames[48:], frames[48:])
    assert not np.array_equal(marked.frames[24:48], new[24:48])
    kept = np.ones(3 * RATE, bool)
    kept[RATE : 2 * RATE] = False
    assert np.array_equal(marked.waveform[:, kept], heard[:, kept])
    assert not np.array_equal(marked.waveform, heard)


def test_given_stems_keep_every_bit_and_the_mix_is_their_sum(sound: np.ndarray) -> None:
    words, effects = rain(4.0, seed=7), sound
    clip = Clip(waveform=words + effects, sample_rate=RATE, stems={"speech": words, "effects": effects})
    given = {"speech": Clip(waveform=words, sample_rate=RATE)}
    marked = mark_clip(clip, made_of(clip, Request(prompt="rain", given_stems=given)), KEYS)
    assert np.array_equal(marked.stems["speech"], words)
    assert not np.array_equal(marked.stems["effects"], effects)
    assert marked.waveform == pytest.approx(marked.stems["speech"] + marked.stems["effects"], abs=1e-6)


def test_of_an_animated_sound_the_picture_alone_is_marked(frames: np.ndarray, sound: np.ndarray) -> None:
    source = Clip(waveform=sound[:, : 3 * RATE], sample_rate=RATE)
    clip = source.with_(frames=frames, fps=FPS)
    image = frames[0]
    made = made_of(clip, Request(task="animate", source=source, image=image))
    assert made.streams == ("picture",)
    marked = mark_clip(clip, made, KEYS)
    assert marked.waveform is clip.waveform
    assert np.array_equal(marked.frames[0], image)


def aac(samples: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = 96_000
        for start in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return np.concatenate([frame.to_ndarray() for frame in source.decode(audio=0)], axis=1)


def h264(frames: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        for pixels in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])
