"""The colours, materials and notes of Foley World: one vocabulary for picture, sound and captions."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "orange": (0.96, 0.46, 0.06),
    "yellow": (0.98, 0.88, 0.15),
    "green": (0.15, 0.72, 0.22),
    "cyan": (0.15, 0.80, 0.85),
    "blue": (0.16, 0.32, 0.92),
    "purple": (0.58, 0.22, 0.85),
    "pink": (0.98, 0.42, 0.72),
}


@dataclass(frozen=True)
class Material:
    """How a thing bounces, looks and sounds.

    Attributes:
        restitution: share of the normal speed kept by a bounce on the floor.
        pitch: frequency in Hz of the lowest mode of a body of radius 0.1.
        ratios, decays, gains: of its modes; decays are times to -60 dB in seconds.
        click: level of the noise burst of the contact; click_band: its centre in Hz.
        gloss: strength of the highlight. give: how far it squashes. opacity: of its surface.
    """

    restitution: float
    pitch: float
    ratios: tuple[float, ...]
    decays: tuple[float, ...]
    gains: tuple[float, ...]
    click: float
    click_band: float
    gloss: float
    give: float
    opacity: float


# Ratios of free plates, bars and shells (Fletcher and Rossing, The Physics of Musical Instruments, ch. 2-3),
# decays by ear: rubber thuds, wood knocks, metal rings, glass tinkles.
MATERIALS: dict[str, Material] = {
    "rubber": Material(0.84, 120, (1.0, 1.62, 2.4), (0.22, 0.14, 0.09), (1.0, 0.5, 0.25), 0.10, 500, 0.15, 1.0, 1.0),
    "wood": Material(
        0.62, 420, (1.0, 2.57, 4.95, 7.3), (0.16, 0.11, 0.07, 0.05), (1.0, 0.7, 0.45, 0.2), 0.45, 1800, 0.2, 0.35, 1.0
    ),
    "metal": Material(
        0.72,
        760,
        (1.0, 1.52, 2.76, 4.08, 5.40),
        (1.5, 1.2, 0.9, 0.6, 0.4),
        (1.0, 0.6, 0.55, 0.35, 0.2),
        0.30,
        4200,
        0.9,
        0.2,
        1.0,
    ),
    "glass": Material(
        0.68, 2100, (1.0, 1.47, 2.09, 2.71), (0.55, 0.45, 0.35, 0.2), (1.0, 0.6, 0.4, 0.3), 0.25, 5800, 0.8, 0.15, 0.72
    ),
}

# The bars of the xylophone, low to high, left to right: a C major scale from C5, one colour a note.
NOTES: tuple[tuple[str, str, float], ...] = (
    ("C5", "red", 523.25),
    ("D5", "orange", 587.33),
    ("E5", "yellow", 659.26),
    ("F5", "green", 698.46),
    ("G5", "cyan", 783.99),
    ("A5", "blue", 880.00),
    ("B5", "purple", 987.77),
    ("C6", "pink", 1046.50),
)
