"""The one family of errors a user is meant to read."""


class PhonofilmError(Exception):
    """Something the user can put right; its text is one line that says what is wrong and what to do."""


class Cancelled(PhonofilmError):
    """The job was stopped before it was done; nothing was left half-written."""


class Unwritable(PhonofilmError):
    """A file could not be written, as where the disk is full; another one of the same folder could not be either."""
