"""Where the weights of a named model live, and the one hash that names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from phonofilm.checkpoint import file_sha256, read_metadata, weight_files
from phonofilm.errors import PhonofilmError

EMBEDDED = ("nano",)
PARTS = ("transformer", "video_vae", "audio_vae", "vocoder")
LOW_PART = "transformer_low"
"""The part of a model whose transformer is for high noise alone (see `backends.levels`)."""
CODECS = ("nano", "nano-128")
"""Codecs that ship: those of nano, and those to train the next one with, for 128x128 at 24 fps and sound at 24 kHz."""
FILES = {"syncnet": "c2251305b6742e31133ddbc5a822d3f052bc2c366041b9b0e00072fbe52c8b05"}
"""Networks that ship as one file, with its SHA-256."""


def embedded(model: str = "nano") -> Path:
    """Folder of a model whose weights ship inside the package; it holds one `<part>.safetensors` per part.

    Raises:
        PhonofilmError: no model of this name ships.
    """
    if model not in EMBEDDED:
        raise PhonofilmError(f"no model named {model!r} ships with Phonofilm; there is {', '.join(EMBEDDED)}")
    return Path(__file__).parents[1] / "assets" / model


def locate(model: str | Path = "nano") -> Path:
    """Folder of a model given by its name or its path, none of whose parts is missing (see `part_files`).

    Raises:
        PhonofilmError: no such model, or a part of it is missing.
    """
    folder = embedded(str(model)) if str(model) in EMBEDDED else Path(model)
    if not folder.is_dir():
        raise PhonofilmError(
            f"no model {str(model)!r}: neither a name ({', '.join(EMBEDDED)}) nor a folder of weights; "
            "phonofilm models lists those that can be fetched too"
        )
    missing = [path.name for path in part_files(folder).values() if not weight_files(path)]
    if missing:
        raise PhonofilmError(f"model {str(model)!r} lacks {', '.join(missing)} in {folder}; install or copy it again")
    return folder


def part_files(folder: Path) -> dict[str, Path]:
    """The file of each of `PARTS` of a model, some of which may not be there, and of `LOW_PART` if it has one.

    Training leaves a transformer alone: it gets the codecs that ship, if its latents were made by them.

    Raises:
        PhonofilmError: the transformer's file is corrupt.
    """
    files = {part: folder / f"{part}.safetensors" for part in PARTS}
    if weight_files(files["transformer"]) and not any(weight_files(files[part]) for part in PARTS[1:]):
        codecs = _codecs_of(files["transformer"])
        files |= {} if codecs is None else {part: codecs / f"{part}.safetensors" for part in PARTS[1:]}
    if weight_files(low := folder / f"{LOW_PART}.safetensors"):
        files[LOW_PART] = low
    return files


def _codecs_of(transformer: Path) -> Path | None:
    """The codecs that ship whose latents a transformer was trained on."""
    metadata = read_metadata(transformer)
    for folder in map(codecs_folder, CODECS):
        files = {name: folder / f"{name}.safetensors" for name in ("video_vae", "audio_vae")}
        if all(path.is_file() and file_sha256(path) == metadata.get(name) for name, path in files.items()):
            return folder
    return None


def codecs_folder(codecs: str | Path = "nano") -> Path:
    """Folder of codecs: those that ship, by name, or the folder itself."""
    return Path(__file__).parents[1] / "assets" / str(codecs) if str(codecs) in CODECS else Path(codecs)


def shipped_file(name: str) -> Path:
    """The file of a network that ships as one, checked against its hash.

    Raises:
        PhonofilmError: it is missing, or not what was shipped.
    """
    path = Path(__file__).parents[1] / "assets" / f"{name}.safetensors"
    if file_sha256(path) != FILES[name]:
        raise PhonofilmError(f"{path} is not the file that Phonofilm ships; install it again")
    return path


def digest(folder: str | Path) -> str:
    """SHA-256 over the names and contents of all weights of a model, as 64 hex digits.

    Raises:
        PhonofilmError: there are no weights in the folder.
    """
    files = part_files(Path(folder))
    found = files.values() if weight_files(files["transformer"]) else Path(folder).glob("*.safetensors")
    paths = sorted((path for path in found if weight_files(path)), key=lambda path: path.name)
    if not paths:
        raise PhonofilmError(f"there are no weights in {folder}; check the path, or run `phonofilm models`")
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
