"""What one clip scores, from its features: the arithmetic between the cache and the table."""

from __future__ import annotations

import re

import numpy as np

from phonofilm.evaluation.features.detectors import RATE as BOX_RATE
from phonofilm.evaluation.features.detectors import SCENES, names_from
from phonofilm.evaluation.features.signal import strength_from, synchrony
from phonofilm.evaluation.metrics.distribution.divergence import kl_divergence
from phonofilm.evaluation.metrics.embedding_similarity import (
    avh_score,
    clap_audio_score,
    clap_score,
    clip_score,
    cosines,
    imagebind_score,
    javis_score,
    javis_windows,
)
from phonofilm.evaluation.metrics.insertion_hallucination import inserted_seconds, sustained
from phonofilm.evaluation.metrics.objects import (
    class_index,
    colour_share,
    object_share,
    objects_share,
    relation_share,
)
from phonofilm.evaluation.metrics.peavs import Flaws, predict
from phonofilm.evaluation.metrics.spatial import Places, pan_error, placement, sound_events, spatial_hits
from phonofilm.evaluation.metrics.vbench import consistency
from phonofilm.evaluation.metrics.word_error_rate import normal_words, quoted_words, word_errors
from phonofilm.evaluation.suite.sample import AbsentError, Arrays, Sample, Share
from phonofilm.evaluation.suite.sync_logits import sync_grid, sync_logits
from phonofilm.signals.dropouts import Dropouts, lone_share, shared_cuts
from phonofilm.signals.onsets import onset_agreement, onset_scores
from phonofilm.signals.sync.av_align import Variant, av_align, flow_peaks
from phonofilm.signals.sync.cues import picture_cues_from, sound_cues_from
from phonofilm.signals.sync.desync import desync, desync_expected, desync_offsets
from phonofilm.signals.sync.offset import offset
from phonofilm.signals.time_series import Signal

EARLY, LATE = 45.0, -125.0
"""ms of early and late sound that people notice (ITU-R BT.1359)."""


def scalar(feature: str, name: str, sample: Sample, sound: bool = False) -> float:
    """A number kept as it is."""
    return float((sample.sound if sound else sample.picture)(feature)[name])


SILENT = -60.0
"""Peak in dBFS below which a sound is silent."""


def silent(sample: Sample) -> bool:
    """Whether a clip has no sound, or a silent one."""
    facts = sample.sound("facts")
    return float(facts["sound_seconds"]) == 0 or float(facts["peak"]) < SILENT


def audible(sample: Sample) -> None:
    """Check that a clip has a sound that can be compared with something.

    Raises:
        AbsentError: it is missing, or silent.
    """
    if silent(sample):
        raise AbsentError("it has no sound, or a silent one")


def has_sound(sample: Sample) -> float:
    return float(not silent(sample))


def synchrony_of(sample: Sample) -> Arrays:
    """The feature `sync` of a picture and the sound that it is shown with."""
    audible(sample)
    if not sample.swapped:
        return sample.picture("sync")
    heard, seen = sound_cues_from(sample.sound("onsets")), picture_cues_from(sample.picture("motion"))

    def find() -> Arrays:
        try:
            return synchrony(heard, seen)
        except ValueError as error:
            raise AbsentError(str(error)) from error

    return sample.once("sync", find)


def offset_ms(sample: Sample) -> float:
    """Signed, positive = sound late.

    Raises:
        AbsentError: it cannot be known.
    """
    early, known, _ = synchrony_of(sample)["offset"]
    if not known:
        raise AbsentError("its offset cannot be known: no lag fits clearly better than others")
    return -float(early)


def drift_permille(sample: Sample) -> float:
    """How much faster than the picture the sound runs, in per mille.

    Raises:
        AbsentError: it cannot be known.
    """
    faster, known = synchrony_of(sample)["drift"]
    if not known:
        raise AbsentError("its drift cannot be known: no speed fits clearly better than others")
    return float(faster)


def within_itu_limits(sample: Sample) -> float:
    """1 or 0; a clip without a sound is not in sync with anything."""
    if silent(sample):
        return 0.0
    return float(LATE <= -offset_ms(sample) <= EARLY)


def opinion(sample: Sample) -> float:
    """PEAVS[phonofilm] of offset, drift where it is known, what is cut out of one stream alone, and cuts of both."""
    early = -offset_ms(sample) / 1000
    try:
        running = drift_permille(sample) / 1000
    except AbsentError:
        running = 0.0
    sound, picture = (dropouts_from(part("dropouts"), name) for part, name in
                      ((sample.sound, "sound"), (sample.picture, "picture")))  # fmt: skip
    return predict(Flaws(early, running, lone_share(sound, picture), shared_cuts(sound, picture)))


def dropouts_from(kept: Arrays, stream: str) -> Dropouts:
    """What is cut out of a stream, as it was kept as a feature."""
    return Dropouts(kept[f"{stream}_gaps"], kept[f"{stream}_jumps"], float(kept[f"{stream}_seconds"]))


def onset_motion(sample: Sample) -> float:
    """F1 of audio onsets against changes of motion, within ± 60 ms; 0 without a sound."""
    if silent(sample):
        return 0.0
    sound, picture = sample.sound("onsets")["times"], sample.picture("motion")["times"]
    if not len(sound) and not len(picture):
        raise AbsentError("nothing sets in and nothing moves")
    return onset_agreement(sound, picture, delta=0.06).f1


def aligned(sample: Sample, variant: Variant) -> float:
    """AV-Align over our own flow; 0 without a sound."""
    if silent(sample):
        return 0.0
    picture = sample.picture("motion")
    fps = float(picture["rate"])
    peaks = flow_peaks(picture["speed"], fps, variant)
    try:
        return av_align(sample.sound("onsets")["times"], peaks, fps, variant)
    except ValueError as error:
        raise AbsentError("it has neither audio onsets nor flow peaks") from error


def spatially_aligned(sample: Sample, feature: str) -> Share:
    """Located sounds that touch what a detector sees, of all located sounds."""
    places = places_of(sample.sound("places"))
    if places is None:
        raise AbsentError("it is mono")
    boxes = sample.picture(feature)["rows"]
    if feature == "face-boxes" and not len(boxes):
        raise AbsentError("no face is seen")
    hits = spatial_hits(sound_events(places), boxes, places.rate, BOX_RATE)
    if not len(hits):
        raise AbsentError("no sound stands out")
    return float(hits.sum()), float(len(hits))


def where_it_sounds(arrays: Arrays) -> np.ndarray:
    """Row [1, 5] of a clip for the distance of places."""
    return np.array([placement(places_of(arrays))])


def places_of(kept: Arrays) -> Places | None:
    """The places that were kept as a feature; None for a mono clip."""
    if float(kept["mono"]):
        return None
    pan, level, delay, coherence, power = (kept[name] for name in ("pan", "level", "delay", "coherence", "power"))
    return Places(float(kept["rate"]), pan, level, delay, coherence, power, kept["active"].astype(bool))


def pan_gap(sample: Sample) -> float:
    mine, real = places_of(sample.sound("places")), places_of(sample.truth("places"))
    if mine is None or real is None:
        raise AbsentError("it or its reference is mono")
    gap = pan_error(mine, real)
    if gap is None:
        raise AbsentError("it and its reference never sound together")
    return gap


def loudness(sample: Sample) -> float:
    audible(sample)
    return scalar("levels", "lufs", sample, sound=True)


def loudness_gap(sample: Sample) -> float:
    audible(sample)
    return abs(scalar("levels", "lufs", sample, sound=True) - float(sample.truth("levels")["lufs"]))


def onset_accuracy(sample: Sample) -> float:
    return _onset_scores(sample)[0]


def onset_precision(sample: Sample) -> float:
    return _onset_scores(sample)[1]


def _onset_scores(sample: Sample) -> tuple[float, float]:
    real = sample.truth("onsets")
    if not len(real["times"]):
        raise AbsentError("its reference has no onset")
    if silent(sample):
        return 0.0, 0.0
    sound = sample.sound("onsets")
    found = onset_scores(sound["times"], real["times"], sound["confidence"])
    return found.accuracy, found.average_precision


def temporal_consistency(sample: Sample, feature: str) -> float:
    return consistency(sample.picture(feature)["frames"])


def clip_text(sample: Sample) -> float:
    """CLIPScore of one clip."""
    return clip_score(sample.picture("clip")["frames"], sample.words("clip-text")["text"])


def pooled_text(sample: Sample, pictures: int = 8) -> float:
    """Cosine of the prompt and the mean of 8 pictures, each from the middle of an eighth of the clip."""
    frames = sample.picture("clip")["frames"]
    picked = ((np.arange(pictures) + 0.5) * len(frames) / pictures).astype(int)
    mean = frames[picked].mean(axis=0, keepdims=True)
    return float(cosines(mean, sample.words("clip-text")["text"][None])[0])


def clap_text(sample: Sample) -> float:
    """CLAP score of one clip: its sound and its prompt."""
    return clap_score(sample.sound("clap")["audio"][None], sample.words("clap-text")["text"][None])


def clap_truth(sample: Sample) -> float:
    """Cosine of its sound and its reference's, by CLAP."""
    return clap_audio_score(sample.sound("clap")["audio"][None], sample.truth("clap")["audio"][None])


def audible_frames(sample: Sample) -> float:
    """AVHScore of one clip."""
    audible(sample)
    return avh_score(sample.sound("imagebind-frames")["audio"], sample.picture("imagebind-frames")["frames"])


def javis(sample: Sample) -> float:
    """JavisScore of one clip, windows of 2 s every half second."""
    audible(sample)
    pictures, sounds = sample.picture("imagebind-frames"), sample.sound("imagebind-frames")["windows"]
    windows = javis_windows(len(pictures["frames"]), float(pictures["rate"]))
    count = min(len(windows), len(sounds))
    return javis_score(sounds[:count], np.stack([pictures["frames"][a:b] for a, b in windows[:count]]))


def heard_classes(arrays: Arrays) -> np.ndarray:
    """Logits [1, classes] of what YAMNet hears in a clip, its scores taken as shares of one whole."""
    shares = np.maximum(arrays["scores"], 1e-6)
    return np.log(shares / shares.sum())[None]


def kl_sounds(sample: Sample) -> float:
    """KL(real ‖ generated) of what YAMNet hears, its scores taken as shares of one whole."""
    mine, real = (np.maximum(part["scores"], 1e-6) for part in (sample.sound("yamnet"), sample.truth("yamnet")))
    mine, real = mine / mine.sum(), real / real.sum()
    return float((real * np.log(real / mine)).sum())


def speech_errors(sample: Sample) -> Share:
    """Word errors and words asked for, of what the prompt quotes."""
    asked = quoted_words(sample.wording())
    if not normal_words(asked):
        raise AbsentError("its prompt quotes no words")
    errors = word_errors(sample.sound("speech")["text"].tobytes().decode(), asked)
    return float(errors.substitutions + errors.deletions + errors.insertions), float(errors.words)


def speech_quality(sample: Sample) -> float:
    value = float(sample.sound("speech")["dnsmos"])
    if np.isnan(value):
        raise AbsentError("nobody speaks")
    return value


SPEAKING = r"\b(speak|speech|say|talk|voice|sing|shout|whisper|narrat|interview|convers|laugh|announc)\w*|[\"“]"
PLAYING = (
    r"\b(music|song|sing|play|instrument|guitar|piano|drum|violin|band|orchestra|melod|tune|xylophone|glockenspiel|"
    r"trumpet|flute|dance|concert)\w*"
)


YAMNET_HOP, YAMNET_PATCH = 0.48, 0.975
MUSIC_LASTS, MUSIC = 2.4, 0.6
"""Seconds that YAMNet's score of music is averaged over, and what it must then pass."""


def inserted(sample: Sample) -> Share:
    """Seconds of speech and music that the prompt does not ask for, and seconds."""
    prompt, seconds = sample.wording(), float(sample.sound("facts")["sound_seconds"])
    spans: list[tuple[float, float]] = []
    if not re.search(SPEAKING, prompt, re.IGNORECASE):
        spans += [tuple(span) for span in sample.sound("voice")["spans"].tolist()]
    if not re.search(PLAYING, prompt, re.IGNORECASE):
        spans += sustained(sample.sound("yamnet")["music"], seconds, YAMNET_HOP, YAMNET_PATCH, MUSIC_LASTS, MUSIC)
    return inserted_seconds(np.array(spans).reshape(-1, 2), [], seconds), seconds


def any_inserted(sample: Sample) -> float:
    return float(inserted(sample)[0] > 0)


def mouth_offset(sample: Sample) -> float:
    """Signed offset in ms of the voice against the mouth's opening, positive = audio early."""
    faces, sound = sample.picture("faces"), sample.sound("onsets")
    mouth = faces["mouth"]
    seen = np.isfinite(mouth)
    if seen.mean() < 0.5 or seen.sum() < 12:
        raise AbsentError("no face is seen for half of it")
    filled = np.interp(np.arange(len(mouth)), np.flatnonzero(seen), mouth[seen])
    opening = Signal(np.maximum(np.diff(filled, prepend=filled[:1]), 0), float(faces["rate"]), 0.0)
    try:
        return offset(strength_from(sound), opening, limit=1.0).milliseconds
    except ValueError as error:
        raise AbsentError(str(error)) from error


def desync_seconds(sample: Sample) -> float:
    audible(sample)
    return desync(sample.picture("synchformer")["logits"])


def own_desync(sample: Sample, expected: bool) -> float:
    """|offset| in seconds by our own sync network, by argmax as published or by expectation."""
    audible(sample)
    read = desync_expected if expected else desync_offsets
    return abs(float(read(sync_logits(sample), sync_grid())))


def audio_video_cosine(sample: Sample, feature: str) -> float:
    """Cosine of a network's sound and picture."""
    audible(sample)
    try:
        return imagebind_score(sample.sound(feature)["audio"][None], sample.picture(feature)["vision"][None])
    except ValueError as error:
        raise AbsentError(str(error)) from error


def kl_classes(sample: Sample, feature: str) -> float:
    """KL(real ‖ generated) of a tagger's classes."""
    return kl_divergence(sample.sound(feature)["logits"][None], sample.truth(feature)["logits"][None])


def tagged(arrays: Arrays) -> np.ndarray:
    """Logits [1, classes] of a tagger."""
    return arrays["logits"][None]


def named_text(sample: Sample, feature: str, part: str) -> float:
    """Cosine of the prompt and the picture ("vision") or the sound ("audio"), by a network that has all three."""
    stream = sample.sound if part == "audio" else sample.picture
    return float(cosines(stream(feature)[part][None], sample.words(f"{feature}-text")["text"][None])[0])


def ms_clap_text(sample: Sample) -> float:
    return clap_score(sample.sound("ms-clap")["audio"][None], sample.words("ms-clap-text")["text"][None])


def _things(sample: Sample) -> tuple[np.ndarray, int, tuple[str, ...]]:
    kept = sample.picture("detr")
    return kept["things"], int(kept["frames"]), names_from(kept["names"])


def _class(names: tuple[str, ...], thing: str) -> int:
    try:
        return class_index(names, thing)
    except ValueError as error:
        raise AbsentError(str(error)) from error


def object_seen(sample: Sample) -> float:
    """VBench's object class: prompts that name one object and nothing else to look for."""
    thing = sample.target("object")
    if sample.targets.keys() & {"object_2", "color", "relation"}:
        raise AbsentError("its prompt asks for more than an object")
    rows, frames, names = _things(sample)
    return object_share(rows, frames, _class(names, thing))


def objects_seen(sample: Sample) -> float:
    wanted = sample.target("object"), sample.target("object_2")
    if "relation" in sample.targets:
        raise AbsentError("its prompt asks for a relation")
    rows, frames, names = _things(sample)
    return objects_share(rows, frames, *(_class(names, thing) for thing in wanted))


def colour_seen(sample: Sample) -> float:
    colour, thing = sample.target("color"), sample.targets.get("object") or noun_of(sample.wording())
    rows, _, names = _things(sample)
    try:
        found = colour_share(rows, sample.picture("detr")["colours"], _class(names, thing), colour)
    except ValueError as error:
        raise AbsentError(str(error)) from error
    if found is None:
        raise AbsentError("its object is not seen")
    return found


def noun_of(prompt: str) -> str:
    """The last word of a prompt such as VBench's "a red bicycle"; the last two where the thing has two."""
    words = prompt.strip().rstrip(".").lower().split()
    return " ".join(words[2:]) or prompt


def relation_seen(sample: Sample) -> float:
    relation = sample.target("relation")
    wanted = sample.target("object"), sample.target("object_2")
    rows, frames, names = _things(sample)
    first, second = (_class(names, thing) for thing in wanted)
    try:
        return relation_share(rows, frames, first, second, relation)
    except ValueError as error:
        raise AbsentError(str(error)) from error


def action_seen(sample: Sample) -> float:
    wanted, kept = sample.target("action").lower(), sample.picture("actions")
    names = [name.lower() for name in names_from(kept["names"])]
    if wanted not in names:
        raise AbsentError(f"the network knows no action {wanted!r}")
    return float(names.index(wanted) in np.argsort(-kept["logits"])[:5])


def scene_seen(sample: Sample) -> float:
    wanted = sample.target("scene").lower()
    if wanted not in SCENES:
        raise AbsentError(f"{wanted!r} is none of the scenes that are told apart")
    return float((sample.picture("clip-scenes")["cosines"].argmax(axis=1) == SCENES.index(wanted)).mean())


def style_seen(sample: Sample) -> float:
    """Mean cosine of frames and the words of the style alone."""
    return clip_score(sample.picture("clip")["frames"], sample.words_of(sample.target("style"), "clip-text")["text"])


def motion_seen(sample: Sample) -> float:
    sample.target("motion")
    return pooled_text(sample)
