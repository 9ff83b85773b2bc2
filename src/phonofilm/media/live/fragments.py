"""Fragmented MP4: a film that is whole and playable after every piece that was written (ISO/IEC 14496-12, 8.8).

Encoders run on from piece to piece; each piece is a fragment (`moof` and `mdat`) that begins with a whole picture, so a
viewer may join at any. The samples that an AAC encoder puts first are declared in the head's edit list, and every
fragment says at which sample it begins, so picture and sound start together and cannot drift.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from phonofilm.errors import PhonofilmError
from phonofilm.media.metadata import to_tags
from phonofilm.media.write import MP4, check_finite, codec_rate, even, yuv_frame
from phonofilm.types import Clip

PRIMING = 1024
"""Samples that the AAC encoder puts before the first one (FFmpeg's `initial_padding`), and those of its frames."""
PREROLL = 3
"""Frames of sound before the first one that is missing, from which an encoder that begins anew does as the old one."""
PICTURE = {**MP4.video_options, "preset": "veryfast", "tune": "zerolatency"}
PICTURE |= {"x264-params": "mbtree=0:keyint=infinite:scenecut=0"}
KEPT = ("moof", "mdat")


@dataclass(frozen=True, eq=False)
class Resumption:
    """What a writer needs to know to go on with a film that another one began.

    Attributes:
        frames, sound_frames, pieces: that were written. samples: that were given; the encoder still holds some of them.
        recent: float32 [C, N], the last of them, from `PREROLL` frames of sound before those that were not written.
    """

    frames: int
    samples: int
    sound_frames: int
    pieces: int
    recent: np.ndarray


class FragmentWriter:
    """Encodes pieces of a film; what `add` and `finish` return follows one another in the file.

    Args:
        size: (width, height); odd sides grow by one pixel.
        tags: said in the head besides `metadata`.
        after: go on with a film; the head is then not written again.

    Raises:
        PhonofilmError: a sample rate that AAC does not have.
    """

    def __init__(
        self,
        size: tuple[int, int],
        fps: Fraction,
        sample_rate: int,
        channels: int,
        metadata: Mapping[str, str] | None = None,
        after: Resumption | None = None,
    ) -> None:
        if codec_rate(sample_rate, MP4) != sample_rate:
            raise PhonofilmError(f"AAC has no sample rate of {sample_rate} Hz; {MP4.rates} are possible")
        self.fps, self.sample_rate, self._channels = fps, sample_rate, channels
        self._tags = to_tags(Clip(), metadata or {})
        self._encoders = av.open(io.BytesIO(), "w", format="mp4", options={"movflags": "empty_moov"})
        self._picture, self._sound = self._open(size)
        self._reformatter = VideoReformatter()
        self.head = b""
        self.frames = self.samples = self.pieces = self._fed = self._made = 0
        self._recent = np.zeros((channels, 0), np.float32)
        self._waiting: tuple[list[Any], list[Any]] = ([], [])
        if after is not None:
            self._go_on(after)

    @property
    def mime(self) -> str:
        """The type of the film as a browser asks for it, with its codecs (RFC 6381)."""
        profile = bytes(self._picture.codec_context.extradata)
        start = next(i for i in range(len(profile) - 4) if profile[i : i + 4] == b"\0\0\1\x67") + 4
        return f'video/mp4; codecs="avc1.{profile[start : start + 3].hex()}, mp4a.40.2"'

    @property
    def resumption(self) -> Resumption:
        """As it stands after the last piece."""
        return Resumption(self.frames, self.samples, self._made, self.pieces, self._recent)

    def add(self, frames: np.ndarray, waveform: np.ndarray) -> bytes:
        """Encode a piece: frames uint8 [F, H, W, 3] and the sound float32 [C, T] that goes with them.

        The last 1 to 2 frames of sound (1024 samples each) come with the next piece, since AAC frames overlap. Of a
        piece that is shorter than these nothing comes before the next one, if it is the first.

        Raises:
            PhonofilmError: sound that is not finite.
        """
        check_finite(waveform)
        packets = [packet for number, pixels in enumerate(frames) for packet in self._encode(pixels, number == 0)]
        self._recent = np.concatenate([self._recent, np.clip(waveform, -1, 1)], axis=1)
        self.samples += waveform.shape[1]
        sound = [packet for block in self._whole_blocks() for packet in self._hear(block)]
        return self._fragment(packets, sound)

    def finish(self) -> bytes:
        """The sound that the encoder still holds, and the end; the writer takes nothing more."""
        sound: list[Any] = []
        if self.samples > self._fed:
            sound += self._hear(self._since(self._fed)[:, : self.samples - self._fed])
        sound += [packet for packet in self._sound.encode(None) if self._is_new(packet)]
        packets = list(self._picture.encode(None))
        return self._fragment(packets, sound) if sound or packets else b""

    def _open(self, size: tuple[int, int]) -> tuple[Any, Any]:
        picture: Any = self._encoders.add_stream("libx264", rate=self.fps, options=dict(PICTURE))
        picture.width, picture.height = (side + side % 2 for side in size)
        picture.pix_fmt = "yuv420p"
        picture.time_base = picture.codec_context.time_base = 1 / self.fps
        context = picture.codec_context
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709.value
        context.color_range = ColorRange.MPEG.value
        self._layout = "mono" if self._channels == 1 else "stereo"
        sound: Any = self._encoders.add_stream(
            "aac", rate=self.sample_rate, layout=self._layout, options=dict(MP4.audio_options)
        )
        sound.bit_rate = self._channels * min(128_000, 6 * self.sample_rate)
        self._encoders.start_encoding()
        return picture, sound

    def _go_on(self, after: Resumption) -> None:
        self.frames, self.samples, self.pieces = after.frames, after.samples, after.pieces
        # whole frames of sound before the first that is missing, heard again by the new encoder
        self._fed = after.samples - after.recent.shape[1]
        self._recent = after.recent
        self._made = after.sound_frames
        for block in self._whole_blocks():
            for packet in self._hear(block):
                raise AssertionError(f"a frame of sound at {packet.pts} would be written twice")

    def _encode(self, pixels: np.ndarray, whole: bool) -> Iterator[Any]:
        frame = yuv_frame(even(pixels), "yuv420p", self._reformatter)
        frame.pts, frame.time_base = self.frames, 1 / self.fps
        if whole:
            frame.pict_type = PictureType.I
        self.frames += 1
        yield from self._picture.encode(frame)

    def _whole_blocks(self) -> Iterator[np.ndarray]:
        while self.samples - self._fed >= PRIMING:
            yield self._since(self._fed)[:, :PRIMING]

    def _since(self, sample: int) -> np.ndarray:
        return self._recent[:, self._recent.shape[1] - (self.samples - sample) :]

    def _hear(self, block: np.ndarray) -> list[Any]:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T).reshape(1, -1), "flt", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self.sample_rate, self._fed, Fraction(1, self.sample_rate)
        self._fed += block.shape[1]
        return [packet for packet in self._sound.encode(frame) if self._is_new(packet)]

    def _is_new(self, packet: Any) -> bool:
        """Whether a frame of sound was not written yet; the first of a new encoder repeat what was."""
        number = packet.pts // PRIMING + 1
        if number < self._made:
            return False
        self._made = number + 1
        first = max(0, (self._made - PREROLL) * PRIMING)
        self._recent = self._since(min(first, self.samples))
        return True

    def _fragment(self, picture: list[Any], sound: list[Any]) -> bytes:
        """The packets of a piece as a fragment; before the first one stands the head of the film."""
        first = self.pieces == 0
        picture, sound = self._waiting[0] + picture, self._waiting[1] + sound
        self._waiting = (picture, sound) if first and not sound else ([], [])
        if self._waiting[0]:  # without a packet of sound the head would not know of its priming
            return b""
        self.pieces += 1
        flags = "+empty_moov+default_base_moof+skip_trailer" + ("+delay_moov" if first else "+frag_discont")
        options = {"movflags": flags, "fragment_index": str(self.pieces), "use_editlist": "1", "fflags": "+bitexact"}
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4", options=options | {"movie_timescale": str(self.sample_rate)}) as output:
            output.metadata.update(self._tags)
            streams = [output.add_stream_from_template(stream) for stream in (self._picture, self._sound)]
            for stream, base in zip(streams, (1 / self.fps, Fraction(1, self.sample_rate)), strict=True):
                stream.time_base = base
            tracks = [(packet, streams[0]) for packet in picture] + [(packet, streams[1]) for packet in sound]
            for packet, stream in sorted(tracks, key=lambda item: item[0].dts * item[0].time_base):
                if stream is streams[1] and not first:  # a fragment counts from the first sample of the encoder
                    packet.pts, packet.dts = packet.pts + PRIMING, packet.dts + PRIMING
                packet.stream = stream
                output.mux(packet)
        written = buffer.getvalue()
        parts: dict[str, list[bytes]] = {"head": [], "fragment": []}
        for name, start, end in boxes(written):
            parts["fragment" if name in KEPT else "head"].append(written[start:end])
        if first:
            self.head = b"".join(parts["head"])
        return (self.head if first else b"") + b"".join(parts["fragment"])


def boxes(content: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each box at the top of an MP4 file that is whole."""
    start = 0
    while start + 8 <= len(content):
        size = int.from_bytes(content[start : start + 4], "big")
        if size < 8 or start + size > len(content):
            return
        yield content[start + 4 : start + 8].decode("latin-1"), start, start + size
        start += size
