"""What a thread that loads does not hear, another one does; and afterwards all is as before."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest

from phonofilm.quiet import quiet


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    from transformers.utils import logging as theirs

    theirs.get_verbosity()
    logger, stream = logging.getLogger("transformers"), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_silence_is_a_threads_own(heard):
    from transformers.utils import logging as theirs

    logger, before = logging.getLogger("transformers.some"), (theirs.get_verbosity(), theirs.is_progress_bar_enabled())

    def elsewhere() -> None:
        logger.warning("from another thread")

    with quiet("transformers"):
        logger.warning("from this thread")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert not theirs.is_progress_bar_enabled()
        with quiet("transformers"):
            pass
        assert not theirs.is_progress_bar_enabled()
        logger.warning("still from this thread")
    logger.warning("afterwards")
    assert heard.getvalue().splitlines() == ["from another thread", "afterwards"]
    assert (theirs.get_verbosity(), theirs.is_progress_bar_enabled()) == before
