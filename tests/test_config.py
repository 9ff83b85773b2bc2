"""Configs survive a round trip through plain values, and a wrong recipe is told in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonofilm.config import from_dict, load_toml, portable, read_toml, to_dict
from phonofilm.errors import PhonofilmError


@dataclass(frozen=True)
class Inner:
    width: int = 8
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError("width must be positive")


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    rate: Fraction = Fraction(30000, 1001)
    levels: tuple[int, ...] = (1, 2)
    inner: Inner = Inner()
    more: tuple[Inner, ...] = ()
    clip: float | None = None
    size: int | tuple[int, int] = 64
    weights: dict[str, float] = field(default_factory=dict)
    folder: Path | None = None
    ema: bool = True


configs = st.builds(
    Outer,
    name=st.text(max_size=5),
    kind=st.sampled_from(["a", "b"]),
    rate=st.fractions(Fraction(1), Fraction(100)),
    levels=st.lists(st.integers(-5, 5), max_size=3).map(tuple),
    inner=st.builds(Inner, st.integers(1, 9), st.tuples(st.floats(0, 1), st.floats(0, 1))),
    more=st.lists(st.builds(Inner, st.integers(1, 9)), max_size=2).map(tuple),
    clip=st.none() | st.floats(0, 1),
    size=st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    weights=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=2),
    folder=st.none() | st.just(Path("a/b")),
    ema=st.booleans(),
)


@given(configs)
def test_round_trip_through_json(config: Outer) -> None:
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "setting name is missing"),
        ({"name": "x", "knd": "a"}, "unknown setting knd; did you mean kind?"),
        ({"name": "x", "inner": {"depth": 2}}, "unknown setting inner.depth; known: width, betas"),
        ({"name": "x", "inner": {"width": "8"}}, "inner.width='8' must be of type int"),
        ({"name": "x", "inner": {"width": True}}, "inner.width=True must be of type int"),
        ({"name": "x", "inner": {"width": 0}}, "settings of inner: width must be positive"),
        ({"name": "x", "inner": 3}, "inner must be a section"),
        ({"name": "x", "inner": {"betas": [1]}}, "inner.betas must have 2 items, not 1"),
        ({"name": "x", "levels": 3}, "levels must be a list"),
        ({"name": "x", "levels": [1, 1.5]}, r"levels\[1\]=1.5 must be of type int"),
        ({"name": "x", "kind": "c"}, "kind='c' must be one of a, b"),
        ({"name": "x", "rate": "1/0"}, "rate='1/0' is not a fraction"),
        ({"name": "x", "ema": 1}, "ema=1 must be of type bool"),
        ({"name": "x", "weights": [1]}, "weights must be a section"),
        ({"name": None}, "name=None must be of type str"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(values: dict, message: str) -> None:
    with pytest.raises(PhonofilmError, match=message) as caught:
        from_dict(Outer, values)
    assert "\n" not in str(caught.value)


def test_recipe_with_overrides(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "n"\nclip = 1\n[inner]\nwidth = 3\n')
    overrides = ["inner.width=5", "clip=none", "kind=b", "levels=[4, 5]", "weights.l1=2", "folder=runs/a"]
    config = load_toml(Outer, recipe, overrides)
    assert config == Outer(
        "n", kind="b", levels=(4, 5), inner=Inner(5), weights={"l1": 2.0}, folder=Path("runs/a"), clip=None
    )
    assert read_toml(recipe) == {"name": "n", "clip": 1, "inner": {"width": 3}}


@pytest.mark.parametrize("override", ["width", "=3", "inner..width=3", "name.x=1"])
def test_malformed_override(tmp_path: Path, override: str) -> None:
    (tmp_path / "r.toml").write_text('name = "n"')
    with pytest.raises(PhonofilmError, match="override"):
        read_toml(tmp_path / "r.toml", [override])


def test_unreadable_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("= 3")
    with pytest.raises(PhonofilmError, match="is not TOML"):
        read_toml(tmp_path / "r.toml")
    with pytest.raises(PhonofilmError, match=r"none.toml is not there; check the path, or see recipes/"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "r.toml").write_bytes(b"\xff\x00")
    with pytest.raises(PhonofilmError, match="nor text at all"):
        read_toml(tmp_path / "r.toml")


def test_what_leaves_a_machine_names_no_folder_of_it(tmp_path):
    values = {"run": {"output": str(tmp_path / "nano"), "steps": 3}, "families": ["bounce"], "folder": "data/raw"}
    assert portable(values) == {"run": {"output": "nano", "steps": 3}, "families": ["bounce"], "folder": "data/raw"}


@dataclass(frozen=True)
class Renamed:
    width: int = 3
    RENAMED: ClassVar[Mapping[str, str]] = {"breadth": "width"}


def test_settings_of_an_earlier_version_keep_their_names() -> None:
    assert from_dict(Renamed, {"breadth": 5}) == from_dict(Renamed, {"width": 5}) == Renamed(5)
    assert to_dict(Renamed(5)) == {"width": 5}
    with pytest.raises(PhonofilmError, match="unknown setting depth"):
        from_dict(Renamed, {"depth": 5})
