"""What one thread makes another takes: in order, never more than may wait, with its error, and without hanging."""

from __future__ import annotations

import itertools
import threading

import pytest

from phonofilm.streaming.control import Control
from phonofilm.streaming.handing import handed


def test_all_comes_in_order_and_the_error_after_it() -> None:
    def made():
        yield from range(5)
        raise ValueError("no more")

    taken = []
    with pytest.raises(ValueError, match="no more"), handed(made, Control("a ball"), 2, "made") as ready:
        taken.extend(ready)
    assert taken == list(range(5))


def test_who_makes_waits_for_who_takes_and_ends_with_the_block() -> None:
    made: list[int] = []

    def endless():
        for number in itertools.count():
            made.append(number)
            yield number

    with handed(endless, Control("a ball"), 3, "an endless one") as ready:
        assert next(iter(ready)) == 0
        first = ready.take()
    assert first == 1
    assert len(made) <= 6, "two that were taken, three that wait, and one that is given"
    assert not [thread for thread in threading.enumerate() if thread.name == "an endless one"]


def test_a_film_that_is_stopped_takes_nothing_more() -> None:
    control = Control("a ball")
    with handed(lambda: iter(range(3)), control, 5, "made") as ready:
        control.stop()
        assert ready.take() is None


def test_a_thread_that_waits_for_ever_is_left_behind_if_asked() -> None:
    never = threading.Event()

    def stuck():
        never.wait()
        yield 1

    with handed(stuck, Control("a ball"), 1, "stuck", join=False):
        pass
    never.set()
