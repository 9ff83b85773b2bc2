"""A study without a browser: built blind, served with its rules, killed and restarted, and reported."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the study extra: pip install -e '.[study]'")
from study_material import ITEMS, Caller, answers_to, films, study_of

from phonofilm.app.cli.main import main
from phonofilm.app.study.build import PROBE_OFFSETS, Plan, build
from phonofilm.app.study.flow import Flow
from phonofilm.app.study.server import create_app, one_sided
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.study.analysis import analyse
from phonofilm.evaluation.study.rater_screening import conduct
from phonofilm.evaluation.study.store import Ratings
from phonofilm.media import probe, read_clip


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("made"))


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """The study with no ratings yet."""
    for name in ("study.json", "clips", "probe"):
        (tmp_path / name).symlink_to(made[0] / name)
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def send(folder, clock):
    return sender(folder, clock)


def sender(folder: Path, clock: Clock):
    from fastapi.testclient import TestClient

    client = TestClient(create_app(folder, clock))

    def send(method: str, path: str, token: str | None, body=None):
        answer = client.request(method, path, json=body, headers={"X-Rater": token} if token else {})
        kind = answer.headers.get("content-type", "")
        return answer.status_code, answer.json() if kind.startswith("application/json") else answer

    return send


def ready(send, folder: Path, outside: str | None = None) -> Caller:
    rater = Caller(send, outside)
    flow = Flow.of(folder)
    rater.prepare(flow.sides(flow.who(rater.token)))
    return rater


def finish(rater: Caller, seat: int, clock: Clock, most: int = 99) -> int:
    """Answer up to `most` trials; returns how many."""
    for done in range(most):
        state = rater.state()
        if state["stage"] == "done":
            return done
        rater.play(state["trial"], clock.wait)
        rater.post(f"api/rate/{state['trial']['index']}", {"answers": answers_to(state["trial"], seat)})
    return most


# ---------- building


def test_no_file_tells_who_made_it(made):
    folder, study = made
    assert {s.kind for s in study.stimuli} == {"system", "reference", "anchor", "catch"}
    assert study.systems == ("good", "late", "reference")
    for stimulus in study.stimuli:
        path = folder / "clips" / stimulus.file
        found = probe(path)
        assert re.fullmatch(r"[0-9a-f]{16}\.mp4", stimulus.file)
        said = " ".join([*found.metadata, *found.metadata.values(), str(path.read_bytes())])
        assert not re.search(r"good|late\b|reference|anchor|distort", said)
    assert sorted(p.name for p in (folder / "clips").iterdir()) == sorted(s.file for s in study.stimuli)


def test_anchors_and_catches_are_what_they_are_called(made):
    folder, study = made

    def delay(system: str) -> float:
        stimulus = next(s for s in study.stimuli if s.system == system and s.kind != "system")
        clip = read_clip(folder / "clips" / stimulus.file)
        flash = int(np.diff(clip.frames.mean(axis=(1, 2, 3))).argmax() + 1) / float(clip.fps)
        return float(np.flatnonzero(np.abs(clip.waveform[0]) > 0.05)[0] / clip.sample_rate) - flash

    assert delay("reference") == pytest.approx(0, abs=0.045)
    assert delay("sound 125 ms late") - delay("reference") == pytest.approx(0.125, abs=0.01)
    assert delay("sound 125 ms early") - delay("reference") == pytest.approx(-0.125, abs=0.01)


def test_the_probe_films_are_as_far_apart_as_they_say(made):
    for offset in PROBE_OFFSETS[::4]:
        clip = read_clip(made[0] / "probe" / f"{offset}.mp4")
        flash = int(np.diff(clip.frames[:, 60:120, 120:200].mean(axis=(1, 2, 3))).argmax() + 1) / float(clip.fps)
        beep = np.flatnonzero(np.abs(clip.waveform[0]) > 0.1)[0] / clip.sample_rate
        assert beep - flash == pytest.approx(offset / 1000, abs=0.003)


def test_what_cannot_be_used_is_left_out_and_named(tmp_path):
    systems = {"a": films(tmp_path / "a"), "b": films(tmp_path / "b", items=(*ITEMS, "extra"))}
    (tmp_path / "a" / "drum.mp4").write_bytes(b"no film")
    study = build(systems, None, tmp_path / "s", Plan(), {}, lambda *_: None)
    assert study.items == ("door", "rain")
    assert len(study.left_out) == 2
    assert any("extra: not in a" in line for line in study.left_out)
    assert any("a/drum.mp4" in line for line in study.left_out)


def test_nothing_half_made_is_left_when_building_fails(tmp_path):
    systems = {"a": films(tmp_path / "a"), "b": films(tmp_path / "b", items=("other",))}
    with pytest.raises(PhonofilmError, match="no scene is left"):
        build(systems, None, tmp_path / "s", Plan(), {}, lambda *_: None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    with pytest.raises(PhonofilmError, match="not empty"):
        build(systems, None, tmp_path / "a", Plan(), {}, lambda *_: None)


def test_the_same_seed_makes_the_same_study(tmp_path):
    systems = {"a": films(tmp_path / "a", items=("door",)), "b": films(tmp_path / "b", items=("door",))}
    plan = Plan(anchors=0, catches=0)
    first, second = (build(systems, None, tmp_path / name, plan, {}, lambda *_: None) for name in "xy")
    assert first.hash == second.hash


# ---------- serving


def test_a_whole_rater_and_the_locks_on_the_way(send, folder, clock, made):
    study = made[1]
    assert send("GET", "/api/state", None)[0] == 401
    rater = Caller(send)
    assert rater.state()["stage"] == "headphones"
    flow = Flow.of(folder)
    wrong = [{"left": "right", "right": "left"}[side] for side in flow.sides(flow.who(rater.token))]
    assert rater.post("api/headphones", {"heard": wrong})["passed"] is False
    rater.prepare(flow.sides(flow.who(rater.token)))
    trial = rater.state()["trial"]
    answers = answers_to(trial, 0)
    assert rater.raw("POST", "api/rate/0", {"answers": answers})[0] == 423, "locked until played"
    ended = {"kind": "ended", "trial": 0, "clip": 0}
    assert rater.raw("POST", "api/event", ended)[0] == 423, "no clip ends before its time"
    clock.wait(trial["clips"][0]["seconds"])
    assert rater.raw("POST", "api/event", ended)[0] == 200
    assert rater.raw("POST", "api/rate/3", {"answers": answers})[0] == 409, "no trial out of turn"
    assert rater.raw("POST", "api/rate/99", {"answers": answers})[0] == 404
    assert rater.raw("POST", "api/rate/0", {"answers": answers | {"sync": 6}})[0] == 422
    assert rater.raw("POST", "api/rate/0", {"answers": {"sync": 3}})[0] == 422
    assert rater.raw("POST", "api/rate/0", {"answers": answers | {"video": None}})[0] == 422
    after = rater.post("api/rate/0", {"answers": answers | {"spatial": None}})
    assert after["trial"]["index"] == 1
    again = rater.post("api/rate/0", {"answers": answers | {"overall": 1}})
    assert again["trial"]["index"] == 1, "an answer sent again is no second answer"
    finish(rater, 0, clock)
    assert rater.state()["stage"] == "done"
    assert re.fullmatch(r"[0-9A-F]{10}", rater.state()["code"])
    kept = Ratings(folder, study.hash).ratings()
    assert [r.trial for r in kept] == [t.index for t in study.trials(0)]
    assert kept[0].answers == answers | {"spatial": None}


def test_both_clips_of_a_pair_must_play(send, folder, clock, made):
    rater = ready(send, folder)
    first_pair = next(t.index for t in made[1].trials(0) if t.role == "pair")
    finish(rater, 0, clock, first_pair)
    trial = rater.state()["trial"]
    assert len(trial["clips"]) == 2
    clock.wait(trial["clips"][0]["seconds"])
    rater.post("api/event", {"kind": "ended", "trial": first_pair, "clip": 0})
    early = rater.raw("POST", "api/event", {"kind": "ended", "trial": first_pair, "clip": 1})
    assert early[0] == 423, "two clips take the time of two"
    assert rater.raw("POST", f"api/rate/{first_pair}", {"answers": answers_to(trial, 0)})[0] == 423
    clock.wait(trial["clips"][1]["seconds"])
    rater.post("api/event", {"kind": "ended", "trial": first_pair, "clip": 1})
    rater.post(f"api/rate/{first_pair}", {"answers": answers_to(trial, 0)})


def test_a_rater_comes_back_to_the_same_place(send, folder, clock):
    rater = ready(send, folder, "worker-17")
    finish(rater, 0, clock, 2)
    before = rater.state()
    later = sender(folder, clock)  # another process, another day
    assert later("GET", "/api/state", rater.token)[1] == before
    assert Caller(later, "worker-17", rater.key).token == rater.token
    assert Caller(later).token != rater.token


def test_a_name_alone_is_not_enough_to_get_its_seat(send, folder):
    rater = Caller(send, "worker-17")
    for body in ({}, {"key": "0" * 32}, {"key": ""}, {"key": Caller(send, "worker-18").key}):
        status, answer = send("POST", "/api/join", None, {"outside": "worker-17", **body})
        assert status == 403
        assert rater.token not in json.dumps(answer)
        assert send("GET", "/api/join?" + urlencode({"id": "worker-17", **body}), None)[0] == 403
    assert send("GET", f"/api/join?id=worker-17&key={rater.key}", None)[1] == {"known": True}
    assert send("GET", "/api/join?id=worker-19", None)[1] == {"known": False}


def test_one_name_written_in_two_normal_forms_is_one_person(send):
    rater = Caller(send, "Ren\u00e9")
    assert send("POST", "/api/join", None, {"outside": "Rene\u0301"})[0] == 403
    assert Caller(send, "Rene\u0301", rater.key).token == rater.token


def test_an_invited_study_lets_in_signed_links_alone(folder, capsys):
    from fastapi.testclient import TestClient

    client = TestClient(create_app(folder, signed_only=True))
    assert client.post("/api/join", json={}).status_code == 403
    assert client.post("/api/join", json={"outside": "anna"}).status_code == 403
    (folder / "names.txt").write_text("anna\nben smith\n\n", encoding="utf-8-sig")
    links = ["study", "links", str(folder), f"@{folder / 'names.txt'}", "-a", "https://x.org", "--json"]
    assert main(links) == 0
    made = json.loads(capsys.readouterr().out)["links"]
    assert list(made) == ["anna", "ben smith"]
    asked = {key: value[0] for key, value in parse_qs(urlsplit(made["ben smith"]).query).items()}
    first = client.post("/api/join", json={"outside": asked["id"], "key": asked["key"]})
    again = client.post("/api/join", json={"outside": asked["id"], "key": asked["key"]})
    assert first.status_code == again.status_code == 200
    assert first.json()["token"] == again.json()["token"]
    assert client.post("/api/join", json={"outside": "anna", "key": asked["key"]}).status_code == 403


def test_who_withdraws_is_forgotten(send, folder, clock, made):
    rater = ready(send, folder, "worker-20")
    finish(rater, 0, clock, 2)
    store = Ratings(folder, made[1].hash)
    assert len(store.ratings()) == 2
    rater.post("api/withdraw", None)
    assert store.ratings() == []
    assert store.events() == []
    assert store.raters()[0].outside is None
    assert store.raters()[0].withdrawn == clock()
    for path in ("api/state", "sound/0.wav?rater=" + rater.token):
        assert rater.raw("GET", path)[0] == 410
    assert rater.raw("POST", "api/rate/0", {"answers": {}})[0] == 410
    assert store.rate(0, 0, {"sync": 1}, 0.0) is False, "an answer under way is not kept either"
    store.note(0, 0, "play", 0.0)
    assert store.events() == []
    assert b"worker-20" not in b"".join(path.read_bytes() for path in folder.glob("ratings.sqlite*"))


def test_raters_learn_nothing_that_unblinds(send, folder):
    rater = ready(send, folder)
    shown = json.dumps(rater.state()) + json.dumps(rater.raw("GET", "api/study")[1])
    for secret in ("good", "late", "reference", "anchor", "catch", "duplicate", "main", "seed"):
        assert f'"{secret}"' not in shown
    for path in ("media/../study.json", "media/study.json", "assets/../server.py", "probe/7.mp4", "study.json"):
        assert rater.raw("GET", path)[0] in (404, 405)


def test_page_and_media_need_nothing_from_outside(send, folder):
    rater = ready(send, folder)
    for path in ("", "assets/study.css", "assets/study.js"):
        status, answer = rater.raw("GET", path)
        assert status == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"https?://", answer.text)
    url = rater.state()["trial"]["clips"][0]["url"]
    status, clip = rater.raw("GET", url)
    assert status == 200
    assert clip.headers["accept-ranges"] == "bytes"
    assert clip.headers["content-type"] == "video/mp4"


def test_the_left_or_right_sounds_are_on_one_side_alone():
    left = np.frombuffer(one_sided("left")[44:], "<i2").reshape(-1, 2)
    assert np.abs(left[:, 0]).max() > 3000
    assert (left[:, 1] == 0).all()


def test_twenty_at_once_get_twenty_seats(send, folder, made):
    with ThreadPoolExecutor(20) as pool:
        raters = list(pool.map(lambda _: Caller(send), range(20)))
        join = {"outside": "one person"}
        same = list(pool.map(lambda _: send("POST", "/api/join", None, join)[0], range(20)))
    assert len({r.token for r in raters}) == 20
    assert sorted(same) == [200] + [403] * 19
    assert [r.seat for r in Ratings(folder, made[1].hash).raters()] == list(range(21))


def test_many_threads_write_one_answer_once(folder, made):
    store = Ratings(folder, made[1].hash)
    rater = store.join(0.0)
    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(lambda v: store.rate(rater.seat, 0, {"sync": v % 5 + 1}, float(v)), range(64)))
    assert sum(first) == 1
    assert len(store.ratings()) == 1


def test_ratings_refuse_a_study_that_was_changed(folder, made):
    Ratings(folder, made[1].hash)
    with pytest.raises(PhonofilmError, match="another study"):
        Ratings(folder, "0" * 64)
    (folder / "ratings.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(PhonofilmError, match="cannot be used"):
        Ratings(folder, made[1].hash)


# ---------- results


def simulate(folder: Path, study, raters: int = 12, careless: int = 2) -> Ratings:
    """Ratings as people who see what is there would give: "late" is a point worse; the last few look away."""
    store, rng = Ratings(folder, study.hash), np.random.default_rng(0)
    worse = {"late": 1.2, "good": 0.3, "reference": 0.0}
    for seat in range(raters):
        rater, bad = store.join(float(seat)), seat >= raters - careless
        store.note(rater.seat, None, "headphones", 0.0, {"right": 4, "asked": 4})
        store.note(rater.seat, None, "latency", 0.0, {"latency": 0.04})
        for trial in study.trials(rater.seat):
            shown = [study.stimuli[i] for i in trial.stimuli]
            harm = [2.8 if s.kind == "catch" else worse.get(s.system, 1.5) for s in shown]
            if trial.role == "pair":
                gap = harm[1] - harm[0] + rng.normal(0, 0.8)
                given = {s.name: 0 if abs(gap) < 0.3 else int(np.sign(gap)) for s in study.pair_scales}
            elif bad:
                given = {s.name: 5 for s in study.scales}
            else:
                given = {s.name: int(np.clip(round(4.6 - harm[0] + rng.normal(0, 0.5)), 1, 5)) for s in study.scales}
            store.rate(rater.seat, trial.index, given, 1.0)
    return store


def test_the_analysis_finds_who_is_better_and_who_looked_away(folder, made):
    study = made[1]
    store = simulate(folder, study)
    values = {"late": 0.2, "good": 0.7, "reference": 0.9}
    metric = {"ours": {(s.system, s.item): values[s.system] for s in study.stimuli if s.system in values}}
    found = analyse(study, store.ratings(), store.events(), metric)
    assert found["counted"] == 10
    assert all("second off" in r["reasons"][0] for r in found["raters"][10:])
    opinions = found["opinions"]["sync"]
    assert opinions["late"]["value"] < opinions["good"]["value"] <= opinions["reference"]["value"] + 0.3
    row = next(
        d for d in found["differences"] if d["scale"] == "sync" and {d["first"], d["second"]} == {"good", "late"}
    )
    assert row["value"] > 0.4
    assert row["low"] < 0.9 < row["high"]
    assert found["preferences"]["sync"]["strengths"][1]["value"] < 0
    assert found["agreement"]["sync"]["value"] > 0.2
    assert next(r for r in found["metrics"] if r["scale"] == "sync")["clips"]["value"] > 0.5
    assert next(r for r in found["metrics"] if r["scale"] == "sync")["systems"] is None, "three systems are too few"
    assert json.loads(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headphones": 2}, "left from right"),
        ({"latency": 0.3}, "device delay"),
        ({"flat": True}, "same answer"),
        ({"most": 3}, "answered 3 of"),
        ({"apart": True}, "points apart"),
        ({}, None),
    ],
)
def test_each_rule_excludes_for_its_own_reason(folder, made, change, reason):
    study, store = made[1], Ratings(folder, made[1].hash)
    rater = store.join(0.0)
    store.note(0, None, "headphones", 0.0, {"right": change.get("headphones", 4), "asked": 4})
    store.note(0, None, "latency", 0.0, {"latency": change.get("latency", 0.0)})
    for trial in study.trials(rater.seat)[: change.get("most", 99)]:
        far = change.get("apart") and trial.role == "duplicate"
        first = 2 if change.get("flat") else 1 + trial.index % 2 + (3 if far else 0)
        if trial.role == "duplicate" and not far and not change.get("flat"):
            first = 1 + trial.repeats % 2
        names = study.pair_scales if trial.role == "pair" else study.scales
        store.rate(0, trial.index, {s.name: 0 if trial.role == "pair" else first for s in names}, 0.0)
    found = conduct(study, 0, store.ratings(), store.events())
    assert [reason in r for r in found.reasons] == ([True] if reason else [])


def test_the_report_is_one_file_with_all_of_it(folder, made, tmp_path, capsys):
    simulate(folder, made[1])
    with (tmp_path / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "clip", "DeSync"])
        writer.writerows([s.system, s.item, i / 9] for i, s in enumerate(made[1].stimuli) if s.kind == "system")
    page = tmp_path / "report.html"
    assert main(["study", "report", str(folder), "-o", str(page), "--metrics", str(tmp_path / "scores.csv")]) == 0
    text = page.read_text()
    assert not re.search(r"(src|href)=|https?://|@import|<script", text)
    assert text.count("<svg") == text.count("</svg>") >= 8
    for said in ("good − late", "DeSync", "took 1 of 1 clips a second off", made[1].hash, "Krippendorff", "Holm"):
        assert said in text
    assert "10 of 12 raters count" in capsys.readouterr().out
    raw = tmp_path / "raw.json"
    assert main(["study", "export", str(folder), "-o", str(raw)]) == 0
    everything = json.loads(raw.read_text())
    assert everything["hash"] == made[1].hash
    assert len(everything["ratings"]) == 12 * len(made[1].trials(0))
    assert "token" not in everything["raters"][0]


@pytest.mark.parametrize("command", ["new", "serve", "report", "export", "power", "distort"])
def test_help_shows_how(command):
    from typer.testing import CliRunner

    from phonofilm.app.cli.app import app

    shown = CliRunner().invoke(app, ["study", command, "--help"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    assert f"$ phonofilm study {command}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "nowhere", "-o", "s"], "folder nowhere does not exist"),
        (["new", "a=x", "a=y", "-o", "s"], "two systems"),
        (["new", "x", "-o", "s", "--rule", "catch=1"], "unknown setting rule catch"),
        (["serve", "nowhere"], "holds no study"),
        (["report", "nowhere", "-o", "r.html"], "holds no study"),
        (["power", "--systems", "1"], "it must be 2 or more"),
        (["distort", "a.mp4", "-o", "b.xyz", "--kind", "noise", "--level", "3"], "unknown output format"),
    ],
)
def test_bad_input_gets_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", *arguments]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_new_distort_and_power_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    films(Path("a"), items=("door",))
    films(Path("b"), items=("door",))
    assert main(["study", "new", "a", "B=b", "--likert", "2", "--rule", "catches_missed=1", "-o", "s", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["systems"] == ["a", "B"]
    assert json.loads(Path("s/study.json").read_text())["rules"]["catches_missed"] == 1
    assert main(["study", "report", "s", "-o", "r.html"]) == 1
    assert "nobody has rated" in capsys.readouterr().err
    assert main(["study", "distort", "a/door.mp4", "--kind", "audio-shift", "--level", "0.1", "-o", "d.mkv"]) == 0
    assert "audio-shift 0.1" in read_clip("d.mkv").metadata["distortion"]
    assert main(["study", "power", "--effect", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["needed"] > 2


# ---------- the real thing, killed


@pytest.mark.slow
def test_twenty_raters_at_once_lose_and_double_nothing_through_two_kills(folder, made, tmp_path_factory):
    study = made[1]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    server = Killable(folder, log)
    acknowledged: dict[tuple[int, int], dict] = {}
    try:
        with ThreadPoolExecutor(20) as pool:
            kills = threading.Thread(target=server.kill_twice, args=(folder, 60, 140))
            kills.start()
            list(pool.map(lambda number: people(server, folder, study, number, acknowledged), range(20)))
            kills.join()
    finally:
        server.stop()
    assert server.kills == 2
    kept = {(r.seat, r.trial): r.answers for r in Ratings(folder, study.hash).ratings()}
    assert len(kept) == 20 * len(study.trials(0))
    assert kept == acknowledged, "every acknowledged answer is there, as it was given, and no other"
    with sqlite3.connect(folder / "ratings.sqlite") as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


class Killable:
    """`phonofilm study serve`, killed without warning and started again."""

    def __init__(self, folder: Path, log: Path) -> None:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [
            sys.executable,
            "-m",
            "phonofilm.app.cli.main",
            "study",
            "serve",
            str(folder),
            "--port",
            str(self.port),
        ]
        self.log, self.kills = log, 0
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_twice(self, folder: Path, *after: int) -> None:
        for count in after:
            while stored(folder) < count:
                time.sleep(0.02)
            self.stop()
            self.kills += 1
            self.start()

    def send(self, method: str, path: str, token: str | None, body=None):
        """As the page does: again and again until there is an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"X-Rater": token} if token else {})
        for _ in range(2000):
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 429:
                        time.sleep(float(error.headers["Retry-After"]))
                        continue
                    return error.code, json.load(error)
            except (OSError, ValueError, EOFError):
                time.sleep(0.1)
            except Exception as error:  # the connection broke in the middle of an answer
                if "http.client" not in type(error).__module__:
                    raise
                time.sleep(0.1)
        raise AssertionError("the server did not come back")


def stored(folder: Path) -> int:
    try:
        store = sqlite3.connect(f"file:{folder / 'ratings.sqlite'}?mode=ro", uri=True, timeout=5)
        try:
            return store.execute("SELECT COUNT(*) FROM ratings").fetchone()[0]
        finally:
            store.close()
    except sqlite3.OperationalError:
        return 0


def people(server: Killable, folder: Path, study, number: int, acknowledged: dict) -> None:
    """One rater from the first page to the last."""
    rater = Caller(server.send, f"person {number}")
    flow = Flow.of(folder)
    me = flow.who(rater.token)
    while rater.state()["stage"] == "headphones":
        rater.post("api/headphones", {"heard": flow.sides(me)})
    if rater.state()["stage"] == "latency":
        rater.post("api/latency", {"offset": 40.0})
    while (state := rater.state())["stage"] != "done":
        trial = state["trial"]
        rater.play(trial, time.sleep)
        answers = answers_to(trial, me.seat)
        rater.post(f"api/rate/{trial['index']}", {"answers": answers})
        acknowledged[me.seat, trial["index"]] = answers
