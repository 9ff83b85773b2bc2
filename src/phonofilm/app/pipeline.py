"""Our models as diffusers' pipelines are called: `from_pretrained`, then the pipeline itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.backends import Backend, load
from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, Request

CALLED = {
    "negative": "negative_prompt",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "modality_guidance": "modality_guidance_scale",
    "stg": "stg_scale",
    "size": "height and width",
    "fps": "frame_rate",
    "model": "from_pretrained",
}
"""Fields of a `Request` that are called otherwise here."""
Scale = float | tuple[float, float] | None
"""One number for picture and sound, or one for each."""


@dataclass(frozen=True)
class PipelineOutput:
    """What a pipeline made.

    Attributes:
        frames: float32 [1, T, H, W, 3] from 0 to 1, or None for sound alone.
        audios: float32 [1, C, N] from -1 to 1, or None for a silent film.
        sampling_rate: of the sound. fps: of the picture.
        clip: the same as a `Clip`, to be saved.
    """

    frames: np.ndarray | None
    audios: np.ndarray | None
    sampling_rate: int | None
    fps: float | None
    clip: Clip


@dataclass(frozen=True)
class Pipeline:
    """A loaded model.

    Attributes:
        backend: what makes the films. name: of the model.
    """

    backend: Backend
    name: str

    @staticmethod
    def from_pretrained(name: str | Path = "nano", device: str = "auto", **options: Any) -> Pipeline:
        """A model by its name or its folder; `options` as for `phonofilm.load`.

        Raises:
            PhonofilmError: no such model.
        """
        return Pipeline(load(name, device=device, **options), str(name))

    def __call__(
        self,
        prompt: str = "",
        *,
        negative_prompt: str = "",
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        frame_rate: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: Scale = None,
        modality_guidance_scale: Scale = None,
        stg_scale: Scale = None,
        seed: int = 0,
        image: np.ndarray | None = None,
        callback_on_step_end: Callable[[int, int], None] | None = None,
        **fields: Any,
    ) -> PipelineOutput:
        """Make a film; what is not said is as the model has it.

        Args:
            num_frames: needs frame_rate, for a film's length is in seconds.
            image: uint8 [H, W, 3], the first picture.
            callback_on_step_end: told (step, steps) of sampling.
            fields: all else that a `Request` has, under its own name: `task`, `source`, `only`, `no`, `gain`,
                `effects`, `music`, `given_stems`, `hits`, `sampler`, `draft` and so on.

        Raises:
            PhonofilmError: one of height and width alone, frames without a rate, or what the model cannot do.
        """
        if (height is None) != (width is None):
            raise PhonofilmError("give height and width, or neither")
        if num_frames is not None and frame_rate is None:
            raise PhonofilmError("num_frames needs frame_rate, for a film's length is in seconds")
        for name in sorted(set(fields) & set(CALLED)):
            raise PhonofilmError(f"{name} is {CALLED[name]} here")
        if num_frames is not None and "seconds" in fields:
            raise PhonofilmError("give num_frames or seconds, not both")
        fields |= {"negative": negative_prompt, "steps": num_inference_steps, "seed": seed, "model": self.name}
        fields |= {"size": None if width is None else (width, height), "fps": frame_rate, "image": image}
        fields |= {"guidance": _both(guidance_scale), "modality_guidance": _both(modality_guidance_scale)}
        fields["stg"] = _both(stg_scale)
        if num_frames is not None and frame_rate is not None:
            fields["seconds"] = num_frames / frame_rate

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "sampling" and callback_on_step_end is not None:
                callback_on_step_end(done, total)

        clip = self.backend.generate(Request(prompt), progress, **fields)
        frames = None if clip.frames is None else clip.frames[None].astype(np.float32) / 255
        audios = None if clip.waveform is None else clip.waveform[None]
        return PipelineOutput(frames, audios, clip.sample_rate, None if clip.fps is None else float(clip.fps), clip)


def _both(scale: Scale) -> tuple[float, float] | None:
    return (float(scale), float(scale)) if isinstance(scale, int | float) else scale
