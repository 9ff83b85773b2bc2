"""A published LTX-2 in miniature, written once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_ltx2 import save_tiny_ltx2

pytest.importorskip("diffusers", reason="public models need the extra: pip install -e '.[public]'")


@pytest.fixture(scope="session")
def tiny_ltx2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_ltx2(tmp_path_factory.mktemp("tiny-ltx2"))


@pytest.fixture(scope="session")
def tiny_ltx2_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_ltx2(tmp_path_factory.mktemp("tiny-ltx2_3"), "ltx2_3")
