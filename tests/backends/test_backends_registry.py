"""One table says what kinds of models there are; a new kind is a module and a row."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from phonofilm import PhonofilmError
from phonofilm.app.jobs.spec import LOADING
from phonofilm.backends import registry
from phonofilm.backends.base import Backend
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.registry import FAMILIES, Family, fingerprint, load, plan, split_cascade_name
from phonofilm.types import Request


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_row_names_a_backend_and_options_that_it_takes(kind):
    if FAMILIES[kind].extra is not None:
        pytest.importorskip("diffusers", reason="public models need the extra: pip install -e '.[public]'")
    cls = FAMILIES[kind].cls
    assert all(callable(getattr(cls, name)) for name in ("load", "check", "generate"))
    assert FAMILIES[kind].options <= set(inspect.signature(cls.load).parameters) - {"model", "device", "alone"}


def test_a_job_may_have_every_option_that_people_choose():
    chosen = set().union(*(family.options for family in FAMILIES.values()))
    assert chosen - {"dtype", "boundary"} == set(LOADING)  # those two are for Python


def test_a_new_kind_is_a_module_and_a_row(monkeypatch):
    module = ModuleType("phonofilm.backends.mine")
    module.MyBackend = FakeBackend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "phonofilm.backends.mine", module)
    monkeypatch.setattr(
        registry, "FAMILIES", {**FAMILIES, "mine": Family("mine", "mine:MyBackend", frozenset({"my-model"}))}
    )
    assert isinstance(load("my-model"), Backend)
    assert load("my-model").generate("x", seconds=0.5).prompt == "x"


def test_options_of_another_kind_are_refused_by_name():
    for model, option, message in (
        ("fake", "offload", "offload is for LTX-2 and Wan, not for fake; omit it"),
        ("fake", "loras", "loras is for our own models and LTX-2, not for fake; omit it"),
        ("wan2.2", "network", "network is for LTX-2, not for wan2.2; omit it"),
    ):
        with pytest.raises(PhonofilmError, match=message):
            load(model, **{option: "x"})


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(registry, "missing", lambda extra: ["diffusers"])
    with pytest.raises(
        PhonofilmError, match=r"LTX-2 needs diffusers, which is not installed: pip install .*\[public\]"
    ):
        load("ltx2")


def test_cascades_fingerprints_and_plans():
    assert split_cascade_name("wan2.2+foley") == ("wan2.2", "nano")
    assert split_cascade_name("nano") is None
    assert fingerprint("fake") == fingerprint("fake") != fingerprint("nano")
    with pytest.raises(PhonofilmError, match="nano makes no silent film for another model"):
        load("nano+foley")
    with pytest.raises(PhonofilmError, match="nano needs no plan"):
        plan(replace(Request("x"), model="nano"))
