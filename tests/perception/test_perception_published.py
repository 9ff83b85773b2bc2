"""Published checkpoints: read as tensors only, loaded strictly, refused in one clear line."""

import pickle
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common import ported_checkpoints


class Net(nn.Module):
    ignored: ClassVar[tuple[str, ...]] = ("text.",)

    def __init__(self, config=3):
        super().__init__()
        self.layer = nn.Linear(config, 2)
        self.norm = nn.BatchNorm1d(2)


@pytest.fixture
def state():
    return {key: value + 1 for key, value in Net().state_dict().items()}


def test_reads_what_is_published(state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth")
    torch.save({"model": state, "epoch": 3}, tmp_path / "c.pt")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "d.pt")
    for name in ("a.safetensors", "b.pth", "c.pt", "d.pt"):
        network = ported_checkpoints.load(Net, tmp_path / name)
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, state[key])


def test_other_modalities_are_ignored_by_name_only(state):
    ported_checkpoints.build(Net, state | {"text.embedding": torch.zeros(2)})
    with pytest.raises(PhonofilmError, match="1 keys are unknown, the first is smell"):
        ported_checkpoints.build(Net, state | {"smell.embedding": torch.zeros(2)})


def test_other_weights_are_refused(state):
    with pytest.raises(PhonofilmError, match="not weights of Net: 1 keys are missing, the first is layer"):
        ported_checkpoints.build(Net, {key: value for key, value in state.items() if key != "layer.bias"})
    with pytest.raises(PhonofilmError, match=r"layer.weight has shape \(2, 3\), not \(2, 5\)"):
        ported_checkpoints.build(Net, state, config=5)


def test_files_from_before_batch_norms_counted_are_whole(state):
    """rgb_imagenet.pt, the I3D of FVD, is one."""
    counter = "norm.num_batches_tracked"
    old = {key: value for key, value in state.items() if key != counter}
    network = ported_checkpoints.build(Net, old)
    assert network.state_dict()[counter] == 0
    with pytest.raises(PhonofilmError, match=r"1 keys are missing, the first is norm\.running_mean"):
        ported_checkpoints.build(Net, {key: value for key, value in old.items() if key != "norm.running_mean"})


def test_unreadable_files(tmp_path):
    with pytest.raises(PhonofilmError, match="no weights at"):
        ported_checkpoints.load(Net, tmp_path / "none.pt")
    for name in ("broken.pt", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(PhonofilmError):
            ported_checkpoints.load(Net, tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(PhonofilmError, match="holds no state dict"):
        ported_checkpoints.load(Net, tmp_path / "list.pt")


class Harm:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_a_pickle_with_code_is_refused(tmp_path):
    torch.save({"model": Harm()}, tmp_path / "harm.pt", pickle_module=pickle)
    with pytest.raises(PhonofilmError, match="more than tensors"):
        ported_checkpoints.load(Net, tmp_path / "harm.pt")
