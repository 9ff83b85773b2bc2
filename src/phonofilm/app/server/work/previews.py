"""What is shown and offered beside a film: its sound alone, a thumbnail, a sheet of frames, and its waveform."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image

from phonofilm.media import probe, read_clip, read_metadata, write_clip
from phonofilm.media.metadata import to_events
from phonofilm.media.sound.reading import sound_pieces
from phonofilm.media.write import Seal
from phonofilm.types import Clip

SHEET = 24
"""Frames of a sprite sheet, side by side in rows of six."""
COLUMNS = 6
SIDE, SMALL_SIDE, LONG_SECONDS = 128, 64, 60.0
"""Short side of its frames, less for films that are long."""
BARS = 600
"""Of a waveform."""


def make_previews(
    film: Path, folder: Path, step: Callable[[int, int], None], seal: Seal | None = None
) -> dict[str, Path]:
    """Write them into a folder; returns files by variant. A film without picture or sound has fewer.

    Args:
        seal: gives the sound alone its manifest, see `write_clip`.
    """
    found = probe(film)
    made: dict[str, Path] = {}
    if found.size is not None:
        step(0, 3)
        clip = read_clip(film, size=SIDE if found.seconds <= LONG_SECONDS else SMALL_SIDE)
        assert clip.frames is not None
        made |= _pictures(clip.frames, folder)
    if found.sample_rate is not None:
        step(1, 3)
        pieces = list(sound_pieces(film, found.sample_rate, Fraction(0), Fraction(found.seconds)))
        waveform = np.concatenate(pieces, axis=1) if pieces else np.zeros((2, 1), np.float32)
        if film.suffix != ".wav":
            sound = Clip(waveform=waveform, sample_rate=found.sample_rate, metadata=read_metadata(film))
            made["audio"] = write_clip(sound, folder / "audio.wav", seal=seal)
        step(2, 3)
        made["waveform"] = folder / "waveform.json"
        made["waveform"].write_text(json.dumps({"seconds": found.seconds, "peaks": peaks(waveform)}))
    return made


def _pictures(frames: np.ndarray, folder: Path) -> dict[str, Path]:
    chosen = frames[np.linspace(0, len(frames) - 1, SHEET).round().astype(int)]
    sheet = rearrange(chosen, "(row column) h w c -> (row h) (column w) c", column=COLUMNS)
    made = {"thumbnail": folder / "thumbnail.webp", "spritesheet": folder / "spritesheet.jpg"}
    Image.fromarray(frames[len(frames) // 3]).save(made["thumbnail"], quality=85)
    Image.fromarray(sheet).save(made["spritesheet"], quality=82)
    return made


def peaks(waveform: np.ndarray) -> list[int]:
    """The loudest sample of each of `BARS` equal parts of a sound [C, N], from 0 to 100."""
    loud = np.abs(waveform).max(axis=0)
    edges = np.linspace(0, len(loud), BARS + 1).astype(int)
    highest = [float(loud[a : max(b, a + 1)].max(initial=0)) for a, b in pairwise(edges)]
    return [round(100 * min(1.0, peak)) for peak in highest]


def events_of(film: Path) -> list[dict[str, Any]]:
    """What a film says that happens in it, in order of time."""
    found = [asdict(event) for event in to_events(read_metadata(film))]
    return [{name: value for name, value in event.items() if value is not None} for event in found]
