"""A published LTX-2 on disk: which files it has, whether they are whole, and what they say of themselves.

Two layouts are read. In diffusers' every component has a folder. In Lightricks' one .safetensors file holds the
transformer; the other components are then the folders beside it, those of a model that is named, or those of a fetched
model of the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phonofilm.backends.published.files import (
    public_folder,
    read_components,
    read_header,
    read_index,
    weight_files,
)
from phonofilm.checkpoint import read_metadata
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import PREFIX
from phonofilm.weights import CATALOG, fetched, find, quick_digest

COMPONENTS = ("text_encoder", "connectors", "transformer", "vae", "audio_vae", "vocoder")
"""In the order of their work."""

_CLASSES = {
    "connectors": ("LTX2TextConnectors",),
    "transformer": ("LTX2VideoTransformer3DModel",),
    "vae": ("AutoencoderKLLTX2Video",),
    "audio_vae": ("AutoencoderKLLTX2Audio",),
    "vocoder": ("LTX2Vocoder", "LTX2VocoderWithBWE"),
}


@dataclass(frozen=True)
class Folder:
    """One model on disk, checked to be whole.

    Attributes:
        name: as results give it.
        path: the folder of the components.
        transformer: its .safetensors files (shards, or the one single file).
        configs: config.json of each component.
        distilled: whether the weights are for eight steps without guidance.
    """

    name: str
    path: Path
    transformer: tuple[Path, ...]
    configs: Mapping[str, Mapping[str, Any]]
    distilled: bool
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @staticmethod
    def open(model: str | Path, components: str | Path | None = None) -> Folder:
        """Find a model by the name of the catalogue, its folder, or its single file.

        Args:
            components: for a single file, the folder or the name of a model that has all others.

        Raises:
            PhonofilmError: not here, not whole, or of another kind.
        """
        public, path = find(str(model)), Path(model)
        if public is None and path.suffix == ".safetensors":
            return _read(path.stem, _around(path, components), path, "distilled" in path.name.lower())
        if components is not None:
            raise PhonofilmError(f"--components goes with a single .safetensors file, not with {model}")
        if public is not None:
            here = public_folder(public)
            single = None if public.transformer is None else here / public.transformer
            return _read(public.name, here, single, public.distilled)
        index = _index(path)
        named = f"{path.name} {index.get('_name_or_path', '')}".lower()
        return _read(path.name, path, None, "distilled" in named)

    def fingerprint(self, extra: str = "") -> str:
        """What names the weights, together with `extra`: see `weights.quick_digest`."""
        return quick_digest([path for paths in self.files.values() for path in paths], extra)

    def bytes(self, component: str) -> int:
        """Size of a component's weights on disk."""
        return sum(path.stat().st_size for path in self.files[component])


def _read(name: str, path: Path, single: Path | None, distilled: bool) -> Folder:
    _index(path)
    configs = read_components(path, {component: _CLASSES.get(component, ()) for component in COMPONENTS})
    if single is not None and not single.is_file():
        raise PhonofilmError(f"{single} is missing; check the path")
    files = {component: weight_files(path / component) for component in COMPONENTS if component != "transformer"}
    files["transformer"] = (single,) if single is not None else weight_files(path / "transformer")
    if single is not None:
        read_metadata(single)  # a file that is cut off shows in its header
    _check_fit(path, configs)
    if (path / "latent_upsampler").is_dir():
        configs |= read_components(path, {"latent_upsampler": ("LTX2LatentUpsamplerModel",)})
        files["latent_upsampler"] = weight_files(path / "latent_upsampler")
    return Folder(name, path, files["transformer"], configs, distilled, files)


def _around(single: Path, components: str | Path | None) -> Path:
    """The folder of the components that belong to a single file.

    Raises:
        PhonofilmError: there is none, with what to do.
    """
    if not single.is_file():
        raise PhonofilmError(f"{single} is missing; check the path")
    if components is not None:
        public = find(str(components))
        return Path(components) if public is None else public_folder(public)
    if (single.parent / "model_index.json").is_file():
        return single.parent
    newer = any(name.removeprefix(PREFIX).startswith("prompt_adaln") for name in read_header(single))
    kin = [model for model in CATALOG.values() if model.family == "ltx2" and ("2.3" in model.name) == newer]
    here = next((found for model in kin if (found := fetched(model)) is not None), None)
    if here is None:
        raise PhonofilmError(
            f"{single.name} is a transformer alone: say where its other components are with --components DIR, "
            f"or fetch them once with: phonofilm weights get {kin[0].name}"
        )
    return here


def _index(path: Path) -> dict[str, Any]:
    """model_index.json of an LTX-2."""
    index = read_index(path)
    if not str(index.get("_class_name", "")).startswith("LTX2"):
        raise PhonofilmError(f"{path} holds a {index.get('_class_name', 'model of another kind')}, not an LTX-2")
    return index


def _check_fit(path: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Components of different models in one folder are told apart by the widths they share."""
    network, video, audio = configs["transformer"], configs["vae"], configs["audio_vae"]
    if video.get("timestep_conditioning"):
        raise PhonofilmError(f"{path / 'vae'} decodes by denoising, which no published LTX-2 does; fetch it again")
    connectors, text = configs["connectors"], configs["text_encoder"]
    text = text.get("text_config", text)
    mel = audio["mel_bins"] // 4 * audio["latent_channels"]
    per_stream = not network.get("use_prompt_embeddings", True)
    pairs = {
        "video latents": (network["in_channels"], video["latent_channels"]),
        "audio latents": (network["audio_in_channels"], mel),
        "text states": (text.get("hidden_size"), connectors["caption_channels"]),
        "layers of text states": (text.get("num_hidden_layers", 0) + 1, connectors["text_proj_in_factor"]),
        "projections of the text": (per_stream, connectors.get("per_modality_projections", False)),
        "mel spectrograms": (configs["vocoder"]["in_channels"], 2 * audio["mel_bins"]),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise PhonofilmError(f"the components in {path} do not belong together: {what} are {one} and {other}")
