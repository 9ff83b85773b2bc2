"""FoleyCrafter's published files (Zhang et al., 2407.01494), which are refused in words that say why."""

from __future__ import annotations

from pathlib import Path

from phonofilm.errors import PhonofilmError

_UNET = "a part of Auffusion's U-Net over pictures of sound, which Phonofilm does not have"
REASONS = {
    "semantic_adapter.bin": f"it is {_UNET}; recipes/control_semantic.toml trains the same for our networks",
    "temporal_adapter.ckpt": f"it is {_UNET}; recipes/control_hits.toml trains the same for our networks",
    "timestamp_detector.pth.tar": "it is an R(2+1)D-18 over 150 pictures, which is not ported; "
    "recipes/onset.toml trains a detector of ours",
}
"""By the names under which its parts are published."""
MODEL = f"its adapters are each {_UNET}; mmaudio makes sound for films by public weights"


def refuse_foleycrafter(path: str | Path) -> None:
    """Raise a PhonofilmError where a file is one of FoleyCrafter's, by its name."""
    if (reason := REASONS.get(Path(path).name)) is not None:
        raise PhonofilmError(f"{path} is FoleyCrafter's: {reason}")
