"""Our network, with LTX-2's options and weights, gives LTX-2's outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from phonofilm.errors import PhonofilmError
from phonofilm.model import PRESETS, AVTransformer
from phonofilm.model.names import PREFIX, from_published, published_name
from phonofilm.parity.fixtures import Fixture
from phonofilm.parity.ltx2 import drawn_inputs, noise, positions, small_config
from phonofilm.types import Latents, Positions

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


@SPELLINGS
@BOTH
@pytest.mark.parametrize("case", ["uniform", "isolated", "per_token"])
def test_outputs_are_those_of_ltx2(preset, spelling, case):
    model, given = published_network(preset, spelling)
    latents, text, audio_text = drawn_inputs(given)
    exchange = torch.zeros(2, dtype=torch.bool) if case == "isolated" else None
    with torch.no_grad():
        made = model(latents, noise(case), text, coordinates(given), exchange=exchange, audio_text=audio_text)
    suffix = "" if case == "uniform" else f"_{case}"
    for stream in ("video", "audio"):
        tokens = getattr(made, stream).flatten(2).mT.numpy()
        atol = given.tolerance(stream + suffix)
        np.testing.assert_allclose(tokens, given.outputs[stream + suffix], rtol=0, atol=atol)


@BOTH
def test_absent_stream_is_an_isolated_one(preset):
    model, given = published_network(preset, "diffusers")
    latents, text, audio_text = drawn_inputs(given)
    where = coordinates(given)
    with torch.no_grad():
        video = model(Latents(video=latents.video), noise("uniform"), text, where)
        audio = model(Latents(audio=latents.audio), noise("uniform"), text, where, audio_text=audio_text)
    assert video.audio is None
    assert audio.video is None
    np.testing.assert_allclose(video.video.flatten(2).mT, given.outputs["video_isolated"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(audio.audio.flatten(2).mT, given.outputs["audio_isolated"], rtol=0, atol=2e-5)


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
