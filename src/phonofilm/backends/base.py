"""The interface of every model, and what a job reports to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from phonofilm.errors import Cancelled
from phonofilm.types import Clip, Progress, Request

Cancel = Callable[[], bool]
"""Asked between steps; True stops the job."""


@runtime_checkable
class Backend(Protocol):
    """A model that is ready to work."""

    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """Do one job; `request` is a `Request`, or a prompt with fields of `Request` as keywords.

        What the user should know about the result (a size made by resizing, a prompt far from what the
        model knows) stands in `metadata["notices"]`, one line each.

        Raises:
            PhonofilmError: a request that makes no sense.
            Cancelled: `cancel` said so.
        """

    def check(self, request: Request) -> None:
        """Refuse what this model cannot do, before anything is computed.

        Raises:
            PhonofilmError: with what is wrong and what to do.
        """


class JobContext:
    """The job's line to whoever waits for it: it reports progress and notices, and hears of a cancel."""

    def __init__(
        self,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.progress, self.cancel, self.tell = progress, cancel, tell
        self.notices: list[str] = []

    def check(self) -> None:
        """Go on only if the job is still wanted.

        Raises:
            Cancelled: it is not.
        """
        if self.cancel is not None and self.cancel():
            raise Cancelled("cancelled; nothing was written")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report a step.

        Raises:
            Cancelled: the job is no longer wanted.
        """
        self.check()
        if self.progress is not None:
            self.progress(stage, done, total)

    def within(self, stage: str, part: int, parts: int) -> Callable[[int, int], None]:
        """Progress of one of several equal parts of a stage, as (done, total) of that part."""
        return lambda done, total: self(stage, part * total + done, parts * total)

    def warn(self, line: str) -> None:
        """Note what the user should know, once; `tell` is told at once."""
        if line not in self.notices:
            self.notices.append(line)
            if self.tell is not None:
                self.tell(line)
