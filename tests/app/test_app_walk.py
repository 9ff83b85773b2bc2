"""The way from the command line to the network is as short as docs/architecture.md says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType

from phonofilm import media
from phonofilm.app.cli.main import main
from phonofilm.model.transformer import AVTransformer

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
PASSED_ON = {"_make", "make_windows", "make", "_Evaluations.__call__"}
"""What hands on to the next step and computes nothing: the loop over windows, and the count of evaluations."""


def callers(frame: FrameType | None) -> list[str]:
    """The functions of the package that led here, the outermost first."""
    found = []
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("phonofilm."):
            found.append(frame.f_code.co_qualname.split(".<locals>.")[-1])
        frame = frame.f_back
    return found[::-1]


def steps() -> list[str]:
    """The named steps of the walk in docs/architecture.md."""
    text = ARCHITECTURE.read_text(encoding="utf-8").partition("## The main job, walked")[2].partition("\n## ")[0]
    return [name.split(".")[-1] for name in re.findall(r"^\d+\. `([\w.]+)`", text, re.M)]


def test_the_way_to_the_network_is_the_one_that_is_drawn(tiny_model, tmp_path, monkeypatch):
    forward, write, seen = AVTransformer.forward, media.write_clip, {}

    def watched(self, *arguments, **fields):
        seen.setdefault("forward", callers(sys._getframe(1)))
        return forward(self, *arguments, **fields)

    def written(*arguments, **fields):
        seen["write"] = callers(sys._getframe(1))
        return write(*arguments, **fields)

    monkeypatch.setattr(AVTransformer, "forward", watched)
    monkeypatch.setattr(media, "write_clip", written)
    output = tmp_path / "out.mp4"
    arguments = ["--model", str(tiny_model), "--steps", "2", "--sampler", "euler", "--guidance", "1"]
    assert main(["generate", "a red ball", "-o", str(output), *arguments]) == 0
    way = [name for name in seen["forward"][seen["forward"].index("generate") :] if name not in PASSED_ON]
    assert way == ["generate", "run", "NativeBackend.generate", "euler", "Guided.__call__", "Denoiser.__call__"]
    assert seen["write"][-2:] == ["run", "write_outputs"]
    named = [name.removesuffix(".__call__").split(".")[-1] for name in way]
    assert steps() == [*named, "forward", "write_clip"]
    assert len(steps()) == 8
