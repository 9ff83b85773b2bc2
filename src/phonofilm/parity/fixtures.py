"""Check ported networks against the outputs of their references, without any checkpoint.

A fixture is a pair NAME.json and NAME.npz. The json names the state-dict keys, how the inputs are
drawn and how far outputs may differ; the npz holds the reference's outputs. Pseudo-weights are drawn
from the keys, go through our own checkpoint loader, and must give the same outputs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.parity.recipe import evaluate, gain_of, pseudo_weights


@dataclass(frozen=True)
class NotOurs:
    """Stands for an output that a port does not claim to give, and says why; reports show it as not compared."""

    reason: str


Outputs = Mapping[str, Tensor | np.ndarray | NotOurs]


@dataclass(frozen=True)
class Fixture:
    """One fixture of a folder: the description, and the reference's outputs."""

    path: Path
    description: Mapping[str, Any]

    @staticmethod
    def read(path: str | Path) -> Fixture:
        """Read NAME.json, with NAME.npz beside it.

        Raises:
            PhonofilmError: one of the files is missing or is not of this format.
        """
        path = Path(path)
        try:
            description = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            told = (error.strerror if isinstance(error, OSError) else str(error)) or "unreadable"
            raise PhonofilmError(f"{path.name} is not a readable fixture: {told}") from error
        if not is_fixture(description):
            raise PhonofilmError(f"{path} is not a parity fixture: it needs name, inputs and outputs")
        if not path.with_suffix(".npz").is_file():
            raise PhonofilmError(f"{path.name} has no {path.stem}.npz beside it")
        return Fixture(path, description)

    @property
    def name(self) -> str:
        return str(self.description["name"])

    @property
    def network(self) -> str:
        """Which runner checks it: its "network", or else its name."""
        return str(self.description.get("network", self.name))

    @property
    def config(self) -> Mapping[str, Any]:
        return self.description.get("config", {})

    @cached_property
    def outputs(self) -> Mapping[str, np.ndarray]:
        """The reference's outputs, float32."""
        with np.load(self.path.with_suffix(".npz"), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def weights(self) -> dict[str, Tensor]:
        """The pseudo state dict under the fixture's keys."""
        gain = gain_of(self.description.get("recipe", {}).get("weight_gain", 1.0))
        filled = pseudo_weights(self.description.get("keys", ()), gain)
        return {key: torch.from_numpy(np.asarray(value)) for key, value in filled.items()}

    def draw(self, name: str) -> np.ndarray:
        """An input, drawn by its line of numpy (the last array that the line assigns)."""
        return evaluate(self.description["inputs"][name]["numpy"])[""]

    def tolerance(self, output: str) -> float:
        """Largest absolute difference allowed: the fixture's hint, or 1e-4 of an output without one."""
        hint = self.description.get("determinism", {}).get("tolerance_hint", {}).get(output)
        return float(hint["atol"]) if hint else 1e-4 * max(1.0, float(np.abs(self.outputs[output]).max(initial=0.0)))


Runner = Callable[[Fixture, torch.device], Outputs]


def is_fixture(description: Any) -> bool:
    """Whether a json document describes a fixture of this format."""
    return isinstance(description, dict) and {"name", "inputs", "outputs"} <= description.keys()


def check_folder(
    folder: str | Path,
    runners: Mapping[str, Runner],
    *,
    names: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Check every fixture in a folder, sorted by name.

    Args:
        runners: what computes a network's outputs, by name of network (`parity.runners.RUNNERS`).
        names: only these fixtures.
        progress: called with each fixture's name before it is checked.

    Returns:
        One report each (see `check`).

    Raises:
        PhonofilmError: the folder does not exist, holds no fixture, or lacks one of `names`.
    """
    if not Path(folder).is_dir():
        raise PhonofilmError(f"{folder} is not a folder of parity fixtures")
    paths = fixtures_of(Path(folder))
    if not paths:
        raise PhonofilmError(f"{folder} holds no parity fixture (NAME.json with NAME.npz beside it)")
    if unknown := sorted(set(names or ()) - paths.keys()):
        raise PhonofilmError(f"{folder} holds no fixture {unknown[0]}; it holds {', '.join(paths)}")
    reports = []
    for name in [name for name in paths if names is None or name in names]:
        if progress:
            progress(name)
        reports.append(check(paths[name], runners, device))
    return reports


def fixtures_of(folder: Path) -> dict[str, Path]:
    """Descriptions by name: every json that has an npz beside it or says that it is a fixture, and lone npz files.

    Half a fixture is kept, so that it is reported rather than passed over.
    """
    found = {path.stem: path.with_suffix(".json") for path in folder.glob("*.npz")}
    for path in folder.glob("*.json"):
        try:
            if is_fixture(json.loads(path.read_text())):
                found[path.stem] = path
        except (OSError, ValueError):
            continue  # without an npz it may be anything
    return dict(sorted(found.items()))


def check(path: str | Path, runners: Mapping[str, Runner], device: str | torch.device = "cpu") -> dict[str, Any]:
    """Check one fixture.

    Returns:
        name; status "pass", "fail", "error" or "no port"; ok; seconds; error (one line or None); outputs:
        for each the largest absolute difference, the tolerance and whether it holds (None: not compared). Outputs
        of the reference named probe_* are compared only where the runner gives them.
    """
    started = time.perf_counter()
    report: dict[str, Any] = {"name": Path(path).stem, "status": "pass", "error": None, "outputs": []}
    try:
        fixture = Fixture.read(path)
        if fixture.network not in runners:
            report |= {"status": "no port", "error": f"no port of {fixture.network} here"}
        else:
            with torch.inference_mode(), full_precision():
                report["outputs"] = compare(fixture, runners[fixture.network](fixture, torch.device(device)))
            verdicts = [output["ok"] for output in report["outputs"]]
            if False in verdicts or True not in verdicts:
                report["status"] = "fail"
    except Exception as error:  # one damaged fixture must not hide the others
        told = (str(error).splitlines() or [""])[0]
        report |= {
            "status": "error",
            "error": told if isinstance(error, PhonofilmError) else f"{type(error).__name__}: {told}",
        }
    return report | {"ok": report["status"] == "pass", "seconds": round(time.perf_counter() - started, 3)}


def compare(fixture: Fixture, found: Outputs) -> list[dict[str, Any]]:
    """Largest absolute difference of each output; one that is missing or misshapen fails."""
    rows = []
    for name, wanted in fixture.outputs.items():
        if name.startswith("probe_") and name not in found:
            continue
        atol, value = fixture.tolerance(name), found.get(name)
        if isinstance(value, NotOurs):
            rows.append({"name": name, "max_abs_diff": None, "atol": atol, "ok": None, "problem": value.reason})
            continue
        array = None if value is None else np.asarray(value.cpu() if isinstance(value, Tensor) else value)
        if array is None or array.shape != wanted.shape:
            problem = "missing" if array is None else f"shape {array.shape}, not {wanted.shape}"
            rows.append({"name": name, "max_abs_diff": None, "atol": atol, "ok": False, "problem": problem})
            continue
        worst = float(np.abs(array.astype(np.float64) - wanted).max(initial=0.0))
        rows.append({"name": name, "max_abs_diff": worst, "atol": atol, "ok": worst <= atol, "problem": None})
    return rows


@contextmanager
def full_precision():
    """Float32 products in float32: TF32 and reduced precision off while the context lasts."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
