"""`--json` prints one object of strict JSON on standard output, and nothing else there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phonofilm.app.cli.main import main
from phonofilm.app.session import print_json


def refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def alone(text: str) -> dict[str, object]:
    """The one object that was printed."""
    assert text.count("\n") == 1, text
    return json.loads(text, parse_constant=refuse)


RECIPE = """kind = "audio_vae"
[run]
output = "run"
steps = 2
batch = 2
precision = "fp32"
device = "cpu"
log_every = 1
[optim]
warmup = 1
[data]
folder = "data"
window = 41
held_out = 2
"""


def test_each_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(RECIPE)
    commands = [
        "generate ball --model fake --seconds 1 --size 64x64 -o a.mp4",
        "foley a.mp4 --model fake -o b.mp4",
        "extend a.mp4 --model fake --seconds 0.5 -o c.mp4",
        "retake a.mp4 --model fake --from 0.2 --to 0.6 -o d.mp4",
        "info a.mp4",
        "sheet a.mp4 -o a.png",
        "doctor",
        "models",
        "world bounce -n 6 --size 16 --seconds 1.5 -o data",
        "train r.toml",
        "train r.toml --resume --set run.steps=3",
    ]
    for command in commands:
        assert main([*command.split(), "--json"]) == 0, command
        said = alone(capsys.readouterr().out)
        assert said["ok"] is True
        assert said["command"] == command.split()[0]
    for command in ("generate", "info gone.mp4", "train gone.toml", "world nothing -o x", "info a.mp4 --no-such"):
        assert main([*command.split(), "--json"]) != 0
        said = alone(capsys.readouterr().out)
        assert said["ok"] is False
        assert said["error"]


def test_numbers_that_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (float("-inf"), 2)}})
    assert alone(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": {"d": [None, 2]}}
