"""`phonofilm`: arguments in, one job done, one clear line when it cannot be."""

from __future__ import annotations

import errno
import io
import signal
import sys
import traceback
from collections.abc import Sequence

from phonofilm.app.session import Session, drop_untold
from phonofilm.errors import Cancelled, PhonofilmError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0, 1 failed, 2 misused, 130 interrupted)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    session = Session()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    with session.interruptible():
        try:
            code = _run(session, arguments)
            print(end="", flush=True)  # here a full disk is still an error like any other
        except KeyboardInterrupt:
            return _stopped(session)
        except BaseException as error:
            if session.cancelled():  # a library turned the interrupt into an error of its own
                return _stopped(session)
            if hasattr(error, "format_message"):  # the parser's own errors
                _obey_flags(session, arguments)
            return _failed(session, error)
        return _stopped(session) if session.cancelled() or code == INTERRUPTED else code


def _run(session: Session, arguments: list[str]) -> int:
    from typer.main import get_command

    from phonofilm.app.cli.app import app

    result = get_command(app).main(arguments, prog_name="phonofilm", standalone_mode=False, obj=session)
    return result if isinstance(result, int) else 0


def _obey_flags(session: Session, arguments: list[str]) -> None:
    """A command line that could not be parsed still says whether it wants its error as JSON."""
    from typer.main import get_command

    from phonofilm.app.cli.app import app
    from phonofilm.app.cli.common.command import flags_in

    flags = flags_in(get_command(app), arguments)
    session.json |= "--json" in flags
    session.debug |= "--debug" in flags


def _stopped(session: Session) -> int:
    return session.fail("interrupted; nothing was left half-written", 128 + (session.signal or signal.SIGINT))


def _failed(session: Session, error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if session.debug:
        traceback.print_exception(error)
    if isinstance(error, PhonofilmError):
        return session.fail(str(error), INTERRUPTED if isinstance(error, Cancelled) else FAILED)
    if hasattr(error, "format_message"):
        return session.fail(_misuse(error), MISUSED)
    if isinstance(error, OSError):
        drop_untold()
        # a broken pipe is a reader who has gone, and needs no telling
        return FAILED if isinstance(error, BrokenPipeError) else session.fail(_trouble(error), FAILED)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return session.fail("there is not enough memory; ask for a shorter or smaller clip, or --device cpu", FAILED)
    return session.fail(
        f"internal error, {type(error).__name__}: {error}; run again with --debug and report what it shows", FAILED
    )


def _misuse(error: BaseException) -> str:
    message = error.format_message().strip().rstrip(".") or "Missing command"  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path if context else 'phonofilm'} --help"


def _trouble(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and try again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}{where}; choose another place"
    return f"{error.strerror or error}{where}"


if __name__ == "__main__":
    sys.exit(main())
