"""Each channel is heard where the file says it is, in whichever layout FFmpeg knows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from phonofilm.media import mix, read_clip, write_clip
from phonofilm.media.layouts import EARS
from phonofilm.types import Clip

LEFT = {"FL", "FLC", "BL", "SL", "TFL", "TBL", "TSL", "WL", "SDL", "BFL", "DL", "SSL", "TTL", "BIL"}
RIGHT = {"FR", "FRC", "BR", "SR", "TFR", "TBR", "TSR", "WR", "SDR", "BFR", "DR", "SSR", "TTR", "BIR"}
NOWHERE = {"LFE", "LFE2"}
# all of FFmpeg's that name their channels (ffmpeg -layouts)
LAYOUTS = """
2.1 3.0 3.0(back) 4.0 quad quad(side) 3.1 5.0 5.0(side) 4.1 5.1 5.1(side) 6.0 6.0(front) 3.1.2 hexagonal 6.1 6.1(back)
6.1(front) 7.0 7.0(front) 7.1 7.1(wide) 7.1(wide-side) 5.1.2 octagonal cube 5.1.4 7.1.2 7.1.4 7.2.3 9.1.4 hexadecagonal
22.2
""".split()  # noqa: SIM905


def place(name: str) -> str:
    return "left" if name in LEFT else "right" if name in RIGHT else "nowhere" if name in NOWHERE else "middle"


def heard(left: float, right: float) -> str:
    if max(left, right) < 0.01:
        return "nowhere"
    if min(left, right) > 0.9 * max(left, right):
        return "middle"
    return "left" if left > right else "right"


def wave(path: Path, layout: str, samples: np.ndarray, codec: str = "pcm_s16le") -> Path:
    with av.open(path, "w") as output:
        stream = output.add_stream(codec, rate=8000, layout=layout)
        packed = np.ascontiguousarray((samples.T * 2**15).astype(np.int16)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 8000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_channel_of_every_layout(layout: str) -> None:
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    for index, name in enumerate(names):
        samples = np.zeros((len(names), 10), np.float32)
        samples[index] = 0.5
        left, right = mix(samples, 2, names)[:, 0]
        assert heard(left, right) == place(name), name
        assert np.allclose(mix(samples, 1, names), (left + right) / 2)
    full = np.ones((len(names), 10), np.float32)
    assert np.abs(mix(full, 2, names)).max() <= 1 + 1e-6  # no fold clips
    assert set(names) <= set(EARS)


@pytest.mark.parametrize("layout", ["2.1", "3.1", "4.0", "quad", "5.0(side)", "5.1", "5.1(side)", "6.1", "7.1", "cube"])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_the_layout_that_a_file_states(tmp_path: Path, layout: str, kind: str) -> None:
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    for index, name in enumerate(names):
        samples = np.zeros((len(names), 4000), np.float32)
        samples[index] = 0.5 * np.sin(np.arange(4000) / 10)
        path = wave(tmp_path / f"sound.{kind}", layout, samples, "flac" if kind == "flac" else "pcm_s16le")
        whole, stereo = read_clip(path), read_clip(path, channels=2)
        assert whole.layout == names
        assert np.abs(whole.waveform - samples).max() < 1e-4
        assert heard(*stereo.waveform.std(axis=1)) == place(name), name
        assert stereo.layout == ()


@pytest.mark.parametrize(
    ("layouts", "taken"),
    [
        (["3.0", "2.1"], "2.1"),
        (["4.0", "quad", "3.1"], "4.0"),
        (["5.1(side)", "5.1"], "5.1"),
        (["6.1"], "6.1"),
        (["7.1"], "7.1"),
    ],
)
def test_a_container_that_keeps_the_number_alone(tmp_path: Path, layouts: list[str], taken: str) -> None:
    """Matroska: files of different layouts hold the same bytes but for a random identity, and are read alike."""
    count = av.AudioLayout(taken).nb_channels
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (count, 4000)).astype(np.float32)
    for layout in layouts:
        read = read_clip(wave(tmp_path / f"{layout}.mka", layout, samples))
        assert read.layout == tuple(channel.name for channel in av.AudioLayout(taken).channels)


def test_two_channels_that_are_not_stereo() -> None:
    sound = np.stack([np.full(10, 0.4), np.full(10, 0.2)]).astype(np.float32)
    assert np.allclose(mix(sound, 2, ("FC", "LFE"))[:, 0], [0.4, 0.4])
    assert np.allclose(mix(sound, 2, ("DL", "DR"))[:, 0], [0.4, 0.2])
    assert np.allclose(mix(sound, 2)[:, 0], [0.4, 0.2])
    assert np.allclose(mix(np.ones((4, 3), np.float32), 2, ("AMBI0", "AMBI1", "AMBI2", "AMBI3"))[:, 0], [1, 0])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".wav"])
@pytest.mark.parametrize("layout", ["2.1", "3.0", "3.1", "4.0", "quad", "5.0", "5.1(side)", "6.1", "7.1"])
def test_what_is_written_is_heard_where_it_was(tmp_path: Path, suffix: str, layout: str) -> None:
    """Where a codec has no place for a channel, all are folded to stereo, which is then heard."""
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    tones = np.stack([0.3 * np.sin(2 * np.pi * (150 + 97 * c) * np.arange(24_000) / 48_000) for c in range(len(names))])
    clip = Clip(waveform=tones.astype(np.float32), sample_rate=48_000, layout=names)
    read = read_clip(write_clip(clip, tmp_path / f"clip{suffix}"))
    if suffix != ".webm":
        assert read.layout == names
    want, found = mix(clip.waveform, 2, names), mix(read.waveform, 2, read.layout)
    middle = slice(4000, 20_000)
    for side in range(2):
        likeness = np.corrcoef(want[side, middle], found[side, : want.shape[1]][middle])[0, 1]
        assert likeness > 0.97
    assert "layout" not in read.metadata
