"""Our network, with LTX-2's options and weights, gives LTX-2's outputs."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from torch import nn

from phonofilm.backends.ltx2.network import DiffusersNetwork
from phonofilm.errors import PhonofilmError
from phonofilm.model import PRESETS, AVTransformer, TransformerConfig
from phonofilm.model.names import PREFIX, from_published, published_name
from phonofilm.parity.fixtures import Fixture
from phonofilm.parity.ltx2 import drawn_inputs, noise, positions, small_config
from phonofilm.types import Latents, Positions, Text

FIXTURES = Path(__file__).parents[1] / "fixtures" / "networks"
BOTH = pytest.mark.parametrize("preset", ["ltx2", "ltx2_3"])
SPELLINGS = pytest.mark.parametrize("spelling", ["diffusers", "original"])


def fixture(preset: str) -> Fixture:
    return Fixture.read(FIXTURES / f"{preset}_transformer.json")


def published_network(preset: str, spelling: str) -> tuple[AVTransformer, Fixture]:
    given = fixture(preset)
    model = AVTransformer(small_config(preset, given.config))
    weights = given.weights()
    if spelling == "original":
        renamed = given.description["original_keys"]
        weights = {PREFIX + renamed.get(key, key): value for key, value in weights.items()}
        weights["vae.decoder.conv_in.weight"] = torch.zeros(1)
        weights[PREFIX + "video_embeddings_connector.learnable_registers"] = torch.zeros(1)
    model.load_state_dict(from_published(weights, model.state_dict()), strict=True)
    return model.eval(), given


def coordinates(given: Fixture) -> Positions:
    return Positions(*(given.outputs[f"{stream}_coords"].transpose(1, 0, 2) for stream in ("video", "audio")))


def forward(network: nn.Module, given: Fixture, case: str) -> Latents:
    """What a network makes of a fixture's inputs, in the precision of its weights."""
    dtype = next(network.parameters()).dtype
    latents, *texts = drawn_inputs(given)
    text, audio_text = (Text(one.states.to(dtype), one.mask) for one in texts)
    latents, levels = (part.map(lambda x: x.to(dtype)) for part in (latents, noise(case)))
    exchange = torch.zeros(2, dtype=torch.bool) if case == "isolated" else None
    with torch.no_grad():
        return network(latents, levels, text, coordinates(given), exchange=exchange, audio_text=audio_text)


def flat(latents: Latents) -> dict[str, np.ndarray]:
    """[B, tokens, C] of each stream."""
    return {"video": latents.video.flatten(2).mT.numpy(), "audio": latents.audio[:, 0].mT.numpy()}


def rounding(config: TransformerConfig, wanted: np.ndarray) -> float:
    """How far float32 outputs may lie from exact ones.

    The sinusoid of the noise level has phases of up to 1000 rad, which float32 holds to 1000·2⁻²⁴. Each of the products
    in a row (about eight a block) adds the rounding of a sum of as many terms as the widest layer has, √n·2⁻²⁴.
    """
    widest = config.video.width * config.feed_forward
    return float(2**-24 * (1000 + 8 * config.layers * widest**0.5) * wanted.std())


def misses(made: Latents, given: Fixture, case: str, config: TransformerConfig) -> list[str]:
    """Streams that lie further from the stored float32 outputs than rounding explains."""
    suffix = "" if case == "uniform" else f"_{case}"
    wanted = {stream: given.outputs[stream + suffix] for stream in ("video", "audio")}
    return [name for name, x in flat(made).items() if np.abs(x - wanted[name]).max() > rounding(config, wanted[name])]


def distance(ours: Latents, theirs: Latents) -> float:
    """Largest relative difference of the two streams, in the norm of all values."""
    pairs = [(getattr(ours, name), getattr(theirs, name)) for name in ("video", "audio")]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def diffusers_network(given: Fixture) -> nn.Module:
    network = diffusers.LTX2VideoTransformer3DModel.from_config(dict(given.config))
    network.load_state_dict(given.weights(), strict=True)
    return DiffusersNetwork(network.eval())


def plant(network: nn.Module) -> None:
    """An error of 1 % in one weight."""
    weights = [parameter for name, parameter in network.named_parameters() if name.endswith("up.weight")]
    with torch.no_grad():
        weights[0] *= 1.01


@BOTH
@pytest.mark.parametrize("case", ["uniform", "isolated"])
def test_the_mathematics_is_that_of_diffusers(preset, case):
    """In float64, where processors agree; the two differ in float32 constants of the rotary angles alone."""
    model, given = published_network(preset, "diffusers")
    theirs = forward(diffusers_network(given).double(), given, case)
    assert distance(forward(model.double(), given, case), theirs) <= 1e-6
    plant(model)
    assert distance(forward(model, given, case), theirs) > 1e-6


@SPELLINGS
@BOTH
@pytest.mark.parametrize("case", ["uniform", "isolated", "per_token"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_outputs_are_those_of_ltx2(preset, spelling, case, dtype):
    model, given = published_network(preset, spelling)
    model.to(dtype)
    assert not misses(forward(model, given, case), given, case, model.config)
    plant(model)
    assert misses(forward(model, given, case), given, case, model.config)


@BOTH
def test_absent_stream_is_an_isolated_one(preset):
    model, given = published_network(preset, "diffusers")
    model.double()
    both = forward(model, given, "isolated")
    latents, text, audio_text = drawn_inputs(given)
    latents, levels = (part.map(torch.Tensor.double) for part in (latents, noise("uniform")))
    where = coordinates(given)
    with torch.no_grad():
        video = model(Latents(video=latents.video), levels, text, where)
        audio = model(Latents(audio=latents.audio), levels, text, where, audio_text=audio_text)
    assert video.audio is None
    assert audio.video is None
    torch.testing.assert_close(video.video, both.video, rtol=0, atol=1e-12)
    torch.testing.assert_close(audio.audio, both.audio, rtol=0, atol=1e-12)


@BOTH
def test_every_published_name_has_one_of_ours(preset):
    given = fixture(preset)
    model = AVTransformer(small_config(preset, given.config))
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    diffusers = {published_name(name, "diffusers"): shape for name, shape in shapes.items()}
    assert diffusers == {key: shape for key, shape, _ in given.description["keys"]}
    original = {published_name(name, "diffusers"): published_name(name, "original") for name in shapes}
    assert {a: b for a, b in original.items() if a != b} == given.description["original_keys"]


def test_weights_that_do_not_fit_are_refused():
    given = fixture("ltx2")
    model = AVTransformer(small_config("ltx2", given.config))
    weights = given.weights()
    missing = {key: value for key, value in weights.items() if key != "proj_in.weight"}
    with pytest.raises(PhonofilmError, match=r"1 tensors are missing, first proj_in\.weight"):
        from_published(missing, model.state_dict())
    with pytest.raises(PhonofilmError, match="1 tensors are unknown, first surprise"):
        from_published(weights | {"surprise": torch.zeros(1)}, model.state_dict())
    nano = AVTransformer(PRESETS["nano"])
    with pytest.raises(PhonofilmError, match="no counterpart"):
        from_published(weights, nano.state_dict())


def test_the_grid_gives_ltx2_positions():
    wanted, found = coordinates(fixture("ltx2")), positions()
    np.testing.assert_allclose(found.video, wanted.video, rtol=1e-6)
    np.testing.assert_allclose(found.audio, wanted.audio, rtol=1e-6, atol=1e-7)
