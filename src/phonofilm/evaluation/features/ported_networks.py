"""Features of published networks that are ported here, given the file of their weights.

These, and those through transformers beside them, alone carry the field's own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.evaluation.metrics.embedding_similarity import javis_windows
from phonofilm.signals.sync.desync import segment_windows
from phonofilm.weights import fetched_judges

BATCH = 8


def load_vggish(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.audio.vggish import VGGish, log_mel_examples

    network = load_ported(VGGish, given(weights), device)

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


def load_i3d(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.vision.i3d import I3D, prepare_frames

    network = load_ported(I3D, given(weights), device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        if len(film.frames) < 16:
            raise UnfitError("I3D needs 16 frames")
        with torch.inference_mode():
            return {"clip": network(prepare_frames(film.frames[:16], "squash")[None])[0].numpy()}

    return take


def load_synchformer(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.audiovisual.synchformer import Synchformer, frame_segments, mel_segments, prepare_frames

    network = load_ported(Synchformer, given(weights), device)

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


def load_imagebind(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.audiovisual.imagebind import ImageBind, log_mel_clips, prepare_frames

    network = load_ported(ImageBind, given(weights), device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        picked = film.frames[np.linspace(0, len(film.frames) - 1, BATCH).round().astype(int)]
        with torch.inference_mode():
            crops = prepare_frames(picked, crops=True).flatten(0, 1)
            vision = torch.cat([network.vision(part) for part in crops.split(BATCH)]).mean(0)
            audio = network.audio(log_mel_clips(torch.from_numpy(film.mono))).mean(0)
        return {"vision": vision.numpy(), "audio": audio.numpy()}

    return take


def load_imagebind_frames(weights: Path | None, device: str = "cpu") -> Extractor:
    """Every frame, the whole sound, and the sound of each window of JavisScore."""
    import torch

    from phonofilm.perception.audiovisual.imagebind import SAMPLE_RATE, ImageBind, log_mel_clips, prepare_frames

    network = load_ported(ImageBind, given(weights), device)

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


def load_panns(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.audio.panns import Cnn14, log_mel

    network = load_ported(Cnn14, given(weights), device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        sound = torch.from_numpy(film.mono)
        with torch.inference_mode():
            embeddings, logits = network(log_mel(sound - sound.mean())[None])
        return {"clip": embeddings[0].numpy(), "logits": logits[0].double().numpy()}

    return take


def load_passt(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.audio.passt import PaSST, log_mel, ten_seconds

    network = load_ported(PaSST, given(weights), device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        sound = torch.from_numpy(film.mono_at(PaSST.sample_rate))
        with torch.inference_mode():
            embeddings, logits = network(log_mel(ten_seconds(sound - sound.mean()))[None])
        return {"clip": embeddings[0].numpy(), "logits": logits[0].double().numpy()}

    return take


def load_imagebind_text(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.audiovisual.imagebind_text import TextReader

    path = given(weights)
    reader = TextReader.load(path, tokenizer_of(path) or path.parent)

    def take(prompt: str) -> Mapping[str, np.ndarray]:
        text, cut = reader.text(prompt)
        return {"text": text.numpy(), "cut": np.array(cut)}

    return take


def tokenizer_of(weights: Path) -> Path | None:
    """The folder of CLIP's tokenizer for ImageBind: that of its weights, or a CLIP that was fetched."""
    folders = (weights.parent, fetched_judges().get("clip"))
    return next((folder for folder in folders if folder and (folder / "tokenizer.json").is_file()), None)


def no_tokenizer(weights: Path) -> str | None:
    if tokenizer_of(weights) is not None:
        return None
    return f"phonofilm weights get clip, or put CLIP's tokenizer.json beside {weights.name}"


PEAVS_FILES = ("final_model.pt", "i3d_rgb.pt", "i3d_flow.pt", "vggish-10086976.pth")


def lacks_peavs(folder: Path) -> str | None:
    absent = [name for name in PEAVS_FILES if not (folder / name).is_file()]
    return f"put {', '.join(absent)} into {folder}" if absent else None


def load_peavs(weights: Path | None, device: str = "cpu") -> Extractor:
    """Tokens of 0.96 s: VGGish after its last ReLU, and I3D of colours and of flow, added."""
    import torch

    from phonofilm.perception.audio.vggish import VGGish, log_mel_examples
    from phonofilm.perception.audiovisual.peavs import RATE as PICTURES
    from phonofilm.perception.audiovisual.peavs import STACK, Peavs, i3d_names
    from phonofilm.perception.common.devices import OnDevice
    from phonofilm.perception.common.ported_checkpoints import build, read_state
    from phonofilm.perception.vision.flow import optical_flow
    from phonofilm.perception.vision.i3d import I3D, I3DConfig, prepare_flow, prepare_stack

    folder = given(weights)
    judge = load_ported(Peavs, folder / "final_model.pt", device)
    ears = load_ported(VGGish, folder / "vggish-10086976.pth", device)
    colours, motion = (
        OnDevice(build(I3D, i3d_names(read_state(folder / name)), config=I3DConfig(channels=channels)), device)
        for name, channels in (("i3d_rgb.pt", 3), ("i3d_flow.pt", 2))
    )

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames = film.at(float(PICTURES))
        count = (len(frames) - 1) // STACK
        with torch.inference_mode():
            heard = torch.relu(ears(log_mel_examples(torch.from_numpy(film.mono))))
            if not count or not len(heard):
                raise UnfitError("PEAVS needs 25 frames at 25 fps and 0.975 s of sound")
            seen = []
            for first in range(0, count * STACK, STACK):
                stack = frames[first : first + STACK + 1]
                parts = prepare_stack(stack[:-1]), prepare_flow(optical_flow(stack))
                seen.append(colours.pooled(parts[0][None])[0].mean(-1) + motion.pooled(parts[1][None])[0].mean(-1))
            # the network's masks are as long as the sound: no more tokens of the picture than of the sound
            score = judge.score(heard[None], torch.stack(seen[: len(heard)])[None])
        return {"value": np.array(float(score[0]))}

    return take


def load_ported(cls: type, weights: Path, device: str) -> Any:
    """A ported network that computes on a device; its inputs and outputs stay on the CPU."""
    from phonofilm.perception.common.devices import OnDevice
    from phonofilm.perception.common.ported_checkpoints import load

    network: Any = load(cls, weights)
    return network if device == "cpu" else OnDevice(network, device)


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
    Feature("panns", 1, "sound", load_panns, {"torch": "torch"}, "panns"),
    Feature("passt", 1, "sound", load_passt, {"torch": "torch"}, "passt"),
    Feature("imagebind-text", 1, "text", load_imagebind_text, {"torch": "torch"}, "imagebind", no_tokenizer),
    Feature("peavs", 1, "both", load_peavs, {"torch": "torch", "opencv-python-headless": "cv2"}, "peavs", lacks_peavs),
    Feature("imagebind-frames", 1, "both", load_imagebind_frames, {"torch": "torch"}, "imagebind"),
)
