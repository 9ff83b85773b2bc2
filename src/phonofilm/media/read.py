"""A file becomes a `Clip`: any container and codec that FFmpeg reads, upright, on one clock from zero."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import declared_seconds, hints, opened, streams
from phonofilm.media.decode import Decoded, decode
from phonofilm.media.gif import PILLOW_ERRORS, gif_comment
from phonofilm.media.layouts import EARS
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
    found_rate, layout = decoded.sample_rate, _layout(metadata, decoded)
    if waveform is not None:
        if channels is not None:
            waveform, layout = mix(waveform, channels, layout), ()
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
        metadata={key: value for key, value in metadata.items() if key not in ("events", "fps", "layout")},
        layout=layout,
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
            seconds=float(declared_seconds(container, video, audio) or Fraction(container.duration or 0, av.time_base)),
            size=(video.codec_context.width, video.codec_context.height) if video else None,
            fps=next(iter(hints(video)), Fraction(1)) if video else None,
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
    path = Path(path)
    try:
        with Image.open(path) as image:
            pixels = _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise PhonofilmError(f"{path} is not a picture that can be read; use PNG, JPEG or WebP") from error
    except PILLOW_ERRORS as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        raise PhonofilmError(f"picture {path} cannot be read: {said}") from error
    return pixels if size is None else resize_frames(pixels[None], size)[0]


def _rgb(image: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3] in sRGB: other colour profiles are converted, and 16 bits scaled to 8."""
    if image.mode.startswith(("I;16", "I", "F")):
        levels = np.asarray(image).astype(np.float64)
        grey = (levels / (257 if levels.max(initial=0) > 255 else 1)).round().clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    profile = image.info.get("icc_profile")
    if profile:
        try:
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            bare = image.convert("RGB") if image.mode in ("P", "RGBA", "PA") else image
            converted = ImageCms.profileToProfile(bare, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = image if converted is None else converted
        except (ImageCms.PyCMSError, *PILLOW_ERRORS):  # a profile that says nothing: the colours as they are
            pass
    return np.asarray(image.convert("RGB"))


def _layout(metadata: Mapping[str, str], decoded: Decoded) -> tuple[str, ...]:
    """The channels that Phonofilm noted when it wrote the file, or else those that the file tells."""
    names = tuple(metadata.get("layout", "").split("+"))
    fits = decoded.blocks and len(names) == len(decoded.blocks[0].samples) and all(name in EARS for name in names)
    return names if fits else decoded.layout


def _metadata(container: Any, path: Path) -> dict[str, str]:
    tags = dict(container.metadata)
    if container.format.name == "gif":
        tags["comment"] = gif_comment(path)
    return from_tags(tags)
