"""One source under one knob: every case scored by every metric that looks at it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import correlate

from phonofilm.evaluation.calibration import sources
from phonofilm.evaluation.calibration.audio_cases import Films
from phonofilm.evaluation.calibration.perturbations import KNOBS, Knob
from phonofilm.evaluation.calibration.sources import LENGTH, MARGIN, SAMPLE_RATE, SIZE, Source
from phonofilm.evaluation.features.cache import FeatureCache
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.feature import Extractor
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.suite import clip_metrics
from phonofilm.evaluation.suite.registry import METRICS, SPEECH, SYNC, Distance, Metric
from phonofilm.evaluation.suite.sample import AbsentError, Arrays, Lookup, Sample, Share
from phonofilm.media import read_clip, resample_audio
from phonofilm.signals.onsets import vertex
from phonofilm.signals.sync.alignment import align
from phonofilm.signals.sync.cues import picture_cues_from, sound_cues_from
from phonofilm.types import Clip

VERSION = 4
"""Raised whenever a knob or a source changes, which makes the cache forget the old results."""

STRETCHES = 2
"""The same of how films are decoded and cut up."""

SLOW_EVERY = 5
"""Metrics that take long (networks, and those that search speeds) are asked about one source of so many."""

SLOW = {"drift", "PEAVS[phonofilm]"}


def _signed(sample: Sample) -> Share:
    return _offset(sample)[0], 1.0


def _confidence(sample: Sample) -> Share:
    return _offset(sample)[1], 1.0


def _offset(sample: Sample) -> tuple[float, float]:
    """Milliseconds early, and the confidence in them."""
    if "offset" not in sample.memo:
        try:
            found = align(sound_cues_from(sample.sound("onsets")), picture_cues_from(sample.picture("motion")))
        except ValueError as error:
            raise AbsentError(str(error)) from error
        sample.memo.update({"offset": found.milliseconds, "confidence": found.confidence})
    return sample.memo["offset"], sample.memo["confidence"]


def _lips(sample: Sample) -> Share:
    return clip_metrics.mouth_offset(sample), 1.0


def _drift(sample: Sample) -> Share:
    return float(clip_metrics.synchrony_of(sample)["drift"][0]) / 1000, 1.0


def _located(sample: Sample) -> Share:
    """Mean pan of the sounds that stand out."""
    places = clip_metrics.places_of(sample.sound("places"))
    if places is None or not places.active.any():
        raise AbsentError("it is mono")
    return float(places.pan[places.active].mean()), 1.0


PROBES: dict[str, tuple[tuple[str, ...], Callable[[Sample], Share]]] = {
    "offset, signed": (("motion", "onsets", "sync"), _signed),
    "offset, confidence": (("motion", "onsets", "sync"), _confidence),
    "lip offset, signed": (("faces", "onsets"), _lips),
    "drift, signed": (("motion", "onsets", "sync"), _drift),
    "pan, located": (("places",), _located),
}
"""What lies behind a metric and has a sign: by name, the features it needs and how it is read off them."""


DELAY = "delay"
"""Milliseconds by which the sound of a clip lags behind that of the first one of its unit."""


def not_run(metrics: Sequence[Metric]) -> dict[str, str]:
    """Why a metric cannot be calibrated here, by its name."""
    found = {}
    for metric in metrics:
        if isinstance(metric.measures, Distance) and metric.measures.kind == "inception":
            found[metric.name] = "the spread of one set: no change to its clips asks for a certain answer"
        for name in metric.features:
            feature = catalogue()[name]
            if feature.weights:
                found[metric.name] = f"needs the weights of {feature.weights}"
            elif feature.missing():
                found[metric.name] = f"needs {', '.join(feature.missing())}"
    return found


def asked(knob: Knob, names: Sequence[str]) -> tuple[Metric, ...]:
    """Metrics that a knob is turned for, of those named and ready."""
    streams = {name: feature.stream for name, feature in catalogue().items()}
    chosen = []
    for metric in METRICS:
        if metric.name not in names:
            continue
        seen = {streams[name] for name in metric.features}
        heard = seen <= {"sound", "any"} and metric.better != "neither"
        # speeds are looked for near the offset 0, and an opinion of voices needs one: both have knobs of their own
        sync = metric.group == SYNC and metric.name != "drift"
        looks = {"sync"} if sync else {"sound"} if heard and metric.group != SPEECH else set()
        if metric.name in knob.asks or (looks & set(knob.asks) and "prompts" not in metric.needs):
            chosen.append(metric)
    return tuple(chosen)


@dataclass(frozen=True)
class Unit:
    """One source under one knob; picklable.

    Attributes:
        stamp: hash of the file of the source, or "".
        names: what to score: metrics and probes.
    """

    knob: str
    source: Source
    stamp: str
    levels: tuple[float, ...]
    names: tuple[str, ...]
    cache: Path

    @property
    def digest(self) -> str:
        """Names its results in the cache, together with `key`."""
        said = [VERSION, self.knob, self.source.name, self.source.seed, self.stamp, self.levels]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def done(self, name: str) -> Arrays | None:
        """Results of one metric, if they are in the cache."""
        kept = FeatureCache(self.cache).get(self.digest, key(name))
        return None if kept is None else kept[0]


@cache
def key(name: str) -> str:
    """Names a metric in the cache, with all that its features depend on."""
    features = PROBES[name][0] if name in PROBES else _metric(name).features if name != DELAY else ()
    text = json.dumps([name, *(catalogue()[feature].key() for feature in features)])
    return f"calibrate-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _metric(name: str) -> Metric:
    return next(metric for metric in METRICS if metric.name == name)


def run(unit: Unit) -> None:
    """Put what the cache does not have yet into it: for each metric, by "condition|level", (numerator, denominator)
    of a score or rows [n, D] of a distance.
    """
    absent = [name for name in unit.names if unit.done(name) is None]
    if not absent:
        return
    knob = next(knob for knob in KNOBS if knob.name == unit.knob)
    results: dict[str, dict[str, np.ndarray]] = {name: {} for name in absent}
    base: Lookup | None = None
    before: Lookup | None = None
    first: Clip | None = None
    for case in knob.turn(unit.source, _films(unit), unit.levels):
        first = case.clip if first is None else first
        look = before = looked(case.clip, before if case.picture == "same" else None)
        base = look if case.level is None else base
        sample = Sample(look, look, base if case.real else None, case.clip.prompt, swapped=True)
        where = f"{case.condition}|{'clean' if case.level is None else repr(float(case.level))}"
        for name in absent:
            found = np.array([_delay(case.clip, first), 1.0]) if name == DELAY else _score(name, sample)
            if found is not None:
                results[name][where] = found
    for name, arrays in results.items():
        FeatureCache(unit.cache).put(unit.digest, key(name), arrays)


def _score(name: str, sample: Sample) -> np.ndarray | None:
    """A share, or rows of a distance; None where the clip has none."""
    try:
        if name in PROBES:
            return np.array(PROBES[name][1](sample), dtype=np.float64)
        measures = _metric(name).measures
        if isinstance(measures, Distance):
            return np.asarray(measures.rows(sample.picture(_metric(name).features[0])), np.float32)
        top, bottom = measures(sample)
        return np.array([top, bottom], dtype=np.float64) if bottom > 0 else None
    except AbsentError:
        return None


def _delay(clip: Clip, first: Clip) -> float:
    """Milliseconds by which the sound of a clip lags behind that of another, between samples."""
    heard = clip.sound.waveform, first.sound.waveform
    count = min(waveform.shape[1] for waveform in heard)
    mine, other = (waveform.mean(axis=0)[:count].astype(np.float64) for waveform in heard)
    curve = correlate(mine, other, method="fft")
    best = int(curve[1:-1].argmax()) + 1
    return 1000 * (best - (count - 1) + vertex(*curve[best - 1 : best + 2])) / first.sound.sample_rate


def looked(clip: Clip, same_picture: Lookup | None) -> Lookup:
    """Features of a clip, each taken once; those of the picture from another lookup where it is the same one."""
    film, held = Film(clip), dict[str, Arrays]()
    pictures = _of_picture(film) if same_picture is None else held

    def look(name: str) -> Arrays:
        picture = catalogue()[name].stream == "picture"
        if same_picture is not None and picture:
            return same_picture(name)
        known = pictures if picture else held
        if name not in known:
            try:
                known[name] = _taker(name)(film)
            except ValueError as error:
                raise AbsentError(str(error)) from error
        return known[name]

    return look


def _of_picture(film: Film) -> dict[str, Arrays]:
    """What is known of these very frames: many knobs leave the picture as it is. The last few pictures are kept."""
    frames = film.clip.frames
    mark = hashlib.sha1(b"" if frames is None else np.ascontiguousarray(frames)).hexdigest() + f"{film.fps}"
    known = _PICTURES.pop(mark, {})
    _PICTURES[mark] = known
    while len(_PICTURES) > 4:
        _PICTURES.pop(next(iter(_PICTURES)))
    return known


_PICTURES: dict[str, dict[str, Arrays]] = {}


@cache
def _taker(name: str) -> Extractor:
    return catalogue()[name].load(None)


def _films(unit: Unit) -> Films:
    def film(music: bool) -> Clip:
        if unit.source.path is None:
            return _reel(unit.source.name, unit.source.seed, music)
        return stretch(unit.source, unit.stamp, unit.cache)

    return film


@lru_cache(2)  # the knobs of one source come one after the other
def _reel(name: str, seed: int, music: bool) -> Clip:
    return sources.reel(name, seed, music)


def stretch(source: Source, stamp: str, folder: Path) -> Clip:
    """A stretch of a file, which `cut_up` put into the cache."""
    kept = FeatureCache(folder).get(_place(stamp, source.seed), "stretch")
    assert kept is not None
    arrays = kept[0]
    return Clip(arrays["frames"], Fraction(*map(int, arrays["fps"])), arrays["sound"], SAMPLE_RATE)


def _place(stamp: str, index: int) -> str:
    return hashlib.sha256(f"{STRETCHES} {stamp} {index}".encode()).hexdigest()


def cut_up(path: Path, stamp: str, seconds: float | None, folder: Path) -> tuple[Source, ...]:
    """Stretches of a file, put into the cache at `SIZE` pixels and 16 kHz; decoded once, not at every run."""
    stretches = sources.stretches_of(path, seconds)
    kept = FeatureCache(folder)
    if all(kept.has(_place(stamp, source.seed), "stretch") for source in stretches):
        return stretches
    film = read_clip(path, size=SIZE + 2 * MARGIN, seconds=len(stretches) * LENGTH)
    for source in stretches:
        clip = film if source.short else sources.cut(film, source.seed * LENGTH, LENGTH)
        frames, fps = clip.picture
        sound = resample_audio(*clip.sound, SAMPLE_RATE)
        arrays = {"frames": frames, "sound": sound, "fps": np.array([fps.numerator, fps.denominator])}
        kept.put(_place(stamp, source.seed), "stretch", arrays)
    return stretches


__all__ = ["DELAY", "PROBES", "Unit", "asked", "cut_up", "not_run", "run"]
