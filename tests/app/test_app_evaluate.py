"""`phonofilm evaluate` and `compare`: the table, the JSON, the page, and one line for every mistake."""

import json
import re
import sys
from pathlib import Path

import pytest

from phonofilm.app.cli.main import main
from phonofilm.app.reports.evaluation.page import write_page
from phonofilm.app.reports.evaluation.table import number, result_lines
from phonofilm.app.reports.evaluation.worst import ranked

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from folders import fill


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    fill(root / "real", 3, pan=0.0)
    fill(root / "late", 3, delay=0.2, pan=0.0)
    (root / "late" / "zero <b>.mp4").write_bytes(b"")
    common = ["-r", str(root / "real"), "--cache", str(root / "cache"), "--workers", "1"]
    chosen = [
        "--metrics",
        "offset,silence,FAD[log-mel, stereo],DeSync",
        "--worst",
        "2",
        "--conditioned-on",
        "synchformer",
    ]
    assert main(["evaluate", str(root / "late"), *common, *chosen, "-o", str(root / "out")]) == 0
    assert main(["evaluate", str(root / "real"), *common, *chosen[:2], "--worst", "0", "-o", str(root / "ref")]) == 0
    return root


@pytest.fixture(scope="module")
def result(place):
    return json.loads((place / "out" / "results.json").read_text())


def test_the_table_shows_value_interval_reference_control_and_what_is_missing(result):
    text = "\n".join(result_lines(result))
    assert re.search(r"offset +ms +[12]\d\d\.\d", text)
    assert "reference" in text
    assert "shuffled" in text
    assert "3 of 4 clips scored; 1 unreadable" in text
    assert "zero <b>: " in text
    assert "DeSync: needs weights: phonofilm weights get synchformer" in text
    assert max(map(len, text.splitlines())) <= 130


def test_a_narrow_terminal_breaks_no_name(result, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = result_lines(result)
    assert any("  FAD[log-mel, stereo] " in line for line in lines)
    assert "95 %" not in lines[1]


def test_the_page_holds_everything_itself(place):
    page = (place / "out" / "report.html").read_text()
    assert page.count("data:video/mp4;base64,") == 2
    assert page.count("data:image/jpeg;base64,") == 4
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "zero &lt;b&gt;" in page
    assert "FAD[log-mel, stereo]" in page
    assert "<svg" in page


def test_a_judge_that_taught_the_system_is_flagged(result, tmp_path):
    rows = {row["name"]: row for row in result["metrics"]}
    assert rows["DeSync"]["circular"]
    assert not rows["offset"]["circular"]
    measured = {**rows["offset"], "circular": True}
    shown = {**result, "metrics": [measured]}
    assert any("⟲ circular" in line for line in result_lines(shown))
    assert "circular</span>" in write_page(shown, tmp_path / "p.html", worst=0).read_text()


def test_the_worst_clips_come_first(result):
    bad = ranked(result, 10)
    assert len(bad) == 3
    assert [clip.badness for clip in bad] == sorted((clip.badness for clip in bad), reverse=True)


@pytest.mark.parametrize(
    ("name", "better", "known", "values", "expected"),
    [
        # late or early alike; of `d` no offset is known, and nothing is said of it
        ("offset", "neither", 0.75, {"a": 20.0, "b": -400.0, "c": 150.0}, ["b", "c", "a"]),
        ("in sync", "higher", None, {"a": 1.0, "b": 0.0}, ["b", "a"]),
        ("silence", "neither", None, {"a": 1.0, "b": 0.0}, []),
    ],
)
def test_a_clip_is_ranked_by_the_size_of_what_is_best_at_zero(name, better, known, values, expected):
    row = {"name": name, "better": better, "known": known, "range": "−2500 … 2500"}
    clips = {clip: {name: values[clip]} if clip in values else {} for clip in "abcd"}
    assert [bad.name for bad in ranked({"metrics": [row], "clips": clips}, 10)] == expected


def test_a_clip_without_a_known_offset_is_ranked_by_what_is_known():
    offset = {"name": "offset", "better": "neither", "known": 2 / 3, "range": "−2500 … 2500"}
    f1 = {"name": "onset–motion F1", "better": "higher", "known": None, "range": "0 … 1"}
    clips = {
        "good": {"offset": -5.0, "onset–motion F1": 0.9},
        "late": {"offset": 90.0, "onset–motion F1": 0.4},
        "lost": {"onset–motion F1": 0.0},
    }
    bad = ranked({"metrics": [offset, f1], "clips": clips}, 10)
    assert [clip.name for clip in bad] == ["lost", "late", "good"]
    assert [metric for metric, _, _ in bad[0].why] == ["onset–motion F1"]
    assert ("offset", 90.0) in [part[:2] for part in bad[1].why]


def test_compare_says_who_is_better(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # no name is folded
    files = [str(place / name / "results.json") for name in ("out", "ref")]
    files += ["--cache", str(place / "cache")]
    assert main(["compare", *files, "--csv", str(place / "pairs.csv")]) == 0
    assert "first_system,second_system,name," in (place / "pairs.csv").read_text()
    shown = capsys.readouterr().out
    assert "offset" in shown
    assert "out" in shown
    assert main(["compare", *files, "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["differences"]}
    assert rows["offset"]["test"] == "paired"
    assert rows["DeSync"]["reason"].startswith("needs weights")


def test_json_is_one_object(place, capsys):
    arguments = ["evaluate", str(place / "late"), "--cache", str(place / "cache"), "--workers", "1", "--worst", "0"]
    assert main([*arguments, "--metrics", "silence", "-o", str(place / "again"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["generated"]["left_out"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "does not exist"),
        (["{late}", "--preset", "best"], "no preset"),
        (["{late}", "--metrics", "sharpness"], "no metric"),
        (["{late}", "--weights", "i3d"], "NAME=FILE"),
        (["{late}", "--weights", "i3d=none.pt"], "no weights of i3d"),
        (["{late}", "--prompts", "none.csv"], "cannot be read"),
        (["{late}", "--workers", "-1"], "--workers -1 is not possible; it must be 0 or more"),
        (["{late}", "-o", "{late}/00.mkv/out"], "is a file"),
        (["{late}", "--device", "abacus"], "unknown device 'abacus'"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(place, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *(a.format(late=place / "late") for a in arguments)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0.000"), (-3.14159, "−3.142"), (123.456, "123.5"), (0.00012, "1e−04")]
)
def test_numbers_read_well(value, text):
    assert number(value) == text


def test_a_network_that_judges_nothing_is_named(place, capsys):
    words = ["evaluate", str(place / "real"), "--metrics", "silence", "--cache", str(place / "cache"), "--workers", "1"]
    assert main([*words, "--conditioned-on", "synchformr,clip", "-o", str(place / "named"), "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["notices"]
    assert line.startswith("no metric is judged by synchformr; those that judge are ")
    assert "synchformer" in line
