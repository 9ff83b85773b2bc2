"""What all tests share: property tests are judged by what they find, never by how fast the machine is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("phonofilm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phonofilm")


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
