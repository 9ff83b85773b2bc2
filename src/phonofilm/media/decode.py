"""The decoder's side of reading: an open container becomes frames and blocks of sound with their times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import on_clock, resample_frames, resize_frames
from phonofilm.media.write import SCALING
from phonofilm.types import nearest, rational

FILM_RATES = tuple(rational(rate) for rate in (10, 12, 15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 120))
UNSPECIFIED, BT709 = 2, 1
HD_HEIGHT = 720
# Containers round time stamps to milliseconds; gaps below this are rounding, not silence
AUDIO_GAP = Fraction(1, 50)
CODEC_BLOCK = 2048
SHORT_LEAD = Fraction(1, 10)


def container_of(path: Path) -> Any:
    """PyAV's container. An absolute path is never taken for a protocol, and a playlist never reaches the network."""
    # what is no UTF-8 in a file's metadata raised an error before PyAV 19, unless told otherwise
    older: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    return av.open(path.absolute(), options={"protocol_whitelist": "file"}, **older)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open container with a picture or a sound in it; FFmpeg's errors become one clear line."""
    if not path.is_file():
        raise PhonofilmError(f"{path} is not there; check the path" if not path.exists() else f"{path} is not a file")
    if path.stat().st_size == 0:
        raise PhonofilmError(f"{path} is empty (0 bytes); make or copy it again")
    try:
        container = container_of(path)
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise PhonofilmError(f"{path} cannot be read: permission denied") from error
        raise PhonofilmError(
            f"{path} is not a film or a sound that can be read: it is damaged, truncated, or another kind of file"
        ) from error
    with container:
        _check_tail(path)
        # FFmpeg draws the letters of a text file as a film
        if container.format.name == "tty" or not any(streams(container)):
            raise PhonofilmError(f"{path} holds neither picture nor sound")
        yield container


def _check_tail(path: Path) -> None:
    """FFmpeg reads these two kinds up to where they were cut and says nothing."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(-1, 2)
        tail = file.read(1)
    declared = int.from_bytes(head[4:], "little")
    riff_cut = head[:4] == b"RIFF" and 0 < declared < 2**32 - 1 and declared + 8 > path.stat().st_size
    if riff_cut or (head[:4] == b"GIF8" and tail != b";"):
        raise PhonofilmError(f"{path} is truncated: its end is missing; copy or make it again")


def streams(container: Any) -> tuple[Any, Any]:
    """The picture and the sound of a container; the cover of an album is no picture."""
    covers = av.stream.Disposition.attached_pic
    video = next((s for s in container.streams.video if not s.disposition & covers and s.codec_context), None)
    audio = next((s for s in container.streams.audio if s.codec_context), None)
    return video, audio


def declared_seconds(container: Any, video: Any, audio: Any) -> Fraction | None:
    """How long picture and sound claim to be, or None where the header does not say."""
    own = [s.duration * s.time_base for s in (video, audio) if s is not None and s.duration]
    if own:
        return max(own)
    if container.duration is None or len(container.streams) > (video is not None) + (audio is not None):
        return None
    return Fraction(container.duration, av.time_base)


class Decoded:
    """Frames and blocks of sound with their times, as they come out of the decoder."""

    def __init__(self, video: Any, audio: Any, squash: int | None = None) -> None:
        self.squash = squash
        # copied, since a stream must not be touched once its container is closed
        hints = [video.average_rate, video.guessed_rate, video.base_rate] if video else []
        self.rates = [rational(hint) for hint in hints if hint]
        self.slack = max(Fraction(1, 1000), video.time_base / 2) if video else Fraction(0)
        self.aspect = video.sample_aspect_ratio if video else None
        self.reformatter = VideoReformatter()
        self.sample_rate = audio.codec_context.sample_rate if audio else 0
        exact = audio is not None and audio.duration and audio.time_base == Fraction(1, self.sample_rate)
        self.samples = int(audio.duration) if exact else None
        self.frames: list[np.ndarray] = []
        self.frame_times: list[Fraction] = []
        self.frame_end = Fraction(0)
        self.blocks: list[np.ndarray] = []
        self.block_times: list[Fraction] = []

    @property
    def sound_end(self) -> Fraction:
        return (
            self.block_times[-1] + Fraction(self.blocks[-1].shape[1], self.sample_rate) if self.blocks else Fraction(0)
        )

    def starts(self) -> list[Fraction]:
        return [*self.frame_times[:1], *self.block_times[:1]]

    @property
    def origin(self) -> Fraction:
        """Time zero of the clip: where the earlier stream starts.

        A picture that starts a little later than the sound is time zero all the same, since sound can
        be placed to the sample, and frames cannot. What is stamped before zero was never to be shown.
        """
        first = max(Fraction(0), min(self.starts()))
        later = self.frame_times[0] - first if self.frame_times else Fraction(0)
        return first + later if 0 < later <= SHORT_LEAD else first

    def add_frame(self, frame: Any, size: tuple[int, int] | int | None) -> None:
        tick = 1 / (self.rates[0] if self.rates else Fraction(25))
        time = self.frame_end if frame.pts is None else frame.pts * frame.time_base
        self.frame_times.append(time)
        self.frame_end = time + (frame.duration * frame.time_base if frame.duration else tick)
        if self.squash is not None:
            self.frames.append(_squashed(frame, self.squash, self.reformatter))
            return
        pixels = _pixels(frame, self.aspect, self.reformatter)
        target = fitting(pixels, size) if isinstance(size, int) else size
        self.frames.append(pixels if target is None else resize_frames(pixels[None], target)[0])

    def add_block(self, frame: Any, path: Path) -> None:
        block = _planar(frame)
        if frame.sample_rate != self.sample_rate or (self.blocks and len(block) != len(self.blocks[0])):
            raise PhonofilmError(f"{path}: the sound changes its rate or channels midway; convert it first")
        self.block_times.append(self.sound_end if frame.pts is None else frame.pts * frame.time_base)
        self.blocks.append(block)

    def picture(self, fps: Fraction | None, written: str | None) -> tuple[np.ndarray | None, Fraction]:
        """uint8 [T, H, W, 3] on a constant clock that starts at `origin`, and its rate.

        Args:
            fps: the rate of the clock, or None for the film's own (or, where it varies, the nearest common one).
            written: the rate that Phonofilm noted in the container, if it did.
        """
        if not self.frames:
            return None, Fraction(0)
        order = sorted(range(len(self.frames)), key=self.frame_times.__getitem__)
        times = [self.frame_times[index] - self.origin for index in order]
        frames = np.stack([self.frames[index] for index in order])
        end = self.frame_end - self.origin
        rates = self._rates(written)
        for rate in rates:
            if all(abs(time - times[0] - k / rate) <= self.slack for k, time in enumerate(times)):
                # the first frame covers a late start, and the last one is held as long as it says
                before = nearest(times[0] * rate)
                after = max(0, nearest(end * rate) - before - len(frames))
                frames = np.concatenate([frames[:1].repeat(before, 0), frames, frames[-1:].repeat(after, 0)])
                return resample_frames(frames, rate, fps or rate), fps or rate
        usual = float(np.median(np.diff([float(time) for time in times]))) or 1.0
        own = rates[0] if written and rates else min(FILM_RATES, key=lambda r: abs(math.log(float(r) * usual)))
        return frames[on_clock([float(time) for time in times], float(end), fps or own, float(self.slack))], fps or own

    def _rates(self, written: str | None) -> list[Fraction]:
        """Constant rates to try, the likeliest first."""
        try:
            return [rational(written), *self.rates] if written else self.rates
        except ValueError:
            return self.rates

    def sound(self) -> np.ndarray | None:
        """float32 [C, N] from `origin` on: a late start and real gaps are silence, overlaps are cut."""
        if not self.blocks:
            return None
        parts: list[np.ndarray] = []
        position = 0
        for time, block in zip(self.block_times, self.blocks, strict=True):
            late = nearest((time - self.origin) * self.sample_rate) - position
            if not parts or abs(late) > AUDIO_GAP * self.sample_rate:
                block = np.pad(block[:, max(0, -late) :], ((0, 0), (max(0, late), 0)))
            parts.append(block)
            position += block.shape[1]
        waveform = np.concatenate(parts, axis=1)
        if self.samples is None:
            return waveform
        # a codec fills its last block: what is over the declared end was never recorded
        end = nearest((self.block_times[0] - self.origin) * self.sample_rate) + self.samples
        return waveform[:, :end] if 0 < waveform.shape[1] - end < CODEC_BLOCK else waveform


def fitting(pixels: np.ndarray, short_side: int) -> tuple[int, int]:
    """(width, height) of a picture [H, W, 3] of the same shape whose short side is `short_side` or less."""
    height, width = pixels.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def decode(
    container: Any, path: Path, size: tuple[int, int] | int | None, seconds: float | None, squash: int | None = None
) -> Decoded:
    video, audio = streams(container)
    present = [stream for stream in (video, audio) if stream is not None]
    for stream in present:
        stream.thread_type = "AUTO"
    decoded = Decoded(video, audio, squash)
    try:
        for packet in container.demux(present):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    decoded.add_frame(frame, size)
                else:
                    decoded.add_block(frame, path)
            if seconds is not None and _enough(decoded, video, audio, seconds):
                return decoded
    except av.error.FFmpegError as error:
        raise PhonofilmError(
            f"{path} is damaged: only its first {float(max(decoded.frame_end, decoded.sound_end)):.1f} s can be read"
        ) from error
    _check_whole(decoded, declared_seconds(container, video, audio), path)
    return decoded


def _enough(decoded: Decoded, video: Any, audio: Any, seconds: float) -> bool:
    if not decoded.starts():
        return False
    # a second more than needed: frames come out of order, and streams start at different times
    limit = min(decoded.starts()) + Fraction(seconds) + 1
    return (video is None or decoded.frame_end > limit) and (audio is None or decoded.sound_end > limit)


def _check_whole(decoded: Decoded, declared: Fraction | None, path: Path) -> None:
    if not decoded.starts():
        raise PhonofilmError(f"{path} is damaged: no picture and no sound of it can be decoded")
    end = max(decoded.frame_end, decoded.sound_end) - min(decoded.starts())
    if declared is not None and declared - end > Fraction(1, 4) + declared / 50:
        raise PhonofilmError(
            f"{path} is truncated: {float(end):.1f} s of {float(declared):.1f} s can be read; copy or make it again"
        )


def _pixels(frame: Any, aspect: Fraction | None, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 [H, W, 3] sRGB, with square pixels, turned as the container asks."""
    # by convention untagged HD film is BT.709, and everything smaller BT.601
    untagged_hd = frame.colorspace == UNSPECIFIED and frame.height >= HD_HEIGHT
    width = nearest(frame.width * Fraction(aspect)) if aspect else frame.width
    source = BT709 if untagged_hd else None
    rgb = reformatter.reformat(
        frame, format="rgb24", width=width, src_colorspace=source, interpolation=SCALING, threads=1
    )
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), round(frame.rotation / 90) % 4))


def _squashed(frame: Any, side: int, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 [side, side, 3], shrunk before it becomes RGB."""
    return reformatter.reformat(
        frame, format="rgb24", width=side, height=side, interpolation=Interpolation.AREA, threads=1
    ).to_ndarray()


def _planar(frame: Any) -> np.ndarray:
    """float32 [C, N] in [-1, 1] from any sample format."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels == 8:  # PyAV counts nine planes then, the last of them nowhere
        frame = av.AudioResampler(frame.format.packed.name).resample(frame)[0]
    samples = frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, channels).T
    if np.issubdtype(samples.dtype, np.unsignedinteger):
        return (samples.astype(np.float32) - 128) / 128
    scale = 1.0 if samples.dtype.kind == "f" else float(2 ** (8 * samples.dtype.itemsize - 1))
    return (samples / scale).astype(np.float32)
