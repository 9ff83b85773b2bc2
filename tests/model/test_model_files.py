"""Networks survive their files, config included."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch.testing import assert_close

from phonofilm.checkpoint import load_module, save_module
from phonofilm.config import from_dict, to_dict
from phonofilm.model import PRESETS, UNET_PRESETS, AVTransformer, ConditionInput, TransformerConfig, UNet3D, UNetConfig


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_survive_plain_data(preset):
    config = replace(
        PRESETS[preset],
        condition_inputs=(ConditionInput("sync", "video", 4), ConditionInput("onsets", "audio", 2, "modulation")),
    )
    assert from_dict(TransformerConfig, to_dict(config)) == config


def test_unet_presets_survive_plain_data():
    for config in UNET_PRESETS.values():
        assert from_dict(UNetConfig, to_dict(config)) == config


def test_a_saved_network_predicts_the_same(tiny, build, shake, draw, tmp_path):
    inputs = draw()
    small = replace(UNET_PRESETS["nano"], text_width=24)
    for model in (build(replace(tiny, condition_inputs=(ConditionInput("sync", "video", 4),))), shake(UNet3D(small))):
        path = tmp_path / f"{type(model).__name__}.safetensors"
        save_module(path, model, metadata={})
        loaded = load_module(type(model), path).eval()
        assert loaded.config == model.config
        assert_close(loaded(*inputs).video, model(*inputs).video, rtol=0, atol=0)
    assert AVTransformer.__name__ in {p.stem for p in tmp_path.iterdir()}
