"""A scene family of one's own: the file and the line that docs/extending.md shows, put into a copy of the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import phonofilm
from phonofilm import world
from phonofilm.errors import PhonofilmError

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## A scene family") :]
FILE = re.search("```python\n(.*?)```", SECTION, re.DOTALL)[1]
LINE = re.search(r'`("bell": "bell")`', SECTION)[1]
USED = """
import sys
import numpy as np
from phonofilm import world
from phonofilm.app.cli.main import main
from phonofilm.evaluation.foley_world.audio_events import onsets
from phonofilm.media import read_clip

truths = [world.sample("bell", seed, 2.0) for seed in range(2)]
for truth, clip in zip(truths, world.clips(truths, 32, 12), strict=True):
    heard = [onset.time for onset in onsets(clip.waveform, clip.sample_rate)]
    strokes = [event.time for event in truth.events]
    assert len(heard) == len(strokes) >= 2, (heard, strokes)
    assert np.abs(np.subtract(heard, strokes)).max() < 0.03
    assert np.abs(np.diff(clip.frames.astype(int), axis=0)).max() > 50
before = world.sample("talk", 3).caption
assert before == sys.argv[2], "the scenes of another family have changed"
assert main(["world", "bell", "-n", "1", "--seconds", "1", "--size", "32", "--mp4", "-o", sys.argv[1]]) in (0, None)
"""


@pytest.fixture
def copy(tmp_path) -> Path:
    """The package with a world of its own; all else is linked."""
    source, package = Path(phonofilm.__file__).parent, tmp_path / "copy" / "phonofilm"
    package.mkdir(parents=True)
    for path in source.iterdir():
        if path.name == "world":
            shutil.copytree(path, package / "world", ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    return package


def test_a_family_is_added_by_one_file_and_one_line(copy, tmp_path):
    (copy / "world" / "families" / "bell.py").write_text(FILE)
    registry = copy / "world" / "__init__.py"
    text = registry.read_text()
    assert text.count('"talk": "talk"}') == 1
    registry.write_text(text.replace('"talk": "talk"}', f'"talk": "talk", {LINE}}}'))
    expected = world.sample("talk", 3).caption
    done = subprocess.run(
        [sys.executable, "-c", USED, str(tmp_path / "bells"), expected],
        env={"PYTHONPATH": str(copy.parent), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in (tmp_path / "bells").glob("*.mp4")] == ["bell-000000-32x32-12fps-1s.mp4"]


def test_a_family_without_lit_scenes_says_so(monkeypatch):
    from phonofilm.world.scenes import scene

    monkeypatch.delitem(scene.MADE, "rain")
    with pytest.raises(PhonofilmError, match="rain has no scenes of edition 2; choose edition 1, or bounce"):
        world.sample("rain", 0, edition=2)
