"""The auxiliary loss that asks the picture's tokens for the sound: what it weighs, and that it leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from test_training_stems import latents, recipe

from phonofilm.errors import PhonofilmError
from phonofilm.training.loop import fit
from phonofilm.training.tasks.alignment import AlignmentConfig, SoundFromPicture
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Latents

__all__ = ["latents"]


def levels(video: float, audio: float) -> Latents:
    return Latents(torch.full((2, 1, 1, 1, 1), video), torch.full((2, 3, 1, 1), audio))


def with_alignment(latents: Path, output: Path, **changes: Any) -> dict[str, Any]:
    return {**recipe(latents, output), "alignment": {"weight": 0.5, "blocks": [0, 1], "hidden": 16, **changes}}


def test_what_is_seen_and_not_yet_heard_counts() -> None:
    torch.manual_seed(0)
    part = SoundFromPicture(AlignmentConfig(0.5, (0,), 16), 8, stems=3, channels=4, steps=2)
    tokens, clean = [torch.randn(2, 3 * 4, 8)], torch.randn(2, 3, 4, 5)
    full = part.loss(tokens, clean, levels(0.0, 1.0), [0, 1, 2])
    assert full > 0.5
    torch.testing.assert_close(part.loss(tokens, clean, levels(0.5, 1.0), [0, 1, 2]), full / 2)
    torch.testing.assert_close(part.loss(tokens, clean, levels(0.0, 0.5), [0, 1, 2]), full / 4)
    assert part.loss(tokens, clean, levels(1.0, 1.0), [0, 1, 2]) == 0


def test_it_is_asked_for_the_stems_that_are_there_at_their_moments() -> None:
    """A head that says what it sees makes no error exactly where stems and time steps match."""
    part = SoundFromPicture(AlignmentConfig(0.5, (0,), 16), 12, stems=3, channels=2, steps=2)
    part.heads[0] = torch.nn.Identity()
    clean = torch.randn(2, 3, 2, 5)
    padded = torch.cat([torch.zeros(2, 3, 2, 1), clean], -1)
    tokens = padded.reshape(2, 3, 2, 3, 2).permute(0, 3, 1, 2, 4).reshape(2, 3, 12)
    places = tokens.repeat_interleave(4, 1)
    assert part.loss([places], clean, levels(0.0, 1.0), [0, 1, 2]) == 0
    assert part.loss([places], clean[:, [0, 2]], levels(0.0, 1.0), [0, 2]) == 0
    assert part.loss([places], clean[:, [0, 1]], levels(0.0, 1.0), [0, 2]) > 0.1
    assert part.loss([places.roll(4, 1)], clean, levels(0.0, 1.0), [0, 1, 2]) > 0.1


def test_it_is_learnt_and_leaves_no_trace_in_the_weights(latents: Path, tmp_path: Path) -> None:
    task = make_task(with_alignment(latents, tmp_path / "run"))
    path = fit(task)
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert '"validation/foley_alignment"' in log
    assert '"validation/late_audio"' in log
    with safe_open(path, "pt") as file:
        assert not [name for name in file.keys() if "alignment" in name]  # noqa: SIM118

    # weights that never had it, nor an entry, are begun with
    values = with_alignment(latents, tmp_path / "again")
    values["model"]["video"]["entry"] = [4, 4, 4]
    values["run"] |= {"init": str(path), "steps": 2}
    again = fit(make_task(values))
    with safe_open(again, "pt") as file:
        assert "video.entry.leave.weight" in file.keys()  # noqa: SIM118


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"blocks": [5]}, "name blocks from 0 to 1"), ({"blocks": []}, "name blocks from 0 to 1")],
)
def test_blocks_there_are_not(latents: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PhonofilmError, match=said):
        make_task(with_alignment(latents, tmp_path / "run", **changes))


def test_one_stream_has_nothing_to_align(latents: Path, tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="both streams"):
        make_task({**with_alignment(latents, tmp_path / "run"), "streams": "video"})


def test_a_late_picture_is_the_same_picture_a_second_later(latents: Path, tmp_path: Path) -> None:
    task: Any = make_task(recipe(latents, tmp_path / "run"))
    video = torch.arange(25.0).view(1, 1, 25, 1, 1)
    late = task._late(video).flatten()
    assert late[0] == 0
    assert late[1:13].tolist() == list(range(13, 25))
    assert late[13:].tolist() == list(range(1, 13))
