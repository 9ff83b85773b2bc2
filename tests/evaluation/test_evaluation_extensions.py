"""A metric of one's own: one file, one entry point, and `evaluate` offers it."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.extensions import GROUP, extensions
from phonofilm.evaluation.features.feature import Feature
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.suite.registry import METRICS, Metric, choose, metrics
from phonofilm.evaluation.suite.sample import mean_of

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SOURCE = re.search("```python\n(.*?)```", PAGE, re.DOTALL)[1]
"""The example of the documentation is what is tested."""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that offers what its source says."""

    def install(source, name="brightness"):
        (tmp_path / "shiny.py").write_text(source)
        info = tmp_path / "shiny-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = shiny:{name}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        extensions.cache_clear()

    yield install
    extensions.cache_clear()
    sys.modules.pop("shiny", None)


def test_an_installed_metric_is_offered_and_measured(package):
    package(SOURCE)
    (metric,) = choose(names=("Brightness",))
    assert metric.package == "shiny"
    assert metric in choose("full")
    assert metric not in choose("quick")
    assert metric.failure == "—"

    class Film:
        frames = np.full((2, 4, 4, 3), 51, np.uint8)

    assert float(catalogue()["brightness"].load(None)(Film)["value"]) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import numpy as np", "import numpy_ as np"), "of the package shiny cannot be loaded: No module named"),
        (('name="brightness"', 'name="loudness"'), "there is one already"),
        (('features=("brightness",)', 'features=("shine",)'), "needs a feature shine"),
        (('Feature("brightness"', 'Feature("levels"'), "a feature called levels"),
    ],
)
def test_a_broken_package_is_named(package, change, message):
    package(SOURCE.replace(*change))
    with pytest.raises(PhonofilmError, match=message):
        assert [metric for metric in metrics() if metric.features in catalogue()]


def test_without_packages_there_are_ours_alone():
    extensions.cache_clear()
    assert metrics() == METRICS
    assert all(isinstance(metric, Metric) for metric in METRICS)
    for metric in METRICS:
        assert set(metric.features) <= catalogue().keys(), metric.name
    assert all(isinstance(feature, Feature) for feature in catalogue().values())
    assert mean_of(lambda sample: 2.0)(None) == (2.0, 1.0)
