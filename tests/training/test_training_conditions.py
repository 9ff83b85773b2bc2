"""Conditions: measured in training, learnt, given under guidance; and a new one, added as docs/extending.md shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_stems import generator, latents, recipe

import phonofilm
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import Denoiser, Guidance, Guided
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Latents, Text

__all__ = ["latents"]
PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## A condition") :]
FILE = re.search("```python\n(.*?)```", SECTION, re.DOTALL)[1]  # type: ignore[index]
USED = """
import json, sys, torch
from phonofilm.training.tasks.base import make_task
task = make_task(json.loads(sys.argv[1]))
model = task.build()
batch = task.read([2, 3, 4, 5])
torch.nn.init.normal_(model.audio.out.weight, std=0.1)
loss, _ = task.loss(model, batch, torch.Generator().manual_seed(0))
loss.backward()
layer = model.audio.token_conditions["onsets"]
assert layer.weight.shape[1] == 1 and layer.weight.grad.abs().max() > 0
"""


def test_a_condition_is_learnt_and_steers_every_pass_of_guidance(latents: Path, tmp_path: Path) -> None:
    task: Any = make_task(recipe(latents, tmp_path / "run") | {"conditions": ["motion"], "without_conditions": 0.0})
    torch.manual_seed(0)
    model = task.build()
    batch = task.read([2, 3, 4, 5])
    told: list[Any] = []

    def network(*arguments: Any, **options: Any) -> Latents:
        told.append(options["conditions"]["motion"])
        return model(*arguments, **options)

    torch.nn.init.normal_(model.video.out.weight, std=0.1)
    task.loss(network, batch, generator())[0].backward()
    video = batch["video"].float()
    expected = (video[:, :, 1:] - video[:, :, :-1]).abs().mean((1, 2, 3, 4))
    torch.testing.assert_close(told[0], expected[:, None, None])
    layer = model.video.modulation_conditions["motion"]
    assert layer.weight.grad.abs().max() > 0
    torch.nn.init.normal_(layer.weight)
    told.clear()
    clean, text, _ = task._inputs(batch)
    sigma = Latents(torch.ones(4, 1, 1, 1, 1), torch.ones(4, 1, 1, 1))

    def sampled(value: float) -> Latents:
        options = {"conditions": {"motion": torch.full((4, 1, 1), value)}}
        text_away = Text(text.states * 0, text.mask)
        steer = Guided(Denoiser(network), text, text_away, task.positions, Guidance((2.0, 2.0)), options)
        with torch.no_grad():
            return steer(clean, sigma)

    still, moving = sampled(0.0), sampled(3.0)
    assert [len(value) for value in told] == [8, 8]
    assert (still.video - moving.video).abs().max() > 1e-3


def test_batches_without_conditions_are_trained_too(latents: Path, tmp_path: Path) -> None:
    task: Any = make_task(recipe(latents, tmp_path / "run") | {"conditions": ["motion"], "without_conditions": 0.5})
    seen = []

    def network(x: Any, *_: Any, **options: Any) -> Any:
        seen.append("conditions" in options)
        return x

    for seed in range(40):
        task.loss(network, task.read([2, 3]), generator(seed))
    assert 8 < sum(seen) < 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conditions": ["chess"]}, "there is no condition 'chess'; choose from motion"),
        ({"conditions": ["motion", "motion"]}, "condition motion is named twice"),
    ],
)
def test_conditions_that_cannot_be(latents: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PhonofilmError, match=message):
        make_task(recipe(latents, tmp_path / "run") | change)


def test_a_condition_is_added_by_one_file_and_one_line(latents: Path, tmp_path: Path) -> None:
    import json

    source, package = Path(phonofilm.__file__).parent, tmp_path / "copy" / "phonofilm"
    package.mkdir(parents=True)
    for path in source.iterdir():
        if path.name == "training":
            shutil.copytree(path, package / "training", ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    folder = package / "training" / "conditions"
    (folder / "onsets.py").write_text(FILE)
    registry = folder / "registry.py"
    text = registry.read_text()
    assert text.count("    MOTION,\n") == 1
    text = text.replace("    MOTION,\n", "    MOTION,\n    ONSETS,\n")
    line = "from phonofilm.training.conditions.motion import MOTION\n"
    registry.write_text(text.replace(line, line + "from phonofilm.training.conditions.onsets import ONSETS\n"))
    values = recipe(latents, tmp_path / "run") | {"conditions": ["onsets"], "without_conditions": 0.0}
    done = subprocess.run(
        [sys.executable, "-c", USED, json.dumps(values)],
        env={"PYTHONPATH": str(package.parent), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
