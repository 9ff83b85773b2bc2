"""The wheel, in a clean environment outside the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "scripts" / "check_wheel.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_wheel_generates_in_a_clean_environment(tmp_path):
    done = subprocess.run([sys.executable, CHECK], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clip.mp4: 4.00 s" in done.stdout
    assert list(tmp_path.iterdir()) == []
