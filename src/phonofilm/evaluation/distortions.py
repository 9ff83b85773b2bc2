"""Known damage to a clip: PEAVS' nine audio-video distortions with their levels, and five more that anchor a study.

Each distortion is a pure function of (clip, level, random generator), and the clip keeps its duration: what a shift or
a higher speed leaves empty is silence or a picture that stands still. A name here with underscores is the name in the
published human curves (Goncalves et al. 2024, `peavs_human_curves.json`), where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media import mix, resample_audio
from phonofilm.types import Clip, nearest

Draw = np.random.Generator
MUTED = 0.4  # seconds of silence in `muting`
CHANCE = 0.4  # share of places that get a gap in `video-gaps` and `flicker`


@dataclass(frozen=True)
class Piece:
    """`seconds` of output that show the source from time `source` on, or nothing at all."""

    seconds: float
    source: float | None


def distort(clip: Clip, kind: str, level: float, seed: int = 0) -> Clip:
    """A clip with one known flaw; the same arguments give the same result.

    Its events and stems are left out, since their times no longer hold.

    Raises:
        PhonofilmError: an unknown kind, a level it does not have, or a clip without the picture or sound it needs.
    """
    if kind not in DISTORTIONS:
        raise PhonofilmError(f"there is no distortion {kind!r}; choose from {', '.join(DISTORTIONS)}")
    chosen = DISTORTIONS[kind]
    if not (np.isfinite(level) and chosen.least <= level <= chosen.most):
        raise PhonofilmError(f"{kind} takes {chosen.unit} from {chosen.least:g} to {chosen.most:g}, not {level:g}")
    for needed, found in (("picture", clip.frames), ("sound", clip.waveform)):
        if needed in chosen.needs and (found is None or not found.size):
            raise PhonofilmError(f"{kind} needs a clip with {needed}, and this one has none")
    changed = chosen.apply(clip, level, np.random.default_rng(seed))
    said = {**clip.metadata, "distortion": f"{kind} {level:g}, seed {seed}"}
    return changed.with_(events=(), stems={}, metadata=said)


def with_sound_of(clip: Clip, other: Clip) -> Clip:
    """The picture of one clip with the sound of another, cut or continued in silence to the picture's length.

    Raises:
        PhonofilmError: there is no picture, or no sound to put under it.
    """
    if clip.frames is None or other.waveform is None or other.sample_rate is None:
        raise PhonofilmError("a mismatched clip needs the picture of one clip and the sound of another")
    samples = nearest(clip.picture_seconds * other.sample_rate)
    sound = np.pad(other.waveform[:, :samples], ((0, 0), (0, max(0, samples - other.waveform.shape[1]))))
    said = {**clip.metadata, "distortion": "mismatch"}
    return clip.with_(waveform=sound, sample_rate=other.sample_rate, events=(), stems={}, metadata=said)


def audio_shift(clip: Clip, seconds: float, draw: Draw) -> Clip:
    """Positive: the sound comes early, its start is cut. Negative: it comes late, after silence."""
    if seconds >= 0:
        return _sounding(clip, [Piece(clip.seconds, seconds)])
    return _sounding(clip, [Piece(-seconds, None), Piece(clip.seconds, 0.0)])


def audio_speed(clip: Clip, factor: float, draw: Draw) -> Clip:
    """Sound that runs `factor` times as fast, and as much higher; silence where it ends early."""
    waveform, rate = clip.sound
    exact = Fraction(factor).limit_denominator(1000)
    faster = resample_audio(waveform, exact.numerator, exact.denominator)
    missing = max(0, waveform.shape[1] - faster.shape[1])
    return clip.with_(waveform=np.pad(faster[:, : waveform.shape[1]], ((0, 0), (0, missing))), sample_rate=rate)


def video_speed(clip: Clip, factor: float, draw: Draw) -> Clip:
    """Picture that runs `factor` times as fast; its last frame stays where it ends early."""
    frames = clip.picture.frames
    exact = Fraction(factor).limit_denominator(1000)
    shown = np.arange(len(frames)) * exact.numerator // exact.denominator
    return clip.with_(frames=frames[np.minimum(shown, len(frames) - 1)])


def muting(clip: Clip, every: float, draw: Draw) -> Clip:
    """0.4 s of silence after every `every` seconds of sound, which runs on behind it."""
    pieces, time = [], 0.0
    while time < clip.seconds:
        pieces += [Piece(every, time), Piece(MUTED, None)]
        time += every + MUTED
    return _sounding(clip, pieces)


def video_gaps(clip: Clip, gap: float, draw: Draw) -> Clip:
    """Black of `gap` seconds put in, with chance 0.4, after each `gap` seconds of picture, which so falls behind."""
    pieces, time, shown = [], 0.0, 0.0
    while shown < clip.seconds:
        pieces.append(Piece(gap, time))
        if draw.random() < CHANCE:
            pieces.append(Piece(gap, None))
            shown += gap
        time, shown = time + gap, shown + gap
    return _showing(clip, pieces)


def flicker(clip: Clip, longest: float, draw: Draw) -> Clip:
    """Picture and sound both go out, with chance 0.4 and for up to `longest` seconds, and stay together."""
    pieces, time = [], 0.0
    while time < clip.seconds:
        gap = draw.random() < CHANCE
        piece = Piece(draw.uniform(0, longest) if gap else longest, None if gap else time)
        pieces.append(piece)
        time += piece.seconds
    return _showing(_sounding(clip, pieces), pieces)


def fragment_shuffle(clip: Clip, length: float, draw: Draw) -> Clip:
    """Picture and sound cut together into pieces of `length` seconds, in another order; what is left over stays last.

    Pieces are whole frames, so that inside each of them picture and sound stay exactly together.
    """
    frames, fps = clip.picture
    whole = max(1, nearest(Fraction(length) * fps))
    count = len(frames) // whole
    step = float(whole / fps)
    order = draw.permutation(count)
    pieces = [Piece(step, float(i * whole / fps)) for i in order]
    if len(frames) % whole or clip.seconds > count * step:
        pieces.append(Piece(clip.seconds - count * step, count * step))
    return _showing(_sounding(clip, pieces), pieces)


def lowpass(clip: Clip, hertz: float, draw: Draw) -> Clip:
    """Sound without what lies above `hertz`: 48 dB an octave, and nothing moved in time."""
    from scipy.signal import butter, sosfiltfilt

    waveform, rate = clip.sound
    if hertz >= rate / 2 or waveform.shape[1] < 64:
        return clip
    filtered = sosfiltfilt(butter(4, hertz, fs=rate, output="sos"), waveform, axis=1, padlen=60)
    return clip.with_(waveform=filtered.astype(np.float32))


def noise(clip: Clip, snr: float, draw: Draw) -> Clip:
    """White noise, `snr` dB under the mean power of the sound."""
    waveform = clip.sound.waveform
    power = float((waveform.astype(np.float64) ** 2).mean())
    hiss = draw.standard_normal(waveform.shape) * np.sqrt(power / 10 ** (snr / 10))
    return clip.with_(waveform=np.clip(waveform + hiss, -1, 1).astype(np.float32))


def quantise(clip: Clip, bits: float, draw: Draw) -> Clip:
    """Sound in 2^bits steps from −1 to 1, without dither."""
    waveform = clip.sound.waveform
    step = 2.0 / 2 ** round(bits)
    return clip.with_(waveform=np.clip(np.round(waveform / step) * step, -1, 1).astype(np.float32))


def blur(clip: Clip, pixels: float, draw: Draw) -> Clip:
    """Picture blurred by a Gaussian of standard deviation `pixels`."""
    from scipy.ndimage import gaussian_filter

    frames = clip.picture.frames
    blurred = (gaussian_filter(f.astype(np.float32), (pixels, pixels, 0), mode="nearest") for f in frames)
    return clip.with_(frames=np.stack([np.round(f).astype(np.uint8) for f in blurred]))


def narrow(clip: Clip, width: float, draw: Draw) -> Clip:
    """Stereo drawn together: 1 as it is, 0 mono, −1 left and right exchanged."""
    waveform = clip.sound.waveform
    stereo = mix(waveform, 2, clip.layout)
    middle, side = stereo.mean(axis=0), (stereo[0] - stereo[1]) / 2
    return clip.with_(waveform=np.stack([middle + width * side, middle - width * side]).astype(np.float32), layout=())


@dataclass(frozen=True)
class Distortion:
    """One kind of damage.

    Attributes:
        apply: (clip, level, random generator) to clip.
        levels: PEAVS' ten, or those of the calibration table.
        unit: what a level is; least and most bound it.
        needs: "picture", "sound" or both.
        published: its name in the published human curves, or None.
    """

    apply: Callable[[Clip, float, Draw], Clip]
    levels: tuple[float, ...]
    unit: str
    least: float
    most: float
    needs: tuple[str, ...]
    published: str | None = None


_UP = (1.025, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75)
_DOWN = (0.975, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.25)
_GAPS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 4.0)
_SHIFTS = (1.0, 0.5, 0.125, -0.045, -0.1, -0.125, -0.25, -0.5, -1.0, -2.0)
_PIECES = (0.3, 0.4, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
_S, _P = ("sound",), ("picture",)
DISTORTIONS = {
    "audio-shift": Distortion(audio_shift, _SHIFTS, "seconds early", -60, 60, _S, "audio_shift_seconds"),
    "audio-speed-up": Distortion(audio_speed, _UP, "times the speed", 1, 8, _S, "audio_speed_up"),
    "video-speed-up": Distortion(video_speed, _UP, "times the speed", 1, 8, _P, "video_speed_up"),
    "audio-slow-down": Distortion(audio_speed, _DOWN, "times the speed", 0.125, 1, _S, "audio_slow_down"),
    "video-slow-down": Distortion(video_speed, _DOWN, "times the speed", 0.125, 1, _P, "video_slow_down"),
    "muting": Distortion(muting, _GAPS, "seconds between silences", 0.005, 60, _S, "inter_muting"),
    "video-gaps": Distortion(video_gaps, _GAPS, "seconds of black", 0.005, 60, _P, "video_gaps"),
    "flicker": Distortion(flicker, _GAPS, "seconds of darkness", 0.005, 60, _P + _S, "av_flicker"),
    "fragment-shuffle": Distortion(fragment_shuffle, _PIECES, "seconds a piece", 0.02, 60, _P, "fragment_shuffle"),
    "low-pass": Distortion(lowpass, (4000, 3500, 2000, 1000, 600, 300), "hertz", 20, 96_000, _S),
    "noise": Distortion(noise, (40, 30, 20, 10, 5, 0, -5), "decibels of signal to noise", -40, 100, _S),
    "quantise": Distortion(quantise, (9, 8, 7, 6, 5, 4, 3, 2), "bits", 1, 24, _S),
    "blur": Distortion(blur, (0.5, 1, 2, 4, 8), "pixels", 0, 200, _P),
    "stereo-width": Distortion(narrow, (1, 0.5, 0, -0.5, -1), "of the stereo width", -1, 1, _S),
}
"""Every kind by name; the first nine are PEAVS'."""


def _sounding(clip: Clip, pieces: Sequence[Piece]) -> Clip:
    """The sound rearranged, where there is sound."""
    if clip.waveform is None:
        return clip
    waveform, rate = clip.sound
    where = _indices(pieces, rate, waveform.shape[1])
    inside = (where >= 0) & (where < waveform.shape[1])
    return clip.with_(waveform=np.where(inside, waveform[:, np.where(inside, where, 0)], np.float32(0)))


def _showing(clip: Clip, pieces: Sequence[Piece]) -> Clip:
    """The picture rearranged, where there is one: black in the gaps, the last frame after the end."""
    if clip.frames is None:
        return clip
    frames, fps = clip.picture
    where = _indices(pieces, fps, len(frames))
    shown = frames[np.clip(where, 0, len(frames) - 1)]
    shown[where < 0] = 0
    return clip.with_(frames=shown)


def _indices(pieces: Sequence[Piece], rate: Fraction | int, count: int) -> np.ndarray:
    """int64 [count]: which frame or sample of the source each one of the output takes, −1 for none."""
    ticks = np.arange(count) / float(rate)
    ends = np.cumsum([piece.seconds for piece in pieces])
    # a hair later than each tick, so that a bound that falls on a tick by intention is not missed by a rounding error
    which = np.minimum(np.searchsorted(ends, ticks + 1e-7, side="right"), len(pieces) - 1)
    starts = np.concatenate([[0.0], ends[:-1]])[which]
    sources = np.array([-1.0 if piece.source is None else piece.source for piece in pieces])[which]
    indices = np.floor((sources + ticks - starts) * float(rate) + 1e-3).astype(np.int64)
    return np.where(sources < 0, -1, np.maximum(indices, 0))


def anchors(reference: Clip, other: Clip) -> Iterator[tuple[str, Clip]]:
    """The anchors of a study, each with its name, from one good clip and the sound of another one."""
    for name, kind, level in ANCHORS:
        yield name, distort(reference, kind, level)
    yield "mismatched sound", with_sound_of(reference, other)


ANCHORS = (
    ("sound 125 ms early", "audio-shift", 0.125),
    ("sound 125 ms late", "audio-shift", -0.125),
    ("sound 500 ms early", "audio-shift", 0.5),
    ("sound 500 ms late", "audio-shift", -0.5),
    ("low-pass 3.5 kHz", "low-pass", 3500.0),
)
