"""What Prometheus reads: requests, jobs, workers and the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._seconds = Histogram(
            "phonofilm_request_seconds", "How long requests took.", labels, buckets=BUCKETS, registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note one request; a route is its pattern, so that there are only so many."""
        self._seconds.labels(method if method in METHODS else "other", route, str(status)).observe(seconds)

    def watch(self, jobs: Callable[[], dict[str, int]], workers: Callable[[], int], free: Callable[[], int]) -> None:
        """Ask these whenever somebody reads the metrics."""
        self.registry.register(_Asked(jobs, workers, free))

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)


METHODS = ("GET", "HEAD", "POST", "DELETE")


class _Asked(Collector):
    def __init__(self, jobs: Callable[[], dict[str, int]], workers: Callable[[], int], free: Callable[[], int]) -> None:
        self._jobs, self._workers, self._free = jobs, workers, free

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("phonofilm_jobs", "Jobs by status.", labels=["status"])
        for status, count in self._jobs().items():
            jobs.add_metric([status], count)
        yield jobs
        yield GaugeMetricFamily("phonofilm_workers", "Workers that live.", value=self._workers())
        yield GaugeMetricFamily("phonofilm_disk_free_bytes", "Free bytes where jobs are kept.", value=self._free())
