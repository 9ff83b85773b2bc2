"""Many writers of one store: each gets its turn, whoever is killed leaves nothing locked, and a wait has an end."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import insert
from studio import FILM, Studio
from writers import count, count_in, die, number_in

from phonofilm.app.server.store import database as module
from phonofilm.app.server.store.database import Database, StoreAwayError
from phonofilm.app.server.store.schema import workers
from phonofilm.app.server.store.turns import Turns
from phonofilm.app.server.work import supervisor, worker
from phonofilm.errors import PhonofilmError

FORK = multiprocessing.get_context("forkserver")  # no lock of a thread of this process is inherited
FORK.set_forkserver_preload(["phonofilm.app.server.store.database", "pytest"])
WRITERS, WRITES, KILLED = 3, 60, 3


@pytest.fixture
def counter(database: Database) -> Database:
    with database.write() as connection:
        connection.execute(insert(workers).values(id="one", host="here", pid=0, started_at=0.0, seen_at=0.0))
    return database


def test_writers_of_several_processes_all_have_their_turn_and_killed_ones_leave_nothing_locked(counter, tmp_path):
    url = f"sqlite:///{tmp_path / 'phonofilm.db'}"
    processes = [FORK.Process(target=count, args=(url, WRITES), daemon=True) for _ in range(WRITERS)]
    for process in processes:
        process.start()
    for _ in range(KILLED):
        killed = FORK.Process(target=die, args=(url,), daemon=True)
        killed.start()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * WRITERS
    assert number_in(counter) == WRITERS * WRITES


def test_threads_of_one_process_write_one_after_the_other(counter):
    threads = [threading.Thread(target=count_in, args=(counter, 5)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number_in(counter) == 200


def test_a_turn_goes_to_whoever_waits_longest_and_past_whoever_left():
    turns, order = Turns(), []
    assert turns.take(0)
    assert not turns.take(0.01), "held by somebody, and the one who did not wait is forgotten"

    def wait(number: int) -> None:
        assert turns.take(30)
        order.append(number)
        turns.give()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number:
            time.sleep(0.001)
    turns.give()
    for thread in threads:
        thread.join()
    assert order == list(range(5))
    assert turns.take(0), "free again"


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A server with a job, whose store somebody else keeps busy until told."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(worker, "AWAY", 0.01)
    studio = Studio(tmp_path / "data")
    film = studio.client.post("/v1/videos", json=FILM).json()["id"]
    other = Database(studio.settings.database_url)
    held = other.write()
    held.__enter__()
    yield studio, film, held
    other.close()


def test_a_busy_store_is_said_in_words_and_readers_do_not_wait(locked):
    studio, film, held = locked
    answer = studio.client.post("/v1/videos", json=FILM)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "try again" in answer.json()["error"]["message"]
    assert studio.client.get(f"/v1/videos/{film}").json()["status"] == "queued"
    with pytest.raises(PhonofilmError, match="try again"):
        Database(studio.settings.database_url).migrate()
    held.__exit__(None, None, None)
    assert studio.client.post("/v1/videos", json=FILM).status_code == 200


def test_a_worker_outlives_a_busy_store_and_its_job_is_done_once(locked):
    studio, film, held = locked
    with pytest.raises(StoreAwayError):
        studio.worker.step()
    running = threading.Thread(target=studio.worker.run)
    running.start()
    time.sleep(0.2)
    assert running.is_alive()
    held.__exit__(None, None, None)
    while studio.client.get(f"/v1/videos/{film}").json()["status"] != "completed":
        time.sleep(0.02)
    studio.worker.stop()
    running.join()
    assert studio.client.get(f"/v1/videos/{film}/content").status_code == 200


def test_the_end_of_a_job_is_told_again_until_the_store_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "AWAY", 0.01)
    studio = Studio(tmp_path / "data")
    film = studio.client.post("/v1/videos", json=FILM).json()["id"]
    complete, tries = type(studio.worker.claims).complete, []

    def away_twice(claims, *rest):
        tries.append(rest)
        if len(tries) < 3:
            raise StoreAwayError("the store is busy")
        return complete(claims, *rest)

    monkeypatch.setattr(type(studio.worker.claims), "complete", away_twice)
    studio.work()
    assert len(tries) == 3
    found = studio.client.get(f"/v1/videos/{film}").json()
    assert (found["status"], found["progress"]) == ("completed", 100)
    assert studio.client.get(f"/v1/videos/{film}/content").status_code == 200


def test_a_dead_worker_is_begun_again_though_the_store_cannot_be_told(tmp_path, monkeypatch):
    begun = []

    class Dead:
        """A process that has ended at once."""

        def __init__(self, command, **rest) -> None:
            begun.append(command)
            if len(begun) == 3:
                keeper._stop.set()

        def wait(self) -> int:
            return 1

    def away(*_):
        raise StoreAwayError("the store is busy")

    monkeypatch.setattr(supervisor.subprocess, "Popen", Dead)
    monkeypatch.setattr(supervisor, "release", away)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.01)
    keeper = supervisor.Supervisor(Studio(tmp_path / "data").settings, None)
    keeper._keep(0)
    assert len(begun) == 3
