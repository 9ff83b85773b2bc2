"""Many prompts from one file: names, own options, and going on where it stopped."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from phonofilm.app.cli.common.options import GenerationOptions
from phonofilm.app.cli.main import main
from phonofilm.app.jobs.fields import READERS
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.session import Report
from phonofilm.backends.fake import FakeBackend
from phonofilm.errors import PhonofilmError, Unwritable
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
    assert [made["path"] for made in found["outputs"]] == ["clips/0000.mp4", "clips/box.mp4", "clips/0002.mp4"]
    assert read_clip(second["path"]).prompt == "a blue box"
    index = [json.loads(line) for line in Path("clips/index.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in index] == ["a red ball", "a blue box", "three notes"]
    assert [row["path"] for row in index] == [Path(made["path"]).name for made in found["outputs"]]
    assert [row["name"] for row in index] == [Path(made["path"]).stem for made in found["outputs"]]


def test_a_name_may_say_the_format_and_a_line_how_many(capsys, folder):
    (folder / "jobs.jsonl").write_text('{"prompt": "x", "name": "a.b.webm", "count": 2, "seed": 5}\n')
    found = run(capsys)
    assert [made["path"] for made in found["outputs"]] == ["clips/a.b-1.webm", "clips/a.b-2.webm"]
    assert [made["seed"] for made in found["outputs"]] == [5, 6]


def test_a_line_may_have_any_task(capsys, folder):
    assert main(["generate", "a red ball", "-o", "ball.mp4", "--model", "fake", "--seconds", "1"]) == 0
    lines = [
        {"task": "foley", "source": "ball.mp4", "name": "sound"},
        {"task": "extend", "source": "ball.mp4", "seconds": 0.5, "name": "more"},
        {"task": "retake", "source": "ball.mp4", "span": [0, 0.5], "only": "audio", "name": "again"},
    ]
    (folder / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sound, more, again = run(capsys)["outputs"]
    assert (sound["picture"], sound["frames"], more["frames"], again["frames"]) == ("copied", 12, 18, 12)
    assert read_clip("clips/more.mp4").prompt == "a red ball"  # the clip's own, as none was given


def test_every_option_of_generate_is_a_field_of_a_line():
    options = {field.name for field in fields(GenerationOptions)} - {"dry_run", "lora"} | {"loras"}
    options |= {"prompt", "seconds", "size", "fps", "image", "say", "voices", "subtitles"}
    assert options <= set(READERS)
    assert {field.name for field in fields(RequestSpec)} == set(READERS)


def test_unicode_line_ends_are_text(capsys, folder):
    (folder / "jobs.jsonl").write_text('"one\u2028two\x85three"\n"four"\n', encoding="utf-8")
    run(capsys)
    index = Path("clips/index.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["prompt"] for line in index if line] == ["one\u2028two\x85three", "four"]


def test_each_note_carries_the_name_of_its_clip(capsys, monkeypatch):
    made = FakeBackend.generate

    def noted(self, *arguments, **fields):
        clip = made(self, *arguments, **fields)
        return clip.with_(metadata={**clip.metadata, "notices": "far from what the model knows"})

    monkeypatch.setattr(FakeBackend, "generate", noted)
    assert run(capsys)["notices"] == [f"{name}: far from what the model knows" for name in ("0000", "box", "0002")]


def test_without_a_terminal_a_line_says_how_far_it_is(capsys):
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.5"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"1 of 3: 0000\.mp4, about \d+ s left", lines[0])
    assert lines[2] == "3 of 3: 0002.mp4"


def test_resume_makes_only_what_is_missing(capsys, monkeypatch):
    found = run(capsys, "--no-sign")  # a signature is another one each time
    kept, gone = Path(found["outputs"][0]["path"]), Path(found["outputs"][1]["path"])
    before, content = kept.stat().st_mtime_ns, gone.read_bytes()
    gone.unlink()
    again = run(capsys, "--no-sign", "--resume")
    assert [made["path"] for made in again["outputs"]] == [str(gone)]
    assert again["kept"] == 2
    assert kept.stat().st_mtime_ns == before
    assert gone.read_bytes() == content
    # nothing missing: the model is not even loaded
    monkeypatch.setattr(FakeBackend, "__init__", None)
    assert run(capsys, "--no-sign", "--resume")["outputs"] == []


def test_resume_tells_what_is_kept_made_and_refused(capsys):
    run(capsys)
    jobs = Path("jobs.jsonl").read_text(encoding="utf-8").rstrip("\n")
    refused = json.dumps({"prompt": "x", "task": "foley", "source": "no.mp4"})
    Path("jobs.jsonl").write_text(
        f'{jobs}\n"one more"\n{{"prompt": "x", "seconds": -1}}\n{refused}\n', encoding="utf-8"
    )
    arguments = [
        "generate",
        "--prompts",
        "jobs.jsonl",
        "-o",
        "clips/",
        "--model",
        "fake",
        "--seconds",
        "0.5",
        "--resume",
    ]
    assert main(arguments) == 1
    assert "note: 3 clips are there already and kept, 1 to be made, 2 refused" in capsys.readouterr().err
    assert main(arguments) == 1
    assert "note: 4 clips are there already and kept, 0 to be made, 2 refused" in capsys.readouterr().err


def test_a_changed_option_is_another_clip(capsys):
    run(capsys)
    assert len(run(capsys, "--resume", "--steps", "7")["outputs"]) == 3
    assert sorted(os.listdir("clips")) == ["0000.mp4", "0002.mp4", "box.mp4", "index.jsonl"]


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
    assert capsys.readouterr().err.splitlines()[-1] == "phonofilm: interrupted; nothing was left half-written"
    assert sorted(os.listdir("clips")) == ["0000.mp4", "index.jsonl"]
    assert len(run(capsys, "--resume")["outputs"]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 4: it is not JSON that can be read: the text is not JSON"),
        (
            "a red ball",
            'line 4: it is not JSON that can be read: the text is not JSON; write a prompt in quotes: "a red',
        ),
        ("3", "line 4: a job is a string, or an object"),
        ("[" * 100_000, "line 4: it is not JSON that can be read"),
        (f'{{"prompt": "x", "seed": {"9" * 5000}}}', "line 4: it is not JSON that can be read"),
        ('{"prompt": ""}', "line 4: prompt: the prompt is empty"),
        ('{"prompt": "x", "promt": "x"}', "line 4: promt: unknown field 'promt'; did you mean prompt?"),
        ('{"prompt": "x", "prompt": "y"}', "it is not JSON that can be read: an object has one name twice"),
        ('{"prompt": "x", "seconds": NaN}', "it is not JSON that can be read: NaN and Infinity"),
        ('{"prompt": "x", "seconds": "long"}', "line 4: seconds: 'long' is not a number"),
        ('{"prompt": "x", "seconds": -1}', "line 4: seconds: a duration of -1"),
        ('{"prompt": "x", "seconds": 1e999}', "line 4: it is not JSON that can be read: a number is beyond 64 bits"),
        ('{"prompt": "x", "seed": true}', "line 4: seed: true is not a whole number"),
        ('{"prompt": "x", "size": [64, 8]}', "line 4: size[1]: a side of 8 pixels"),
        ('{"prompt": "x", "guidance": [2, 900]}', "line 4: guidance[1]: a guidance of 900"),
        ('{"prompt": "x", "task": "dance"}', "line 4: task: unknown task 'dance'"),
        ('{"task": "foley"}', "line 4: source: foley needs a clip to work on; name its file"),
        ('{"task": "foley", "source": "no.mp4"}', "line 4: no.mp4 is not there"),
        ('{"prompt": "x", "name": "../up"}', "line 4: name: '../up' cannot be"),
        ('{"prompt": "x", "name": "BOX"}', "line 4: name: 'BOX.mp4' is the name of line 2 already"),
        ('{"prompt": "x", "image": "no.png"}', "line 4: picture no.png"),
        ('{"prompt": "x", "count": 0}', "line 4: count: 0 is not possible"),
        ('{"prompt": "x", "model": "nona"}', "line 4: no model 'nona'"),
        ('{"prompt": "x", "size": 4096, "seconds": 600, "fps": 120}', "line 4: 72000 frames of 4096x4096 take"),
    ],
)
def test_a_bad_line_is_reported_and_the_rest_is_made(line, message, capsys, folder):
    with (folder / "jobs.jsonl").open("a") as opened:
        opened.write(line.strip() + "\n")
    jobs = (folder / "jobs.jsonl").read_text().replace("\n\n", "\n")
    (folder / "jobs.jsonl").write_text(jobs)
    capsys.readouterr()
    arguments = ["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.25"]
    assert main([*arguments, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["ok"], len(found["errors"]), found["error"]) == (False, 1, found["errors"][0])
    assert message in found["error"]
    assert sorted(os.listdir("clips")) == ["0000.mp4", "0002.mp4", "box.mp4", "index.jsonl"]


def test_all_lines_are_checked_before_the_first_is_made(capsys, folder, monkeypatch):
    (folder / "jobs.jsonl").write_text('"good"\n""\n')
    order: list[str] = []
    monkeypatch.setattr(Report, "error", lambda self, line: order.append(line))
    made = FakeBackend.generate
    monkeypatch.setattr(FakeBackend, "generate", lambda self, *a, **k: (order.append("made"), made(self, *a, **k))[1])
    run(capsys)
    assert len(order) == 2
    assert order[0].startswith("jobs.jsonl line 2: prompt: the prompt is empty")
    assert order[1] == "made"


def test_a_clip_that_fails_is_reported_and_the_rest_is_made(capsys, monkeypatch):
    made = FakeBackend.generate

    def failing(self, request, *arguments, **fields):
        if request.prompt == "a blue box":
            raise PhonofilmError("too blue")
        return made(self, request, *arguments, **fields)

    monkeypatch.setattr(FakeBackend, "generate", failing)
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.25"]) == 1
    assert "phonofilm: jobs.jsonl line 2, box: too blue" in capsys.readouterr().err
    assert sorted(os.listdir("clips")) == ["0000.mp4", "0002.mp4", "index.jsonl"]


def test_a_full_disk_stops_the_batch_and_keeps_what_is_whole(capsys, monkeypatch):
    made, calls = FakeBackend.generate, iter(range(10))

    def full(self, *arguments, **fields):
        if next(calls) == 1:
            raise Unwritable("the disk is full: clips/box.mp4 was not written")
        return made(self, *arguments, **fields)

    monkeypatch.setattr(FakeBackend, "generate", full)
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "clips/", "--model", "fake", "--seconds", "0.25"]) == 1
    assert "box.mp4 was not written; with --resume the 1 clips before it are kept" in capsys.readouterr().err
    assert sorted(os.listdir("clips")) == ["0000.mp4", "index.jsonl"]


def test_where_no_line_can_be_made_nothing_is_left(capsys, folder):
    (folder / "jobs.jsonl").write_text('""\n{"prompt": "x", "steps": 0}\n')
    assert main(["generate", "--prompts", "jobs.jsonl", "-o", "no/clips/", "--model", "fake"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("phonofilm: jobs.jsonl line 1: prompt: the prompt is empty")
    assert err.endswith("; and 1 more\n")
    assert os.listdir(folder) == ["jobs.jsonl"]
