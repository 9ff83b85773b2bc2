"""A demo that is silent or still is no demo: read the file back and look and listen."""

from __future__ import annotations

import sys

import numpy as np

from phonofilm.media import read_clip

SILENCE_DB = -50.0
STILL_LEVELS = 1.0  # mean change between neighbouring frames, of 255


def main(path: str) -> None:
    clip = read_clip(path)
    if clip.frames is None or clip.waveform is None:
        raise SystemExit(f"{path} lacks its {'picture' if clip.frames is None else 'sound'}")
    level = 20 * np.log10(float(np.sqrt((clip.waveform.astype(np.float64) ** 2).mean())) + 1e-12)
    change = np.abs(np.diff(clip.frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    apart = abs(float(clip.picture_seconds - clip.sound_seconds)) * 1000
    print(f"{path}: {clip.seconds:.2f} s, sound {level:.1f} dB, motion {change.max():.2f}, ends {apart:.2f} ms apart")
    if level < SILENCE_DB:
        raise SystemExit(f"{path} is silent: {level:.1f} dB, where {SILENCE_DB:.0f} dB is the least")
    if change.max() < STILL_LEVELS:
        raise SystemExit(f"{path} is still: no two neighbouring frames differ by more than {change.max():.2f} levels")


if __name__ == "__main__":
    main(sys.argv[1])
