"""What all tests share: property tests are judged by what they find, never by how fast the machine is."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("phonofilm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phonofilm")

# A script's background processes ignore SIGINT, and so do theirs; Ctrl-C is to be tested there too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_fetched_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What somebody fetched to this machine changes no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHONOFILM_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Certificate, key of watermarks and log of the tests are their own, for the processes that they start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHONOFILM_HOME", str(tmp_path_factory.mktemp("installation")))
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the weights of a tiny untrained model."""
    from tiny_models import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_stems_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the weights of a tiny untrained model that keeps speech, effects and music apart."""
    from tiny_models import save_tiny_stems_model

    return save_tiny_stems_model(tmp_path_factory.mktemp("stems"))


ALLOWED_SKIPS = (
    r"needs \.\./shared beside the project",
    r"needs shared/parity/\w+\.json beside the project",
    r"\w+\.npz is larger than a fixture: it is read from \w+/ beside the project",
    r"needs Chromium and its driver: .*",
    r"needs /dev/full.*",
    r"needs groups of processes",
    r"needs a GPU.*",
    r"needs Linux.*",
)
"""Reasons for which a test may be skipped; any other skip fails the run, so that nothing goes untested unnoticed."""

unexpected_skips: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not any(re.fullmatch(allowed, reason) for allowed in ALLOWED_SKIPS):
        unexpected_skips.append(f"{report.nodeid}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if unexpected_skips:
        terminalreporter.section("skipped for a reason that is not allowed (tests/conftest.py)", red=True)
        for line in unexpected_skips:
            terminalreporter.line(line)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if unexpected_skips and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
