"""A `Clip` becomes a file: whole or not at all, tagged, and on time to the sample."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, check_file
from phonofilm.media.colour import SCALING
from phonofilm.media.container import usual_priority
from phonofilm.media.gif import FASTEST, slowed, write_gif
from phonofilm.media.layouts import STANDARD, named
from phonofilm.media.metadata import to_tags
from phonofilm.media.resample import mix, remix, resample_audio, resample_stream
from phonofilm.media.subtitles.cues import Cue
from phonofilm.media.subtitles.track import holds_subtitles, subtitle_track
from phonofilm.types import Clip

BLOCK = 1024
Seal = Callable[[Path, Path], None]
"""Does something to a whole file before it takes its name: called with the file and the name."""
SAMPLE_FORMATS = {"aac": "fltp", "pcm_s24le": "s32"}


@dataclass(frozen=True)
class Container:
    """How one kind of file is written: format and codecs in FFmpeg's names.

    Attributes:
        rates: sample rates the sound may have, or None for any.
    """

    format: str
    video: str | None
    audio: str
    pixels: str = "yuv420p"
    video_options: Mapping[str, str] = field(default_factory=dict)
    audio_options: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    rates: tuple[int, ...] | None = None


AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
AAC_OPTIONS = {"aac_pns": "0"}
"""Without noise in place of what is heard as noise (PNS): it is drawn for each channel apart, so that a sound in the
middle would stand in the room for a moment."""
# The edit list (on by default, and asked for) is what hides the 1024 samples an AAC encoder starts with
MP4 = Container(
    "mp4",
    "libx264",
    "aac",
    # x264's macroblock tree reads memory it never set: the same frames would give different bytes
    video_options={"crf": "14", "preset": "medium", "x264-params": "mbtree=0"},
    audio_options=AAC_OPTIONS,
    options={"movflags": "+faststart", "use_editlist": "1"},
    rates=AAC_RATES,
)
CONTAINERS = {
    ".mp4": MP4,
    ".m4v": MP4,
    ".mov": Container("mov", MP4.video, MP4.audio, MP4.pixels, MP4.video_options, AAC_OPTIONS, MP4.options, AAC_RATES),
    ".webm": Container(
        "webm",
        "libvpx-vp9",
        "libopus",
        video_options={"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
        rates=(48_000,),
    ),
    ".mkv": Container("matroska", "ffv1", "pcm_f32le", "bgr0", video_options={"level": "3", "slicecrc": "1"}),
    ".wav": Container("wav", None, "pcm_s24le"),
}
AV1_OPTIONS = {"crf": "24", "preset": "8"}
FORMATS = (*CONTAINERS, ".gif")
MIX_TITLE = "mix"
"""What the sound is called where its stems follow as tracks."""
STEM_TRACKS = ".mkv"
"""The format that holds stems as further tracks: others are played with all their tracks by some players."""


def unwritable() -> set[str]:
    """The formats whose codecs this build of PyAV lacks; empty with its own wheels."""
    needed = {suffix: {kind.video, kind.audio} - {None} for suffix, kind in CONTAINERS.items()}
    return {suffix for suffix, codecs in needed.items() if not codecs <= av.codecs_available}


def check_output(path: str | Path) -> Path:
    """The path, once it is known that a clip could be written there; ask before hours of work, not after.

    Raises:
        PhonofilmError: an unknown format, a folder that is not there or not to be written in, or one of this name.
    """
    path = Path(path)
    if path.is_dir():
        raise PhonofilmError(f"{path} is a folder; name a file to write")
    if path.suffix.lower() not in FORMATS:
        raise PhonofilmError(f"{path.name}: unknown output format {path.suffix or '(none)'}; use {' '.join(FORMATS)}")
    return check_file(path)


def write_clip(
    clip: Clip,
    path: str | Path,
    *,
    metadata: Mapping[str, str] | None = None,
    codec: str = "",
    subtitles: Sequence[Cue] = (),
    stem_tracks: bool = False,
    seal: Seal | None = None,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Write a clip atomically; the format follows the name.

    .mp4 .m4v .mov are H.264 (4:2:0, BT.709) + AAC; .webm is VP9 + Opus at 48 kHz; .mkv is lossless (FFV1 + PCM);
    .wav is the sound alone; .gif is the picture alone. Odd sizes grow by one pixel where the codec needs even ones.

    Args:
        metadata: said in the container besides `clip.metadata`, the prompt and the events.
        codec: "av1" for AV1 in place of VP9 in .webm.
        subtitles: a track of text; .mkv and .webm have one, other kinds leave it out.
        stem_tracks: the clip's stems follow its sound as tracks with their names, which .mkv alone holds.
        seal: called with the whole file before it takes its name, and with that name.
        check: called before each frame and each block of sound; what it raises ends the work, and nothing is left.

    Raises:
        PhonofilmError: an unknown format, nothing to write in it, sound that is not finite, a full disk.
    """
    path = check_output(path)
    if stem_tracks:
        check_stem_tracks(path)
    _check_content(clip, path)
    if path.suffix.lower() == ".gif":
        clip = slowed(clip)
    tags = to_tags(clip, metadata or {})
    with atomic(path) as temporary:
        if path.suffix.lower() == ".gif":
            write_gif(clip, temporary, tags.get("comment", ""))
        else:
            _mux(clip, temporary, _container(path, codec), tags, subtitles, stem_tracks, check)
        if seal is not None:
            seal(temporary, path)
    return path


def write_joined(
    path: str | Path,
    frames: Iterable[np.ndarray],
    size: tuple[int, int],
    fps: Fraction,
    pieces: Iterable[np.ndarray],
    sample_rate: int,
    metadata: Mapping[str, str],
    *,
    seal: Seal | None = None,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Write a film whose frames, uint8 [H, W, 3], and stereo sound, float32 [2, any length], come piece by piece.

    Args:
        size: (width, height) of every frame. seal, check: as for `write_clip`.

    Raises:
        PhonofilmError: as `write_clip`.
    """
    path = check_output(path)
    kind = _container(path, "")
    rate = codec_rate(sample_rate, kind)
    sound = pieces if rate == sample_rate else resample_stream(pieces, sample_rate, rate)
    tracks: list[Track] = [
        partial(picture_track, frames=frames, size=size, fps=fps, kind=kind),
        partial(sound_track, pieces=sound, names=STANDARD[2], rate=rate, kind=kind),
    ]
    tags = to_tags(Clip(), {"fps": str(fps), **metadata})
    with atomic(path) as temporary:
        mux(temporary, kind, tags, sample_rate, tracks, check)
        if seal is not None:
            seal(temporary, path)
    return path


def check_stem_tracks(path: str | Path) -> None:
    """Refuse stems as tracks where a file of this name does not hold them.

    Raises:
        PhonofilmError: any name but one in .mkv.
    """
    if Path(path).suffix.lower() != STEM_TRACKS:
        raise PhonofilmError(
            f"{Path(path).name}: only {STEM_TRACKS} holds stems as tracks; name one, or use --stems DIR"
        )


def stored_size(path: str | Path, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that a picture of a size has in a file of this name: odd sides grow by one where they must."""
    kind = CONTAINERS.get(Path(path).suffix.lower())
    return size if kind is None else _sides(size, kind)


def _sides(size: tuple[int, int], kind: Container) -> tuple[int, int]:
    width, height = size
    return (width + width % 2, height + height % 2) if kind.pixels == "yuv420p" else size


def left_out(clip: Clip, path: str | Path) -> list[str]:
    """What a file of this name cannot hold of a clip, in sentences for whoever asked for it."""
    path = Path(path)
    suffix, said = path.suffix.lower(), []
    kind = CONTAINERS.get(suffix)
    has_frames = clip.frames is not None and len(clip.frames) > 0
    has_sound = clip.waveform is not None and clip.waveform.shape[1] > 0
    if suffix == ".gif" and has_sound:
        said.append(f"{path.name}: a GIF holds no sound, so the clip's sound is left out; .mp4 keeps it")
    if suffix == ".gif" and clip.fps is not None and clip.fps > FASTEST:
        said.append(f"{path.name}: a GIF plays at most {FASTEST} frames a second, so some of {float(clip.fps):g} go")
    if suffix == ".wav" and has_frames:
        said.append(f"{path.name}: a WAV holds the sound alone, so the picture is left out; .mp4 keeps it")
    if clip.frames is not None and suffix != ".wav":
        size = clip.frames.shape[2], clip.frames.shape[1]
        width, height = stored_size(path, size)
        if (width, height) != size:
            told = f"{suffix} needs even sides, so {size[0]}x{size[1]} is written as {width}x{height}"
            said.append(f"{path.name}: {told}; .mkv keeps the size")
    if kind is not None and has_sound and clip.waveform is not None and len(clip.waveform) in STANDARD:
        rate = codec_rate(clip.sample_rate or 48_000, kind)
        names, kept = named(len(clip.waveform), clip.layout), carried(clip.waveform[:, :1], clip.layout, kind, rate)[1]
        if len(kept) < len(names):
            said.append(f"{path.name}: {suffix} has no place for {' '.join(names)}, so the sound is mixed to stereo")
    return said


def _container(path: Path, codec: str) -> Container:
    container = CONTAINERS[path.suffix.lower()]
    if codec == "av1" and container.format == "webm":
        return Container("webm", "libsvtav1", container.audio, video_options=AV1_OPTIONS, rates=container.rates)
    if codec:
        raise PhonofilmError(f"codec {codec!r} does not go into {path.suffix}; only .webm has a choice: av1")
    return container


def _check_content(clip: Clip, path: Path) -> None:
    has_frames = clip.frames is not None and len(clip.frames) > 0
    has_sound = clip.waveform is not None and clip.waveform.shape[1] > 0
    if path.suffix.lower() == ".wav" and not has_sound:
        raise PhonofilmError(f"{path.name}: the clip has no sound, which is all that .wav holds; use .mp4")
    if path.suffix.lower() == ".gif" and not has_frames:
        raise PhonofilmError(f"{path.name}: the clip has no picture, which is all that .gif holds; use .wav")
    if not has_frames and not has_sound:
        raise PhonofilmError(f"{path.name}: the clip is empty, there is neither picture nor sound to write")
    for sound in (clip.waveform, *clip.stems.values()):
        if sound is not None:
            check_finite(sound)
    if clip.waveform is not None and clip.waveform.shape[0] not in STANDARD:
        raise PhonofilmError(f"{path.name}: {clip.waveform.shape[0]} channels of sound; 1 to 8 can be written")


def check_finite(samples: np.ndarray) -> None:
    if not np.isfinite(samples).all():
        raise PhonofilmError("the sound holds values that are not finite; nothing was written")


Timed = tuple[Fraction, Any, Any]
"""When, into which stream, and what: a frame to encode, None to flush its encoder, or a packet as it is."""

Track = Callable[[Any], Iterator[Timed]]
"""Adds its stream to an open container at once; what it returns yields what goes into it."""


def _mux(
    clip: Clip,
    path: Path,
    kind: Container,
    tags: Mapping[str, str],
    subtitles: Sequence[Cue],
    stem_tracks: bool,
    check: Callable[[], None],
) -> None:
    tracks: list[Track] = []
    if clip.frames is not None and clip.fps is not None and len(clip.frames) and kind.video:
        height, width = clip.frames.shape[1:3]
        tracks.append(partial(picture_track, frames=clip.frames, size=(width, height), fps=clip.fps, kind=kind))
    if clip.waveform is not None and clip.sample_rate and clip.waveform.shape[1]:
        rate = codec_rate(clip.sample_rate, kind)
        waveform, names = carried(clip.waveform, clip.layout, kind, rate)
        waveform = resample_audio(waveform, clip.sample_rate, rate)
        stems = clip.stems if stem_tracks else {}
        title = MIX_TITLE if stems else ""
        tracks.append(partial(sound_track, pieces=[waveform], names=names, rate=rate, kind=kind, title=title))
        for name, stem in stems.items():
            stem, names = carried(stem, clip.layout, kind, rate)
            stem = resample_audio(stem, clip.sample_rate, rate)
            tracks.append(partial(sound_track, pieces=[stem], names=names, rate=rate, kind=kind, title=name))
    mux(path, kind, tags, clip.sample_rate, [*tracks, *subtitle_tracks(subtitles, path.suffix)], check)


def subtitle_tracks(subtitles: Sequence[Cue], suffix: str) -> list[Track]:
    """A track of subtitles, where there are some and a file of this kind holds them."""
    if not subtitles or not holds_subtitles(suffix):
        return []
    return [partial(subtitle_track, cues=subtitles, suffix=suffix)]


def mux(
    path: Path,
    kind: Container,
    tags: Mapping[str, str],
    sample_rate: int | None,
    tracks: Sequence[Track],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write tracks side by side in order of time, each drawn from only as far as the others have come.

    Raises:
        PhonofilmError: the container does not take what is in them.
    """
    try:
        # bit-exact: the same clip gives the same bytes, without the random ids and dates of a muxer
        options = {**kind.options, "fflags": "+bitexact"}
        if "use_editlist" in options and sample_rate:
            # an edit list counts in the movie's units; in milliseconds it could not end on a sample
            options["movie_timescale"] = str(codec_rate(sample_rate, kind))
        with av.open(path, "w", format=kind.format, options=options) as output:
            output.metadata.update(tags)
            opened = [track(output) for track in tracks]
            for _, stream, item in heapq.merge(*opened, key=lambda timed: timed[0]):
                check()
                output.mux(item if isinstance(item, av.Packet) else stream.encode(item))
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise PhonofilmError(f"the clip cannot be written as {path.suffix}: {error}") from error


def picture_track(
    output: Any, frames: Iterable[np.ndarray], size: tuple[int, int], fps: Fraction, kind: Container
) -> Iterator[Timed]:
    """Frames uint8 [H, W, 3] of one size (width, height) on a constant clock; odd sides grow by one pixel."""
    yuv, tick = kind.pixels == "yuv420p", 1 / fps
    stream = output.add_stream(kind.video, rate=fps, options=dict(kind.video_options))
    stream.width, stream.height = _sides(size, kind)
    stream.pix_fmt = kind.pixels
    stream.time_base = stream.codec_context.time_base = tick
    if yuv:
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709.value
        context.color_range = ColorRange.MPEG.value
    with usual_priority():
        stream.codec_context.open(strict=False)

    def encode() -> Iterator[Timed]:
        reformatter, count = VideoReformatter(), 0
        for pixels in frames:
            frame = yuv_frame(even(pixels) if yuv else pixels, kind.pixels, reformatter)
            frame.pts, frame.time_base = count, tick
            yield count * tick, stream, frame
            count += 1
        yield count * tick, stream, None

    return encode()


def yuv_frame(pixels: np.ndarray, format: str, reformatter: VideoReformatter) -> av.VideoFrame:
    """Pixels as the codec wants them; one thread and one reformatter, since starting either costs more than a frame."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    if format != "yuv420p":
        return reformatter.reformat(frame, format=format, threads=1)
    frame = reformatter.reformat(
        frame,
        format=format,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=SCALING,
        threads=1,
    )
    frame.color_primaries = frame.color_trc = Colorspace.ITU709.value
    return frame


def even(pixels: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] that grows by a pixel where a side is odd."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def codec_rate(rate: int, kind: Container) -> int:
    """The sample rate itself where the codec has it, or the next higher one."""
    if kind.rates is None or rate in kind.rates:
        return rate
    return next((r for r in kind.rates if r >= rate), kind.rates[-1])


def carried(
    waveform: np.ndarray, layout: Sequence[str], kind: Container, rate: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Sound [C, N] and the names of its channels as a codec takes them: as they are, or else mixed to stereo."""
    names = named(len(waveform), layout)
    if _takes(kind.audio, rate, names):
        return waveform, names
    usual = STANDARD[len(waveform)]
    alike = {name.replace("S", "B") for name in names} == {name.replace("S", "B") for name in usual}
    if alike and _takes(kind.audio, rate, usual):
        return remix(waveform, names, usual, len(usual)), usual
    return mix(waveform, 2, names), STANDARD[2]


@lru_cache(maxsize=256)
def _takes(codec: str, rate: int, names: tuple[str, ...]) -> bool:
    """Whether an encoder has a place for each of these channels."""
    if codec == "libopus" and len(names) in (5, 7):  # FFmpeg hands these to libopus in a wrong order
        return False
    context: Any = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = rate, _layout(names), SAMPLE_FORMATS.get(codec, "flt")
    try:
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _layout(names: Sequence[str]) -> str:
    return {STANDARD[1]: "mono", STANDARD[2]: "stereo"}.get(tuple(names), "+".join(names))


def sound_track(
    output: Any, pieces: Iterable[np.ndarray], names: tuple[str, ...], rate: int, kind: Container, title: str = ""
) -> Iterator[Timed]:
    """Sound float32 [C, any length] piece after piece, at a rate and with channels that the codec has.

    Args:
        title: what players call the track, where there are several.

    Raises:
        PhonofilmError: sound that is not finite, which an encoder would make noise of.
    """
    stream = output.add_stream(kind.audio, rate=rate, layout=_layout(names), options=dict(kind.audio_options))
    if title:
        stream.metadata["title"] = title
    if not kind.audio.startswith("pcm"):
        # AAC holds 6144 bits a channel and block at most
        stream.bit_rate = len(names) * min(128_000, 6 * rate)

    def encode() -> Iterator[Timed]:
        start = 0
        for block in _blocks(pieces):
            check_finite(block)
            # interleaved: PyAV counts nine planes where there are eight
            samples = np.ascontiguousarray(np.clip(block, -1, 1).T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=_layout(names))
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            yield Fraction(start, rate), stream, frame
            start += block.shape[1]
        yield Fraction(start, rate), stream, None

    return encode()


def _blocks(pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same sound in blocks of one length, the last one as long as it is."""
    rest = None
    for piece in pieces:
        rest = piece if rest is None else np.concatenate([rest, piece], axis=1)
        whole = rest.shape[1] // BLOCK * BLOCK
        yield from (rest[:, start : start + BLOCK] for start in range(0, whole, BLOCK))
        rest = rest[:, whole:]
    if rest is not None and rest.shape[1]:
        yield rest
