"""Files to clips and back, and clips on a page; the only room that knows PyAV.

The contact sheet is `phonofilm.media.sheet.sheet`.
"""

from phonofilm.media.metadata import provenance
from phonofilm.media.read import Info, probe, read_clip, read_image, read_metadata
from phonofilm.media.resample import mix, resample_audio, resample_frames, resize_frames
from phonofilm.media.write import FORMATS, check_output, unwritable, write_clip

__all__ = [
    "FORMATS",
    "Info",
    "check_output",
    "mix",
    "probe",
    "provenance",
    "read_clip",
    "read_image",
    "read_metadata",
    "resample_audio",
    "resample_frames",
    "resize_frames",
    "unwritable",
    "write_clip",
]
