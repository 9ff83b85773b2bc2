"""What `Clip.save` does with what a model made: the same layers as the command line puts on."""

from __future__ import annotations

import warnings
from pathlib import Path

from phonofilm.media import write_clip
from phonofilm.media.show import html_player
from phonofilm.provenance.layers import Layers, Marking
from phonofilm.types import Clip

UNKEPT = ("events", "notices")
"""Of a clip's metadata, what the log leaves out."""


def save(clip: Clip, path: str | Path, mark: bool = True) -> Path:
    """Write a clip; what a model made of it gets its marks, and the file is signed and remembered.

    Raises:
        PhonofilmError: as `write_clip`, or it cannot be signed; nothing is left then.
    """
    if clip.made is None or not mark:
        return write_clip(clip, path)
    marking = Marking.of(Layers(), _warn)
    written = write_clip(marking.clip(clip, clip.made), path, seal=marking.seal(clip.metadata, clip.made))
    recipe = {name: value for name, value in clip.metadata.items() if name not in UNKEPT}
    marking.remember(written, recipe, clip.made, _warn)
    return written


def shown(clip: Clip) -> str:
    """A player for a notebook, whose film has the marks alone, since no file is written."""
    if clip.made is not None:
        clip = Marking.of(Layers(sign=False, log=False), _warn).clip(clip, clip.made)
    return html_player(clip)


def _warn(line: str) -> None:
    warnings.warn(line, UserWarning, stacklevel=4)
