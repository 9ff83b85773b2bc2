"""Set-up never takes a CUDA build by surprise, and says in one line what it cannot do."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SETUP = Path(__file__).parents[1] / "scripts" / "setup"
CUDA = {"requires_dist": ["filelock", "nvidia-cudnn-cu13==9.15; platform_system == 'Linux'", "triton==3.6"]}
CPU = {"requires_dist": ["filelock", "sympy>=1.13.3"]}


@pytest.fixture
def setup() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("phonofilm_setup", str(SETUP))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def pip(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would be installed, on a Linux machine without a driver and without torch."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(setup, "install", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(setup, "has_torch", lambda: False)
    monkeypatch.setattr(setup, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(setup.sys, "platform", "linux")
    return calls


def test_the_range_is_the_projects(setup: ModuleType) -> None:
    assert setup.torch_requirement().startswith("torch>=2.11")


@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_a_cpu_build_that_pip_finds_is_taken(
    setup: ModuleType, pip: list, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setattr(setup, "plan", lambda *arguments: CPU)
    setup.install_torch(choice)
    assert pip == [(setup.torch_requirement(),)]


@pytest.mark.parametrize("plain", [CUDA, None])
def test_otherwise_pytorchs_own_index_is_asked(
    setup: ModuleType, pip: list, monkeypatch: pytest.MonkeyPatch, plain: dict | None
) -> None:
    monkeypatch.setattr(setup, "plan", lambda wanted, *options: CPU if setup.CPU_INDEX in options else plain)
    setup.install_torch("auto")
    assert pip == [(setup.torch_requirement(), "--index-url", setup.CPU_INDEX)]


def test_where_there_is_none_set_up_stops(setup: ModuleType, pip: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "plan", lambda wanted, *options: None if options else CUDA)
    with pytest.raises(SystemExit, match="PHONOFILM_TORCH=cuda") as caught:
        setup.install_torch("auto")
    assert "\n" not in str(caught.value)
    assert pip == []


def test_a_driver_or_a_word_takes_the_cuda_build(setup: ModuleType, pip: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "plan", lambda *arguments: CUDA)
    setup.install_torch("cuda")
    monkeypatch.setattr(setup, "has_nvidia_driver", lambda: True)
    setup.install_torch("auto")
    assert pip == [(setup.torch_requirement(),)] * 2


def test_what_is_there_is_kept(setup: ModuleType, pip: list, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.install_torch("skip")
    monkeypatch.setattr(setup, "has_torch", lambda: True)
    setup.install_torch("auto")
    assert pip == []


def test_an_unknown_choice_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(SETUP)], env={"PHONOFILM_TORCH": "gpu"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "set-up: PHONOFILM_TORCH=gpu is none of auto, cpu, cuda, skip"
