"""Which files of a component are its weights, in every way that hubs publish them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from phonofilm.backends.published.files import (
    eight_bit,
    parameters,
    read_config,
    read_header,
    stored_dtype,
    variant_of,
    weight_files,
)
from phonofilm.errors import PhonofilmError

PLAIN = "diffusion_pytorch_model.safetensors"


def put(folder: Path, *names: str, dtype: torch.dtype = torch.float32) -> None:
    for name in names:
        save_file({"a.weight": torch.ones(2, 2, dtype=dtype)}, folder / name)


def index(folder: Path, name: str, *files: str) -> None:
    (folder / name).write_text(json.dumps({"weight_map": {f"t{n}": file for n, file in enumerate(files)}}))


def found(folder: Path) -> list[str]:
    return [path.name for path in weight_files(folder)]


@pytest.mark.parametrize("variant", ["fp16", "bf16", "fp32", "fp8", "fp8_e4m3fn", "int8", "non_ema", "ema", "f16"])
@pytest.mark.parametrize("stem", ["diffusion_pytorch_model", "model"])
def test_the_file_without_a_variant_counts(tmp_path: Path, stem: str, variant: str) -> None:
    put(tmp_path, f"{stem}.safetensors")
    put(tmp_path, f"{stem}.{variant}.safetensors", dtype=torch.float16)
    assert found(tmp_path) == [f"{stem}.safetensors"]
    assert variant_of(tmp_path) is None
    assert stored_dtype(weight_files(tmp_path)) == torch.float32
    assert parameters(weight_files(tmp_path)) == 4


@pytest.mark.parametrize("variant", ["fp16", "non_ema"])
def test_a_variant_alone_is_taken_and_named(tmp_path: Path, variant: str) -> None:
    put(tmp_path, f"model.{variant}.safetensors")
    assert found(tmp_path) == [f"model.{variant}.safetensors"]
    assert variant_of(tmp_path) == variant


@pytest.mark.parametrize(
    ("shard", "table"),
    [
        ("{stem}.fp16-0000{n}-of-00002.safetensors", "{stem}.safetensors.index.fp16.json"),
        ("{stem}-0000{n}-of-00002.fp16.safetensors", "{stem}.safetensors.index.fp16.json"),
        ("{stem}.fp16-0000{n}-of-00002.safetensors", "{stem}.fp16.safetensors.index.json"),
    ],
)
def test_a_variant_in_shards(tmp_path: Path, shard: str, table: str) -> None:
    stem = "diffusion_pytorch_model"
    shards = [shard.format(stem=stem, n=n) for n in (1, 2)]
    put(tmp_path, *shards)
    index(tmp_path, table.format(stem=stem), *shards)
    assert (found(tmp_path), variant_of(tmp_path)) == (shards, "fp16")
    put(tmp_path, PLAIN)
    assert (found(tmp_path), variant_of(tmp_path)) == ([PLAIN], None)
    (tmp_path / PLAIN).unlink()
    plain = [f"{stem}-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    put(tmp_path, *plain)
    index(tmp_path, f"{PLAIN}.index.json", *plain)
    assert (found(tmp_path), variant_of(tmp_path)) == (plain, None)


def test_shards_without_an_index_are_all_there_or_refused(tmp_path: Path) -> None:
    shards = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    put(tmp_path, *shards)
    assert found(tmp_path) == shards
    (tmp_path / shards[1]).unlink()
    with pytest.raises(PhonofilmError, match="lacks some of 3 files"):
        weight_files(tmp_path)


def test_several_variants_and_none_without(tmp_path: Path) -> None:
    put(tmp_path, "model.fp16.safetensors", "model.bf16.safetensors")
    with pytest.raises(PhonofilmError, match=r"only as variants \(bf16, fp16\); keep one"):
        weight_files(tmp_path)


def test_weights_of_two_names(tmp_path: Path) -> None:
    put(tmp_path, "one.safetensors", "two.safetensors")
    with pytest.raises(PhonofilmError, match=r"several names \(one, two\)"):
        weight_files(tmp_path)
    put(tmp_path, "model.safetensors")
    assert found(tmp_path) == ["model.safetensors"]


def test_nothing_but_other_formats(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(PhonofilmError, match=r"holds no \.safetensors weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["[]", "7", "{}", '{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "../x.safetensors"}}',
     '{"weight_map": {}}', "{", '{"weight_map": {"a": "gone.safetensors"}}', '{"weight_map": NaN}', "[" * 100_000],
    ids=lambda content: content[:40],
)  # fmt: skip
def test_a_damaged_index_is_one_line(tmp_path: Path, content: str) -> None:
    put(tmp_path, PLAIN)
    (tmp_path / f"{PLAIN}.index.json").write_text(content)
    with pytest.raises(PhonofilmError) as caught:
        weight_files(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def header(path: Path, entries: Any, data: bytes = bytes(16)) -> Path:
    text = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


GOOD = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "entry",
    [
        7,
        [],
        {},
        {**GOOD, "dtype": 3},
        {**GOOD, "shape": 4},
        {**GOOD, "shape": [2, -2]},
        {**GOOD, "shape": [2, 2.0]},
        {**GOOD, "shape": [2**40, 2**40]},
        {**GOOD, "shape": [3, 2]},
        {**GOOD, "data_offsets": [0]},
        {**GOOD, "data_offsets": [16, 0]},
        {**GOOD, "data_offsets": [0, 2**60]},
        {**GOOD, "data_offsets": [-16, 0]},
        {**GOOD, "data_offsets": ["0", "16"]},
        {**GOOD, "data_offsets": [True, 16]},
    ],
    ids=str,
)
def test_a_header_that_lies_is_one_line(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(PhonofilmError, match=r"are corrupt: a is no tensor of it"):
        read_header(header(tmp_path / "a.safetensors", {"a": entry}))


@pytest.mark.parametrize(
    "text", ["", "7", "[]", "{", '{"a": NaN}', "\x00", '{"a": {}, "a": {}}', "[" * 50_000], ids=lambda text: text[:20]
)
def test_a_header_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(PhonofilmError, match="corrupt"):
        read_header(header(tmp_path / "a.safetensors", text))


def test_dtypes_that_nothing_reads_are_named(tmp_path: Path) -> None:
    for dtype, width in (("I16", 2), ("U8", 1), ("BOOL", 1), ("F4", 1), ("C64", 8), ("F8_E8M0", 1)):
        path = header(tmp_path / "a.safetensors", {"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * width]}})
        with pytest.raises(PhonofilmError, match=f"x is stored in {dtype}, which is not supported"):
            eight_bit([path])


def test_a_config_is_an_object(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for content in (b"[]", b"7", b"null", b'{"a": NaN}', b"\xff", b""):
        path.write_bytes(content)
        with pytest.raises(PhonofilmError, match="fetch or copy the model again"):
            read_config(path)
