"""A network on another device: what goes in moves there, what comes out moves back, whatever it is wrapped in."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from transformers.utils import ModelOutput

from phonofilm.perception.common.devices import OnDevice


@dataclass
class Seen(ModelOutput):
    pooled: torch.Tensor | None = None


class Network(nn.Module):
    """Says where its inputs were when they arrived."""

    size = 7

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.places = []

    def forward(self, x, scale=None):
        self.places += [x.device.type, scale.device.type]
        return self.layer(x) * scale

    def several(self, parts):
        self.places += [part.device.type for part in parts]
        return {"first": self.layer(parts[0]), "rest": [self.layer(part) for part in parts[1:]]}

    def named(self, x):
        return Seen(pooled=self.layer(x))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU"))])  # fmt: skip
def test_inputs_and_outputs_stay_on_the_cpu(device):
    plain = Network()
    moved = OnDevice(Network(), device)
    moved._network.load_state_dict(plain.state_dict())
    x, scale = torch.randn(4, 3), torch.tensor(2.0)
    torch.testing.assert_close(moved(x, scale=scale), plain(x, scale=scale), atol=1e-5, rtol=1e-5)
    found = moved.several([x, x + 1])
    torch.testing.assert_close(found["rest"][0], plain.layer(x + 1), atol=1e-5, rtol=1e-5)
    assert moved.named(x).pooled.device.type == "cpu"
    assert set(moved._network.places) == {device}
    assert moved.size == 7
