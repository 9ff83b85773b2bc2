"""A published Wan on disk, in diffusers' layout, checked to be whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phonofilm.backends.published.files import (
    parameters,
    public_folder,
    read_components,
    read_index,
    stored_dtype,
    weight_files,
)
from phonofilm.backends.wan.config import Settings, settings
from phonofilm.errors import PhonofilmError
from phonofilm.weights import find, quick_digest

_CLASSES: dict[str, tuple[str, ...]] = {
    "text_encoder": (),
    "transformer": ("WanTransformer3DModel",),
    "transformer_2": ("WanTransformer3DModel",),
    "vae": ("AutoencoderKLWan",),
}
EXPERTS = ("transformer", "transformer_2")
"""For high noise levels, and for low ones."""


@dataclass(frozen=True)
class WanFolder:
    """One model on disk.

    Attributes:
        files: the .safetensors files of each component.
    """

    name: str
    path: Path
    configs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, tuple[Path, ...]]
    settings: Settings

    @staticmethod
    def open(model: str | Path) -> WanFolder:
        """Find a model by the name of the catalogue or its folder.

        Raises:
            PhonofilmError: not here, not whole, or of another kind.
        """
        public = find(str(model))
        if public is None:
            return _read(Path(model).name, Path(model))
        return _read(public.name, public_folder(public))

    @property
    def experts(self) -> tuple[str, ...]:
        return tuple(name for name in EXPERTS if name in self.files)

    def fingerprint(self, extra: str = "") -> str:
        """What names the weights, together with `extra`: see `weights.quick_digest`."""
        return quick_digest([path for paths in self.files.values() for path in paths], extra)

    def dtype(self, name: str, device: torch.device) -> torch.dtype:
        """What a component runs in. The experts are published in float32 and made to run in bfloat16 on a GPU; the
        video VAE is small and runs in float32."""
        if name == "vae":
            return torch.float32
        stored = stored_dtype(self.files[name])
        return torch.bfloat16 if name in EXPERTS and device.type == "cuda" else stored

    def bytes(self, name: str, device: torch.device) -> int:
        """Size of a component in memory."""
        return parameters(self.files[name]) * self.dtype(name, device).itemsize


def _read(name: str, path: Path) -> WanFolder:
    index = read_index(path)
    kind = str(index.get("_class_name", "model of another kind"))
    if kind not in ("WanPipeline", "WanImageToVideoPipeline"):
        raise PhonofilmError(f"{path} holds a {kind}, not a Wan that makes film from text or a picture")
    paired = index.get("boundary_ratio") is not None
    classes = {part: known for part, known in _CLASSES.items() if paired or part != "transformer_2"}
    configs = read_components(path, classes)
    files = {part: weight_files(path / part) for part in classes}
    _check_fit(path, configs)
    return WanFolder(name, path, configs, files, settings(index, configs, str(path)))


def _check_fit(path: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Components of different models in one folder are told apart by the widths they share."""
    high, vae = configs["transformer"], configs["vae"]
    low = configs.get("transformer_2", high)
    pairs = {
        "text states": (configs["text_encoder"].get("d_model"), high["text_dim"]),
        "latents that come out": (high["out_channels"], vae["z_dim"]),
        "channels of the two experts": (high["in_channels"], low["in_channels"]),
        "layers of the two experts": (high["num_layers"], low["num_layers"]),
        "heads of the two experts": (high["num_attention_heads"], low["num_attention_heads"]),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise PhonofilmError(f"the components in {path} do not belong together: {what} are {one} and {other}")
