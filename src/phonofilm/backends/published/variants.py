"""Which .safetensors files of a component are its weights: a hub's folder may hold them several times over.

A name is STEM[.VARIANT].safetensors or, in shards, STEM[.VARIANT]-00001-of-00002[.VARIANT].safetensors, listed in
STEM[.VARIANT].safetensors.index[.VARIANT].json. The weights without a variant ("fp16", "bf16", "non_ema", …) count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError

STEMS = ("diffusion_pytorch_model", "model")
"""What diffusers and transformers call a component's weights."""
SUFFIX = ".safetensors"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")
_INDEX = re.compile(r"(?P<name>.+)\.safetensors\.index(?P<variant>\.[^.]+)?\.json")


@dataclass(frozen=True)
class WeightSet:
    """One whole set of a component's weights; `variant` is "" where the name has none."""

    stem: str
    variant: str
    files: tuple[Path, ...]


def weight_set(folder: Path, read_config: Any) -> WeightSet:
    """The weights of a component.

    Args:
        read_config: reads a JSON object from a file.

    Raises:
        PhonofilmError: there are none, some of their files are missing, or it cannot be told which ones are meant.
    """
    names = {path.name for path in folder.glob(f"*{SUFFIX}")}
    listed = {(stem, variant): index for stem, variant, index in _indices(folder)}
    single: dict[tuple[str, str], list[str]] = {}
    shards: dict[tuple[str, str], list[str]] = {}
    in_an_index = {name for index in listed.values() for name in _weight_map(index, read_config)}
    for name in sorted(names):
        (shards if _SHARD.search(name) else single).setdefault(_parse(name), []).append(name)
    for key in list(single):
        if key not in listed and set(single[key]) <= in_an_index and key[0] not in STEMS:
            del single[key]  # a shard of another name
    keys = sorted(single.keys() | shards.keys() | listed.keys())
    if not keys:
        raise PhonofilmError(f"{folder} holds no .safetensors weights; fetch or copy them again")
    key = _chosen(keys, folder)
    if key in listed:
        files = _of_index(folder, listed[key], read_config)
    elif key in single:
        files = single[key]
    else:
        files = _complete(folder, shards[key])
    return WeightSet(*key, tuple(folder / name for name in files))


def _chosen(keys: list[tuple[str, str]], folder: Path) -> tuple[str, str]:
    """The set that is meant: of the usual name, and without a variant where there is such a one."""
    stems = {stem for stem, _ in keys}
    usual = next((stem for stem in STEMS if stem in stems), None)
    if usual is None and len(stems) > 1:
        raise PhonofilmError(f"{folder} holds weights of several names ({', '.join(sorted(stems))}); keep one of them")
    stem = usual or next(iter(stems))
    variants = sorted(variant for other, variant in keys if other == stem)
    if len(variants) > 1 and "" not in variants:
        raise PhonofilmError(f"{folder} holds its weights only as variants ({', '.join(variants)}); keep one of them")
    return stem, variants[0]


def _parse(name: str) -> tuple[str, str]:
    stem, _, variant = _SHARD.sub("", name.removesuffix(SUFFIX)).partition(".")
    return stem, variant


def _indices(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(folder.glob(f"*{SUFFIX}.index*.json")):
        if found := _INDEX.fullmatch(path.name):
            stem, variant = _parse(found["name"])
            yield stem, (found["variant"] or "").removeprefix(".") or variant, path


def _weight_map(index: Path, read_config: Any) -> list[str]:
    """The files that an index names.

    Raises:
        PhonofilmError: it is damaged.
    """
    table = read_config(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise PhonofilmError(f"{index} names no files of weights (weight_map); fetch or copy it again")
    for name in table.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise PhonofilmError(f"{index} names {name!r}, which is no file beside it; fetch or copy it again")
    return sorted(set(table.values()))


def _of_index(folder: Path, index: Path, read_config: Any) -> list[str]:
    names = _weight_map(index, read_config)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise PhonofilmError(
            f"{folder} lacks {len(missing)} of {len(names)} files of weights, first {missing[0]}; fetch them again"
        )
    return names


def _complete(folder: Path, names: list[str]) -> list[str]:
    """Shards without an index: their names say how many there are."""
    places = [tuple(map(int, found.groups())) for name in names if (found := _SHARD.search(name))]
    total = places[0][1]
    if sorted(places) != [(number, total) for number in range(1, total + 1)]:
        raise PhonofilmError(
            f"{folder} lacks some of {total} files of weights, it has {', '.join(names)}; fetch them again"
        )
    return names
