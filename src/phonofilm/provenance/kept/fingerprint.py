"""What a film looks and sounds like in a few hundred bytes, much the same after codecs, scaling and small cuts.

Picture: twice a second, signs of the 63 lowest cosine coefficients of 32 x 32 grey pixels (Zauner 2010, "pHash").
Sound: 16 times a second, signs of differences between neighbouring bands and steps (Haitsma and Kalker 2002).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.fft

from phonofilm.errors import PhonofilmError
from phonofilm.media import probe
from phonofilm.media.film import Film
from phonofilm.media.sound.reading import has_sound, sound_pieces

STREAMS = ("sound", "picture")
PICTURES, SIDE, LOW = 2, 32, 8
"""Pictures a second, their sides, and how many frequencies along each are used."""
RATE, STEPS = 8000, 16
"""Samples and steps a second."""
EDGES = np.geomspace(300, 3400, 18)
"""Hz of 17 bands, whose differences are 16 bits."""
LONGEST = 3600
"""Seconds of a film that are looked at."""
ALIKE = {"picture": 0.2, "sound": 0.3}
"""Part of the bits that may differ; 0.5 do by chance."""
ENOUGH = {"picture": 200, "sound": 400}
"""Bits that must be compared for an answer."""
VARIED = 0.02
"""Bits of a picture whose coefficient is smaller than this part of the largest say nothing."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Bits of a film, +1 and -1, and 0 where there is nothing to see or hear.

    Attributes:
        picture: int8 [T, 63]. sound: int8 [T, 16].
    """

    picture: np.ndarray
    sound: np.ndarray

    def to_json(self) -> dict[str, str]:
        """Two bits for each, as text."""
        return {name: _packed(getattr(self, name)) for name in ("picture", "sound")}

    @staticmethod
    def from_json(values: dict[str, str]) -> Fingerprint:
        return Fingerprint(_unpacked(values["picture"], LOW * LOW - 1), _unpacked(values["sound"], len(EDGES) - 2))

    def within(self, spans: Mapping[str, tuple[float, float]]) -> Fingerprint:
        """Without the bits of what lies outside spans in seconds, by stream; a stream without a span stays as it is."""

        def kept(bits: np.ndarray, name: str, rate: int, reach: float) -> np.ndarray:
            if name not in spans:
                return bits
            at = np.arange(len(bits)) / rate
            inside = (at >= spans[name][0]) & (at + reach <= spans[name][1])
            return np.where(inside[:, None], bits, 0).astype(np.int8)

        # a picture stands for half a second, whose middle is looked at; a step of sound sees a quarter and the next
        return Fingerprint(
            kept(self.picture, "picture", PICTURES, 1 / PICTURES), kept(self.sound, "sound", STEPS, 0.25 + 1 / STEPS)
        )

    def alike(self, other: Fingerprint) -> dict[str, float]:
        """How much of the bits of picture and sound agree at best, where enough can be compared: 1 all, 0.5 chance."""
        found = {name: _agreement(getattr(self, name), getattr(other, name), ENOUGH[name]) for name in ALIKE}
        return {name: share for name, share in found.items() if share is not None}


def is_match(shares: dict[str, float]) -> bool:
    """Whether picture or sound agree so well that it is the same film."""
    return any(share >= 1 - ALIKE[name] for name, share in shares.items())


def fingerprint(path: str | Path, streams: Collection[str] = STREAMS) -> Fingerprint:
    """Of a file, read piece by piece.

    Args:
        streams: which are looked at; a long picture takes longest.

    Raises:
        PhonofilmError: a file that cannot be read, or with neither picture nor sound.
    """
    picture, sound = np.zeros((0, LOW * LOW - 1), np.int8), np.zeros((0, len(EDGES) - 2), np.int8)
    if "picture" in streams:
        picture = _picture(Path(path))
    if "sound" in streams and has_sound(path):
        sound = _sound(Path(path))
    if set(streams) == set(STREAMS) and not len(picture) and not len(sound):
        raise PhonofilmError(f"{path} has neither picture nor sound that a fingerprint could be taken of")
    return Fingerprint(picture, sound)


def _picture(path: Path) -> np.ndarray:
    try:
        film = Film.open(path)
    except PhonofilmError:
        if not has_sound(path):
            raise
        return np.zeros((0, LOW * LOW - 1), np.int8)
    count = max(1, int(min(float(film.seconds), LONGEST) * PICTURES))
    shown = [min(film.ticks - 1, int(Fraction(2 * n + 1, 2 * PICTURES) * film.fps)) for n in range(count)]
    return np.stack([_looks(frame) for frame in film.frames(shown, (SIDE, SIDE))])


def _looks(frame: np.ndarray) -> np.ndarray:
    low = scipy.fft.dctn(frame.astype(np.float32).mean(-1), norm="ortho")[:LOW, :LOW].ravel()[1:]
    return np.where(np.abs(low) > max(VARIED * np.abs(low).max(), 4.0), np.sign(low), 0).astype(np.int8)


def _sound(path: Path) -> np.ndarray:
    size, step, rest, rows = RATE // 4, RATE // STEPS, np.zeros(0, np.float32), []
    window = np.hanning(size).astype(np.float32)
    bands = np.searchsorted(np.fft.rfftfreq(size, 1 / RATE), EDGES)
    length = Fraction(min(float(probe(path).seconds), LONGEST))
    for piece in sound_pieces(path, RATE, Fraction(0), length):
        rest = np.concatenate([rest, piece.mean(0)])
        while len(rest) >= size:
            power = np.abs(np.fft.rfft(rest[:size] * window)) ** 2
            rows.append(np.add.reduceat(power, bands)[:-1])
            rest = rest[step:]
    if len(rows) < 2:
        return np.zeros((0, len(EDGES) - 2), np.int8)
    energy = np.array(rows)
    across = np.diff(energy, axis=1)
    change, heard = np.diff(across, axis=0), energy[1:].sum(1, keepdims=True) > 1e-4 * size
    return np.where(heard, np.sign(change), 0).astype(np.int8)


def _agreement(one: np.ndarray, other: np.ndarray, enough: int) -> float | None:
    """The best share of equal bits over all shifts in time that leave enough bits to compare."""
    best: float | None = None
    for shift in range(-len(one) + 1, len(other)):
        here, there = one[max(0, -shift) :], other[max(0, shift) :]
        length = min(len(here), len(there))
        here, there = here[:length], there[:length]
        compared = np.count_nonzero((here != 0) & (there != 0))
        if compared >= enough:
            share = float(np.count_nonzero((here == there) & (here != 0)) / compared)
            best = share if best is None else max(best, share)
    return best


def _packed(bits: np.ndarray) -> str:
    codes = (bits.ravel() + 1).astype(np.uint8)
    fours = np.pad(codes, (0, -len(codes) % 4), constant_values=1).reshape(-1, 4)
    return (fours << np.array([0, 2, 4, 6], np.uint8)).sum(1).astype(np.uint8).tobytes().hex() + f":{bits.size}"


def _unpacked(text: str, width: int) -> np.ndarray:
    packed, _, size = text.partition(":")
    codes = (np.frombuffer(bytes.fromhex(packed), np.uint8)[:, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    return (codes.ravel()[: int(size)].astype(np.int8) - 1).reshape(-1, width)
