"""The decoder's side of reading: an open container becomes frames and blocks of sound with their times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.colour import Pictures
from phonofilm.media.container import (
    DECODER_ERRORS,
    LONGEST,
    MAX_CHANNELS,
    aspect_of,
    declared_seconds,
    decoded_packets,
    hints,
    limited,
    memory_room,
    seconds_of,
    streams,
)
from phonofilm.media.layouts import UNSTATED, noted
from phonofilm.media.resample import on_clock, remix, resample_audio, resample_frames, resize_frames
from phonofilm.types import nearest, rational

FILM_RATES = tuple(rational(rate) for rate in (10, 12, 15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 120))
# Containers round time stamps to milliseconds; gaps below this are rounding, not silence
AUDIO_GAP = Fraction(1, 50)
CODEC_BLOCK = 2048
SHORT_LEAD = Fraction(1, 10)
LATE = Fraction(1, 4)


@dataclass(frozen=True)
class Block:
    """A piece of sound float32 [C, N] as one packet gave it."""

    time: Fraction
    samples: np.ndarray
    rate: int
    layout: tuple[str, ...]

    @property
    def end(self) -> Fraction:
        return self.time + Fraction(self.samples.shape[1], self.rate)


class Decoded:
    """Frames and blocks of sound with their times, as they come out of the decoder.

    What changes midway (size, shape of a pixel, channels, sample rate), as in recordings of streams, becomes what it
    was at the start: pictures are scaled to fit within the first one's size, and sound is mixed and resampled.
    """

    def __init__(self, path: Path, video: Any, audio: Any, squash: int | None = None) -> None:
        self.path, self.squash = path, squash
        self.pictures = Pictures(path)
        # copied, since a stream must not be touched once its container is closed
        self.rates = hints(video) if video else []
        unit = video.time_base if video and video.time_base else Fraction(0)
        self.slack = max(Fraction(1, 1000), unit / 2)
        self.aspects = Aspects(video) if video else None
        rate = audio.codec_context.sample_rate if audio else 0
        exact = rate and audio.duration and audio.time_base == Fraction(1, rate)
        self.samples = int(audio.duration) if exact else None
        self.frames: list[np.ndarray] = []
        self.frame_times: list[Fraction] = []
        self.repeat_times: list[Fraction] = []
        self.frame_end = self.repeat_end = Fraction(0)
        self.blocks: list[Block] = []

    @property
    def picture_end(self) -> Fraction:
        return max(self.frame_end, self.repeat_end)

    @property
    def sound_end(self) -> Fraction:
        return self.blocks[-1].end if self.blocks else Fraction(0)

    @property
    def sample_rate(self) -> int:
        return self.blocks[0].rate if self.blocks else 0

    @property
    def layout(self) -> tuple[str, ...]:
        return self.blocks[0].layout if self.blocks else ()

    def starts(self) -> list[Fraction]:
        return [*self.frame_times[:1], *(block.time for block in self.blocks[:1])]

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
        time = seconds_of(frame.pts, frame.time_base)
        time = self.frame_end if time is None else time
        self._check_time(time)
        self.frame_times.append(time)
        self.frame_end = time + (seconds_of(frame.duration or None, frame.time_base) or self._tick())
        if self.squash is not None:
            self._keep(self.pictures.square(frame, self.squash))
            return
        assert self.aspects is not None
        pixels = self.pictures.whole(frame, self.aspects.now())
        target = fitting(pixels, size) if isinstance(size, int) else size
        if target is not None:
            pixels = resize_frames(pixels[None], target)[0]
        self._keep(pixels if not self.frames else within(pixels, self.frames[0].shape[1::-1]))

    def add_repeat(self, packet: Any) -> None:
        """The picture that is on show is shown again at the time of a packet without content."""
        time = seconds_of(packet.dts if packet.pts is None else packet.pts, packet.time_base)
        if time is None:
            return
        self._check_time(time)
        self.repeat_times.append(time)
        lasts = seconds_of(packet.duration or None, packet.time_base) or self._tick()
        self.repeat_end = max(self.repeat_end, time + lasts)

    def add_block(self, frame: Any) -> None:
        try:
            samples, rate, layout = planar(frame), int(frame.sample_rate), layout_of(frame)
        except DECODER_ERRORS as error:
            raise PhonofilmError(f"{self.path} is damaged: its sound cannot be read") from error
        if rate <= 0 or not samples.shape[1]:
            return
        time = seconds_of(frame.pts, frame.time_base)
        time = self.sound_end if time is None else time
        self._check_time(time)
        self.blocks.append(Block(time, samples, rate, layout))

    def picture(self, fps: Fraction | None, written: str | None) -> tuple[np.ndarray | None, Fraction]:
        """uint8 [T, H, W, 3] on a constant clock that starts at `origin`, and its rate.

        Args:
            fps: the rate of the clock, or None for the film's own (or, where it varies, the nearest common one).
            written: the rate that Phonofilm noted in the container, if it did.
        """
        if not self.frames:
            return None, Fraction(0)
        shown, stamps = self._shown()
        times = [stamp - self.origin for stamp in stamps]
        end = self.picture_end - self.origin
        rates = self._rates(written)
        for rate in rates:
            if all(abs(time - times[0] - k / rate) <= self.slack for k, time in enumerate(times)):
                # the first frame covers a late start, and the last one is held as long as it says
                before = nearest(times[0] * rate)
                after = max(0, nearest(end * rate) - before - len(shown))
                self._check_room(before + after + len(shown))
                indices = np.concatenate([shown[:1].repeat(before), shown, shown[-1:].repeat(after)])
                return self._stack(resample_frames(indices, rate, fps or rate)), fps or rate
        usual = float(np.median(np.diff([float(time) for time in times]))) or 1.0
        own = rates[0] if written and rates else min(FILM_RATES, key=lambda r: abs(math.log(float(r) * abs(usual))))
        self._check_room(nearest(end * (fps or own)))
        indices = on_clock([float(time) for time in times], float(end), fps or own, float(self.slack))
        return self._stack(shown[indices]), fps or own

    def sound(self) -> np.ndarray | None:
        """float32 [C, N] from `origin` on: a late start and real gaps are silence, overlaps are cut."""
        if not self.blocks:
            return None
        rate, blocks = self.sample_rate, self._alike()
        parts: list[np.ndarray] = []
        position = 0
        for block in blocks:
            samples = block.samples
            late = nearest((block.time - self.origin) * rate) - position
            if not parts or abs(late) > AUDIO_GAP * rate:
                self._check_room(late, 4 * len(samples))
                samples = np.pad(samples[:, max(0, -late) :], ((0, 0), (max(0, late), 0)))
            parts.append(samples)
            position += samples.shape[1]
        self._check_room(position, 4 * len(parts[0]))
        waveform = np.concatenate(parts, axis=1)
        if self.samples is None:
            return waveform
        # a codec fills its last block: what is over the declared end was never recorded
        end = nearest((blocks[0].time - self.origin) * rate) + self.samples
        return waveform[:, :end] if 0 < waveform.shape[1] - end < CODEC_BLOCK else waveform

    def _keep(self, pixels: np.ndarray) -> None:
        self.frames.append(pixels)
        self._check_room(len(self.frames))

    def _tick(self) -> Fraction:
        return 1 / (self.rates[0] if self.rates else Fraction(25))

    def _shown(self) -> tuple[np.ndarray, list[Fraction]]:
        """Which frame is shown at which time, in order of time, repeated ones too."""
        order = sorted(range(len(self.frames)), key=self.frame_times.__getitem__)
        own = [self.frame_times[index] for index in order]
        if not self.repeat_times:
            return np.array(order), own
        again = [time for time in self.repeat_times if time > own[0]]
        before = np.searchsorted(np.array([float(t) for t in own]), [float(t) for t in again], side="right") - 1
        entries = [*zip(own, order, strict=True), *((t, order[b]) for t, b in zip(again, before, strict=True))]
        entries.sort(key=lambda entry: entry[0])
        return np.array([index for _, index in entries]), [time for time, _ in entries]

    def _stack(self, indices: np.ndarray) -> np.ndarray:
        self._check_room(len(indices))
        return np.stack([self.frames[index] for index in indices])

    def _alike(self) -> list[Block]:
        """The blocks with the rate and the channels of the first; each stretch of others is converted as a whole."""
        first = self.blocks[0]
        kinds = [(block.rate, len(block.samples), block.layout) for block in self.blocks]
        if all(kind == kinds[0] for kind in kinds):
            return self.blocks
        alike: list[Block] = []
        start = 0
        for stop in range(1, len(kinds) + 1):
            if stop < len(kinds) and kinds[stop] == kinds[start] and self._follows(stop):
                continue
            stretch = self.blocks[start:stop]
            samples = np.concatenate([block.samples for block in stretch], axis=1)
            mixed = remix(samples, stretch[0].layout, first.layout, len(first.samples))
            sound = resample_audio(mixed, stretch[0].rate, first.rate)
            alike.append(Block(stretch[0].time, sound, first.rate, first.layout))
            start = stop
        return alike

    def _follows(self, number: int) -> bool:
        return abs(self.blocks[number].time - self.blocks[number - 1].end) <= AUDIO_GAP

    def _rates(self, written: str | None) -> list[Fraction]:
        """Constant rates to try, the likeliest first."""
        try:
            return [rational(written), *self.rates] if written else self.rates
        except ValueError:
            return self.rates

    def _check_time(self, time: Fraction) -> None:
        if any(abs(time - start) > LONGEST for start in self.starts()):
            raise PhonofilmError(f"{self.path} is damaged: its time stamps jump by more than {LONGEST // 86400} days")

    def _check_room(self, count: int, each: int | None = None) -> None:
        """Refuse what does not go into memory: so many frames, or samples of so many bytes."""
        # twice: as pieces, and as one
        needed = 2 * count * (self.frames[0].nbytes if each is None else each)
        if needed > memory_room():
            what = "picture" if each is None else "sound"
            raise PhonofilmError(
                f"{self.path}: its {what} would take {needed / 2**30:.1f} GiB of memory, which is more than there is "
                "for it; read a shorter part or a smaller size, or cut the file"
            )


class Aspects:
    """How wide a pixel is for its height, which a stream may change midway."""

    def __init__(self, video: Any) -> None:
        self.context = video.codec_context
        self.declared, self.first = aspect_of(video) or Fraction(1), aspect_of(self.context)

    def now(self) -> Fraction:
        """That of the frame that was decoded last."""
        coded = aspect_of(self.context)
        return self.declared if coded in (self.first, None) else coded


def fitting(pixels: np.ndarray, short_side: int) -> tuple[int, int]:
    """(width, height) of a picture [H, W, 3] of the same shape whose short side is `short_side` or less."""
    height, width = pixels.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def within(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A picture uint8 [H, W, 3] scaled to fit in (width, height), black where it does not reach."""
    width, height = size
    if pixels.shape[:2] == (height, width):
        return pixels
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    # rounding must not leave a black line beside a picture of the same shape
    wide, high = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    wide, high = width if width - wide < 2 else wide, height if height - high < 2 else high
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = (height - high) // 2, (width - wide) // 2
    whole[top : top + high, left : left + wide] = resize_frames(pixels[None], (wide, high), crop=False)[0]
    return whole


def decode(
    container: Any, path: Path, size: tuple[int, int] | int | None, seconds: float | None, squash: int | None = None
) -> Decoded:
    video, audio = streams(container)
    present = [limited(stream) for stream in (video, audio) if stream is not None]
    decoded = Decoded(path, video, audio, squash)

    def damaged() -> PhonofilmError:
        until = float(max(decoded.picture_end, decoded.sound_end))
        return PhonofilmError(f"{path} is damaged: only its first {until:.1f} s can be read")

    for packet, frames in decoded_packets(container, present, damaged):
        if not frames and packet.size == 0 and packet.stream is video:
            decoded.add_repeat(packet)
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                decoded.add_frame(frame, size)
            else:
                decoded.add_block(frame)
        if seconds is not None and _enough(decoded, video, audio, seconds):
            return decoded
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
    end = max(decoded.picture_end, decoded.sound_end) - min(decoded.starts())
    if declared is not None and declared - end > LATE + declared / 50:
        raise PhonofilmError(
            f"{path} is truncated: {float(end):.1f} s of {float(declared):.1f} s can be read; copy or make it again"
        )


def layout_of(frame: Any) -> tuple[str, ...]:
    """FFmpeg's names of a sound's channels, where mono or stereo does not say it all."""
    names = tuple(channel.name for channel in frame.layout.channels)
    if "NONE" in names or len(names) != frame.layout.nb_channels:
        names = UNSTATED.get(frame.layout.nb_channels, ())
    return noted(names)


def planar(frame: Any) -> np.ndarray:
    """float32 [C, N] in [-1, 1] from any sample format.

    Raises:
        ValueError: channels or samples that no sound has.
    """
    channels = frame.layout.nb_channels
    if not 1 <= channels <= MAX_CHANNELS or frame.samples * channels * 4 > memory_room():
        raise ValueError(f"{channels} channels of {frame.samples} samples")
    if frame.format.is_planar and channels >= 8:  # PyAV counts a plane too many then, the last of them nowhere
        frame = av.AudioResampler(frame.format.packed.name).resample(frame)[0]
    samples = frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, channels).T
    if np.issubdtype(samples.dtype, np.unsignedinteger):
        return (samples.astype(np.float32) - 128) / 128
    scale = 1.0 if samples.dtype.kind == "f" else float(2 ** (8 * samples.dtype.itemsize - 1))
    return (samples / scale).astype(np.float32)
