"""Adapters at generation: merged when a model is loaded, exchanged while it stays so, and named in the hash."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import phonofilm
from phonofilm.app.jobs import pool as pools
from phonofilm.app.jobs.pool import BackendPool, Loading
from phonofilm.backends.base import JobContext
from phonofilm.backends.native import NativeBackend
from phonofilm.backends.registry import fingerprint
from phonofilm.checkpoint import load_module
from phonofilm.control.lora.attach import LoraSettings, attach, save_adapter
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer


@pytest.fixture(scope="module")
def adapter(tiny_stems_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = attach(load_module(AVTransformer, tiny_stems_model / "transformer.safetensors"), LoraSettings(rank=2))
    for name, parameter in net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return save_adapter(tmp_path_factory.mktemp("lora") / "style.safetensors", net, torch.float32, {})


def test_a_loaded_model_exchanges_its_adapters(
    tiny_stems_model: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def load(*arguments: object, **options: object) -> phonofilm.Backend:
        calls.append(options)
        return phonofilm.load(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pools, "load", load)
    pool, model, digests, weights = BackendPool(), str(tiny_stems_model), [], []
    for loras in ((), (f"{adapter}:0.5",), (str(adapter), f"{adapter}:-0.5"), ()):
        loading = Loading(model, "cpu", (("loras", loras),) if loras else ())
        with pool.use(loading, JobContext()) as backend:
            assert isinstance(backend, NativeBackend)
            digests.append(backend.parts.weights)
            weights.append({name: t.clone() for name, t in backend.parts.transformer.state_dict().items()})
    assert len(calls) == 1
    assert digests[0] == digests[3] == fingerprint(model)
    assert digests[1] == fingerprint(model, loras=(f"{adapter}:0.5",))
    assert len(set(digests)) == 3
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[3].items())
    assert not all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())
    for name, tensor in weights[1].items():  # 1 - .5 of an adapter is half of it
        torch.testing.assert_close(weights[2][name], tensor, atol=1e-5, rtol=1e-4)


def test_an_adapter_of_another_model_is_refused_when_it_is_loaded(tiny_model: Path, adapter: Path) -> None:
    with pytest.raises(PhonofilmError, match=r"is for another network: its audio\.stems is 3, this one's 1"):
        phonofilm.load(str(tiny_model), device="cpu", loras=[str(adapter)])
    with pytest.raises(PhonofilmError, match="is missing; check the path"):
        phonofilm.load(str(tiny_model), device="cpu", loras=["nowhere.safetensors"])
