"""What no model can do is refused in one line that says what to do."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm import Clip, PhonofilmError, Request
from phonofilm.backends.registry import load
from phonofilm.backends.requests import as_request, check
from phonofilm.device import pick_device

FILM = Clip(
    frames=np.zeros((24, 16, 16, 3), np.uint8), fps=12, waveform=np.zeros((2, 32_000), np.float32), sample_rate=16_000
)
SILENT = FILM.with_(waveform=None, sample_rate=None)
SOUND = FILM.with_(frames=None, fps=None)
IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"seconds": -1.0}, "duration of -1"),
        ({"seconds": 0.0}, "duration of 0"),
        ({"seconds": 1e9}, "duration of 1e\\+09"),
        ({"seconds": float("nan")}, "duration of nan"),
        ({"seconds": float("inf")}, "duration of inf"),
        ({"size": (0, 64)}, "side of 0"),
        ({"size": (64, 100_000)}, "side of 100000"),
        ({"fps": 0}, "frame rate"),
        ({"fps": 1000}, "frame rate"),
        ({"fps": "fast"}, "frame rate"),
        ({"steps": 0}, "0 steps"),
        ({"seed": -1}, "seed of -1"),
        ({"video_seed": 2**63}, "seed of"),
        ({"guidance": (float("nan"), 1.0)}, "guidance of nan"),
        ({"sampler": "rk9"}, "unknown sampler 'rk9'; choose one of euler, heun, multistep"),
        ({"task": "dance"}, "unknown task"),
        ({"image": np.zeros((8, 8), np.uint8)}, "image must be"),
        ({"source": FILM}, "takes no source"),
        ({"task": "foley"}, "needs a clip"),
        ({"task": "foley", "source": SOUND}, "needs a picture"),
        ({"task": "foley", "source": FILM, "image": IMAGE}, "picture of its own"),
        ({"task": "animate", "source": SILENT}, "needs sound"),
        ({"task": "extend", "source": FILM}, "by how much"),
        ({"task": "retake", "source": FILM}, "what to make again"),
        ({"task": "retake", "source": FILM, "span": (1.0, 0.5)}, "from 1 to 0.5"),
        ({"task": "retake", "source": FILM, "span": (-1.0, 0.5)}, "from -1"),
        ({"task": "retake", "source": FILM, "span": (5.0, 6.0)}, "after the clip's end"),
        ({"task": "retake", "source": SILENT, "span": (0.0, 1.0), "only": "audio"}, "no sound to retake"),
        ({"task": "retake", "source": SOUND, "span": (0.0, 1.0), "only": "video"}, "no picture to retake"),
        ({"task": "retake", "source": FILM, "span": (0.0, 1.0), "only": "smell"}, "no part 'smell' of a film"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(PhonofilmError, match=message) as caught:
        as_request(Request("a red ball"), fields)
    assert "\n" not in str(caught.value)


def test_what_makes_sense_passes():
    check(Request("a red ball"))
    for task in ("foley", "animate"):
        check(Request(task=task, source=FILM))
    check(Request(task="retake", source=FILM, span=(0.5, 99.0)))
    assert as_request("x", {"size": 32, "guidance": 2}).guidance == (2.0, 2.0)


def test_devices_and_models_that_are_not_there():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(PhonofilmError, match="unknown device 'gpu'"):
        pick_device("gpu")
    with pytest.raises(PhonofilmError, match="no device 'cuda:99' for torch; choose cpu or auto"):
        pick_device("cuda:99")
    with pytest.raises(PhonofilmError, match="no model 'nona'"):
        load("nona")


def test_a_draft_is_for_our_own_models():
    from phonofilm.backends.canvas.model_defaults import ModelDefaults
    from phonofilm.backends.ltx2.fitting import fitted
    from phonofilm.backends.wan.config import Settings
    from phonofilm.backends.wan.fitting import check_task

    request = Request("a ball", draft=True)
    with pytest.raises(PhonofilmError, match="ask LTX-2 for fewer --steps"):
        fitted(request, ModelDefaults())
    with pytest.raises(PhonofilmError, match=r"ask wan2\.2 for fewer --steps"):
        check_task(request, "wan2.2", Settings.__new__(Settings))
