"""Many prompts from one file: names, own options, and going on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from phonofilm.app.cli.main import main
from phonofilm.backends.fake import FakeBackend
from phonofilm.media import read_clip

LINES = [
    "a red ball",
    {"prompt": "a blue box", "name": "box", "seed": 7, "seconds": 0.25, "size": "32x16", "fps": 24},
    {"prompt": "three notes", "guidance": 2, "negative": "noise"},
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.jsonl").write_text("\n".join(json.dumps(line) for line in LINES) + "\n\n")
    return tmp_path


def run(capsys, *more: str) -> dict:
    capsys.readouterr()
    arguments = ["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.5", "--json"]
    assert main([*arguments, *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_line_becomes_a_clip_with_its_own_options(capsys):
    found = run(capsys)
    first, second, _ = found["outputs"]
    assert (first["frames"], first["seed"], first["width"]) == (6, 0, 64)
    assert (second["frames"], second["seed"], second["width"], second["height"]) == (6, 7, 32, 16)
    assert Path(second["path"]).name.startswith("0001-box-")
    assert read_clip(second["path"]).prompt == "a blue box"
    index = [json.loads(line) for line in Path("clips/index.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in index] == ["a red ball", "a blue box", "three notes"]
    assert sorted(row["path"] for row in index) == sorted(set(os.listdir("clips")) - {"index.jsonl"})


def test_resume_makes_only_what_is_missing(capsys, monkeypatch):
    found = run(capsys)
    kept, gone = Path(found["outputs"][0]["path"]), Path(found["outputs"][1]["path"])
    before, content = kept.stat().st_mtime_ns, gone.read_bytes()
    gone.unlink()
    again = run(capsys, "--resume")
    assert [made["path"] for made in again["outputs"]] == [str(gone)]
    assert again["kept"] == 2
    assert kept.stat().st_mtime_ns == before
    assert gone.read_bytes() == content
    # nothing missing: the model is not even loaded
    monkeypatch.setattr(FakeBackend, "__init__", None)
    assert run(capsys, "--resume")["outputs"] == []


def test_a_changed_option_is_another_clip(capsys):
    run(capsys)
    assert len(run(capsys, "--resume", "--steps", "7")["outputs"]) == 3


def test_count_makes_several_of_each(capsys):
    assert [made["seed"] for made in run(capsys, "-n", "2")["outputs"]] == [0, 1, 7, 8, 0, 1]


def test_a_batch_that_is_stopped_keeps_whole_clips_alone(capsys, monkeypatch):
    made = FakeBackend.generate
    calls = iter(range(10))

    def interrupted(self, *arguments, **fields):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return made(self, *arguments, **fields)

    monkeypatch.setattr(FakeBackend, "generate", interrupted)
    arguments = ["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.5"]
    assert main(arguments) == 130
    assert capsys.readouterr().err.count("\n") == 1
    assert len(os.listdir("clips")) == 1
    assert len(run(capsys, "--resume")["outputs"]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 4 is not JSON"),
        ("3", "line 4: a job is a string, or an object"),
        ('{"prompt": ""}', "line 4: the prompt is empty"),
        ('{"promt": "x"}', "line 4: unknown field 'promt'"),
        ('{"prompt": "x", "seconds": "long"}', 'line 4: seconds cannot be "long"'),
        ('{"prompt": "x", "seconds": -1}', "line 4: a duration of -1"),
        ('{"prompt": "x", "seed": true}', "line 4: seed cannot be true"),
        ('{"prompt": "x", "name": "../up"}', "line 4: the name '../up'"),
        ('{"prompt": "x", "image": "no.png"}', "line 4: picture no.png"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_made(line, message, capsys, folder):
    with (folder / "jobs.jsonl").open("a") as opened:
        opened.write(line.strip() + "\n")
    jobs = (folder / "jobs.jsonl").read_text().replace("\n\n", "\n")
    (folder / "jobs.jsonl").write_text(jobs)
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake"]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert os.listdir(folder) == ["jobs.jsonl"]


def test_the_folder_above_must_be_there(capsys):
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "no/clips/", "--model", "fake"]) == 1
    assert "folder no does not exist" in capsys.readouterr().err
