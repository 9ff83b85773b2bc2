"""The one family of errors a user is meant to read, and how a program outside the command line ends with one."""

import sys
from collections.abc import Callable


class PhonofilmError(Exception):
    """Something the user can put right; its text is one line that says what is wrong and what to do."""


class Cancelled(PhonofilmError):
    """The job was stopped before it was done; nothing was left half-written."""


class Unwritable(PhonofilmError):
    """A file could not be written, as where the disk is full; another one of the same folder could not be either."""


def exit_code(job: Callable[[], object], stopped: Callable[[], str]) -> int:
    """Do a job and return the exit code: 0; 1 where it failed, with one line on standard error; 130 where Ctrl-C
    stopped it, with the line that `stopped` gives.
    """
    try:
        job()
    except PhonofilmError as error:
        print(f"phonofilm: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"phonofilm: stopped; {stopped()}", file=sys.stderr)
        return 130
    return 0
