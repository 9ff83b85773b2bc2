"""The store: one schema on two databases, claims with a fence, and nothing accepted that is lost or done twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from phonofilm.app.server.store.claims import Claims, forget_workers, living, release
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.deliveries import PAUSES, Deliveries
from phonofilm.app.server.store.keys import Keys
from phonofilm.app.server.store.queue import KeyReused, Queue, QueueFull
from phonofilm.app.server.store.records import Limits, NewJob
from phonofilm.app.server.store.schema import metadata
from phonofilm.errors import PhonofilmError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def new(number: int = 0, owner: str = "anna", **more) -> NewJob:
    values = {"kind": "film", "task": "generate", "model": "fake", "spec": {"request": {"prompt": "a ball"}}}
    return NewJob(id=f"video_{number:032x}", owner=owner, **values | more)


def test_migrations_go_forward_and_back_and_end_at_the_schema(store):
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    Queue(store).accept(new())
    store.migrate("0001")
    with store.read() as connection:
        assert "notices" not in {column["name"] for column in inspect(connection).get_columns("jobs")}
    store.migrate()
    assert Queue(store).get(new().id).notices == ()
    store.migrate("base")
    with store.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    store.migrate()


def test_a_store_of_a_newer_version_is_refused(database):
    with database.write() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(PhonofilmError, match="newer"):
        database.migrate()


def test_sqlite_is_on_disk_when_it_says_so(database):
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db", "mongodb://x/y"])
def test_a_store_that_cannot_be_is_one_clear_line(url):
    with pytest.raises(PhonofilmError):
        Database(url)


def test_a_file_that_is_no_store_is_one_clear_line(tmp_path: Path):
    (tmp_path / "x.db").write_bytes(b"no database at all, but text " * 100)
    with pytest.raises(PhonofilmError, match="not a database"):
        Database(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_job_from_acceptance_to_its_end(store):
    clock = Clock()
    queue, claims = Queue(store, clock=clock), Claims(store, "w1", clock=clock, keep_seconds=100)
    job = queue.accept(new(webhook="https://example.org/hook"))
    assert (job.status, job.attempt, job.progress) == ("queued", 0, 0)
    mine = claims.claim()
    assert (mine.id, mine.attempt, mine.status, mine.worker) == (job.id, 1, "in_progress", "w1")
    assert claims.claim() is None
    assert claims.renew(mine, 40, "sampling", 3.0)
    seen = queue.get(job.id)
    assert (seen.progress, seen.stage, seen.seconds_left) == (40, "sampling", 3.0)
    assert claims.complete(mine, {"files": ["video.mp4"]}, 4.0, ["it is a ball"])
    done = queue.get(job.id)
    assert (done.status, done.progress, done.seconds, done.notices) == ("completed", 100, 4.0, ("it is a ball",))
    assert done.expires_at == clock.now + 100
    assert queue.used("anna") == 4.0
    assert not claims.complete(mine, {}, 4.0), "an end is committed once"
    assert queue.used("anna") == 4.0
    owed = Deliveries(store, clock).next()
    assert (owed.kind, owed.job) == ("video.completed", job.id)


def test_priority_goes_first_then_age(store):
    queue, claims = Queue(store), Claims(store, "w1")
    for number, priority in enumerate((0, 1, 0, 1)):
        queue.accept(new(number, priority=priority))
    assert queue.ahead_of(queue.get(new(2).id)) == 3
    assert [claims.claim().id for _ in range(4)] == [new(n).id for n in (1, 3, 0, 2)]


def test_who_lost_the_lease_can_change_nothing(store):
    clock = Clock()
    first, second = (Claims(store, name, lease_seconds=10, clock=clock) for name in ("w1", "w2"))
    queue = Queue(store, clock=clock)
    queue.accept(new())
    old = first.claim()
    clock.now += 9
    assert second.claim() is None
    clock.now += 2
    taken = second.claim()
    assert (taken.id, taken.attempt, taken.worker) == (old.id, 2, "w2")
    assert not first.renew(old, 50, None, None)
    assert not first.wanted(old)
    assert not first.complete(old, {}, 1.0)
    assert not first.fail(old, ("x", "y"))
    assert not first.give_back(old)
    assert second.complete(taken, {"n": 1}, 1.0)
    assert queue.get(old.id).result == {"n": 1}
    assert queue.used("anna") == 1.0


def test_a_job_that_kills_its_workers_is_given_up(store):
    clock = Clock()
    claims, queue = Claims(store, "w1", lease_seconds=1, attempts=3, clock=clock), Queue(store, clock=clock)
    queue.accept(new())
    for attempt in (1, 2, 3):
        assert claims.claim().attempt == attempt
        clock.now += 2
    assert claims.claim() is None
    assert queue.get(new().id).error_code == "worker_died"


def test_a_dead_worker_is_released_at_once_and_a_leaving_one_gives_back(store):
    claims, other = Claims(store, "w1"), Claims(store, "w2")
    Queue(store).accept(new())
    claims.live()
    mine = claims.claim()
    assert set(living(store, 0)) == {"w1"}
    release(store, "w1")
    assert living(store, 0) == {}
    again = other.claim()
    assert again.attempt == 2
    assert not claims.wanted(mine)
    assert other.give_back(again)
    assert Queue(store).get(mine.id).status == "queued"
    assert other.claim().attempt == 2, "a job that is given back loses no attempt"
    other.live()
    forget_workers(store, 0)
    assert set(living(store, 0)) == {"w2"}


def test_cancelling(store):
    queue, claims = Queue(store), Claims(store, "w1")
    waits = queue.accept(new(0, webhook="https://example.org/"))
    assert queue.cancel(waits.id, "ben") is None, "of another owner"
    assert queue.cancel(waits.id, "anna").error_code == "cancelled"
    queue.accept(new(1))
    mine = claims.claim()
    assert claims.wanted(mine)
    queue.cancel(mine.id)
    assert not claims.wanted(mine)
    assert not claims.complete(mine, {}, 1.0), "what was cancelled is not completed"
    assert claims.fail(mine, ("other", "thing"))
    assert queue.get(mine.id).error_code == "cancelled"
    assert queue.cancel(mine.id).status == "failed"
    owed = Deliveries(store).next()
    assert (owed.kind, owed.job) == ("video.failed", waits.id)


def test_cancelled_by_a_worker_that_died_ends_too(store):
    clock = Clock()
    queue, claims = Queue(store, clock=clock), Claims(store, "w1", clock=clock)
    queue.accept(new())
    claims.claim()
    queue.cancel(new().id)
    clock.now += 100
    assert claims.claim() is None
    assert queue.get(new().id).error_code == "cancelled"


def test_erasing_takes_a_job_from_who_does_it(store):
    queue, claims = Queue(store), Claims(store, "w1")
    queue.accept(new())
    mine = claims.claim()
    assert not queue.erase(mine.id, "ben")
    assert queue.erase(mine.id, "anna")
    assert not queue.erase(mine.id, "anna")
    assert not claims.wanted(mine)
    assert not claims.complete(mine, {}, 1.0)
    assert queue.used("anna") == 0


def test_an_idempotency_key_is_one_job(store):
    queue = Queue(store)
    first = queue.accept(new(0), "key", "hash")
    assert queue.accept(new(1), "key", "hash").id == first.id
    assert queue.get(new(1).id) is None
    with pytest.raises(KeyReused):
        queue.accept(new(2), "key", "other")
    assert queue.accept(new(3, owner="ben"), "key", "other").id == new(3).id, "keys are an owner's own"
    queue.erase(first.id)
    with pytest.raises(KeyReused, match="erased"):
        queue.accept(new(4), "key", "hash")
    assert Queue(store, clock=lambda: 9e9).forget_keys(10) == 1


def test_many_at_once_with_one_key_make_one_job(store):
    queue, gate = Queue(store), threading.Barrier(8)

    def ask(number: int) -> str:
        gate.wait()
        return queue.accept(new(number), "key", "hash").id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert sum(queue.counts().values()) == 1


def test_many_workers_share_jobs_without_doubling_any(store):
    queue = Queue(store)
    for number in range(40):
        queue.accept(new(number))
    gate = threading.Barrier(6)

    def work(name: int) -> list[str]:
        claims, done = Claims(store, f"w{name}"), []
        gate.wait()
        while (job := claims.claim()) is not None:
            assert claims.complete(job, {}, 0.5)
            done.append(job.id)
        return done

    with ThreadPoolExecutor(6) as pool:
        done = [id for found in pool.map(work, range(6)) for id in found]
    assert sorted(done) == sorted(new(number).id for number in range(40))
    assert queue.counts()["completed"] == 40
    assert queue.used("anna") == 20


def test_a_full_queue_refuses(store):
    queue = Queue(store, Limits(queue=3, per_owner=2))
    queue.accept(new(0))
    queue.accept(new(1))
    with pytest.raises(QueueFull, match="2 jobs"):
        queue.accept(new(2))
    queue.accept(new(3, owner="ben"))
    with pytest.raises(QueueFull, match="full"):
        queue.accept(new(4, owner="cleo"))
    queue.cancel(new(0).id)
    queue.accept(new(5))


def test_lists_go_by_pages(store):
    queue = Queue(store)
    for number in range(5):
        queue.accept(new(number))
    queue.accept(new(9, owner="ben"))
    first, more = queue.list("anna", limit=3)
    assert ([job.id for job in first], more) == ([new(n).id for n in (4, 3, 2)], True)
    rest, more = queue.list("anna", after=first[-1].id, limit=3)
    assert ([job.id for job in rest], more) == ([new(n).id for n in (1, 0)], False)
    assert [job.id for job in queue.list("anna", newest_first=False, after=new(3).id)[0]] == [new(4).id]
    assert queue.list("anna", after=new(9).id) == ([], False), "another one's job is no place in the list"
    assert len(queue.list(None)[0]) == 6


def test_what_is_over_its_time_is_told(store):
    clock = Clock()
    queue, claims = Queue(store, clock=clock), Claims(store, "w1", clock=clock, keep_seconds=50)
    queue.accept(new())
    claims.complete(claims.claim(), {}, 1.0)
    clock.now += 49
    assert queue.expired() == []
    clock.now += 2
    assert queue.expired() == [new().id]


def test_webhooks_are_tried_until_they_are_taken_or_given_up(store):
    clock = Clock()
    queue, owed = Queue(store, clock=clock), Deliveries(store, clock)
    job = queue.accept(new(webhook="https://example.org/"))
    assert not owed.waiting()
    queue.cancel(job.id)
    ids = set()
    for tries, pause in enumerate((*PAUSES, None), 1):
        assert owed.waiting()
        one = owed.next()
        ids.add(one.id)
        assert one.tries == tries
        assert owed.next() is None, "it is with somebody"
        assert owed.refused(one) == (pause is not None)
        clock.now += (pause or 1) + 1
    assert len(ids) == 1
    assert not owed.waiting()
    queue.cancel(queue.accept(replace(new(1), webhook="https://example.org/")).id)
    one = owed.next()
    clock.now += 61  # who had it died
    assert owed.next().id == one.id
    owed.taken(one)
    clock.now += 1000
    assert not owed.waiting()
    owed.forget(10)


def test_keys(store):
    keys = Keys(store)
    assert not keys.any()
    key, made = keys.make("anna's laptop")
    assert keys.check(key).id == made.id
    assert keys.check(key).scopes == {"read", "write"}
    for wrong in ("", "pf_", key[:-1], key[:-1] + "!", "pf_000000000000_" + key[-43:], key.upper(), "é" * 60):
        assert keys.check(wrong) is None
    with store.read() as connection:
        stored = str(list(connection.execute(text("select * from keys"))))
    assert key.split("_", 2)[2] not in stored, "only a hash is kept"
    keys.revoke(made.id)
    assert keys.check(key) is None
    assert keys.named(made.id) is None
    assert not keys.any()
    for wrong in ((), ("everything",)):
        with pytest.raises(PhonofilmError):
            keys.make("x", wrong)
    with pytest.raises(PhonofilmError):
        keys.revoke("nobody")
