"""Features that need nothing but the core: levels, motion, onsets, places, log-mel statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.decoded_clip import RATE, Film, UnfitError
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.evaluation.metrics.spatial import is_mono, locate
from phonofilm.evaluation.metrics.vbench import (
    blur_effect,
    dynamic_degree,
    flow_strength,
    repeated_frames,
    temporal_flicker,
)
from phonofilm.mel import filterbank
from phonofilm.signals.dropouts import picture_dropouts, sound_dropouts
from phonofilm.signals.loudness import loudness
from phonofilm.signals.motion import Motion, lucas_kanade, when_it_changes
from phonofilm.signals.onsets import detect_onsets, onset_confidence, suppress
from phonofilm.signals.sync.alignment import align, pace
from phonofilm.signals.sync.cues import PictureCues, SoundCues, arrays_of
from phonofilm.signals.time_series import Signal

SILENT = -60.0
"""dB relative to full scale below which a tenth of a second is silent."""

PATCH = 96
"""Frames of 10 ms of one patch of log-mel statistics, as long as VGGish's."""

MOTION = ("change", "across", "upright", "light", "tones")
"""Signals of a clip's motion, as they are kept."""


def facts(film: Film) -> Mapping[str, np.ndarray]:
    """Lengths, rates, sizes, and the peak of the sound in dBFS."""
    clip = film.clip
    loudest = 0.0 if clip.waveform is None or not clip.waveform.size else float(np.abs(clip.waveform).max())
    frames = clip.frames if clip.frames is not None else np.zeros((0, 0, 0, 3), np.uint8)
    values = {
        "frames": len(frames), "height": frames.shape[1], "width": frames.shape[2], "fps": film.fps,
        "channels": 0 if clip.waveform is None else len(clip.waveform), "rate": film.sample_rate,
        "picture_seconds": float(clip.picture_seconds), "sound_seconds": float(clip.sound_seconds),
        "peak": 20 * np.log10(max(loudest, 1e-10)),
    }  # fmt: skip
    return {name: np.array(float(value)) for name, value in values.items()}


def levels(film: Film) -> Mapping[str, np.ndarray]:
    """Loudness in LUFS, share of silent tenths of a second, and whether both ears hear the same."""
    sound = film.sound.astype(np.float64)
    length = max(1, film.sample_rate // 10)
    count = max(1, sound.shape[1] // length)
    power = (sound[:, : count * length].reshape(len(sound), count, -1) ** 2).mean(axis=(0, 2))
    loud = max(loudness(film.sound, film.sample_rate), -120.0)
    silent = float((power < 10 ** (SILENT / 10)).mean())
    values = {"lufs": loud, "silent": silent, "mono": float(is_mono(sound))}
    return {name: np.array(value) for name, value in values.items()}


def flicker(film: Film) -> Mapping[str, np.ndarray]:
    return {"value": np.array(temporal_flicker(film.frames))}


def stillness(film: Film) -> Mapping[str, np.ndarray]:
    """Shares of frames that repeat the one before, in long runs and in short ones amid motion."""
    frozen, dropped = repeated_frames(film.frames, film.fps)
    return {"frozen": np.array(frozen), "dropped": np.array(dropped)}


def blur(film: Film) -> Mapping[str, np.ndarray]:
    frames = film.frames
    picked = np.linspace(0, len(frames) - 1, min(16, len(frames))).round().astype(int)
    return {"value": np.array(np.mean([blur_effect(frames[index]) for index in picked]))}


def motion(film: Film) -> Mapping[str, np.ndarray]:
    """Changes of motion and light, mean flow in pixels at the clip's own size, and when the picture changes."""
    found = film.motion
    images = film.images
    shrink = min(film.frames.shape[1:3]) / min(images.shape[1:])
    steps = range(0, len(images) - 1, 128)
    speed = [np.hypot(*np.moveaxis(lucas_kanade(*_pairs(images, first)), -1, 0)).mean((1, 2)) for first in steps]
    change = found.change
    return {
        **arrays_of(film.seen),
        **{name: getattr(found, name).values for name in MOTION}, "rate": np.array(change.rate),
        "start": np.array([getattr(found, name).start for name in MOTION]),
        "speed": np.concatenate(speed).astype(np.float64) * shrink,
        "times": when_it_changes(found),
    }  # fmt: skip


def _pairs(images: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    part = images[first : first + 129]
    return part[:-1], part[1:]


def dynamics(film: Film) -> Mapping[str, np.ndarray]:
    """Dynamic degree and the mean of the fastest 5 % of flow, between pictures 1/8 s apart, at 64 pixels."""
    images = film.images[film.ticks(8.0)]
    if len(images) < 2:
        raise UnfitError("dynamic degree needs a quarter of a second of film")
    flow = lucas_kanade(images[:-1], images[1:], levels=4)
    scale = 256 / min(images.shape[1:])
    return {"moves": np.array(float(dynamic_degree(flow))), "strength": np.array(flow_strength(flow).mean() * scale)}


def onsets(film: Film) -> Mapping[str, np.ndarray]:
    """Onsets of the sound, their confidence, the impulses that stand for them, and how much sets in at all times."""
    impulses = film.impulses
    times, trust = _onsets(film)
    return {
        **arrays_of(film.heard),
        "times": times, "confidence": trust, "impulses": impulses.values.astype(np.float64),
        "strength": film.strength.values.astype(np.float64),
        "rate": np.array(impulses.rate), "start": np.array(impulses.start),
    }  # fmt: skip


def _onsets(film: Film) -> tuple[np.ndarray, np.ndarray]:
    times = detect_onsets(film.strength)
    return suppress(times, onset_confidence(film.sound, film.sample_rate, times))


def sync(film: Film) -> Mapping[str, np.ndarray]:
    """Offset in ms and drift in per mille, positive = audio early and fast, each with 1 where it is known, else 0."""
    return synchrony(film.heard, film.seen)


def synchrony(heard: SoundCues, seen: PictureCues) -> Mapping[str, np.ndarray]:
    """The feature `sync` of cues.

    Raises:
        UnfitError: nothing is heard, or nothing moves.
    """
    try:
        apart, running = align(heard, seen), pace(heard, seen)
    except ValueError as error:
        raise UnfitError(str(error)) from error
    return {
        "offset": np.array([apart.milliseconds, float(apart.known), apart.confidence]),
        "drift": np.array([running.permille, float(running.known)]),
    }


def places(film: Film) -> Mapping[str, np.ndarray]:
    """Where the sound comes from, ten times a second; of a mono clip nothing but that it is one."""
    found = locate(film.sound, film.sample_rate)
    if found is None:
        return {"mono": np.array(1.0)}
    return {
        "mono": np.array(0.0), "rate": np.array(found.rate), "pan": found.pan, "level": found.level,
        "delay": found.delay, "coherence": found.coherence, "power": found.power, "active": found.active,
    }  # fmt: skip


def dropouts(film: Film) -> Mapping[str, np.ndarray]:
    """What is cut out of the sound and of the picture, and where they jump."""
    parts = {
        "sound": sound_dropouts(film.sound, film.sample_rate),
        "picture": picture_dropouts(film.images, film.fps),
    }
    return {
        f"{name}_{field}": np.asarray(getattr(part, field))
        for name, part in parts.items()
        for field in ("gaps", "jumps", "seconds")
    }


def log_mel(film: Film) -> Mapping[str, np.ndarray]:
    """Mean and spread of 64 log-mel bands over patches of 0.96 s: float32 [P, ears, 128], both ears apart."""
    ears = film.channels_16k
    ears = np.repeat(ears, 2, axis=0) if len(ears) == 1 else ears
    count = (ears.shape[1] - 400) // 160 + 1 if ears.shape[1] >= 400 else 0
    if count < PATCH:
        raise UnfitError("log-mel statistics need a second of sound")
    window, bank = np.hanning(401)[:400], filterbank(64, 60, 7800, 512, RATE)
    index = np.arange(count // PATCH * PATCH)[:, None] * 160 + np.arange(400)
    patches = []
    for ear in ears.astype(np.float64):
        power = np.abs(np.fft.rfft(ear[index] * window, 512)) ** 2 @ bank
        mel = np.log(power + 1e-4).reshape(-1, PATCH, 64)
        patches.append(np.concatenate([mel.mean(axis=1), mel.std(axis=1)], axis=-1))
    return {"patches": np.stack(patches, axis=1).astype(np.float32)}


def motion_from(arrays: Mapping[str, np.ndarray]) -> Motion:
    """The motion that was kept as a feature."""
    rate = float(arrays["rate"])
    signals = zip(MOTION, arrays["start"], strict=True)
    return Motion(**{name: Signal(arrays[name], rate, float(start)) for name, start in signals})


def impulses_from(arrays: Mapping[str, np.ndarray]) -> Signal:
    """The impulses that were kept as a feature."""
    return Signal(arrays["impulses"], float(arrays["rate"]), float(arrays["start"]))


def strength_from(arrays: Mapping[str, np.ndarray]) -> Signal:
    """The strength of onsets that was kept as a feature."""
    return Signal(arrays["strength"], float(arrays["rate"]), float(arrays["start"]))


def _core(name: str, stream: str, take: Extractor, version: int = 1) -> Feature:
    def load(weights: Path | None) -> Extractor:
        return take

    return Feature(name, version, stream, load)


CORE = (
    _core("facts", "any", facts),
    _core("levels", "sound", levels, 3),
    _core("flicker", "picture", flicker),
    _core("stillness", "picture", stillness),
    _core("blur", "picture", blur),
    _core("motion", "picture", motion, 7),
    _core("dynamics", "picture", dynamics, 2),
    _core("onsets", "sound", onsets, 5),
    _core("sync", "both", sync, 11),
    _core("places", "sound", places, 2),
    _core("dropouts", "both", dropouts),
    _core("log-mel", "sound", log_mel),
)
