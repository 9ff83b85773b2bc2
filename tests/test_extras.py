"""What is not installed is said with a command that installs it, and never by a name that is not ours."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from phonofilm import PhonofilmError, extras

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_extra_is_one_of_the_project():
    named = PROJECT["optional-dependencies"]
    assert set(extras.EXTRAS) == set(named) - {"dev", "fonts"}
    for name, modules in extras.EXTRAS.items():
        inner = named["world"] if "phonofilm[world]" in named[name] else []
        assert len(modules) == len({*named[name], *inner} - {"phonofilm[world]"}), name


def test_in_a_checkout_it_installs_from_there(monkeypatch, tmp_path):
    assert extras.install_command("world").endswith("[world]'")
    monkeypatch.chdir(extras.CHECKOUT)
    assert extras.install_command("world") == "pip install -e '.[world]'"


def test_elsewhere_it_installs_the_packages_by_their_own_names(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "CHECKOUT", tmp_path)
    required = ["torch>=2", "pymunk>=7; extra == 'world'", 'phonofilm[world]; extra == "train"']
    required += ["tensorboard>=2.16; extra == 'train'"]
    monkeypatch.setattr(extras.metadata, "requires", lambda name: required)
    assert extras.install_command("world") == "pip install 'pymunk>=7'"
    assert extras.install_command("train") == "pip install 'pymunk>=7' 'tensorboard>=2.16'"


def test_a_missing_module_is_one_line():
    said = r"drawing needs pymunk, which is not installed: pip install .*\[world\]"
    with pytest.raises(PhonofilmError, match=said), extras.optional("drawing"):
        raise ModuleNotFoundError(name="pymunk.vec2d")
    with pytest.raises(ModuleNotFoundError), extras.optional():
        raise ModuleNotFoundError(name="something")
