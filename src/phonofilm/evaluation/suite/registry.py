"""Every metric that `evaluate` computes: what it is called, what it needs, how it is computed and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.extensions import extensions
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.suite import clip_metrics
from phonofilm.evaluation.suite.failures import FAILURES
from phonofilm.evaluation.suite.sample import Arrays, Sample, Score, Share, mean_of

Better = Literal["lower", "higher", "neither"]
Kind = Literal["frechet", "frechet-infinity", "kernel", "polynomial", "inception"]


@dataclass(frozen=True)
class Distance:
    """A distance between sets, or the spread of one: rows [n, D] of every clip, and which one it is."""

    kind: Kind
    rows: Callable[[Arrays], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: as in tables and JSON; results of embedded substitutes name their network in brackets.
        measures: a clip's score, or a distance between sets.
        features: what it needs of each clip; a distance takes its rows from the first.
        unit, better, range: how to read it. protocol: what exactly was done. source: whose idea it is.
        needs: "reference", "prompts".
        has_shuffled_control: whether a shuffled control makes sense, with the sound of another clip.
        median: its value is the median over clips, signed, and the share of clips where it is known stands beside it.
        network: a network whose opinion it is, for the circularity flag.
        group: its place in tables.
        package: the distribution that it comes from, None for ours. known_failure: where it is known to fail, of
            another package's; ours are in `failures`.
    """

    name: str
    measures: Score | Distance
    features: tuple[str, ...]
    group: str
    unit: str
    better: Better
    range: str
    protocol: str
    source: str
    needs: tuple[str, ...] = ()
    has_shuffled_control: bool = False
    median: bool = False
    network: str | None = None
    package: str | None = None
    known_failure: str = "—"

    @property
    def failure(self) -> str:
        """Where it is known to fail."""
        return FAILURES.get(self.name, self.known_failure)


def _kept(feature: str, name: str, sound: bool = False) -> Callable[[Sample], float]:
    return lambda sample: clip_metrics.scalar(feature, name, sample, sound)


def _mono(arrays: Arrays) -> np.ndarray:
    """Rows [P, D] of patches [P, ears, D]: the mean of both ears."""
    return arrays["patches"].mean(axis=1)


def _stereo(arrays: Arrays) -> np.ndarray:
    """Rows [P, 2·D]: both ears side by side; a single ear counts as two equal ones."""
    patches = arrays["patches"]
    both = np.repeat(patches, 2, axis=1) if patches.shape[1] == 1 else patches
    return both.reshape(len(both), -1)


def _whole(arrays: Arrays) -> np.ndarray:
    return arrays["clip"][None]


def _own(name: str) -> Callable[[Arrays], np.ndarray]:
    return lambda arrays: arrays[name]


SYNC, SPACE, PROMPT, PICTURE, SOUND, SPEECH = "Sync", "Space", "Prompt", "Picture", "Sound", "Speech"
SETS = "Distance to reference"
TIMING = ("motion", "onsets", "sync")
FLAWS = (*TIMING, "dropouts")
OUR = "Phonofilm, calibrated in docs/calibration"

SPATIAL = "pooled TP / (TP + FN): located sounds at 10 Hz against"
SYNC_METRICS = (
    Metric(
        "offset", mean_of(clip_metrics.offset_ms), TIMING, SYNC, "ms", "neither", "−2500 … 2500",
        "median of how much later than the picture the sound is (negative: early), over the clips where a lag fits "
        "clearly better than all others, within ± 2.5 s or a quarter of the clip (1 s at least)", OUR,
        has_shuffled_control=True, median=True,
    ),
    Metric(
        "in sync", mean_of(clip_metrics.within_itu_limits), TIMING, SYNC, "share", "higher", "0 … 1",
        "share of clips whose offset lies between 45 ms early and 125 ms late, of those where it is known and those "
        "that have no sound, which are not", "ITU-R BT.1359",
        has_shuffled_control=True,
    ),
    Metric(
        "drift", mean_of(clip_metrics.drift_permille), TIMING, SYNC, "‰", "neither", "−260 … 350",
        "median of (speed of sound / speed of picture − 1), over the clips where a speed fits clearly better than "
        "others", OUR, has_shuffled_control=True, median=True,
    ),
    Metric(
        "PEAVS[phonofilm]", mean_of(clip_metrics.opinion), FLAWS, SYNC, "points", "higher", "1 … 4.7",
        "opinion predicted from offset, drift, time in which one stream alone is cut out, and cuts of both; fitted to "
        "PEAVS' published human curves", "Goncalves 2024; ours",
        has_shuffled_control=True,
    ),
    Metric(
        "PEAVS[dis-flow]", mean_of(_kept("peavs", "value")), ("peavs",), SYNC, "points", "higher", "1 … 5",
        "PEAVS' network over VGGish and I3D (colours + flow) tokens of 0.96 s; its flow is PWC-Net's, ours DIS",
        "Goncalves 2024; flow ours", network="peavs",
    ),
    Metric(
        "onset–motion F1", mean_of(clip_metrics.onset_motion), ("motion", "onsets"), SYNC, "", "higher", "0 … 1",
        "F1 of audio onsets and changes of motion within ± 60 ms, each used once", OUR, has_shuffled_control=True,
    ),
    Metric(
        "AV-Align[phonofilm-flow]", mean_of(partial(clip_metrics.aligned, variant="tempotokens")), ("motion", "onsets"),
        SYNC, "", "higher", "0 … 1",
        "IoU of audio onsets and peaks of mean flow over 0.1 px, ± 1 frame; own onsets and flow",
        "Yariv 2023, TempoTokens", has_shuffled_control=True,
    ),
    Metric(
        "AV-Align[phonofilm-flow, javisbench]", mean_of(partial(clip_metrics.aligned, variant="javisbench")),
        ("motion", "onsets"), SYNC, "", "higher", "0 … 1", "as above, every flow peak counts", "JavisBench",
        has_shuffled_control=True,
    ),
    Metric(
        "lip offset[face-mesh]", mean_of(lambda sample: abs(clip_metrics.mouth_offset(sample))), ("faces", "onsets"),
        SYNC,
        "ms", "lower", "0 … 1000",
        "mean |offset| of voice onsets against the opening of the mouth, within ± 1 s; clips with a face", OUR,
        has_shuffled_control=True,
    ),
    Metric(
        "DeSync", mean_of(clip_metrics.desync_seconds), ("synchformer",), SYNC, "s", "lower", "0 … 2",
        "mean |grid[argmax]| of 21 classes by 0.2 s, over the first and last 14 segments", "Iashin 2024; MMAudio",
        network="synchformer",
    ),
    Metric(
        "DeSync[phonofilm-sync]", mean_of(partial(clip_metrics.own_desync, expected=False)), ("syncnet",), SYNC, "s",
        "lower", "0 … 1", "mean |grid[argmax]| of 51 classes by 0.04 s, over the whole clip, by our own sync network",
        "ours, after Iashin 2024", has_shuffled_control=True,
    ),
    Metric(
        "DeSync[phonofilm-sync, expected]", mean_of(partial(clip_metrics.own_desync, expected=True)), ("syncnet",),
        SYNC, "s", "lower", "0 … 1",
        "NON-STANDARD: as above, mean |Σ softmax · grid|, which leans towards 0 where it doubts",
        "ours", has_shuffled_control=True,
    ),
    Metric(
        "ImageBind AV", mean_of(partial(clip_metrics.audio_video_cosine, feature="imagebind")), ("imagebind",), SYNC,
        "", "higher",
        "−1 … 1", "cosine of sound (3 x 2 s) and picture (8 frames, 3 crops) of a clip; not scaled by 100",
        "Girdhar 2023", has_shuffled_control=True, network="imagebind",
    ),
    Metric(
        "AVHScore", mean_of(clip_metrics.audible_frames), ("imagebind-frames",), SYNC, "", "higher", "−1 … 1",
        "mean cosine of the clip's sound and each of its frames, by ImageBind", "Mao 2024", has_shuffled_control=True,
        network="imagebind",
    ),
    Metric(
        "JavisScore", mean_of(clip_metrics.javis), ("imagebind-frames",), SYNC, "", "higher", "−1 … 1",
        "mean over windows (2 s, every 0.5 s) of the 40 % of frames that agree least with the window's sound, by "
        "ImageBind", "Liu 2025, JavisBench", has_shuffled_control=True, network="imagebind",
    ),
    Metric(
        "PE-AV score", mean_of(partial(clip_metrics.audio_video_cosine, feature="pe-av")), ("pe-av",), SYNC, "",
        "higher", "−1 … 1",
        "cosine of sound (48 kHz, mean of the ears) and picture (16 frames) of a clip, by PE-AV", "Vyas 2025",
        has_shuffled_control=True, network="pe-av",
    ),
)  # fmt: skip

SPACE_METRICS = (
    Metric(
        "Spatial AV-Align[detr]", partial(clip_metrics.spatially_aligned, feature="detr"), ("places", "detr"), SPACE,
        "", "higher", "0 … 1", f"{SPATIAL} boxes of DETR's things at 4 Hz, ± 40 px; mono is n/a",
        "Shimada 2024, SAVGBench; detector ours", has_shuffled_control=True,
    ),
    Metric(
        "Spatial AV-Align[faces]", partial(clip_metrics.spatially_aligned, feature="face-boxes"),
        ("places", "face-boxes"), SPACE, "", "higher", "0 … 1",
        f"{SPATIAL} MediaPipe's faces at 4 Hz, ± 40 px; clips with a face; mono is n/a",
        "Shimada 2024, SAVGBench; detector ours", has_shuffled_control=True,
    ),
    Metric(
        "pan error", mean_of(clip_metrics.pan_gap), ("places",), SPACE, "", "lower", "0 … 2",
        "mean |pan − reference's pan| where both sound", OUR, needs=("reference",), has_shuffled_control=True,
    ),
    Metric(
        "mono", mean_of(_kept("levels", "mono", sound=True)), ("levels",), SPACE, "share", "neither", "0 … 1",
        "share of clips whose ears differ by less than −40 dB, apart from the noise that AAC draws for each", "ours",
    ),
)  # fmt: skip

PROMPT_METRICS = (
    Metric(
        "CLIPScore", mean_of(clip_metrics.clip_text), ("clip", "clip-text"), PROMPT, "", "higher", "−1 … 1",
        "mean cosine of the prompt and every frame; a prompt past 77 tokens loses its end, not its closing token",
        "Hessel 2021", needs=("prompts",), network="clip",
    ),
    Metric(
        "overall consistency[clip]", mean_of(clip_metrics.pooled_text), ("clip", "clip-text"), PROMPT, "", "higher",
        "−1 … 1", "cosine of the prompt and the mean of 8 frames' unit vectors; VBench's own takes ViCLIP",
        "VBench, Huang 2024; pooling Luo 2021", needs=("prompts",), network="clip",
    ),
    Metric(
        "CLAP score", mean_of(clip_metrics.clap_text), ("clap", "clap-text"), PROMPT, "", "higher", "−1 … 1",
        "cosine of the prompt and the sound (48 kHz, mean of the ears, windows of 10 s that cover it)", "Wu 2023",
        needs=("prompts",), has_shuffled_control=True, network="clap",
    ),
    Metric(
        "ImageBind TV", mean_of(partial(clip_metrics.named_text, feature="imagebind", part="vision")),
        ("imagebind", "imagebind-text"), PROMPT, "", "higher", "−1 … 1",
        "cosine of the prompt and the picture (8 frames, 3 crops), by ImageBind; not scaled by 100",
        "Girdhar 2023; JavisBench", needs=("prompts",), network="imagebind",
    ),
    Metric(
        "ImageBind TA", mean_of(partial(clip_metrics.named_text, feature="imagebind", part="audio")),
        ("imagebind", "imagebind-text"), PROMPT, "", "higher", "−1 … 1",
        "cosine of the prompt and the sound (3 x 2 s), by ImageBind; not scaled by 100",
        "Girdhar 2023; JavisBench", needs=("prompts",), has_shuffled_control=True, network="imagebind",
    ),
    Metric(
        "object class[detr]", mean_of(clip_metrics.object_seen), ("detr",), PROMPT, "", "higher", "0 … 1",
        "share of pictures at 4 Hz with the prompt's object, by DETR; prompts with `object` and no other target",
        "VBench, Huang 2024; detector ours", needs=("prompts",), network="detr",
    ),
    Metric(
        "multiple objects[detr]", mean_of(clip_metrics.objects_seen), ("detr",), PROMPT, "", "higher", "0 … 1",
        "share of pictures at 4 Hz with both of the prompt's objects, by DETR; prompts with `object_2`",
        "VBench, Huang 2024; detector ours", needs=("prompts",), network="detr",
    ),
    Metric(
        "color[detr, pixels]", mean_of(clip_metrics.colour_seen), ("detr",), PROMPT, "", "higher", "0 … 1",
        "of the pictures with the prompt's object, by DETR, the share in which most of its box has the prompt's colour",
        "VBench, Huang 2024; detector and colours ours", needs=("prompts",), network="detr",
    ),
    Metric(
        "spatial relationship[detr]", mean_of(clip_metrics.relation_seen), ("detr",), PROMPT, "", "higher", "0 … 1",
        "mean over pictures at 4 Hz of how well the prompt's objects lie left, right, above or below, by DETR",
        "VBench, Huang 2024; detector ours", needs=("prompts",), network="detr",
    ),
    Metric(
        "human action[videomae]", mean_of(clip_metrics.action_seen), ("actions",), PROMPT, "share", "higher", "0 … 1",
        "share of clips whose prompt's action is among the five surest of Kinetics' classes, by VideoMAE",
        "VBench, Huang 2024; network ours", needs=("prompts",), network="videomae-kinetics",
    ),
    Metric(
        "scene[clip]", mean_of(clip_metrics.scene_seen), ("clip-scenes",), PROMPT, "", "higher", "0 … 1",
        "share of pictures at 4 Hz whose nearest of 86 scenes is the prompt's, by CLIP", "VBench, Huang 2024; network "
        "ours", needs=("prompts",), network="clip",
    ),
    Metric(
        "appearance style", mean_of(clip_metrics.style_seen), ("clip", "clip-text"), PROMPT, "", "higher", "−1 … 1",
        "mean cosine of every frame and the prompt's style, by CLIP", "VBench, Huang 2024", needs=("prompts",),
        network="clip",
    ),
    Metric(
        "temporal style[clip]", mean_of(clip_metrics.motion_seen), ("clip", "clip-text"), PROMPT, "", "higher",
        "−1 … 1", "cosine of the prompt and the mean of 8 frames' unit vectors, prompts with `motion`; VBench's own "
        "takes ViCLIP", "VBench, Huang 2024; pooling Luo 2021", needs=("prompts",), network="clip",
    ),
    Metric(
        "MS-CLAP score", mean_of(clip_metrics.ms_clap_text), ("ms-clap", "ms-clap-text"), PROMPT, "", "higher",
        "−1 … 1", "cosine of the prompt and the sound (44.1 kHz, mean of the ears, first 7 s), by MS-CLAP 2023",
        "Elizalde 2023", needs=("prompts",), has_shuffled_control=True, network="ms-clap",
    ),
)  # fmt: skip

PICTURE_METRICS = (
    Metric(
        "frozen frames", mean_of(_kept("stillness", "frozen")), ("stillness",), PICTURE, "share", "lower", "0 … 1",
        "share of frames that are as the one before, in runs of 0.2 s or more: what stands still counts too", "ours",
    ),
    Metric(
        "dropped frames", mean_of(_kept("stillness", "dropped")), ("stillness",), PICTURE, "share", "lower", "0 … 1",
        "share of frames that are as the one before, in shorter runs amid motion, as where a frame was lost", "ours",
    ),
    Metric(
        "blur", mean_of(_kept("blur", "value")), ("blur",), PICTURE, "", "lower", "0 … 1",
        "how little the differences of neighbouring pixels lose by a further blur of 9 pixels, mean of 16 frames at up "
        "to 256 pixels", "Crete 2007",
    ),
    Metric(
        "temporal flicker", mean_of(_kept("flicker", "value")), ("flicker",), PICTURE, "", "higher", "0 … 1",
        "(255 − mean |difference of neighbouring frames|) / 255; VBench means it for static scenes",
        "VBench, Huang 2024",
    ),
    Metric(
        "dynamic degree[phonofilm-flow]", mean_of(_kept("dynamics", "moves")), ("dynamics",), PICTURE, "share",
        "neither", "0 … 1",
        "share of clips whose fastest 5 % of flow passes 6 px of 256 in a quarter of pictures 1/8 s apart",
        "VBench, Huang 2024; flow ours",
    ),
    Metric(
        "flow strength[phonofilm-flow]", mean_of(_kept("dynamics", "strength")), ("dynamics",), PICTURE, "px",
        "neither", "0 …", "mean of the fastest 5 % of flow, px of 256 in 1/8 s", "VBench, Huang 2024; flow ours",
    ),
    Metric(
        "motion smoothness[dis]", mean_of(_kept("smoothness", "value")), ("smoothness",), PICTURE, "", "higher",
        "0 … 1", "(255 − mean error of odd frames interpolated by DIS flow) / 255", "VBench; interpolation ours",
    ),
    Metric(
        "subject consistency[efficientnet]", mean_of(partial(clip_metrics.temporal_consistency,
        feature="efficientnet")),
        ("efficientnet",), PICTURE, "", "higher", "0 … 1",
        "mean of cosine to the previous and to the first of 16 frames", "VBench, Huang 2024; network ours",
    ),
    Metric(
        "subject consistency", mean_of(partial(clip_metrics.temporal_consistency, feature="dino")), ("dino",), PICTURE,
        "",
        "higher", "0 … 1", "mean of cosine to the previous and to the first frame, over every frame, by DINO",
        "VBench, Huang 2024", network="dino",
    ),
    Metric(
        "background consistency", mean_of(partial(clip_metrics.temporal_consistency, feature="clip")), ("clip",),
        PICTURE, "",
        "higher", "0 … 1", "mean of cosine to the previous and to the first frame, over every frame, by CLIP",
        "VBench, Huang 2024", network="clip",
    ),
    Metric(
        "aesthetic quality", mean_of(_kept("aesthetic", "value")), ("aesthetic",), PICTURE, "", "higher", "0 … 1",
        "mean over every frame of LAION's linear rating of CLIP ViT-L/14's unit vector, / 10", "VBench, Huang 2024",
        network="aesthetic",
    ),
    Metric(
        "imaging quality[brisque]", mean_of(_kept("brisque", "value")), ("brisque",), PICTURE, "", "lower",
        "0 … 100", "mean BRISQUE of 16 frames; VBench's own is MUSIQ, where higher is better", "Mittal 2012",
    ),
    Metric(
        "IS[efficientnet]", Distance("inception", _own("classes")), ("efficientnet",), PICTURE, "", "higher",
        "1 … 1000", "exp of the mean KL from each frame's classes to those of all, one part; EfficientNet-Lite0 of 16 "
        "frames", "Salimans 2016; network ours",
    ),
)  # fmt: skip

UNASKED = "speech (Silero VAD) or music (YAMNet, mean of 2.4 s > 0.6) that the prompt does not ask for"
TAGGERS = (("PANNs", "panns", "whole sound, 16 kHz"), ("PaSST", "passt", "first 10 s, 32 kHz"))
SOUND_METRICS = (
    Metric(
        "clips with sound", mean_of(clip_metrics.has_sound), ("facts",), SOUND, "share", "higher", "0 … 1",
        "share of clips that have a sound whose peak passes −60 dBFS", "ours",
    ),
    Metric(
        "silence", mean_of(_kept("levels", "silent", sound=True)), ("levels",), SOUND, "share", "neither", "0 … 1",
        "share of tenths of a second below −60 dBFS", "ours",
    ),
    Metric(
        "loudness", mean_of(clip_metrics.loudness), ("levels",), SOUND, "LUFS", "neither", "−120 … 0",
        "integrated, ungated, K-weighted", "ITU-R BS.1770-4",
    ),
    Metric(
        "loudness gap", mean_of(clip_metrics.loudness_gap), ("levels",), SOUND, "dB", "lower", "0 …",
        "mean |LUFS − reference's LUFS|", "ours", needs=("reference",), has_shuffled_control=True,
    ),
    Metric(
        "onset accuracy", mean_of(clip_metrics.onset_accuracy), ("onsets",), SOUND, "", "higher", "0 … 1",
        "share of the reference's onsets answered within ± 0.1 s", "Du 2023, CondFoleyGen", needs=("reference",),
        has_shuffled_control=True,
    ),
    Metric(
        "onset AP", mean_of(clip_metrics.onset_precision), ("onsets",), SOUND, "", "higher", "0 … 1",
        "average precision of onsets against the reference's within ± 0.1 s", "Du 2023, CondFoleyGen",
        needs=("reference",), has_shuffled_control=True,
    ),
    Metric(
        "KL[yamnet]", mean_of(clip_metrics.kl_sounds), ("yamnet",), SOUND, "nats", "lower", "0 …",
        "mean KL(reference ‖ generated) of YAMNet's mean scores, made to sum to 1", "Iashin 2021; network ours",
        needs=("reference",), has_shuffled_control=True,
    ),
    *(
        Metric(
            f"KL-{name}", mean_of(partial(clip_metrics.kl_classes, feature=feature)), (feature,), SOUND, "nats",
            "lower", "0 …", f"KL(reference ‖ generated) of {name}' classes after softmax, {heard}", "Iashin 2021",
            needs=("reference",), has_shuffled_control=True, network=feature,
        )
        for name, feature, heard in TAGGERS
    ),
    *(
        Metric(
            f"IS-{name}", Distance("inception", clip_metrics.tagged), (feature,), SOUND, "", "higher", "1 … 527",
            f"exp of the mean KL from each clip's classes to those of all, one part; {name}, {heard}",
            "Salimans 2016", network=feature,
        )
        for name, feature, heard in TAGGERS
    ),
    Metric(
        "IS[yamnet]", Distance("inception", clip_metrics.heard_classes), ("yamnet",), SOUND, "", "higher", "1 … 521",
        "exp of the mean KL from each clip's classes to those of all, one part; YAMNet's mean scores, made to sum to 1",
        "Salimans 2016; network ours",
    ),
    Metric(
        "CLAP audio", mean_of(clip_metrics.clap_truth), ("clap",), SOUND, "", "higher", "−1 … 1",
        "cosine of the sound and its reference's (48 kHz, mean of the ears, windows of 10 s that cover it)",
        "Wu 2023", needs=("reference",), has_shuffled_control=True, network="clap",
    ),
    Metric(
        "IH@vid[yamnet+silero, prompt]", mean_of(clip_metrics.any_inserted), ("yamnet", "voice", "facts"), SOUND,
        "share", "lower", "0 … 1", f"share of clips with {UNASKED}", "arXiv 2510.08078", needs=("prompts",),
    ),
    Metric(
        "IH@dur[yamnet+silero, prompt]", clip_metrics.inserted, ("yamnet", "voice", "facts"), SOUND,
        "share", "lower", "0 … 1", f"share of time with {UNASKED}", "arXiv 2510.08078", needs=("prompts",),
    ),
)  # fmt: skip

SPEECH_METRICS = (
    Metric(
        "WER[whisper-tiny.en]", clip_metrics.speech_errors, ("speech",), SPEECH, "", "lower", "0 …",
        "word errors / words the prompts quote, pooled", "Radford 2023", needs=("prompts",), has_shuffled_control=True,
    ),
    Metric(
        "DNSMOS", mean_of(clip_metrics.speech_quality), ("speech",), SPEECH, "points", "higher", "1 … 5",
        "overall P.835 opinion, of clips with half a second of voice (Silero VAD)", "Reddy 2022",
    ),
)  # fmt: skip


def _distance(
    name: str, kind: Kind, rows: Callable[[Arrays], np.ndarray], feature: str, protocol: str, source: str,
    network: str | None = None,
) -> Metric:  # fmt: skip
    unit, span = ("×100", "≈0 …") if kind == "kernel" else ("", "≈0 …" if kind == "polynomial" else "0 …")
    measures = Distance(kind, rows)
    return Metric(
        name, measures, (feature,), SETS, unit, "lower", span, protocol, source, ("reference",), network=network
    )


FRECHET = "Fréchet distance, Σ / (N − 1), float64"
KERNEL = "unbiased MMD², Gaussian kernel, bandwidth: median distance of the reference, ×100"
LOGMEL = "mean and spread of 64 log-mel bands per 0.96 s at 16 kHz (D = 128)"
YAMNET = "YAMNet's 1024-d embeddings every 0.48 s at 16 kHz"
STEREO = "both ears side by side"
EFFICIENT = "EfficientNet-Lite0 of 16 frames"
SET_METRICS = (
    _distance("FAD[log-mel]", "frechet", _mono, "log-mel", f"{FRECHET}; {LOGMEL}, mean of the ears", "Kilgour 2019"),
    _distance("FAD-∞[log-mel]", "frechet-infinity", _mono, "log-mel", f"{FRECHET}, against 1/N without replacement; "
              f"{LOGMEL}", "Gui 2024"),
    _distance("FAD[log-mel, stereo]", "frechet", _stereo, "log-mel", f"{FRECHET}; {LOGMEL}, {STEREO}", "ours"),
    _distance("KAD[log-mel]", "kernel", _mono, "log-mel", f"{KERNEL}; {LOGMEL}, mean of the ears", "Chung 2025"),
    _distance("KAD[log-mel, stereo]", "kernel", _stereo, "log-mel", f"{KERNEL}; {LOGMEL}, {STEREO}", "ours"),
    _distance("FAD[yamnet]", "frechet", _mono, "yamnet", f"{FRECHET}; {YAMNET}, mean of the ears", "Kilgour 2019"),
    _distance("KAD[yamnet]", "kernel", _mono, "yamnet", f"{KERNEL}; {YAMNET}, mean of the ears", "Chung 2025"),
    _distance("KAD[yamnet, stereo]", "kernel", _stereo, "yamnet", f"{KERNEL}; {YAMNET}, {STEREO}", "ours"),
    _distance("FID[efficientnet]", "frechet", _own("frames"), "efficientnet", f"{FRECHET}; {EFFICIENT}", "Heusel 2017"),
    _distance("KID[efficientnet]", "polynomial", _own("frames"), "efficientnet",
              f"unbiased MMD², (x·y/D + 1)³, whole sets; {EFFICIENT}", "Bińkowski 2018"),
    _distance("FVD[dis-flow]", "frechet", _whole, "flow", f"{FRECHET}; statistics of DIS flow, one row a clip (D = 67)",
              "Unterthiner 2018; features ours"),
    _distance("FVD", "frechet", _whole, "i3d", f"{FRECHET}; I3D-Kinetics logits (400-d), first 16 frames, bilinear "
              "squash to 224² (cd-fvd's recipe)", "Unterthiner 2018", "i3d"),
    _distance("FVD[videomae]", "frechet", _whole, "videomae", f"{FRECHET}; VideoMAE ViT-B of Something-Something v2 "
              "(768-d), 16 frames over the clip, one row a clip", "Unterthiner 2018; network Ge 2024", "videomae"),
    _distance("FAD", "frechet", _own("mono"), "vggish", f"{FRECHET}; VGGish 128-d per 0.96 s, 16 kHz mono, no PCA, no "
              "last ReLU", "Kilgour 2019", "vggish"),
    _distance("FAD[vggish, stereo]", "frechet", _stereo, "vggish", f"{FRECHET}; VGGish as for FAD, {STEREO}", "ours",
              "vggish"),
    _distance("FAD[yamnet, stereo]", "frechet", _stereo, "yamnet", f"{FRECHET}; {YAMNET}, {STEREO}", "ours"),
    _distance("FD[places]", "frechet", clip_metrics.where_it_sounds, "places", f"{FRECHET}; of each clip mean and "
              "spread of pan and level between the ears, and coherence (D = 5)", "ours"),
    _distance("FD-PANNs", "frechet", _whole, "panns", f"{FRECHET}; PANNs' Cnn14 at 16 kHz (2048-d), one row a clip",
              "Liu 2023, AudioLDM", "panns"),
    _distance("FD-PaSST", "frechet", _whole, "passt", f"{FRECHET}; PaSST (768-d) of the first 10 s, one row a clip",
              "Cheng 2025, MMAudio", "passt"),
    _distance("KAD[vggish]", "kernel", _own("mono"), "vggish", f"{KERNEL}; VGGish as for FAD", "Chung 2025", "vggish"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    *SYNC_METRICS, *SPACE_METRICS, *PROMPT_METRICS, *PICTURE_METRICS, *SOUND_METRICS, *SPEECH_METRICS, *SET_METRICS,
)  # fmt: skip
CORE_FEATURES = {
    "dropouts",
    "facts",
    "levels",
    "flicker",
    "stillness",
    "blur",
    "motion",
    "dynamics",
    "onsets",
    "sync",
    "places",
    "log-mel",
    "syncnet",
}


def metrics() -> tuple[Metric, ...]:
    """Every metric: ours, and those that installed packages offer.

    Raises:
        PhonofilmError: a package's metric has a name that is taken, or needs a feature that there is not.
    """
    theirs = tuple(replace(one, package=package) for package, one in extensions() if isinstance(one, Metric))
    names = {metric.name.lower() for metric in METRICS}
    for metric in theirs:
        if metric.name.lower() in names:
            raise PhonofilmError(f"package {metric.package} offers a metric {metric.name}, and there is one already")
        if absent := [name for name in metric.features if name not in catalogue()]:
            raise PhonofilmError(f"{metric.name} of package {metric.package} needs a feature {absent[0]}, and none is")
        names.add(metric.name.lower())
    return (*METRICS, *theirs)


JAVIS = (
    "FVD", "FVD[videomae]", "FVD[dis-flow]", "FID[efficientnet]", "KID[efficientnet]", "FAD", "FAD[yamnet]",
    "ImageBind AV", "ImageBind TV", "ImageBind TA", "CLIPScore", "CLAP score",
    "AV-Align[phonofilm-flow, javisbench]", "AVHScore", "JavisScore",
    "DeSync",    "PE-AV score", "offset", "aesthetic quality", "imaging quality[brisque]", "subject consistency",
    "subject consistency[efficientnet]", "background consistency", "motion smoothness[dis]", "temporal flicker",
    "dynamic degree[phonofilm-flow]",
)  # fmt: skip
VBENCH = (
    "subject consistency", "subject consistency[efficientnet]", "background consistency", "temporal flicker",
    "motion smoothness[dis]", "dynamic degree[phonofilm-flow]", "aesthetic quality", "imaging quality[brisque]",
    "object class[detr]", "multiple objects[detr]", "human action[videomae]", "color[detr, pixels]",
    "spatial relationship[detr]", "scene[clip]", "temporal style[clip]", "appearance style",
    "overall consistency[clip]",
)  # fmt: skip
AVBENCH = (
    "FAD", "FAD[yamnet]", "FD-PANNs", "FD-PaSST", "KAD[vggish]", "KAD[yamnet]", "IS-PANNs", "IS-PaSST", "IS[yamnet]",
    "KL-PANNs", "KL-PaSST", "KL[yamnet]", "CLAP score", "MS-CLAP score", "ImageBind AV",
    "PE-AV score", "DeSync", "offset", "onset accuracy", "onset AP",
)  # fmt: skip
UNSUPPORTED_BENCHMARK_METRICS: dict[str, tuple[tuple[str, str], ...]] = {
    "javis": (
        ("KVD", "no port of its network is here; KID[efficientnet] stands beside it"),
        ("CAVP score", "CAVP's weights have no port here"),
        ("visual quality, motion quality, audio quality", "JavisBench's own reward models have no port here"),
    ),
}
"""What the benchmark behind a preset also lists and Phonofilm lacks, and why."""
PRESETS: dict[str, tuple[str, ...]] = {
    "quick": tuple(metric.name for metric in METRICS if set(metric.features) <= CORE_FEATURES),
    "full": tuple(metric.name for metric in METRICS),
    "javis": JAVIS,
    "avbench": AVBENCH,
    "vbench": VBENCH,
}


def choose(preset: str = "quick", names: tuple[str, ...] = ()) -> tuple[Metric, ...]:
    """The metrics of a preset, or those named (in any case, with or without their brackets).

    Raises:
        PhonofilmError: there is no such preset or metric.
    """
    if not names:
        if preset not in PRESETS:
            raise PhonofilmError(f"there is no preset {preset!r}; choose from {', '.join(PRESETS)}")
        return tuple(m for m in metrics() if m.name in PRESETS[preset] or (preset == "full" and m.package is not None))
    chosen = chosen_names(names, [metric.name for metric in metrics()])
    return tuple(metric for metric in metrics() if metric.name in chosen)


def chosen_names(asked: Sequence[str], known: Sequence[str]) -> set[str]:
    """Those of the known names that are asked for, in any case, with or without their brackets.

    Raises:
        PhonofilmError: none is called so.
    """
    chosen: set[str] = set()
    for name in asked:
        plain = name.strip().lower()
        found = [k for k in known if plain == k.lower()] or [k for k in known if plain == k.lower().split("[")[0]]
        if not found:
            near = ", ".join(k for k in known if plain[:3] in k.lower())
            hint = f"near it: {near}" if near else "docs/metrics.md lists them all"
            raise PhonofilmError(f"there is no metric {name!r}; {hint}")
        chosen |= set(found)
    return chosen


__all__ = ["METRICS", "PRESETS", "UNSUPPORTED_BENCHMARK_METRICS", "Distance", "Metric", "Share", "choose", "metrics"]
