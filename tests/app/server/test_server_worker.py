"""The worker: jobs become files that are whole, a cancel is heard within a step, and what is lost is swept."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.server.base.files import Files
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.queue import Queue
from phonofilm.app.server.store.records import NewJob
from phonofilm.app.server.work import policy
from phonofilm.app.server.work.policy import Content, load_policies
from phonofilm.app.server.work.sweep import Sweeper
from phonofilm.app.server.work.watch import ORDER, SHARES, Watch, fraction
from phonofilm.app.server.work.worker import Worker
from phonofilm.backends.base import JobContext
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.media import probe, read_clip


def film_job(number: int = 0, task: str = "generate", inputs=None, **request) -> NewJob:
    values = {"prompt": "a ball", "seconds": 0.5, "size": 32, "task": task} | request
    spec = {"request": values, "inputs": inputs or {}}
    return NewJob(f"video_{number:032x}", "anna", "film", task, "fake", spec, prompt="a ball", seconds=0.5)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(tmp_path / "data", models={"fake": "fake"}, device="cpu", lease_seconds=5, drain_seconds=0.2)
    made.folder.mkdir()
    Database(made.database_url).migrate()
    return made


@pytest.fixture
def worker(settings: Settings) -> Worker:
    return Worker(settings, "w1")


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue(Database(settings.database_url), keep_seconds=settings.keep_seconds)


def do_next(worker: Worker) -> None:
    job = worker.claims.claim()
    assert job is not None
    worker.do(job)


def test_a_film_with_all_that_is_beside_it(settings, worker, queue):
    queue.accept(film_job())
    do_next(worker)
    job = queue.get(film_job().id)
    assert job.status == "completed", job.error_message
    assert job.seconds == 0.5
    names = {"video", "audio", "thumbnail", "spritesheet", "waveform", "stem-speech", "stem-effects", "stem-music"}
    assert set(job.result["files"]) == names | {"stem-mix", "stems"}
    folder = settings.folder / "results" / job.id / "1"
    assert {entry["name"] for entry in job.result["files"].values()} == {path.name for path in folder.iterdir()}
    for entry in job.result["files"].values():
        assert (folder / entry["name"]).stat().st_size == entry["bytes"] > 0
    assert probe(folder / "video.mp4").size == (32, 32)
    assert read_clip(folder / "audio.wav").seconds == pytest.approx(0.5, abs=0.05)
    shape = json.loads((folder / "waveform.json").read_text())
    assert len(shape["peaks"]) == 600
    assert 0 < max(shape["peaks"]) <= 100
    assert job.result["facts"]["events"][0]["kind"] == "flash"
    assert str(settings.folder) not in json.dumps(dict(job.result))
    assert not list(settings.scratch.glob("*/*")), "nothing is left in the worker's own folder"


def test_sound_alone(worker, queue):
    queue.accept(film_job(no=["video"]))
    do_next(worker)
    job = queue.get(film_job().id)
    assert job.status == "completed", job.error_message
    assert "video" not in job.result["files"]
    assert "audio" in job.result["files"]


def test_speech(worker, queue):
    spec = {"speech": {"input": "hello there", "voice": "fake"}}
    queue.accept(NewJob("speech_1", "anna", "speech", "speech", "speech", spec))
    do_next(worker)
    job = queue.get("speech_1")
    assert job.status == "completed", job.error_message
    assert [word["label"] for word in job.result["facts"]["events"]] == ["hello", "there"]


@pytest.mark.parametrize("task", ["foley", "extend", "retake", "soundtrack", "animate"])
def test_every_task_works_on_a_film(settings, worker, queue, task):
    queue.accept(film_job(0, seconds=1.0))
    do_next(worker)
    films = settings.folder / "results" / film_job().id / "1"
    given = settings.folder / "inputs" / film_job(1).id
    given.mkdir(parents=True)
    (given / "source.mp4").write_bytes((films / "video.mp4").read_bytes())
    more = {"retake": {"span": [0.2, 0.8]}, "extend": {"seconds": 0.5}}.get(task, {})
    request = {"prompt": "a ball", "source": None, "task": "foley" if task == "soundtrack" else task} | more
    spec = {"request": request, "inputs": {"source": "source.mp4"}}
    if task == "soundtrack":
        spec["soundtrack"] = {"effects": True, "say": ["hello@0.1"], "voices": ["fake"], "subtitles": True}
    kind = "soundtrack" if task == "soundtrack" else "film"
    queue.accept(NewJob(film_job(1).id, "anna", kind, task, "fake", spec))
    do_next(worker)
    job = queue.get(film_job(1).id)
    assert job.status == "completed", job.error_message
    assert job.seconds == pytest.approx(1.5 if task == "extend" else 1.0, abs=0.1)
    assert ("subtitles" in job.result["files"]) == (task == "soundtrack")


def test_what_is_not_possible_fails_with_its_cause_and_no_folder(settings, worker, queue):
    given = settings.folder / "inputs" / film_job().id
    given.mkdir(parents=True)
    (given / "source.mp4").write_bytes(b"no film at all")
    queue.accept(film_job(task="foley", inputs={"source": "source.mp4"}, seconds=None, size=None))
    do_next(worker)
    job = queue.get(film_job().id)
    assert (job.status, job.error_code) == ("failed", "not_possible")
    assert job.error_message.startswith("source.mp4 is not a film")


def test_a_fault_of_ours_says_nothing_of_the_inside(worker, queue, monkeypatch):
    def broken(*arguments, **more):
        raise KeyError("/secret/place")

    monkeypatch.setattr("phonofilm.app.server.work.making.run", broken)
    queue.accept(film_job())
    do_next(worker)
    job = queue.get(film_job().id)
    assert job.error_code == "server_error"
    assert "secret" not in job.error_message


@pytest.mark.parametrize("stage", ["text", "sampling", "decoding", "writing", "previews"])
def test_a_cancel_stops_within_one_step_of_any_stage(settings, worker, queue, monkeypatch, stage):
    queue.accept(film_job())
    told: list[str] = []
    original = Watch.progress

    def progress(self, name, done, total):
        original(self, name, done, total)
        told.append(name)
        if name == stage and told.count(stage) == 1:
            queue.cancel(film_job().id)
            time.sleep(0.03)

    monkeypatch.setattr(Watch, "progress", progress)
    do_next(worker)
    job = queue.get(film_job().id)
    assert (job.status, job.error_code) == ("failed", "cancelled")
    assert told[-1] == stage, "nothing was begun after the cancel"
    assert not (settings.folder / "results" / job.id).exists() or stage == "previews"
    queue.accept(film_job(1))
    do_next(worker)
    assert queue.get(film_job(1).id).status == "completed", "the slot is free again"


def test_a_worker_that_lost_its_lease_commits_nothing(settings, worker, queue, monkeypatch):
    queue.accept(film_job())
    other = Worker(settings, "w2")
    original = Worker._publish

    def stopped(self, job, made, context):
        result = original(self, job, made, context)
        if self is worker:  # as if it had been stopped for longer than its lease
            with self.claims.database.write() as connection:
                connection.exec_driver_sql("update jobs set lease_until = 0")
            do_next(other)
        return result

    monkeypatch.setattr(Worker, "_publish", stopped)
    do_next(worker)
    job = queue.get(film_job().id)
    assert (job.status, job.attempt, job.result["attempt"], job.worker) == ("completed", 2, 2, "w2")
    assert {path.name for path in (settings.folder / "results" / job.id).iterdir()} == {"2"}
    assert queue.used("anna") == 0.5


def test_a_worker_that_is_to_leave_gives_its_job_back(worker, queue, monkeypatch):
    queue.accept(film_job())

    def forever(request, path, context, pool):
        worker.stop()
        while True:
            context("sampling", 1, 10)
            time.sleep(0.01)

    monkeypatch.setattr("phonofilm.app.server.work.making.run", forever)
    worker.run()
    assert queue.get(film_job().id).status == "queued"


def test_a_worker_finishes_what_it_has_before_it_leaves(settings, queue):
    worker = Worker(replace(settings, drain_seconds=200), "w1")
    for number in range(3):
        queue.accept(film_job(number))
    original = worker.do

    def do(job):
        worker.stop()
        original(job)

    worker.do = do
    worker.run()
    assert queue.counts() == {"queued": 2, "in_progress": 0, "completed": 1, "failed": 0}


def test_a_lease_is_kept_while_the_work_lasts(settings, queue):
    worker = Worker(Settings.from_json(settings.to_json().replace('"lease_seconds": 5', '"lease_seconds": 0.4')), "w3")
    queue.accept(film_job())
    job = worker.claims.claim()
    with Watch(worker.claims, job, lambda: False) as watch:
        watch.progress("sampling", 5, 10)
        time.sleep(1.0)
        assert Worker(settings, "w4").claims.claim() is None
        assert not watch.cancel()
    seen = queue.get(job.id)
    assert 30 < seen.progress < 60
    assert seen.stage == "sampling"


def test_progress_only_grows_and_ends_below_one():
    reached = 0.0
    for stage in ORDER:
        for done in (0, 5, 10):
            now = fraction(stage, done, 10, reached)
            assert reached <= now <= 0.99
            reached = now
    assert set(ORDER) == set(SHARES)
    assert fraction("sampling", 0, 10, 0.7) == 0.7
    assert fraction("unknown", 5, 10, 0.3) == 0.3


def test_policies_see_the_words_before_and_the_film_after(worker, queue):
    seen: list[Content] = []

    def judge(content: Content) -> str | None:
        seen.append(content)
        if content.film is not None and content.moment == "after":
            assert content.film.exists()
        return "not this" if "forbidden" in content.text else None

    worker.maker = type(worker.maker)(worker.maker.models, "cpu", worker.maker.pool, (judge,))
    queue.accept(film_job())
    do_next(worker)
    assert [content.moment for content in seen] == ["before", "after"]
    queue.accept(film_job(1, say=["something forbidden"], voices=["fake"]))
    do_next(worker)
    job = queue.get(film_job(1).id)
    assert (job.error_code, job.error_message) == ("content_policy_violation", "not this")


def test_a_policy_is_an_entry_point_and_must_be_there(monkeypatch):
    class Entry:
        name = "mine"

        def load(self):
            return judge

    def judge(content):
        return None

    monkeypatch.setattr(policy, "entry_points", lambda group: [Entry()])
    assert load_policies(None) == (judge,)
    assert load_policies(()) == ()
    with pytest.raises(PhonofilmError, match="other"):
        load_policies(("other",))


def test_sweeping_removes_what_nobody_needs_and_nothing_else(settings, worker, queue):
    queue.accept(film_job())
    do_next(worker)
    results, inputs = settings.folder / "results", settings.folder / "inputs"
    for place in (results / film_job().id / "0", results / "video_gone" / "1", inputs / "video_gone"):
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x")
    dead = settings.scratch / "dead"
    dead.mkdir(parents=True)
    files = Files(settings.files_url)
    Sweeper(queue, files, settings.scratch).sweep()
    assert {path.name for path in (results / film_job().id).iterdir()} == {"1"}
    assert not (results / "video_gone").exists()
    assert (inputs / "video_gone").exists(), "its request may still be arriving"
    later = time.time() + 4000
    Sweeper(queue, files, settings.scratch, clock=lambda: later).sweep()
    assert not (inputs / "video_gone").exists()
    assert not dead.exists()
    assert queue.get(film_job().id) is not None
    after = time.time() + 31 * 86400
    late = Queue(queue.database, keep_seconds=settings.keep_seconds, clock=lambda: after)
    assert Sweeper(late, files, settings.scratch, clock=lambda: after).sweep()["expired"] == 1
    assert queue.get(film_job().id) is None
    assert not (results / film_job().id).exists()


def test_files_elsewhere(tmp_path):
    files = Files("memory://phonofilm")
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 10)
    assert files.put(tmp_path / "a.bin", "results", "job", "1", "a.bin") == 2560
    assert files.size("results", "job", "1", "a.bin") == 2560
    assert b"".join(files.read(255, 258, "results", "job", "1", "a.bin")) == bytes([255, 0, 1])
    files.copy(("results", "job", "1", "a.bin"), ("inputs", "other", "a.bin"))
    assert files.local(tmp_path, "inputs", "other", "a.bin").read_bytes()[:3] == b"\0\1\2"
    assert set(files.folders("results")) == {"job"}
    files.remove("results", "job")
    files.remove("results", "job")
    assert files.size("results", "job", "1", "a.bin") is None
    for wrong in ("..", "a/b", "", "a\0", "."):
        with pytest.raises(PhonofilmError):
            files.size("results", wrong)
    with pytest.raises(PhonofilmError, match="--files"):
        Files("nonsense://x")


def test_cancelled_is_heard_while_waiting_for_nothing(settings, worker, queue):
    queue.accept(film_job())
    job = worker.claims.claim()
    with Watch(worker.claims, job, lambda: False) as watch:
        threading.Timer(0.05, queue.cancel, (job.id,)).start()
        until = time.monotonic() + 5
        while not watch.cancel() and time.monotonic() < until:
            time.sleep(0.005)
        assert watch.lost


@pytest.mark.parametrize("stage", ["sampling", "decoding", "writing"])
def test_our_own_model_stops_within_one_step_too(tiny_model, tmp_path, stage):
    """Cancelled in the midst of a stage: one more question of the same stage would be one step too many."""
    asked: list[str] = []
    now = [""]

    def progress(name: str, done: int, total: int) -> None:
        now[0] = name

    def cancel() -> bool:
        asked.append(now[0])
        return asked.count(stage) >= 2

    spec = RequestSpec.from_json({"prompt": "a ball", "model": str(tiny_model), "steps": 3, "seconds": 1.5})
    with pytest.raises(Cancelled):
        run(spec, tmp_path / "film.mp4", JobContext(progress, cancel), BackendPool())
    assert asked.count(stage) == 2
    assert not list(tmp_path.iterdir()), "nothing half-written is left"
