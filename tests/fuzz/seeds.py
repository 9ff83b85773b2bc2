"""The undamaged files: one of every kind that is read, drawn here and kept small.

`python -m fuzz.seeds` writes `tests/fixtures/fuzz` again; `film.ogv` (Theora, which FFmpeg only reads) stays.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

FRAMES, WIDTH, HEIGHT, FPS, RATE = 10, 48, 32, 12, 8_000
FILMS = {
    "film.mp4": ("libx264", "yuv420p", "aac"),
    "film.mov": ("mjpeg", "yuvj420p", "pcm_s16le"),
    "film.mkv": ("ffv1", "bgr0", "flac"),
    "film.webm": ("libvpx-vp9", "yuv420p", "libopus"),
    "film.avi": ("mpeg4", "yuv420p", "libmp3lame"),
    "film.ts": ("mpeg2video", "yuv420p", "mp2"),
    "film.gif": ("gif", "rgb8", None),
    "sound.wav": (None, None, "pcm_s16le"),
    "sound.flac": (None, None, "flac"),
    "sound.mp3": (None, None, "libmp3lame"),
    "sound.ogg": (None, None, "libopus"),
}
LOSSLESS_PICTURE, LOSSLESS_SOUND = ("film.mkv", "still.png"), ("film.mov", "film.mkv", "sound.wav", "sound.flac")


def picture() -> np.ndarray:
    """uint8 [10, 32, 48, 3]: a square that walks over a slope of colours."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    slope = np.stack([4 * x + 20, 5 * y + 40, 200 - 2 * x - y], axis=-1).clip(0, 255).astype(np.uint8)
    frames = np.repeat(slope[None], FRAMES, axis=0)
    for index, frame in enumerate(frames):
        frame[8:20, 3 * index : 3 * index + 12] = (240, 60, 30)
    return frames


def sound(rate: int = RATE) -> np.ndarray:
    """float32 [2, N]: a tone on either side, in steps of 16 bits."""
    times = np.arange(rate * FRAMES // FPS) / rate
    tones = np.stack([0.4 * np.sin(2 * np.pi * 440 * times), 0.3 * np.sin(2 * np.pi * 660 * times)])
    return (np.round(tones * 2**15) / 2**15).astype(np.float32)


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (video, pixels, audio) in FILMS.items():
        _write(folder / name, video, pixels, audio)
    Image.fromarray(picture()[5]).save(folder / "still.png")
    Image.fromarray(picture()[5]).save(folder / "still.jpg", quality=95)


def _write(path: Path, video: str | None, pixels: str | None, audio: str | None) -> None:
    with av.open(path, "w", options={"fflags": "+bitexact"}) as output:
        output.metadata["title"] = "a square"
        streams = []
        if video is not None:
            stream = output.add_stream(video, rate=FPS if path.suffix != ".ts" else 25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
            if video not in ("gif", "ffv1"):
                stream.bit_rate = 600_000
            streams.append((stream, _frames(pixels)))
        if audio is not None:
            rate = {"libopus": 48_000, "libmp3lame": 32_000, "mp2": 32_000}.get(audio, RATE)
            stream = output.add_stream(audio, rate=rate, layout="stereo")
            streams.append((stream, _blocks(rate)))
        for stream, content in streams:
            for frame in content:
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))


def _frames(pixels: str | None):
    for index, frame in enumerate(picture()):
        made = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
        made.pts, made.time_base = index, Fraction(1, FPS)
        yield made


def _blocks(rate: int):
    samples = sound(rate)
    for start in range(0, samples.shape[1], 1024):
        block = np.ascontiguousarray(samples[:, start : start + 1024].T).reshape(1, -1)
        made = av.AudioFrame.from_ndarray(block, format="flt", layout="stereo")
        made.sample_rate, made.pts, made.time_base = rate, start, Fraction(1, rate)
        yield made


if __name__ == "__main__":
    write_all(Path(__file__).parents[1] / "fixtures" / "fuzz")
