"""The stems that a film carries beside its sound: tracks with their names after one that is called mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phonofilm.choices import STEMS
from phonofilm.errors import PhonofilmError
from phonofilm.media.container import decoded_packets, opened
from phonofilm.media.decode import planar
from phonofilm.media.write import MIX_TITLE


def read_stems(path: str | Path, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Speech, effects and music of a file that `write_clip` wrote with `stem_tracks`, float32 [C, N] each.

    Args:
        shape: of the file's sound; tracks of another shape are no stems of it.

    Returns:
        those that are there, in the order of models; none for any other file.

    Raises:
        PhonofilmError: a file that cannot be read.
    """
    path = Path(path)

    def damaged() -> PhonofilmError:
        return PhonofilmError(f"{path} is damaged: the tracks of its stems cannot be read")

    with opened(path) as container:
        tracks = {stream.metadata.get("title"): stream for stream in container.streams.audio}
        names = {tracks[name].index: name for name in STEMS if name in tracks and MIX_TITLE in tracks}
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}
        wanted = [stream for stream in container.streams.audio if stream.index in names]
        for packet, frames in decoded_packets(container, wanted, damaged) if wanted else ():
            pieces[names[packet.stream.index]] += [planar(frame) for frame in frames]
    found = {name: np.concatenate(parts, axis=1) for name, parts in pieces.items() if parts}
    return {name: stem for name, stem in found.items() if stem.shape == shape}
