"""No backend hands on numbers that are not finite."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from phonofilm.backends import fake
from phonofilm.backends.canvas.finite import check_finite, checked
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.streamed import sound_of
from phonofilm.errors import PhonofilmError
from phonofilm.media import write_clip
from phonofilm.media.film import Film
from phonofilm.types import Clip, Latents, Request


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_is_enough(value: float) -> None:
    sound = np.zeros((2, 100), np.float32)
    check_finite(sound, "sound")
    sound[1, 50] = value
    with pytest.raises(PhonofilmError, match="the sound holds values that are not finite; nothing was written"):
        check_finite(sound, "sound")
    with pytest.raises(PhonofilmError, match="the picture holds values"):
        checked(Latents(torch.full((1, 2, 1, 1, 1), value), torch.zeros(1, 2, 3)))
    with pytest.raises(PhonofilmError, match="the sound holds values"):
        checked(Latents(None, torch.full((1, 2, 3), value)))
    checked(Latents(torch.zeros(1, 2, 1, 1, 1), None))


def test_every_task_refuses_a_sound_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    beeps = fake._beeps

    def broken(*arguments: object) -> np.ndarray | None:
        made = beeps(*arguments)  # type: ignore[arg-type]
        return None if made is None else np.where(np.arange(made.shape[1]) == 7, np.float32(np.nan), made)

    monkeypatch.setattr(fake, "_beeps", broken)
    source = Clip(np.zeros((12, 16, 16, 3), np.uint8), Fraction(12), np.zeros((2, 16_000), np.float32), 16_000)
    requests = {
        "generate": {"prompt": "x", "seconds": 1.0},
        "foley": {"source": source},
        "extend": {"source": source, "seconds": 1.0},
        "retake": {"source": source, "span": (0.2, 0.8)},
    }
    for task, fields in requests.items():
        with pytest.raises(PhonofilmError, match="the sound holds values that are not finite"):
            FakeBackend().generate(Request(task=task, **fields))  # type: ignore[arg-type]


def test_a_film_is_not_given_the_sound_of_a_backend_that_does_not_look(tmp_path: Path) -> None:
    class Careless(FakeBackend):
        def generate(self, *arguments: object, **fields: object) -> Clip:
            clip = super().generate(*arguments, **fields)  # type: ignore[arg-type]
            assert clip.waveform is not None
            return clip.with_(waveform=clip.waveform * np.float32(np.nan))

    write_clip(Clip(np.zeros((12, 16, 16, 3), np.uint8), Fraction(12)), tmp_path / "film.mp4")
    film = Film.open(tmp_path / "film.mp4")
    with pytest.raises(PhonofilmError, match="the sound holds values that are not finite"):
        list(sound_of(Careless(), film, Request(task="foley"), film.seconds))
