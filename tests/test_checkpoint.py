"""A network comes back from disk as it went, and anything else is refused with one clear line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from phonofilm import weights
from phonofilm.checkpoint import (
    file_sha256,
    load_module,
    load_tensors,
    read_metadata,
    refill,
    save_module,
    save_tensors,
)
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, write_bytes
from phonofilm.model.config import ConditionInput, TransformerConfig
from phonofilm.model.transformer import PRESETS, AVTransformer


@dataclass(frozen=True)
class TinyConfig:
    width: int = 4


class Tiny(nn.Module):
    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Linear(config.width, config.width)
        self.tied = nn.Linear(config.width, config.width)
        self.tied.weight = self.first.weight
        self.register_buffer("mean", torch.full((config.width,), 1 / 3))


class Other(Tiny):
    pass


def test_a_module_round_trips_and_leaves_the_seed_alone(tmp_path: Path) -> None:
    module = Tiny(TinyConfig(6))
    path = save_module(tmp_path / "tiny.safetensors", module, metadata={"recipe": "r"})
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    loaded = load_module(Tiny, path)
    assert torch.equal(torch.rand(2), expected)
    assert loaded.config == module.config
    assert not loaded.training
    assert loaded.tied.weight is loaded.first.weight
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), module.state_dict().values(), strict=True)
    )
    assert load_tensors(path)[1]["recipe"] == "r"


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_files_are_as_the_umask_says(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2)})
        write_bytes(tmp_path / "b.json", b"{}")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~mask}


def test_half_precision_on_disk_is_computed_in_single_and_buffers_stay_exact(tmp_path: Path) -> None:
    module = Tiny(TinyConfig())
    path = save_module(tmp_path / "tiny.safetensors", module, dtype=torch.float16)
    assert load_tensors(path)[0]["first.weight"].dtype == torch.float16
    loaded = load_module(Tiny, path)
    assert loaded.first.weight.dtype == torch.float32
    assert torch.equal(loaded.mean, module.mean)
    assert torch.equal(loaded.first.weight, module.first.weight.half().float())
    assert load_module(Tiny, path, dtype=torch.bfloat16).first.weight.dtype == torch.bfloat16


def test_what_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    module = Tiny(TinyConfig())
    nn.init.constant_(module.first.bias, 1e6)
    with pytest.raises(PhonofilmError, match=r"first.bias is not finite as torch.float16"):
        save_module(tmp_path / "tiny.safetensors", module, dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def test_unfit_weights_are_refused(tmp_path: Path) -> None:
    good = save_module(tmp_path / "good.safetensors", Tiny(TinyConfig()))
    tensors, metadata = load_tensors(good)
    with pytest.raises(PhonofilmError, match="are of a Tiny, where a Other is needed"):
        load_module(Other, good)
    save_tensors(tmp_path / "shape.safetensors", {**tensors, "mean": torch.zeros(5)}, metadata)
    with pytest.raises(PhonofilmError, match=r"1 tensors differ, the first is mean \(\(5,\) for \(4,\)\)"):
        load_module(Tiny, tmp_path / "shape.safetensors")
    save_tensors(tmp_path / "config.safetensors", tensors, {**metadata, "config": '{"depth": 1}'})
    with pytest.raises(PhonofilmError, match="another version of Tiny: unknown setting depth"):
        load_module(Tiny, tmp_path / "config.safetensors")
    save_tensors(tmp_path / "bare.safetensors", tensors)
    with pytest.raises(PhonofilmError, match="foreign format"):
        load_module(Tiny, tmp_path / "bare.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"junk that is no header", "truncated"])
def test_missing_and_corrupt_files(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content == "truncated":
        save_module(path, Tiny(TinyConfig()))
        path.write_bytes(path.read_bytes()[:-8])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(PhonofilmError, match="missing" if content is None else "corrupt") as caught:
        load_module(Tiny, path)
    assert "\n" not in str(caught.value)


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"a")
    first = weights.digest(tmp_path)
    assert file_sha256(tmp_path / "a.safetensors") == hashlib.sha256(b"a").hexdigest()
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    assert weights.digest(tmp_path) != first
    with pytest.raises(PhonofilmError, match="no weights in"):
        weights.digest(tmp_path / "none")
    with pytest.raises(PhonofilmError, match="cannot be read"):
        file_sha256(tmp_path / "none")


def test_locating_a_model(tmp_path: Path) -> None:
    assert weights.embedded().name == "nano"
    with pytest.raises(PhonofilmError, match="there is nano"):
        weights.embedded("giga")
    with pytest.raises(PhonofilmError, match="neither a name"):
        weights.locate(tmp_path / "none")
    with pytest.raises(PhonofilmError, match=r"lacks transformer.safetensors"):
        weights.locate(tmp_path)
    for part in weights.PARTS:
        (tmp_path / f"{part}.safetensors").touch()
    assert weights.locate(tmp_path) == tmp_path


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"before")
    with pytest.raises(error), atomic(target) as temporary:  # noqa: PT012 (the block must fail half-way)
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert target.read_bytes() == b"before"


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhonofilmError, match="is a file; name a folder"), atomic(tmp_path / "file" / "a.txt"):
        pass
    with pytest.raises(PhonofilmError, match="is a folder"), atomic(tmp_path):
        pass
    with pytest.raises(PhonofilmError, match="the disk is full"), atomic(tmp_path / "a.txt") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))


def tiny_transformer() -> TransformerConfig:
    preset = PRESETS["nano"]
    small = {"width": 32, "heads": 2, "text_heads": 2, "layers": 2}
    video, audio = replace(preset.video, **small), replace(preset.audio, **small)  # type: ignore[arg-type]
    return replace(preset, video=video, audio=audio, exchange_head_width=16)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("width"), inner),
    max_leaves=8,
)


class TestConditionInputs:
    """Inputs for conditions are added to weights that were trained without them."""

    def weights(self, path: Path, *inputs: ConditionInput) -> tuple[Path, AVTransformer]:
        torch.manual_seed(0)
        network = AVTransformer(replace(tiny_transformer(), condition_inputs=inputs)).eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        return save_module(path / "network.safetensors", network), network

    def test_they_are_zero_and_everything_else_is_as_it_was(self, tmp_path: Path) -> None:
        path, network = self.weights(tmp_path)
        added = (ConditionInput("sync", "video", 6), ConditionInput("onset", "audio", 3, "modulation"))
        loaded = load_module(AVTransformer, path, condition_inputs=added)
        assert loaded.config.condition_inputs == added
        found, before = loaded.state_dict(), network.state_dict()
        fresh = loaded.condition_parameters()
        assert fresh == found.keys() - before.keys()
        assert len(fresh) == 4
        assert all(not found[name].any() for name in fresh)
        assert all(torch.equal(found[name], tensor) for name, tensor in before.items())

    def test_those_that_were_trained_are_kept(self, tmp_path: Path) -> None:
        path, network = self.weights(tmp_path, ConditionInput("sync", "video", 6))
        loaded = load_module(AVTransformer, path, condition_inputs=[ConditionInput("more", "video", 2)])
        name = "video.token_conditions.sync.weight"
        assert torch.equal(loaded.state_dict()[name], network.state_dict()[name])
        assert loaded.state_dict()[name].any()
        assert not loaded.state_dict()["video.token_conditions.more.weight"].any()

    def test_anything_else_is_strict(self, tmp_path: Path) -> None:
        path, _ = self.weights(tmp_path, ConditionInput("sync", "video", 6))
        tensors, metadata = load_tensors(path)
        changes = {
            "patchify": {name: t for name, t in tensors.items() if name != "video.patchify.weight"},
            "sync": tensors | {"video.token_conditions.sync.weight": torch.zeros(3, 3)},
            "other": tensors | {"video.token_conditions.other.weight": torch.zeros(3, 3)},
        }
        for name, changed in changes.items():
            save_tensors(path, changed, metadata)
            with pytest.raises(PhonofilmError, match=rf"1 tensors differ, the first is video\.\S*{name}"):
                load_module(AVTransformer, path)
        save_tensors(path, {n: t for n, t in tensors.items() if "token_conditions" not in n}, metadata)
        assert not load_module(AVTransformer, path).state_dict()["video.token_conditions.sync.weight"].any()


@settings(max_examples=60)
@given(PLAIN)
def test_any_config_is_built_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, config: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_tensors(path, Tiny(TinyConfig()).state_dict(), {"kind": "Tiny", "config": json.dumps(config)})
    said = ""
    try:
        load_module(Tiny, path)
    except PhonofilmError as error:
        said = str(error)
    assert "\n" not in said


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_bytes_are_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + data)
    for read in (load_tensors, read_metadata):
        with pytest.raises(PhonofilmError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_weights_in_parts_are_read_as_one(tmp_path: Path) -> None:
    module = Tiny(TinyConfig(6))
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = save_module(tmp_path / "whole" / "tiny.safetensors", module, metadata={"recipe": "r"})
    tensors, metadata = load_tensors(whole)
    halves = dict(list(tensors.items())[:2]), dict(list(tensors.items())[2:])
    named = tmp_path / "parts" / "tiny.safetensors"
    for number, half in enumerate(halves, 1):
        save_tensors(named.with_stem(f"tiny-{number}of2"), half, metadata)
    assert read_metadata(named) == metadata
    wanted = module.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in load_module(Tiny, named).state_dict().items())
    filled = Tiny(TinyConfig(6))
    refill(filled, named)
    assert all(torch.equal(value, wanted[name]) for name, value in filled.state_dict().items())
    bytes_of = b"".join(named.with_stem(f"tiny-{number}of2").read_bytes() for number in (1, 2))
    assert file_sha256(named) == hashlib.sha256(bytes_of).hexdigest()
    save_tensors(named.with_stem("tiny-2of2"), halves[1], metadata | {"recipe": "other"})
    with pytest.raises(PhonofilmError, match="belongs to other weights"):
        load_module(Tiny, named)
    named.with_stem("tiny-2of2").unlink()
    for read in (load_tensors, read_metadata):
        with pytest.raises(PhonofilmError, match="are missing"):
            read(named)
