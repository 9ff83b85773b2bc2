"""A model called as diffusers' pipelines are."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm.app.pipeline import Pipeline
from phonofilm.errors import PhonofilmError


def test_a_pipeline_makes_what_was_asked_for():
    pipeline, steps = Pipeline.from_pretrained("fake"), []
    made = pipeline(
        "a ball",
        height=32,
        width=48,
        num_frames=6,
        frame_rate=12,
        callback_on_step_end=lambda *step: steps.append(step),
    )
    assert made.frames is not None
    assert made.audios is not None
    assert made.frames.shape == (1, 6, 32, 48, 3)
    assert 0 <= made.frames.min() <= made.frames.max() <= 1
    assert made.audios.shape == (1, 2, made.sampling_rate // 2)
    assert made.fps == 12
    assert steps
    again = pipeline("a ball", height=32, width=48, num_frames=6, frame_rate=12)
    assert np.array_equal(made.frames, again.frames)


@pytest.mark.parametrize("wrong", [{"height": 32}, {"num_frames": 5}, {"num_inference_steps": 0}])
def test_what_is_not_possible_is_one_line(wrong):
    with pytest.raises(PhonofilmError):
        Pipeline.from_pretrained("fake")("a ball", **wrong)
