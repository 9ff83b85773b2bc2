"""A network comes back from disk as it went, and anything else is refused with one clear line."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from phonofilm import weights
from phonofilm.checkpoint import file_sha256, load_module, load_tensors, save_module, save_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic


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
