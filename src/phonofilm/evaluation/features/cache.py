"""Features kept by the content of the file they were made from: what was measured once is never measured again.

One safetensors file per clip and feature, named by the SHA-256 of the clip's bytes, the feature and everything the
feature depends on. Files are whole or not there, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from phonofilm.files import write_bytes

Arrays = dict[str, np.ndarray]


def default_cache() -> Path:
    """~/.cache/phonofilm/features, or where XDG_CACHE_HOME says."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phonofilm" / "features"


class FeatureCache:
    """A folder of features.

    What a clip cannot give (no motion in a still picture) is kept too, as the reason.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str, key: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.{key}.safetensors"

    def has(self, digest: str, key: str) -> bool:
        return self.path(digest, key).is_file()

    def put(self, digest: str, key: str, arrays: Mapping[str, np.ndarray], problem: str | None = None) -> None:
        """Keep arrays, or the reason why there are none.

        Raises:
            PhonofilmError: the folder cannot be written, or the disk is full.
        """
        path = self.path(digest, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        write_bytes(path, save(plain, {"problem": json.dumps(problem)}))

    def get(self, digest: str, key: str) -> tuple[Arrays, str | None] | None:
        """(arrays, problem), or None where there is nothing, or nothing readable."""
        path = self.path(digest, key)
        try:
            with safe_open(path, "numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return arrays, json.loads((file.metadata() or {}).get("problem", "null"))
        except (OSError, SafetensorError, json.JSONDecodeError):
            path.unlink(missing_ok=True)  # damaged: made again
            return None
