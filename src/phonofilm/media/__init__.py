"""Files to clips and back, and clips on a page; the only room that knows PyAV.

The contact sheet is `phonofilm.media.sheet.sheet`. Names are imported when they are first asked for, so that what
only resamples also runs on a machine without PyAV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonofilm.media.metadata import provenance
    from phonofilm.media.read import Info, probe, read_clip, read_image, read_metadata
    from phonofilm.media.resample import mix, resample_audio, resample_frames, resize_frames
    from phonofilm.media.write import (
        FORMATS,
        check_output,
        check_stem_tracks,
        left_out,
        stored_size,
        unwritable,
        write_clip,
    )

__all__ = [
    "FORMATS",
    "Info",
    "check_output",
    "check_stem_tracks",
    "left_out",
    "mix",
    "probe",
    "provenance",
    "read_clip",
    "read_image",
    "read_metadata",
    "resample_audio",
    "resample_frames",
    "resize_frames",
    "stored_size",
    "unwritable",
    "write_clip",
]

_FILES = {
    "metadata": ("provenance",),
    "read": ("Info", "probe", "read_clip", "read_image", "read_metadata"),
    "resample": ("mix", "resample_audio", "resample_frames", "resize_frames"),
    "write": ("FORMATS", "check_output", "check_stem_tracks", "left_out", "stored_size", "unwritable", "write_clip"),
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'phonofilm.media' has no attribute {name!r}")
    return getattr(import_module(f"phonofilm.media.{_HOME[name]}"), name)
