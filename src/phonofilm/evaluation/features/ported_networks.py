"""Features of published networks that are ported here, given the file of their weights.

These, and those through transformers beside them, alone carry the field's own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
from phonofilm.evaluation.features.registry import Extractor, Feature
from phonofilm.evaluation.metrics.embedding_similarity import javis_windows
from phonofilm.signals.sync.desync import segment_windows

BATCH = 8


def load_vggish(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.audio.vggish import VGGish, log_mel_examples
    from phonofilm.perception.common.ported_checkpoints import load

    network = load(VGGish, given(weights))

    def take(film: Film) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            ears = [
                network(log_mel_examples(torch.from_numpy(ear.copy()))).numpy()
                for ear in (film.mono, *film.channels_16k)
            ]
        if not len(ears[0]):
            raise UnfitError("VGGish needs 0.975 s of sound")
        # the field hears one channel, their mean; both ears are kept for FAD[vggish, stereo]
        return {"mono": ears[0], "patches": np.stack(ears[1:], axis=1)}

    return take


def load_i3d(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.common.ported_checkpoints import load
    from phonofilm.perception.vision.i3d import I3D, prepare_frames

    network = load(I3D, given(weights))

    def take(film: Film) -> Mapping[str, np.ndarray]:
        if len(film.frames) < 16:
            raise UnfitError("I3D needs 16 frames")
        with torch.inference_mode():
            return {"clip": network(prepare_frames(film.frames[:16], "squash")[None])[0].numpy()}

    return take


def load_synchformer(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.audiovisual.synchformer import Synchformer, frame_segments, mel_segments, prepare_frames
    from phonofilm.perception.common.ported_checkpoints import load

    network = load(Synchformer, given(weights))

    def take(film: Film) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            pictures, sounds = frame_segments(prepare_frames(film.at(25.0))), mel_segments(torch.from_numpy(film.mono))
            count = min(len(pictures), len(sounds))
            try:
                windows = segment_windows(count)
            except ValueError as error:
                raise UnfitError(str(error)) from error
            vision = torch.cat([network.vision(part[None]) for part in pictures[:count].split(BATCH)], 1)
            audio = network.audio(sounds[None, :count])
            logits = torch.cat([network.compare(vision[:, window], audio[:, window]) for window in windows])
        return {"logits": logits.numpy()}

    return take


def load_imagebind(weights: Path | None) -> Extractor:
    import torch

    from phonofilm.perception.audiovisual.imagebind import ImageBind, log_mel_clips, prepare_frames
    from phonofilm.perception.common.ported_checkpoints import load

    network = load(ImageBind, given(weights))

    def take(film: Film) -> Mapping[str, np.ndarray]:
        picked = film.frames[np.linspace(0, len(film.frames) - 1, BATCH).round().astype(int)]
        with torch.inference_mode():
            crops = prepare_frames(picked, crops=True).flatten(0, 1)
            vision = torch.cat([network.vision(part) for part in crops.split(BATCH)]).mean(0)
            audio = network.audio(log_mel_clips(torch.from_numpy(film.mono))).mean(0)
        return {"vision": vision.numpy(), "audio": audio.numpy()}

    return take


def load_imagebind_frames(weights: Path | None) -> Extractor:
    """Every frame, the whole sound, and the sound of each window of JavisScore."""
    import torch

    from phonofilm.perception.audiovisual.imagebind import SAMPLE_RATE, ImageBind, log_mel_clips, prepare_frames
    from phonofilm.perception.common.ported_checkpoints import load

    network = load(ImageBind, given(weights))

    def take(film: Film) -> Mapping[str, np.ndarray]:
        sound, frames = torch.from_numpy(film.mono), film.frames
        windows = javis_windows(len(sound), SAMPLE_RATE)
        with torch.inference_mode():
            parts = (frames[first : first + BATCH] for first in range(0, len(frames), BATCH))
            seen = torch.cat([network.vision(prepare_frames(part)) for part in parts])
            whole = network.audio(log_mel_clips(sound)).mean(0)
            heard = torch.cat([network.audio(log_mel_clips(sound[a:b], clips=1)) for a, b in windows])
        rate = np.array(film.fps)
        return {"frames": seen.numpy(), "audio": whole.numpy(), "windows": heard.numpy(), "rate": rate}

    return take


def given(weights: Path | None) -> Path:
    """The weights that a published network must be given."""
    if weights is None:
        raise ValueError("a published network needs its weights")
    return weights


PUBLISHED = (
    Feature("vggish", 1, "sound", load_vggish, {"torch": "torch"}, "vggish"),
    Feature("i3d", 1, "picture", load_i3d, {"torch": "torch"}, "i3d"),
    Feature("synchformer", 1, "both", load_synchformer, {"torch": "torch"}, "synchformer"),
    Feature("imagebind", 1, "both", load_imagebind, {"torch": "torch"}, "imagebind"),
    Feature("imagebind-frames", 1, "both", load_imagebind_frames, {"torch": "torch"}, "imagebind"),
)
