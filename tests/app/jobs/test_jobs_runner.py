"""A job without a terminal: progress, cancellation, and models that threads share."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from phonofilm import Cancelled, PhonofilmError, Request
from phonofilm.app.jobs import pool as pools
from phonofilm.app.jobs.pool import BackendPool, Loading
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.backends.base import JobContext
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.registry import load
from phonofilm.media import read_clip


def spec(**fields) -> RequestSpec:
    return RequestSpec.from_json({"prompt": "a ball", "model": "fake", "device": "cpu", "seconds": 0.5, **fields})


def test_a_job_becomes_a_file_and_the_facts_about_it(tmp_path):
    stages: list[str] = []
    facts = run(spec(), tmp_path / "a.mp4", JobContext(lambda stage, done, total: stages.append(stage)))
    assert (facts["path"], facts["frames"], facts["prompt"]) == (str(tmp_path / "a.mp4"), 6, "a ball")
    assert list(dict.fromkeys(stages)) == ["loading", "text", "sampling", "decoding", "marking", "writing"]
    again = run(Request("a ball", seconds=0.5, model="fake"), tmp_path / "b.mp4")
    one, two = (read_clip(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.waveform, two.waveform)
    assert again["samples"] == facts["samples"]


def test_every_task_runs(tmp_path):
    source = run(spec(seconds=1.0), tmp_path / "source.mp4")["path"]
    for fields in ({"task": "foley"}, {"task": "animate"}, {"task": "extend"}, {"task": "retake", "span": [0, 0.5]}):
        facts = run(spec(source=source, **fields), tmp_path / f"{fields['task']}.mkv")
        assert facts["frames"] == (18 if fields["task"] == "extend" else 12)


def test_notices_reach_the_job(tmp_path, monkeypatch):
    made = FakeBackend.generate

    def noted(self, *arguments, **fields):
        clip = made(self, *arguments, **fields)
        return clip.with_(metadata={**clip.metadata, "notices": "one\ntwo"})

    monkeypatch.setattr(FakeBackend, "generate", noted)
    told: list[str] = []
    job = JobContext(tell=told.append)
    run(spec(), tmp_path / "a.mp4", job)
    assert told == job.notices == ["one", "two"]


def test_what_is_left_out_or_beyond_the_end_is_told(tmp_path):
    told: list[str] = []
    run(spec(), tmp_path / "a.gif", JobContext(tell=told.append))
    assert [line for line in told if "holds no sound" in line]
    source = run(spec(seconds=1.0), tmp_path / "source.mp4")["path"]
    for end, said in ((0.9, False), (1.0, False), (1.6, True)):
        told.clear()
        facts = run(
            spec(source=source, task="retake", span=[0.2, end]), tmp_path / "again.mkv", JobContext(tell=told.append)
        )
        assert facts["seconds"] == 1.0
        assert any("the clip ends at 1.00 s, before 1.6 s" in line for line in told) == said


def test_a_clip_without_sound_or_picture_is_told_to_get_none(tmp_path):
    told: list[str] = []
    silent = run(spec(only="video"), tmp_path / "silent.mp4")["path"]
    heard = run(spec(only="audio"), tmp_path / "heard.wav")["path"]
    tasks = ({"task": "retake", "span": [0, 0.4]}, {"task": "extend"})
    for fields in tasks:
        for source, said in ((silent, "no sound, and gets none"), (heard, "no picture, and gets none")):
            told.clear()
            facts = run(
                spec(source=source, **fields), tmp_path / f"again{Path(source).suffix}", JobContext(tell=told.append)
            )
            assert [line for line in told if said in line], (fields, told)
            assert ("frames" in facts, "samples" in facts) == (source == silent, source == heard)
    told.clear()
    run(
        spec(source=silent, task="retake", span=[0, 0.4], only="video"),
        tmp_path / "b.mp4",
        JobContext(tell=told.append),
    )
    assert not [line for line in told if "gets none" in line], "it was not asked for"


def test_a_cancelled_job_stops_within_one_evaluation_and_writes_nothing(tmp_path, tiny_model):
    seen: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "sampling":
            seen.append(done)

    job = JobContext(progress, lambda: bool(seen) and seen[-1] >= 3)
    with pytest.raises(Cancelled):
        run(spec(model=str(tiny_model), steps=50), tmp_path / "a.mp4", job)
    assert max(seen) <= 4
    assert list(tmp_path.iterdir()) == []


def test_two_threads_load_one_model_once_and_take_turns(tmp_path, monkeypatch):
    loads: list[str] = []
    working, most = [0], [0]
    made = FakeBackend.generate

    def slow_load(model, **options):
        loads.append(model)
        time.sleep(0.1)
        return load(model, **options)

    def counted(self, *arguments, **fields):
        working[0] += 1
        most[0] = max(most[0], working[0])
        time.sleep(0.02)
        clip = made(self, *arguments, **fields)
        working[0] -= 1
        return clip

    monkeypatch.setattr(pools, "load", slow_load)
    monkeypatch.setattr(FakeBackend, "generate", counted)
    pool = BackendPool()
    paths = [tmp_path / f"{number}.mp4" for number in range(4)]
    threads = [threading.Thread(target=run, args=(spec(seed=3, sign=False), path, None, pool)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["fake"]
    assert most == [1]
    assert len({path.read_bytes() for path in paths}) == 1
    assert read_clip(paths[0]).frames is not None


def test_a_job_that_waits_for_its_device_can_be_cancelled():
    pool, waiting, stopped = BackendPool(), Loading("fake", "cpu"), threading.Event()
    told: list[str] = []

    def wait() -> None:
        job = JobContext(lambda stage, done, total: told.append(stage), lambda: "waiting" in told)
        with pytest.raises(Cancelled), pool.use(waiting, job):
            raise AssertionError("it was never its turn")
        stopped.set()

    with pool.use(waiting, JobContext()):
        thread = threading.Thread(target=wait)
        thread.start()
        assert stopped.wait(10)
    thread.join()
    with pool.use(waiting, JobContext()) as backend:  # the device is free again
        assert isinstance(backend, FakeBackend)


def test_a_pool_keeps_the_models_used_last(monkeypatch):
    loads: list[tuple] = []
    monkeypatch.setattr(pools, "load", lambda model, device, **options: loads.append((device, options)) or object())
    pool, job = BackendPool(keep=2), JobContext()
    one, two, three = (Loading("fake", "cpu", (("number", n),)) for n in range(3))
    for loading in (one, two, one, three, one, two):
        with pool.use(loading, job):
            pass
    assert [options["number"] for _, options in loads] == [0, 1, 2, 1]


def test_a_model_that_cannot_be_loaded_frees_its_device(tmp_path):
    pool = BackendPool()
    with pytest.raises(PhonofilmError, match="no model 'nona'"):
        run(spec(model="nona"), tmp_path / "a.mp4", None, pool)
    assert run(spec(), Path(tmp_path / "a.mp4"), None, pool)["frames"] == 6
