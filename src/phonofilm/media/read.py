"""A file becomes a `Clip`: any container and codec that FFmpeg reads, upright, on one clock from zero."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from phonofilm.errors import PhonofilmError
from phonofilm.media.decode import declared_seconds, decode, opened, streams
from phonofilm.media.gif import gif_comment
from phonofilm.media.metadata import from_tags, to_events
from phonofilm.media.resample import mix, resample_audio, resize_frames
from phonofilm.types import Clip, nearest, rational


@dataclass(frozen=True)
class Info:
    """What a file holds, from its header: a missing picture or sound is None throughout."""

    path: Path
    format: str
    seconds: float
    size: tuple[int, int] | None
    fps: Fraction | None
    video_codec: str | None
    sample_rate: int | None
    channels: int | None
    audio_codec: str | None
    metadata: dict[str, str]


def read_clip(
    path: str | Path,
    *,
    fps: Fraction | float | None = None,
    size: tuple[int, int] | int | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
    seconds: float | None = None,
    squash: int | None = None,
) -> Clip:
    """Read a file, upright and with square pixels; picture and sound start together at time zero.

    Without arguments every frame and sample is kept; a variable frame rate is put on the clock of the
    nearest common rate. Prompt and events that Phonofilm wrote into the container come back too.

    Args:
        fps: another frame rate; each tick takes the frame on show.
        size: (width, height), cropped at the centre to that shape while reading, which bounds memory; or one
            number, the short side that larger pictures are scaled down to, uncropped.
        sample_rate: another sample rate.
        channels: 1 or 2; default is what the file has.
        seconds: read the first part only.
        squash: the side of a small square that the decoder itself shrinks whole pictures to, whatever their shape
            and rotation: many times faster than `size`, and rougher. For training data.

    Raises:
        PhonofilmError: a file that is missing, empty, truncated, damaged, or no film or sound at all.
    """
    path = Path(path)
    if seconds is not None and not seconds > 0:
        raise PhonofilmError(f"the part of {path.name} to read must last more than 0 seconds, not {seconds}")
    with opened(path) as container:
        decoded = decode(container, path, size, seconds, squash)
        metadata = _metadata(container, path)
    frames, rate = decoded.picture(None if fps is None else rational(fps), metadata.get("fps"))
    waveform = decoded.sound()
    found_rate = decoded.sample_rate
    if waveform is not None:
        waveform = waveform if channels is None else mix(waveform, channels)
        if sample_rate is not None:
            waveform, found_rate = resample_audio(waveform, found_rate, sample_rate), sample_rate
    if seconds is not None:
        limit = Fraction(seconds).limit_denominator(10**9)
        frames = None if frames is None else frames[: max(1, nearest(limit * rate))]
        waveform = None if waveform is None else waveform[:, : nearest(limit * found_rate)]
    return Clip(
        frames=frames,
        fps=rate if frames is not None else None,
        waveform=waveform,
        sample_rate=found_rate if waveform is not None else None,
        prompt=metadata.get("prompt"),
        events=to_events(metadata),
        metadata={key: value for key, value in metadata.items() if key not in ("events", "fps")},
    )


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a file says about itself: everything Phonofilm wrote, or a foreign file's tags.

    Raises:
        PhonofilmError: a file that cannot be read.
    """
    with opened(Path(path)) as container:
        return _metadata(container, Path(path))


def probe(path: str | Path) -> Info:
    """What a file holds, without decoding it.

    Raises:
        PhonofilmError: a file that cannot be read.
    """
    path = Path(path)
    with opened(path) as container:
        video, audio = streams(container)
        return Info(
            path=path,
            format=container.format.name,
            seconds=float(declared_seconds(container, video, audio) or 0),
            size=(video.codec_context.width, video.codec_context.height) if video else None,
            fps=rational(video.average_rate or video.guessed_rate or 1) if video else None,
            video_codec=video.codec_context.name if video else None,
            sample_rate=audio.codec_context.sample_rate if audio else None,
            channels=audio.codec_context.layout.nb_channels if audio else None,
            audio_codec=audio.codec_context.name if audio else None,
            metadata=_metadata(container, path),
        )


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A still picture as uint8 [H, W, 3], upright; `size` (width, height) crops at the centre.

    Raises:
        PhonofilmError: a file that is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        raise PhonofilmError(f"{path} is not a picture that can be read; use PNG, JPEG or WebP") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise PhonofilmError(f"picture {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return pixels if size is None else resize_frames(pixels[None], size)[0]


def _metadata(container: Any, path: Path) -> dict[str, str]:
    tags = dict(container.metadata)
    if container.format.name == "gif":
        tags["comment"] = gif_comment(path)
    return from_tags(tags)
