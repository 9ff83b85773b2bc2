"""Killed at the worst moments and at any: no accepted job is lost, none is done twice, no file is half-written."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest
from crashes import SERVER_POINTS, WORKER_POINTS, Site, check

from phonofilm.app.server.base.settings import Settings

LEASE = 1.0


def settings(folder, **more) -> Settings:
    return Settings(folder, models={"fake": "fake"}, device="cpu", lease_seconds=LEASE, attempts=50, reserve=0, **more)


def test_killed_at_failpoints_nothing_is_lost(tmp_path):
    site = Site(settings(tmp_path / "data"))
    site.start(with_failpoints=True)
    try:
        accepted = site.clients(14, 7)
        site.wait_for_hooks(14)
    finally:
        site.stop()
    assert sum(site.deaths.values()) >= 4, site.deaths
    check(site, accepted)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_clients_two_thousand_jobs_and_every_kind_of_death(tmp_path):
    site = Site(settings(tmp_path / "data", queue=3000, per_key=3000), workers=4)
    site.start(with_failpoints=True)
    done = threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        moments = random.Random(0)
        while not done.wait(moments.uniform(0.5, 4)):
            site.kill(moments)
            killed += 1

    def freeze() -> None:
        """One worker is stopped for longer than its lease, and then goes on."""
        time.sleep(5)
        process = site.processes["worker0"]
        try:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(3 * LEASE)
            os.kill(process.pid, signal.SIGCONT)
        except ProcessLookupError:
            return

    threads = [threading.Thread(target=kill), threading.Thread(target=freeze)]
    for thread in threads:
        thread.start()
    try:
        accepted = site.clients(2000, 200)
        site.wait_for_hooks(2000, 600)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        site.stop()
    print(site.deaths, killed)
    assert killed >= 60
    assert all(site.deaths[point] >= 5 for point in (*WORKER_POINTS, *SERVER_POINTS)), site.deaths
    check(site, accepted)
