"""Loaded models, shared by threads: each is loaded once, and each device does one job at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phonofilm.backends.base import Backend, JobContext
from phonofilm.backends.registry import load
from phonofilm.device import pick_device

WAIT_SECONDS = 0.1
"""A job that waits for its device looks this often whether it was cancelled."""


@dataclass(frozen=True)
class Loading:
    """A model and what it is loaded with: equal ones are the same loaded model.

    Attributes:
        options: of `backends.load`, as pairs.
    """

    model: str = "nano"
    device: str = "auto"
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def without_loras(self) -> Loading:
        """The same without adapters, which a model may exchange while it stays loaded."""
        return Loading(self.model, self.device, tuple(pair for pair in self.options if pair[0] != "loras"))


class BackendPool:
    """Loaded models by device.

    Args:
        keep: models that stay loaded on a device; the one that was used longest ago goes first.
    """

    def __init__(self, keep: int = 1) -> None:
        self.keep = keep
        self._guard = threading.Lock()
        self._workers: dict[str, threading.Lock] = {}
        self._loaded: dict[str, OrderedDict[Loading, Backend]] = {}

    @contextmanager
    def use(self, loading: Loading, job: JobContext) -> Iterator[Backend]:
        """A loaded model, alone on its device until the block ends.

        Raises:
            PhonofilmError: no such model or device.
            Cancelled: the job was cancelled while it waited for the device.
        """
        job("loading", 0, 1)
        place = pick_device(loading.device)
        device = f"{place.type}:{place.index or 0}"
        with self._guard:
            worker = self._workers.setdefault(device, threading.Lock())
            loaded = self._loaded.setdefault(device, OrderedDict())
        while not worker.acquire(timeout=WAIT_SECONDS):
            job("waiting", 0, 1)
        try:
            yield self._of(loaded, loading)
        finally:
            worker.release()

    def _of(self, loaded: OrderedDict[Loading, Backend], loading: Loading) -> Backend:
        if loading not in loaded and not _swapped(loaded, loading):
            while len(loaded) >= self.keep:  # before the next one needs its memory
                loaded.popitem(last=False)
            loaded[loading] = load(loading.model, device=loading.device, **dict(loading.options))
        loaded.move_to_end(loading)
        return loaded[loading]


def _swapped(loaded: OrderedDict[Loading, Backend], loading: Loading) -> bool:
    """Whether a loaded model only had to exchange its adapters to be the one that is meant."""
    for other, backend in loaded.items():
        swap = getattr(backend, "with_loras", None)
        if swap is not None and other.without_loras == loading.without_loras:
            loaded[loading] = swap(dict(loading.options).get("loras", ()))
            del loaded[other]
            return True
    return False
