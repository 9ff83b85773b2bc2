"""The commands of a set: what they print, what they refuse, and that the report counts as the rules do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from curate_films import film
from phonofilm.app.cli.main import main
from phonofilm.app.jobs.curation import forecast_lines
from phonofilm.data.curate.pipeline import Forecast
from phonofilm.data.curate.registry import STEPS

COSTLY = tuple(step.name for step in STEPS if step.costly)
WITHOUT = [part for step in COSTLY for part in ("--without", step)]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_dry_run_says_what_is_known_and_what_will_be_done():
    new = Forecast(2, 2, 0, {"picture": 0}, (), {"speech": "weights are missing"})
    assert forecast_lines(new) == [
        "2 films: 0 were cut into 0 shots before, 2 will be",
        "how many shots those have is known once they are cut; the steps run on each of them",
        "     picture  runs",
        "      speech  will not run: weights are missing",
        "this was --dry-run: nothing is cut or measured yet; leave it out to do it",
    ]
    half = forecast_lines(Forecast(2, 0, 7, {"picture": 3}, (), {}))
    assert half[:2] == [
        "2 films: 2 were cut into 7 shots before, 0 will be",
        "     picture  done for 4 of 7 shots, 3 left",
    ]


def test_a_set_is_made_reviewed_and_reported(tmp_path, capsys):
    film(tmp_path / "films" / "a.mp4", 21, 22, seconds=1.5)
    film(tmp_path / "films" / "again.mkv", 21, seconds=1.5)
    (tmp_path / "films" / "b.mp4").write_bytes(b"no film at all")
    made = ["data", "curate", tmp_path / "films", "-o", tmp_path / "data", "--workers", 0, *WITHOUT]
    made += ["--rule", "lower rate=keep"]
    code, said = run(capsys, *made, "--dry-run")
    assert (code, said["films"], said["shots"]) == (0, 3, 0)
    code, said = run(capsys, *made)
    assert code == 0
    assert said["counts"] == {"keep": 2, "aside": 0, "drop": 1}
    assert said["reasons"]["duplicate"] == 1
    assert said["clips"] == 2
    assert "b.mp4 is not a film" in said["notices"][-1]
    code, forecast = run(capsys, *made, "--dry-run")
    assert set(forecast["missing"].values()) == {0}

    page = Path(said["report"]).read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1].replace("<\\/", "</"))
    assert [shot["was"] for shot in data["shots"]] == ["keep", "keep", "drop"]
    players = re.findall(r'src="(report-clips/[^"#]+)#t=', page)
    assert players
    assert all((tmp_path / "data" / player).is_file() for player in players)
    assert "no film at all" not in page

    key = data["shots"][0]["key"]
    code, said = run(capsys, "data", "review", tmp_path / "data", "--drop", key)
    assert (code, said["decisions"]) == (0, {key: "drop"})
    code, said = run(capsys, *made)
    assert said["reasons"]["by hand"] == 1
    code, said = run(capsys, "data", "review", tmp_path / "data", "--drop", "nothing")
    assert code == 1
    assert "has the key nothing" in said["error"]
    code, said = run(capsys, "data", "remove", "a.mp4", "-o", tmp_path / "data")
    assert (code, said["clips"]) == (0, 1)
    shutil.rmtree(tmp_path / "data")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rule", "nothing=1"], "no rule 'nothing=1'"),
        (["--without", "nothing"], "no step 'nothing'"),
        (["--captioner", "nothing"], "no captioner 'nothing'"),
        (["--longest", "0"], "--longest"),
        (["--sample", "0"], "--sample"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(tmp_path, capsys, arguments, said):
    (tmp_path / "a.mp4").write_bytes(b"x")
    code, found = run(capsys, "data", "curate", tmp_path / "a.mp4", "-o", tmp_path / "data", *arguments)
    assert code == 1
    assert said in found["error"]
    assert not (tmp_path / "data").exists()


def test_no_set_is_one_line(tmp_path, capsys):
    for command in (["review", tmp_path], ["remove", "x", "-o", tmp_path]):
        code, said = run(capsys, "data", *command)
        assert code == 1
        assert "is no set" in said["error"]


def test_films_of_which_none_can_be_read_are_an_error(tmp_path, capsys):
    (tmp_path / "notes.md").write_text("no film")
    asked = ["data", "curate", str(tmp_path / "notes.md"), "-o", str(tmp_path / "data"), "--workers", "0"]
    code = main([*asked, *WITHOUT])
    said = capsys.readouterr().err
    assert code != 0
    assert "notes.md is not a film" in said
    assert "none of these films could be read" in said
    assert not (tmp_path / "data" / "report.html").exists()
