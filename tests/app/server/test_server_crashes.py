"""Killed at the worst moments and at any: no accepted job is lost, none is done twice, no file is half-written."""

from __future__ import annotations

import pytest
from crashes import SERVER_POINTS, WORKER_POINTS, Site, storm

from phonofilm.app.server.base.settings import Settings


def settings(folder, lease: float, **more) -> Settings:
    return Settings(folder, models={"fake": "fake"}, device="cpu", lease_seconds=lease, reserve=0, **more)


def test_killed_at_failpoints_nothing_is_lost(tmp_path):
    site = Site(settings(tmp_path / "data", 1, attempts=50), enough=1)
    storm(site, 14, 7, kills=1, freezes=1)
    assert site.frozen == 1
    assert sum(site.deaths.values()) >= 5, site.deaths


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_two_hundred_clients_two_thousand_jobs_and_every_kind_of_death(tmp_path):
    site = Site(settings(tmp_path / "data", 5, attempts=1000, queue=3000, per_key=3000), 4, looks=4, enough=6)
    killed = storm(site, 2000, 200, kills=66, freezes=3)
    print(dict(site.deaths), killed, site.frozen)
    at_random = sum(site.deaths[f"{kind} at random"] for kind in ("worker", "server"))
    assert at_random >= 60, site.deaths
    assert site.frozen >= 1
    for kind, points in (("worker", WORKER_POINTS), ("server", SERVER_POINTS)):
        assert all(site.deaths[f"{kind} {point}"] >= 5 for point in points), site.deaths
