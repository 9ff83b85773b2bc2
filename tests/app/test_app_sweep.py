"""The sweep of sampling settings: what a setting costs, going on where it stopped, and its table."""

from __future__ import annotations

import json

import pytest

from phonofilm.app.experiments import sampler_sweep
from phonofilm.backends.native import NativeBackend


def tried(tiny_model, tmp_path) -> None:
    options = ["--samplers", "euler,multistep", "--steps", "2", "--guidance", "1.5", "--modality", "2"]
    code = sampler_sweep.main(["--model", str(tiny_model), "--clips", "2", "--work", str(tmp_path), *options])
    assert code == 0


def test_every_setting_makes_the_same_scenes_once(tiny_model, tmp_path, capsys, monkeypatch):
    tried(tiny_model, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| euler", "| multistep"]
    assert len({line.count("|") for line in lines}) == 1
    assert "| 2 | 1.5 | 2 | 6 |" in lines[2]  # steps, guidance, modality guidance, passes
    first, second = sorted(tmp_path.glob("*/*.jsonl"))
    rows = [json.loads(line) for line in first.read_text().splitlines()]
    assert [(row["number"], row["family"]) for row in rows] == [(0, "bounce"), (1, "strike")]

    # a line that was cut off is made again, and nothing else
    second.write_text(second.read_text()[:-5])
    made: list[int] = []
    generate = NativeBackend.generate
    monkeypatch.setattr(
        NativeBackend, "generate", lambda self, request: (made.append(request.seed), generate(self, request))[1]
    )
    tried(tiny_model, tmp_path)
    assert made == [1001]
    again = capsys.readouterr().out.splitlines()
    assert [line.rsplit("|", 2)[0] for line in again] == [line.rsplit("|", 2)[0] for line in lines]


@pytest.mark.parametrize(
    ("setting", "passes"),
    [(("euler", 24, 1, 1), 24), (("heun", 24, 1, 1), 23), (("multistep", 12, 1.5, 2), 36), (("heun", 8, 1, 2), 14)],
)
def test_what_a_setting_costs(setting, passes):
    assert sampler_sweep.Setting(*setting).evaluations == passes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samplers", "rk4"], "unknown sampler 'rk4'; choose from euler, heun, multistep"),
        (["--steps", "many"], "as in --steps 12,24"),
        (["--steps", "0"], "0 steps are not possible"),
        (["--guidance", "-1"], "a guidance of -1 is not possible"),
        (["--clips", "0"], "choose --clips 1 or more"),
        (["--model", "mega"], "no model 'mega'"),
    ],
)
def test_what_cannot_be_swept_is_one_line(options, message, capsys, tmp_path):
    assert sampler_sweep.main(["--work", str(tmp_path / "kept"), *options]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "kept").exists()
