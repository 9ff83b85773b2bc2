"""Our network, with LTX-2's options and weights, gives LTX-2's outputs."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from phonofilm.errors import PhonofilmError
from phonofilm.model import PRESETS, AVTransformer, TransformerConfig
from phonofilm.model.names import PREFIX, from_published, published_name
from phonofilm.types import Geometry, Grid, Latents, Positions, Text

FIXTURES = Path(__file__).parents[3] / "shared" / "parity" / "networks"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the parity fixtures are not beside this checkout")
BOTH = pytest.mark.parametrize("preset", ["ltx2", "ltx2_3"])
SPELLINGS = pytest.mark.parametrize("spelling", ["diffusers", "original"])


def fixture(preset: str) -> tuple[dict, dict[str, np.ndarray]]:
    name = f"{preset}_transformer"
    with np.load(FIXTURES / f"{name}.npz") as outputs:
        return json.loads((FIXTURES / f"{name}.json").read_text()), dict(outputs)


def small_config(preset: str, theirs: dict) -> TransformerConfig:
    """The preset at the size of the fixture."""
    full, text = PRESETS[preset], theirs["caption_channels"]
    heads, audio_heads = theirs["num_attention_heads"], theirs["audio_num_attention_heads"]
    width = heads * theirs["attention_head_dim"]
    audio_width = audio_heads * theirs["audio_attention_head_dim"]
    widths = (text, text) if theirs["use_prompt_embeddings"] else (width, audio_width)
    sizes = {"layers": theirs["num_layers"]}
    return replace(
        full,
        video=replace(
            full.video, channels=16, width=width, heads=heads, text_heads=heads, text_width=widths[0], **sizes
        ),
        audio=replace(
            full.audio,
            channels=12,
            width=audio_width,
            heads=audio_heads,
            text_heads=audio_heads,
            text_width=widths[1],
            **sizes,
        ),
        exchange_heads=audio_heads,
        exchange_head_width=theirs["audio_attention_head_dim"],
    )


def drawn_weights(keys: list) -> dict[str, torch.Tensor]:
    """The recipe of the fixtures' README, for the rules that concern these keys."""
    weights = {}
    for key, shape, _ in keys:
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
        z = generator.standard_normal(tuple(shape), dtype=np.float32)
        if len(shape) <= 1:
            value = 1 + np.float32(0.1) * z if key.endswith("weight") else np.float32(0.02) * z
        elif key.rsplit(".", 1)[-1] != "weight":
            value = np.float32(0.02) * z
        else:
            value = z * np.float32(1 / np.sqrt(np.prod(shape[1:])))
        weights[key] = torch.from_numpy(value)
    return weights


def published_network(preset: str, spelling: str) -> tuple[AVTransformer, dict, dict[str, np.ndarray]]:
    facts, outputs = fixture(preset)
    model = AVTransformer(small_config(preset, facts["config"]))
    weights = drawn_weights(facts["keys"])
    if spelling == "original":
        renamed = facts["original_keys"]
        weights = {PREFIX + renamed.get(key, key): value for key, value in weights.items()}
        weights["vae.decoder.conv_in.weight"] = torch.zeros(1)
        weights[PREFIX + "video_embeddings_connector.learnable_registers"] = torch.zeros(1)
    model.load_state_dict(from_published(weights, model.state_dict()), strict=True)
    return model.eval(), facts, outputs


def drawn_inputs(preset: str, config: dict) -> tuple[Latents, Text, Text]:
    generator = np.random.Generator(np.random.PCG64(1501 if preset == "ltx2" else 1502))
    text_width = (48, 48) if config["use_prompt_embeddings"] else (128, 64)
    shapes = (2, 60, 16), (2, 13, 12), (2, 9, text_width[0]), (2, 9, text_width[1])
    video, audio, text, audio_text = (
        torch.from_numpy(generator.standard_normal(shape, dtype=np.float32)) for shape in shapes
    )
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, :4] = False
    latents = Latents(video.mT.unflatten(2, (3, 4, 5)), audio.mT)
    return latents, Text(text, mask), Text(audio_text, mask)


def noise(case: str) -> Latents:
    video, audio = torch.tensor([0.7, 0.25]), torch.tensor([0.7, 0.25])
    if case != "per_token":
        return Latents(video.view(2, 1, 1, 1, 1), audio.view(2, 1, 1))
    steps = video.view(2, 1, 1, 1, 1).repeat(1, 1, 3, 1, 1)
    steps[1, 0, 0] = 0
    return Latents(steps, torch.tensor([0.55, 0.9]).view(2, 1, 1))


@SPELLINGS
@BOTH
@pytest.mark.parametrize("case", ["uniform", "isolated", "per_token"])
def test_outputs_are_those_of_ltx2(preset, spelling, case):
    model, facts, outputs = published_network(preset, spelling)
    latents, text, audio_text = drawn_inputs(preset, facts["config"])
    positions = Positions(outputs["video_coords"].transpose(1, 0, 2), outputs["audio_coords"].transpose(1, 0, 2))
    exchange = torch.zeros(2, dtype=torch.bool) if case == "isolated" else None
    with torch.no_grad():
        made = model(latents, noise(case), text, positions, exchange=exchange, audio_text=audio_text)
    suffix = "" if case == "uniform" else f"_{case}"
    for stream in ("video", "audio"):
        tokens = getattr(made, stream).flatten(2).mT.numpy()
        atol = facts["determinism"]["tolerance_hint"][stream + suffix]["atol"]
        np.testing.assert_allclose(tokens, outputs[stream + suffix], rtol=0, atol=atol)


@BOTH
def test_absent_stream_is_an_isolated_one(preset):
    model, facts, outputs = published_network(preset, "diffusers")
    latents, text, audio_text = drawn_inputs(preset, facts["config"])
    positions = Positions(outputs["video_coords"].transpose(1, 0, 2), outputs["audio_coords"].transpose(1, 0, 2))
    with torch.no_grad():
        video = model(Latents(video=latents.video), noise("uniform"), text, positions)
        audio = model(Latents(audio=latents.audio), noise("uniform"), text, positions, audio_text=audio_text)
    assert video.audio is None
    assert audio.video is None
    np.testing.assert_allclose(video.video.flatten(2).mT, outputs["video_isolated"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(audio.audio.flatten(2).mT, outputs["audio_isolated"], rtol=0, atol=2e-5)


@BOTH
def test_every_published_name_has_one_of_ours(preset):
    facts, _ = fixture(preset)
    model = AVTransformer(small_config(preset, facts["config"]))
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    diffusers = {published_name(name, "diffusers"): shape for name, shape in shapes.items()}
    assert diffusers == {key: shape for key, shape, _ in facts["keys"]}
    original = {published_name(name, "diffusers"): published_name(name, "original") for name in shapes}
    assert {a: b for a, b in original.items() if a != b} == facts["original_keys"]


def test_weights_that_do_not_fit_are_refused():
    facts, _ = fixture("ltx2")
    model = AVTransformer(small_config("ltx2", facts["config"]))
    weights = drawn_weights(facts["keys"])
    missing = {key: value for key, value in weights.items() if key != "proj_in.weight"}
    with pytest.raises(PhonofilmError, match=r"1 tensors are missing, first proj_in\.weight"):
        from_published(missing, model.state_dict())
    with pytest.raises(PhonofilmError, match="1 tensors are unknown, first surprise"):
        from_published(weights | {"surprise": torch.zeros(1)}, model.state_dict())
    nano = AVTransformer(PRESETS["nano"])
    with pytest.raises(PhonofilmError, match="no counterpart"):
        from_published(weights, nano.state_dict())


def test_the_grid_gives_ltx2_positions():
    _, outputs = fixture("ltx2")
    geometry = Geometry(video_time=8, video_space=32, patch=(1, 1, 1), sample_rate=16_000, mel_hop=160, audio_time=4)
    positions = Grid(frames=17, height=128, width=160, fps=Fraction(24), geometry=geometry).positions()
    np.testing.assert_allclose(positions.video, outputs["video_coords"].transpose(1, 0, 2), rtol=1e-6)
    count = min(len(positions.audio), 13)
    expected = outputs["audio_coords"].transpose(1, 0, 2)[:count]
    np.testing.assert_allclose(positions.audio[:count], expected, rtol=1e-6, atol=1e-7)
