"""FoleyCrafter's files are refused in words that say why, wherever they are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phonofilm import PhonofilmError
from phonofilm.backends.registry import load
from phonofilm.control.foleycrafter import REASONS
from phonofilm.control.inputs.files import load_control
from phonofilm.control.onset.detect import Detector


@pytest.mark.parametrize("name", REASONS)
def test_its_files_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    network: Any = None
    with pytest.raises(PhonofilmError, match="is FoleyCrafter's: it is "):
        load_control(tmp_path / name, network)
    with pytest.raises(PhonofilmError, match="recipes/"):
        Detector.load(tmp_path / name)


def test_it_is_no_model() -> None:
    for name in ("foleycrafter", "FoleyCrafter"):
        with pytest.raises(PhonofilmError, match=r"FoleyCrafter is not run: .* mmaudio makes sound"):
            load(name)
    with pytest.raises(PhonofilmError, match="FoleyCrafter is not run"):
        load("wan2.2+foleycrafter")
