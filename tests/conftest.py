"""What all tests share: property tests are judged by what they find, never by how fast the machine is."""

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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the weights of a tiny untrained model."""
    from tiny_models import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))
