"""Libraries that load components speak only of what is wrong: progress and findings are reported by ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings of transformers and diffusers; both are as before afterwards."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    loggings = (diffusers_logging, transformers_logging)
    before = [logging.get_verbosity() for logging in loggings]
    shown = transformers_logging.is_progress_bar_enabled()
    for logging in loggings:
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging, verbosity in zip(loggings, before, strict=True):
            logging.set_verbosity(verbosity)
            if shown:
                logging.enable_progress_bar()
