"""The command line in this process, on the fake backend: what it writes, says and refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from phonofilm.app import session
from phonofilm.app.cli.app import app
from phonofilm.app.cli.main import main
from phonofilm.evaluation.foley_world import benchmark
from phonofilm.media import read_clip

COMMANDS = [
    "generate",
    "foley",
    "animate",
    "extend",
    "retake",
    "sheet",
    "info",
    "onsets",
    "doctor",
    "models",
    "world",
    "train",
    "plan-training",
    "finetune",
    "score",
]
MAKING = ["generate", "a red ball", "-o", "out.mp4", "--model", "fake", "--seconds", "0.5"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def film(folder) -> Path:
    assert main([*MAKING[:3], "film.mp4", *MAKING[4:], "--fps", "12", "--seed", "3"]) == 0
    return folder / "film.mp4"


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def answer(capsys, *arguments: str) -> dict:
    """The one JSON object of a command that went well."""
    code, out, err = ran(capsys, *arguments, "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["ok"] is True
    assert found["command"] == arguments[0]
    assert isinstance(found["notices"], list)
    assert all(isinstance(seconds, float) for seconds in found["stages"].values())
    return found


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_worth_reading(command):
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "$ phonofilm" in result.output
    if command:
        assert f"$ phonofilm {command}" in result.output
        assert "--json" in result.output
    else:
        assert all(name in result.output for name in COMMANDS)


@pytest.mark.parametrize("group", ["", "data", "study", "weights"])
def test_a_group_explains_itself_by_h_and_by_its_name(group):
    short, long = (CliRunner().invoke(app, [*group.split(), option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)
    assert CliRunner().invoke(app, group.split()).output.strip() == long.output.strip()


@pytest.mark.parametrize(("command", "section"), [("stream", "[[prompt]]"), ("story", "[[shot]]")])
def test_help_keeps_the_brackets_of_a_section(command, section):
    assert section in CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"}).output


def test_nothing_asked_is_answered_with_help(capsys):
    code, out, _ = ran(capsys)
    assert code == 0
    assert "generate" in out
    assert ran(capsys, "--version")[1].startswith("phonofilm ")


def test_generate_writes_and_says_where_and_how_long(capsys, folder):
    code, out, err = ran(capsys, *MAKING)
    assert (code, out) == (0, "out.mp4\n")
    assert [stage for stage in ("start-up", "text", "sampling", "decoding", "writing") if f"{stage} " not in err] == []
    clip = read_clip("out.mp4")
    assert clip.frames.shape == (6, 64, 64, 3)
    assert clip.metadata["prompt"] == "a red ball"
    assert os.listdir(folder) == ["out.mp4"]


def test_generate_as_json(capsys):
    found = answer(capsys, *MAKING, "--size", "48x32", "--fps", "23.976", "--seed", "9")
    (made,) = found["outputs"]
    assert made["path"] == "out.mp4"
    assert (made["width"], made["height"], made["fps"], made["seed"]) == (48, 32, "24000/1001", 9)
    assert made["frames"] == 12
    assert abs(made["samples"] / made["sample_rate"] - made["frames"] * 1001 / 24_000) < 1 / made["sample_rate"]


def test_the_same_seed_writes_the_same_bytes(capsys, folder):
    main([*MAKING, "-n", "2", "--no-sign"])  # a signature is another one each time
    main([*MAKING[:3], "again.mp4", *MAKING[4:], "--seed", "1", "--no-sign"])
    assert (folder / "out-2.mp4").read_bytes() == (folder / "again.mp4").read_bytes()
    assert (folder / "out-1.mp4").read_bytes() != (folder / "out-2.mp4").read_bytes()
    assert sorted(os.listdir(folder)) == ["again.mp4", "out-1.mp4", "out-2.mp4"]


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".wav", ".gif", ".mov"])
def test_every_format(capsys, folder, suffix):
    assert main([*MAKING[:3], f"out{suffix}", *MAKING[4:]]) == 0
    beside = [f"out{suffix}.c2pa"] if suffix in (".webm", ".mkv") else []
    assert sorted(os.listdir(folder)) == [f"out{suffix}", *beside]


def test_foley_animate_extend_retake(capsys, film):
    source = read_clip(film)
    for name, arguments in {
        "foley": [],
        "animate": ["--size", "32"],
        "extend": ["--seconds", "1"],
        "retake": ["--from", "0.1", "--to", "0.4", "--video-only"],
    }.items():
        (made,) = answer(capsys, name, "film.mp4", "-o", "out.mkv", "--model", "fake", *arguments)["outputs"]
        clip = read_clip(made["path"])
        assert clip.frames is not None
        assert clip.waveform is not None
        if name == "foley":
            assert (clip.frames == source.frames).all()
        if name == "extend":
            assert (clip.frames[:6] == source.frames).all()
            assert len(clip.frames) == 18
            assert clip.prompt == "a red ball"  # the clip's own, as none was given
        if name in ("animate", "retake"):
            samples = source.waveform.shape[1]
            assert np.abs(clip.waveform[:, :samples] - source.waveform).max() < 1e-6


def test_sheet_and_info(capsys, film, folder):
    assert answer(capsys, "sheet", "film.mp4", "-o", "film.png")["path"] == "film.png"
    assert (folder / "film.png").read_bytes().startswith(b"\x89PNG")
    found = answer(capsys, "info", "film.mp4")
    assert found["metadata"]["seed"] == "3"
    assert found["metadata"]["ai_generated"] == "true"
    assert found["size"] == [64, 64]
    assert "a red ball" in ran(capsys, "info", "film.mp4")[1]


def test_doctor_and_models(capsys):
    capsys.readouterr()
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["torch"]["works"]
    assert checks["media"]["works"]
    assert found["healthy"] == all(check["works"] for check in found["checks"] if check["needed"])
    names = [model["name"] for model in answer(capsys, "models")["models"]]
    assert names[0] == "nano"
    assert "ltx2" in names


def test_models_that_are_still_trained_are_named_with_what_they_cost(capsys, folder, tiny_stems_model):
    place = folder / "checkpoints" / "nano_128"
    assert answer(capsys, "models")["unfinished"] == []
    place.parent.mkdir()
    shutil.copytree(tiny_stems_model, place)
    (row,) = answer(capsys, "models")["unfinished"]
    assert (row["name"], row["grid"], row["evaluations"]) == ("checkpoints/nano_128", "128x128, 24 fps, 1 s", 3)
    _, out, _ = ran(capsys, "models")
    assert "still in training: all six families" in out
    assert "128x128, 24 fps, 1 s; 3 network evaluations a clip" in out
    assert "--model checkpoints/nano_128" in out
    (place / "transformer.safetensors").write_bytes(b"half of it")
    (row,) = answer(capsys, "models")["unfinished"]
    assert not row["present"]
    assert "corrupt" in row["problem"]


def test_debug_shows_the_traceback(capsys):
    code, _, err = ran(capsys, "generate", "", "-o", "out.mp4", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("phonofilm: prompt: the prompt is empty")


def test_a_full_disk_leaves_nothing(capsys, folder, monkeypatch):
    import phonofilm.media.write as write

    def full(clip, path, *rest):
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(write, "_mux", full)
    code, _, err = ran(capsys, *MAKING)
    assert code == 1
    assert "the disk is full" in err
    assert err.count("\n") == 1
    assert os.listdir(folder) == []


def test_a_bug_is_one_line_too(capsys, monkeypatch):
    from phonofilm.backends.fake import FakeBackend

    def broken(*arguments, **fields):
        raise KeyError("oops\nand more")

    monkeypatch.setattr(FakeBackend, "generate", broken)
    code, _, err = ran(capsys, *MAKING)
    assert code == 1
    assert err.count("\n") == 1
    assert "internal error, KeyError" in err
    assert "--debug" in err


def test_a_missing_extra_is_named(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pymunk", None)
    for name in [name for name in sys.modules if name.startswith("phonofilm.world.")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = ran(capsys, "world", "bounce", "-n", "1", "--mp4", "-o", "out")
    assert code == 1
    assert "pymunk, which is not installed: pip install" in err
    assert "[world]" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["--json", "--debug", "--help", "-o"])
def test_a_prompt_may_be_the_text_of_an_option(capsys, text):
    code, out, _ = ran(capsys, "generate", "-p", text, "-o", "out.mp4", "--model", "fake", "--seconds", "0.5")
    assert (code, out) == (0, "out.mp4\n")
    assert read_clip("out.mp4").metadata["prompt"] == text
    code, out, _ = ran(capsys, "generate", "-o", "out.mp4", "--model", "fake", "--seconds", "0.5", "--", text)
    assert (code, out) == (0, "out.mp4\n")


def test_an_error_of_the_parser_obeys_json_as_the_parser_reads_it(capsys):
    for arguments in (["info", "x", "--chess", "--json"], ["--chess", "info", "--json"], ["study", "new", "--json"]):
        assert json.loads(ran(capsys, *arguments)[1])["ok"] is False
    for arguments in (
        ["generate", "--chess", "-p", "--json"],
        ["generate", "--chess", "--prompt", "--json"],
        ["generate", "-n", "2", "-p", "--json", "--chess"],
        ["generate", "--chess", "--", "--json"],
        ["info", "--chess=--json"],
    ):
        code, out, err = ran(capsys, *arguments)
        assert (code, out) == (2, "")
        assert "No such option: --chess" in err


def test_every_command_says_the_prompt_with_p(capsys, film):
    for command in (
        ["generate"],
        ["foley", "film.mp4"],
        ["animate", "film.mp4"],
        ["extend", "film.mp4", "--seconds", "1"],
    ):
        answer(capsys, *command, "-p", "a blue ball", "-o", "out.mp4", "--model", "fake")
        assert read_clip("out.mp4").metadata["prompt"] == "a blue ball"


def test_missing_folders_of_an_output_are_made(capsys, folder):
    assert ran(capsys, "generate", "x", "-o", "a/b/out.mp4", "--model", "fake", "--seconds", "0.5")[0] == 0
    assert ran(capsys, "sheet", "a/b/out.mp4", "-o", "c/out.png")[0] == 0
    assert (folder / "a/b/out.mp4").is_file()
    assert (folder / "c/out.png").is_file()


@pytest.mark.parametrize(("output", "starts"), [("-", b"ftyp"), ("-.webm", b"\x1aE\xdf\xa3"), ("-.wav", b"RIFF")])
def test_a_clip_goes_into_a_pipe(capfdbinary, folder, output, starts):
    assert main(["generate", "x", "-o", output, "--model", "fake", "--seconds", "0.5"]) == 0
    written, said = capfdbinary.readouterr()
    assert starts in written[:8]
    assert written.count(b"start-up") == 0  # nothing but the clip is on standard output
    assert b"-" not in said.splitlines()  # and no name for it
    Path("piped.mp4").write_bytes(written)
    assert read_clip("piped.mp4").waveform.shape[1] > 0
    assert os.listdir(folder) == ["piped.mp4"]


def test_the_shell_completes_commands_options_and_their_values(monkeypatch, capsys):
    monkeypatch.setenv("_PHONOFILM_COMPLETE", "complete_bash")
    for words, found in (
        ("fo", "foley"),
        ("generate --sam", "--sampler"),
        ("generate --sampler mul", "multistep"),
        ("generate --model na", "nano"),
        ("foley --device cu", "cuda"),
    ):
        monkeypatch.setenv("COMP_WORDS", f"phonofilm {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        code, out, _ = ran(capsys)
        assert (code, out.split()) == (0, [found])


@pytest.mark.parametrize(("command", "offered"), [("generate", True), ("foley", False), ("soundtrack", False)])
def test_a_gif_is_offered_where_no_sound_is_made(command, offered):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"})
    assert (".gif" in result.output) is offered
    assert ".webm" in result.output


def test_score_tells_where_it_is_while_it_draws(capsys, folder, monkeypatch):
    """Where there is no terminal, a line now and then; here at every step."""
    monkeypatch.setattr(session, "LOG_SECONDS", 0)
    monkeypatch.setattr(benchmark, "_reference_scenes", lambda count: [("bounce", 1), ("strike", 1)])
    assert main(["world", "bounce", "-n", "1", "--mp4", "-o", "clips"]) == 0
    code, out, err = ran(capsys, "score", "clips")
    assert code == 0
    assert "scoring 1 of 1" in err
    assert re.search(r"drawing truth 1 of 2, about \d+ s left", err)
    assert "sync" in out
