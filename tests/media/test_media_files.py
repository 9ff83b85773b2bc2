"""What is written is what was made, and a bad file is told in one line."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import flash_and_beep, noise
from PIL import Image

from phonofilm.errors import PhonofilmError
from phonofilm.media import (
    FORMATS,
    check_output,
    left_out,
    probe,
    provenance,
    read_clip,
    read_image,
    read_metadata,
    stored_size,
    write_clip,
)
from phonofilm.media.sheet import sheet
from phonofilm.types import Clip, Event

MADE_BY = provenance(prompt='a "quoted" ball, ünïcode {x} 球', seed=7, model="nano", weights="abc123", steps=24)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 30, 90], [10, 200, 220]])


def bt709(rgb: np.ndarray) -> np.ndarray:
    """Y'CbCr of 8-bit R'G'B', limited range (ITU-R BT.709-6, sections 3.2 to 3.4)."""
    r, g, b = (rgb / 255).T
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return np.stack([16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748], axis=-1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_file_says_what_made_it(tmp_path: Path, suffix: str) -> None:
    events = (
        Event(0.5, "impact", box=(0.1, 0.2, 0.3, 0.4), pan=-0.5, loudness=-12.0, label="wood"),
        Event(1.0, "drop"),
    )
    clip = flash_and_beep().with_(metadata=MADE_BY, prompt=MADE_BY["prompt"], events=events)
    path = write_clip(clip, tmp_path / f"clip{suffix}", metadata={"recipe": "nano.toml"})
    said = read_metadata(path)
    assert {**MADE_BY, "recipe": "nano.toml"}.items() <= said.items()
    assert said["ai_generated"] == "true"
    assert b"AI-generated" in path.read_bytes()
    read = read_clip(path)
    assert (read.prompt, read.events) == (clip.prompt, events)
    assert MADE_BY.items() <= read.metadata.items()


def test_what_was_not_generated_does_not_say_so(tmp_path: Path) -> None:
    path = write_clip(flash_and_beep(), tmp_path / "clip.mp4")
    assert b"AI-generated" not in path.read_bytes()
    assert "ai_generated" not in read_metadata(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_clip_same_bytes(tmp_path: Path, suffix: str) -> None:
    first = write_clip(flash_and_beep(), tmp_path / f"a{suffix}").read_bytes()
    assert write_clip(flash_and_beep(), tmp_path / f"b{suffix}").read_bytes() == first


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_are_converted_and_tagged_as_bt709(tmp_path: Path, suffix: str) -> None:
    frames = np.broadcast_to(COLOURS[:, None, None].astype(np.uint8), (len(COLOURS), 32, 32, 3)).copy()
    path = write_clip(Clip(frames, Fraction(1)), tmp_path / f"clip{suffix}")
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1)
        if suffix == ".mp4":
            assert (context.color_primaries, context.color_trc, context.pix_fmt) == (1, 1, "yuv420p")
        coded = np.stack([[p.mean() for p in _planes(frame)] for frame in container.decode(video=0)])
    np.testing.assert_allclose(coded, bt709(COLOURS), atol=1.5)
    read = read_clip(path).frames.mean(axis=(1, 2))
    np.testing.assert_allclose(read, COLOURS, atol=4)


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    flat = frame.to_ndarray()
    height, width = frame.height, frame.width
    chroma = flat[height:].reshape(2, height // 2, width // 2)
    return [flat[:height], chroma[0], chroma[1]]


def test_matroska_is_lossless(tmp_path: Path) -> None:
    clip = noise()
    read = read_clip(write_clip(clip, tmp_path / "clip.mkv"))
    assert np.array_equal(read.frames, clip.frames)
    assert np.array_equal(read.waveform, clip.waveform)


def test_no_encoder_runs_before_all_other_processes(tmp_path: Path) -> None:
    """The AV1 encoder asks for real time where it may, as root may in a container."""
    policy = getattr(os, "sched_getscheduler", lambda process: None)  # not on every system
    before = policy(0)
    write_clip(Clip(frames=np.zeros((4, 64, 64, 3), np.uint8), fps=Fraction(8)), tmp_path / "a.webm", codec="av1")
    assert policy(0) == before


def test_av1(tmp_path: Path) -> None:
    clip = flash_and_beep(size=128)
    path = write_clip(clip, tmp_path / "clip.webm", codec="av1")
    assert "av1" in probe(path).video_codec
    assert int(read_clip(path).frames.mean(axis=(1, 2, 3)).argmax()) == 12
    with pytest.raises(PhonofilmError, match="has a choice"):
        write_clip(clip, tmp_path / "clip.mp4", codec="av1")


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".wav"])
def test_channels_keep_their_places(tmp_path: Path, suffix: str, channels: int) -> None:
    t = np.arange(48_000) / 48_000
    tones = np.stack([0.3 * np.sin(2 * np.pi * (60 + 20 * c) * t) for c in range(channels)]).astype(np.float32)
    read = read_clip(write_clip(Clip(waveform=tones, sample_rate=48_000), tmp_path / f"clip{suffix}"))
    assert len(read.waveform) == channels
    likeness = np.corrcoef(tones, read.waveform[:, : tones.shape[1]])[:channels, channels:]
    assert (likeness.diagonal() > 0.98).all()
    assert len(read_clip(tmp_path / f"clip{suffix}", channels=1).waveform) == 1
    assert read_clip(tmp_path / f"clip{suffix}", channels=2, sample_rate=16_000).waveform.shape == (2, 16_000)


def test_picture_or_sound_alone(tmp_path: Path) -> None:
    clip = flash_and_beep()
    silent = read_clip(write_clip(clip.with_(waveform=None, sample_rate=None), tmp_path / "a.mp4"))
    assert (silent.waveform, silent.sample_rate, len(silent.frames)) == (None, None, 24)
    sound = read_clip(write_clip(clip.with_(frames=None, fps=None), tmp_path / "b.mp4"))
    assert (sound.frames, sound.fps, sound.sample_rate) == (None, None, 16_000)
    info = probe(tmp_path / "a.mp4")
    assert (info.size, info.fps, info.seconds, info.audio_codec) == ((64, 64), 12, 2.0, None)


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    read = read_clip(write_clip(noise(width=49, height=33), tmp_path / "odd.mp4"))
    assert read.frames.shape[1:3] == (34, 50)
    assert read_clip(write_clip(noise(width=49, height=33), tmp_path / "odd.mkv")).frames.shape[1:3] == (33, 49)
    assert (stored_size("odd.mp4", (49, 33)), stored_size("odd.mkv", (49, 33))) == ((50, 34), (49, 33))
    (line,) = left_out(noise(width=49, height=33), "odd.mp4")
    assert line == "odd.mp4: .mp4 needs even sides, so 49x33 is written as 50x34; .mkv keeps the size"
    assert left_out(noise(width=49, height=33), "odd.mkv") == left_out(noise(width=48, height=32), "a.mp4") == []


def test_rates_that_aac_lacks_are_raised(tmp_path: Path) -> None:
    read = read_clip(write_clip(flash_and_beep(sample_rate=18_000), tmp_path / "clip.mp4"))
    assert (read.sample_rate, read.waveform.shape[1]) == (22_050, 44_100)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotated_film_is_upright(tmp_path: Path, turn: int) -> None:
    upright = np.zeros((3, 32, 48, 3), np.uint8)
    upright[:, :16, :24] = 255  # white corner at the top left
    stored = np.rot90(upright, -turn // 90, axes=(1, 2))
    with av.open(tmp_path / "turned.mp4", "w") as output:
        stream = output.add_stream("libx264", rate=12, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *stored.shape[1:3], "yuv420p"
        stream.set_display_rotation(turn)
        for frame in stored:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        output.mux(stream.encode(None))
    with av.open(tmp_path / "turned.mp4") as container:
        assert round(next(container.decode(video=0)).rotation) % 360 == turn
    read = read_clip(tmp_path / "turned.mp4").frames
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright)[:, 4:12, 4:20].max() < 12
    assert np.abs(read.astype(int) - upright)[:, 20:, 28:].max() < 12


def test_reading_a_part_at_another_size_and_rate(tmp_path: Path) -> None:
    write_clip(flash_and_beep(24, 48_000, seconds=4), tmp_path / "clip.mp4")
    read = read_clip(tmp_path / "clip.mp4", fps=12, size=(32, 16), sample_rate=16_000, seconds=2.5)
    assert read.frames.shape == (30, 16, 32, 3)
    assert read.waveform.shape == (2, 40_000)
    assert int(read.frames.mean(axis=(1, 2, 3)).argmax()) == 24


def test_the_cover_of_a_sound_is_no_film(tmp_path: Path) -> None:
    with av.open(tmp_path / "song.mp4", "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = output.add_stream("aac", rate=16_000, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").reformat(
            format="yuvj420p"
        )
        output.mux([*cover.encode(picture), *cover.encode(None)])
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        output.mux([*sound.encode(frame), *sound.encode(None)])
    assert read_clip(tmp_path / "song.mp4").frames is None


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.8])
def test_truncated_files(tmp_path: Path, suffix: str, kept: float) -> None:
    whole = write_clip(flash_and_beep(seconds=4), tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(PhonofilmError, match=r"truncated|damaged|neither picture nor sound") as caught:
        read_clip(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_film(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("These are only words.\n" * 99)
    (tmp_path / "words.txt").write_text("These are only words.\n" * 99)
    for name, message in {
        "empty.mp4": r"is empty \(0 bytes\)",
        "text.mp4": "another kind of file",
        "words.txt": "another kind of file|neither picture nor sound",
        "none.mp4": "is not there",
        ".": "is not a file",
    }.items():
        for read in (read_clip, read_metadata, probe):
            with pytest.raises(PhonofilmError, match=message):
                read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "clip", "message"),
    [
        ("a.avi", flash_and_beep(), "unknown output format .avi; use .mp4"),
        ("a", flash_and_beep(), "unknown output format"),
        ("a.wav", flash_and_beep().with_(waveform=None), "has no sound"),
        ("a.gif", flash_and_beep().with_(frames=None), "has no picture"),
        ("a.mp4", Clip(), "the clip is empty"),
        ("a.mp4", Clip(waveform=np.full((1, 99), np.nan, np.float32), sample_rate=8000), "not finite"),
        ("a.mp4", Clip(waveform=np.zeros((9, 99), np.float32), sample_rate=8000), "9 channels"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, clip: Clip, message: str) -> None:
    with pytest.raises(PhonofilmError, match=message):
        write_clip(clip, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_check_output(tmp_path: Path) -> None:
    assert check_output(tmp_path / "a.MP4") == tmp_path / "a.MP4"
    assert check_output(tmp_path / "none" / "a.mp4") == tmp_path / "none" / "a.mp4"
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(PhonofilmError, match="is a file; name a folder"):
        check_output(tmp_path / "file" / "a.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_nothing_is_left_of_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, error: BaseException
) -> None:
    path = write_clip(flash_and_beep(), tmp_path / f"clip{suffix}")
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        next(iter(arguments[1:])).write_bytes(b"half")  # the temporary path
        raise error

    monkeypatch.setattr("phonofilm.media.write._mux", fail)
    monkeypatch.setattr("phonofilm.media.write.write_gif", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else PhonofilmError):
        write_clip(flash_and_beep(), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".wav", ".gif"])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    # the temporary name is fixed, and leads to the full device
    monkeypatch.setattr("phonofilm.files.secrets.token_hex", lambda size: "x")
    (tmp_path / f".clip.x{suffix}").symlink_to("/dev/full")
    with pytest.raises(PhonofilmError, match="the disk is full"):
        write_clip(flash_and_beep(), tmp_path / f"clip{suffix}")
    assert not list(tmp_path.iterdir())


def test_images(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels[:, ::-1])
    assert read_image(tmp_path / "a.png", size=(16, 16)).shape == (16, 16, 3)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(PhonofilmError, match="is not a picture"):
        read_image(tmp_path / "b.png")
    with pytest.raises(PhonofilmError, match="cannot be read"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".mkv", ".wav", ".gif"])
def test_sound_that_is_not_finite_is_written_nowhere(tmp_path: Path, suffix: str, value: float) -> None:
    clip = noise()
    waveform = clip.waveform.copy()
    waveform[1, 5000] = value
    path = tmp_path / f"clip{suffix}"
    with pytest.raises(PhonofilmError, match="sound holds values that are not finite; nothing was written"):
        write_clip(clip.with_(waveform=waveform), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
@pytest.mark.parametrize("suffix", FORMATS)
def test_files_honour_the_umask(tmp_path: Path, suffix: str, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        path = write_clip(flash_and_beep(seconds=0.5), tmp_path / f"new/clip{suffix}")
        page = sheet(flash_and_beep(seconds=0.5), tmp_path / "new" / "clip.png")
    finally:
        os.umask(before)
    assert (path.stat().st_mode & 0o777, page.stat().st_mode & 0o777) == (mode, mode)
    assert path.parent.stat().st_mode & 0o777 == 0o777 & ~umask


def test_what_is_left_out_is_said() -> None:
    clip = flash_and_beep(seconds=0.5)
    silent, dark = clip.with_(waveform=None, sample_rate=None), clip.with_(frames=None, fps=None)
    assert [line for suffix in (".mp4", ".mkv", ".webm", ".mov") for line in left_out(clip, f"a{suffix}")] == []
    (said,) = left_out(clip, "a.gif")
    assert "holds no sound" in said
    assert left_out(silent, "a.gif") == left_out(dark, "a.wav") == []
    assert "picture is left out" in left_out(clip, "a.wav")[0]
    fast = silent.with_(fps=Fraction(60))
    assert "50 frames a second" in left_out(fast, "a.GIF")[0]
    surround = Clip(waveform=np.zeros((4, 800), np.float32), sample_rate=48_000, layout=("FL", "FR", "FC", "LFE"))
    assert "mixed to stereo" in left_out(surround, "a.webm")[0]
    assert left_out(surround, "a.mkv") == left_out(surround, "a.mp4") == []
