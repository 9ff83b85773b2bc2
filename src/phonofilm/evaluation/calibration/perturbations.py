"""The knobs: what is changed, by how much, and which metrics are asked about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phonofilm.evaluation.calibration import audio_cases, video_cases
from phonofilm.evaluation.calibration.audio_cases import Case, Films
from phonofilm.evaluation.calibration.sources import Source


@dataclass(frozen=True)
class Knob:
    """One thing that is changed.

    Attributes:
        name, title, unit: as in files, in plots and on axes.
        levels, quick: of the full run and of the quick one.
        asks: "sync" or "sound" for all metrics of synchrony, or of sound and nothing else; or names of metrics.
        turn: the clips at the given levels.
        kinds: sources it is for: "world", "film", "talk" (which short films count as).
        every: it is turned on one source of so many.
    """

    name: str
    title: str
    unit: str
    levels: tuple[float, ...]
    quick: tuple[float, ...]
    asks: tuple[str, ...]
    turn: Callable[[Source, Films, Sequence[float]], Iterator[Case]]
    kinds: tuple[str, ...] = ("world", "film")
    every: int = 1


OFFSETS = (0, 10, -10, 20, -20, 25, -25, 40, -40, 80, -80, 125, -125, 250, -250, 500, -500, 1000, -1000, 2000, -2000)
FEW = (0, 25, -40, 80, -125, 250, -500, 1000)
UP = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75)
ALL = ("world", "film", "talk")
PICTURES = ("imaging quality[brisque]", "FID[efficientnet]", "KID[efficientnet]", "FVD[dis-flow]")
STEADY = ("temporal flicker", "motion smoothness[dis]")
EARS = ("FAD[log-mel, stereo]", "KAD[log-mel, stereo]", "FAD[yamnet, stereo]", "KAD[yamnet, stereo]",
        "FAD[vggish, stereo]", "FD[places]", "FAD[log-mel]")  # fmt: skip
"""Distances that hear both ears, and one that does not."""

SIGNED = ("offset, signed", "lip offset, signed")
SOUND_ASKS = ("offset, signed", "sound")
KNOBS = (
    Knob("offset", "Sound against picture", "ms early", OFFSETS, FEW, (*SIGNED, "sync"), audio_cases.offset, ALL),
    Knob("disturbed", "Sound against picture, disturbed", "ms early", FEW, (), SIGNED, audio_cases.disturbed, ALL),
    Knob("audio speed", "Speed of the sound", "factor − 1", (*(-x for x in UP), 0, *UP),
         (-0.25, 0, 0.25), ("drift, signed", "PEAVS[phonofilm]"), audio_cases.audio_speed),
    Knob("video speed", "Speed of the picture", "factor − 1", (-0.25, -0.1, 0.1, 0.25), (),
         ("drift, signed",), audio_cases.video_speed, every=4),
    Knob("fragments", "Picture and sound cut up together", "s a piece", (0.4, 1, 2, 4), (),
         ("offset, signed", "sync"), audio_cases.fragments, every=2),
    Knob("mismatch", "Sound of another film", "share of pairs", (0, 1), (), ("sync",), audio_cases.mismatch,
         ("world",)),
    Knob("noise", "White noise", "dB SNR", (40, 30, 20, 10, 5, 0, -5), (40, 20, 10, 0), SOUND_ASKS,
         audio_cases.sound_damage("noise")),
    Knob("low-pass", "Low-pass", "Hz", (4000, 3500, 2000, 1000, 600, 300), (), SOUND_ASKS,
         audio_cases.sound_damage("low-pass")),
    Knob("quantisation", "Quantisation", "bits", (9, 8, 7, 6, 5, 4, 3, 2), (), SOUND_ASKS,
         audio_cases.sound_damage("quantise")),
    Knob("pan", "Place of the sound", "pan", tuple(np.linspace(-1, 1, 9)), (-1, -0.5, 0, 0.5, 1),
         ("pan, located", "Spatial AV-Align[faces]", "pan error", "mono"), audio_cases.pan, ("world", "talk")),
    Knob("ears", "Width of the sound; −1: ears swapped", "of the width", (1, 0.5, 0, -0.5, -1), (1, 0, -1), EARS,
         audio_cases.ears, ("world",)),
    Knob("gain", "Loudness", "dB", (0, -6, -12, -24, -36), (0, -12, -24), ("loudness", "loudness gap"),
         audio_cases.gain),
    Knob("muting", "Silence", "share muted", (0, 0.25, 0.5, 0.75, 1), (0, 0.5, 1), ("silence",), audio_cases.muting),
    Knob("insertion", "Music and speech that nobody asked for", "share of the time", (0, 0.25, 0.5, 0.75, 1), (),
         ("IH@dur[yamnet+silero, prompt]", "IH@vid[yamnet+silero, prompt]"), audio_cases.insertion, ("world",), 2),
    Knob("codec", "Through a file and back", "container", (0, 1, 2, 3), (), ("delay",), audio_cases.codec,
         ("world",), 4),
    Knob("blur", "Blurred picture", "px", (0.5, 1, 2, 4), (), PICTURES, video_cases.blur, every=4),
    Knob("grain", "Noise in the picture", "levels of 255", (2, 5, 10, 20), (), (*PICTURES, *STEADY),
         video_cases.grain, every=4),
    Knob("flicker", "Brightness that flickers", "levels of 255", (0, 1, 2, 5, 10), (), STEADY, video_cases.flicker,
         every=4),
    Knob("stutter", "Pictures shown twice", "share of pictures", (0, 0.05, 0.1, 0.2, 0.4), (), STEADY[1:],
         video_cases.stutter, every=4),
    Knob("intruders", "Pictures of another film", "share of pictures", (0, 0.1, 0.2, 0.3, 0.5), (),
         ("subject consistency[efficientnet]",), video_cases.intruders, ("world",), 4),
    Knob("voice", "Noise over a voice", "dB SNR", (40, 30, 20, 10, 5, 0, -5), (), ("DNSMOS", "WER[whisper-tiny.en]"),
         audio_cases.voice, ("talk",)),
)  # fmt: skip
"""In the order of the plots. How many clips a set has is no knob of a clip: see `sizes`."""

MUST = {
    "offset, signed": ("offset", "disturbed", "noise"),
    "drift, signed": ("audio speed",),
    "onset–motion F1": ("offset",),
    "FAD[log-mel]": ("noise", "low-pass"),
    "KAD[log-mel]": ("noise", "low-pass"),
    "FAD[yamnet]": ("noise", "low-pass", "quantisation"),
    "KAD[yamnet]": ("noise", "low-pass", "quantisation"),
    "FAD[log-mel, stereo]": ("ears",),
    "KAD[log-mel, stereo]": ("ears",),
    "FAD[yamnet, stereo]": ("ears",),
    "KAD[yamnet, stereo]": ("ears",),
    "FD[places]": ("ears",),
    "IH@dur[yamnet+silero, prompt]": ("insertion",),
}
"""Where a shape is the least a metric must show to be trusted, by metric and knob, in Foley World."""
