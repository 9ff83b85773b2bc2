"""A model called as diffusers' pipelines are."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest

from phonofilm.app.pipeline import CALLED, Pipeline
from phonofilm.errors import PhonofilmError
from phonofilm.types import Request


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


def test_a_pipeline_takes_every_field_of_a_request(monkeypatch):
    named = set(inspect.signature(Pipeline.__call__).parameters) - {"self", "fields", "callback_on_step_end"}
    named -= {"height", "width", "num_frames", "frame_rate"} | set(CALLED.values())
    seen: dict[str, object] = {}
    pipeline = Pipeline.from_pretrained("fake")
    clip = pipeline("a ball", seconds=0.5, height=32, width=32).clip
    monkeypatch.setattr(
        type(pipeline.backend), "generate", lambda self, request, progress, **told: seen.update(told) or clip
    )
    others = {field.name for field in fields(Request)} - named - set(CALLED)
    pipeline("a ball", guidance_scale=3, stg_scale=(1, 2), **dict.fromkeys(others))
    assert set(seen) | {"prompt"} == {field.name for field in fields(Request)}
    assert (seen["guidance"], seen["stg"], seen["modality_guidance"]) == ((3.0, 3.0), (1, 2), None)


def test_a_pipeline_does_every_task_and_makes_parts():
    pipeline = Pipeline.from_pretrained("fake")
    silent = pipeline("a ball", seconds=0.5, height=32, width=32, no=("audio",))
    assert silent.audios is None
    heard = pipeline(task="foley", source=silent.clip)
    assert heard.audios is not None
    assert np.array_equal(heard.clip.frames, silent.clip.frames)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 32},
        {"num_frames": 5},
        {"num_inference_steps": 0},
        {"steps": 3},
        {"num_frames": 5, "frame_rate": 10, "seconds": 1},
        {"stepps": 3},
    ],
)
def test_what_is_not_possible_is_one_line(wrong):
    with pytest.raises(PhonofilmError):
        Pipeline.from_pretrained("fake")("a ball", **wrong)
