"""What folders and files of prompts from many machines bring: names, encodings, line ends, odd films."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the study extra: pip install -e '.[study]'")
from study_material import films

from phonofilm.app.cli.main import main
from phonofilm.app.study.build import Plan, build, read_prompts
from phonofilm.app.study.report import read_metrics
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.study.protocol import load_study

PLAN = Plan(anchors=0, catches=0)


def put(folder: Path, *names: str | bytes, source: Path) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(source, os.path.join(os.fsencode(folder), os.fsencode(name)))
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return films(tmp_path_factory.mktemp("film") / "f", items=("door",)) / "door.mp4"


def test_two_files_of_one_scene_are_told_and_none_replaces_the_other(tmp_path, film):
    a, b = (put(tmp_path / name, "s0.mp4", "s1.mp4", source=film) for name in "ab")
    shutil.copy(film, a / "s0.mov")
    (a / "notes.txt").write_text("not a film")
    (a / "._s1.mp4").write_bytes(b"a resource fork")
    made = build({"a": a, "b": b}, None, tmp_path / "study", PLAN, {}, lambda *_: None)
    assert made.items == ("s0", "s1")
    assert len(made.left_out) == 1
    assert "a/s0.m" in made.left_out[0]
    assert "has the name of" in made.left_out[0]


def test_names_in_two_normal_forms_are_one_scene(tmp_path, film):
    names = ["café.mp4", "naïve.mp4", "plain.mp4"]
    a = put(tmp_path / "a", *(unicodedata.normalize("NFC", n) for n in names), source=film)
    b = put(tmp_path / "b", *(unicodedata.normalize("NFD", n) for n in names), source=film)
    (tmp_path / "p.tsv").write_text(unicodedata.normalize("NFD", "café\ta door\n"), encoding="utf-8")
    prompts = read_prompts(tmp_path / "p.tsv")
    made = build({"a": a, "b": b}, None, tmp_path / "study", PLAN, prompts, lambda *_: None)
    assert made.items == ("café", "naïve", "plain")
    assert made.left_out == ()
    assert {s.prompt for s in made.stimuli if s.item == "café"} == {"a door"}


def test_a_name_that_is_not_utf8_makes_a_study_that_can_be_read_again(tmp_path, film, capsys):
    try:
        a = put(tmp_path / "a", b"fa\xe7ade.mp4", "plain.mp4", source=film)
    except OSError:
        pytest.skip("needs Linux, whose file names are bytes")
    b = put(tmp_path / "b", b"fa\xe7ade.mp4", "plain.mp4", source=film)
    folder = tmp_path / "study"
    assert main(["study", "new", str(a), str(b), "--catches", "0", "-o", str(folder), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    made = load_study(folder)
    assert made.items == ("fa\\xe7ade", "plain")
    (b / "plain.mp4").write_bytes(b"not a film")
    os.rename(os.fsencode(b) + b"/fa\xe7ade.mp4", os.fsencode(b) + b"/fa\xe8.mp4")
    assert main(["study", "new", str(a), str(b), "-o", str(tmp_path / "other")]) == 1
    assert "fa\\xe" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        "s0\ta red ball\ns1\ta blue box\n".encode("utf-8-sig"),
        b"s0\ta red ball\r\ns1\ta blue box\r\n",
        b"s0\ta red ball\rs1\ta blue box\r",
        "s0\ta red ball\r\ns1\ta blue box".encode("utf-16"),
        b"\n s0.mp4 \t a red ball \n\n s1.mp4 \t a blue box \n\n",
        b'"s0"\t"a red ball"\ns1\ta blue box\n',
        b"name\tprompt\ns0\ta red ball\ns1.mp4\ta blue box\n",
    ],
    ids=["byte order mark", "CRLF", "CR", "UTF-16", "spaces and suffixes", "quotes", "head"],
)
def test_prompts_as_every_editor_writes_them(tmp_path, data):
    (tmp_path / "p.tsv").write_bytes(data)
    assert read_prompts(tmp_path / "p.tsv") == {"s0": "a red ball", "s1": "a blue box"}


def test_line_ends_that_are_text_stay_text(tmp_path):
    text = "one\u2028two\u0085three\x0cfour"
    (tmp_path / "p.txt").write_text(f's0\t{text}\ns1\t"Stop!" he said, "now"\n', encoding="utf-8", newline="")
    assert read_prompts(tmp_path / "p.txt") == {"s0": text, "s1": '"Stop!" he said, "now"'}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"s0 a red ball\n", "line 1"),
        (b"s0\ta\n\ta ball\n", "line 2"),
        (b"s0\ta\ns0.mp4\tb\n", "has a text already"),
        (b"", "no prompts"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"s0\t\xe7\n", "cannot be read"),
    ],
)
def test_prompts_that_are_none_get_one_line(tmp_path, data, said):
    (tmp_path / "p.txt").write_bytes(data)
    with pytest.raises(PhonofilmError, match=said) as error:
        read_prompts(tmp_path / "p.txt")
    assert "\n" not in str(error.value)


def test_prompts_of_other_scenes_and_sounds_among_films_are_told(tmp_path, film):
    a, b = (put(tmp_path / name, "s0.mp4", source=film) for name in "ab")
    (a / "s9.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    made = build({"a": a, "b": b}, None, tmp_path / "study", PLAN, {"s7": "nobody"}, lambda *_: None)
    assert made.left_out == ("a/s9.wav: has no picture", "prompt of s7: no such scene")


def test_metrics_of_clips_are_numbers_and_their_names_are_normal(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("system,clip,FAD\na,cafe\u0301,1.5\nb,x,\n", encoding="utf-8-sig")
    assert read_metrics(path) == {"FAD": {("a", "caf\u00e9"): 1.5}}
    for bad in ("nan", "inf", "one"):
        path.write_text(f"system,clip,FAD\na,x,{bad}\n", encoding="utf-8")
        with pytest.raises(PhonofilmError, match="cannot be read"):
            read_metrics(path)


# a picture that changes its size, and a second sound track that is the default one: as the reader takes them
CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.mark.parametrize("case", ["01-resolution-change/reschange.mkv", "13-default-sound-track/two_tracks.mkv"])
def test_odd_films_are_used_or_named(tmp_path, film, case):
    if not (CASES / case).is_file():
        pytest.skip("needs ../shared beside the project")
    a, b = (put(tmp_path / name, "s0.mp4", source=film) for name in "ab")
    for folder in (a, b):
        shutil.copy(CASES / case, folder / "odd.mkv")
    made = build({"a": a, "b": b}, None, tmp_path / "study", PLAN, {}, lambda *_: None)
    assert "s0" in made.items
    if "two_tracks" in case:
        assert "odd" in made.items, "its default sound is no silence"
    else:
        assert "odd" in made.items or any("odd" in line for line in made.left_out)
