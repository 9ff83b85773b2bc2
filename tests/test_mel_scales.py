"""Mel scales are inverse, and the filterbanks are those of the libraries that networks were trained with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.audio_utils import mel_filter_bank

from phonofilm.mel import band_edges, filterbank, hertz_to_mel, mel_to_hertz


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@given(hertz=st.floats(0, 24_000))
def test_scales_are_inverse(scale, hertz):
    assert float(mel_to_hertz(hertz_to_mel(hertz, scale), scale)) == pytest.approx(hertz, rel=1e-9, abs=1e-6)


def test_known_values():
    assert float(hertz_to_mel(1000.0)) == pytest.approx(1000.0, abs=0.1)
    assert float(hertz_to_mel(1000.0, "slaney")) == pytest.approx(15.0)
    assert float(hertz_to_mel(6400.0, "slaney")) == pytest.approx(42.0)
    assert np.diff(band_edges(6, 0, 800, "slaney")) == pytest.approx(800 / 7)  # linear below 1 kHz


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"mel_scale": "htk"}),
        ({"scale": "slaney", "unit_area": True}, {"mel_scale": "slaney", "norm": "slaney"}),
        ({"straight": "mel"}, {"mel_scale": "kaldi", "triangularize_in_mel_space": True}),
    ],
)
def test_filterbanks_are_those_of_transformers(ours, theirs):
    wanted = mel_filter_bank(257, 40, 60.0, 7800.0, 16_000, **theirs)
    np.testing.assert_allclose(filterbank(40, 60.0, 7800.0, 512, 16_000, **ours), wanted, atol=1e-9)
