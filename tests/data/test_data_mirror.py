"""Clips in a mirror: picture, ears and words turn together, and twice turned is as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from phonofilm.data.clips import RawStore
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.data.mirror import Mirrored, mirrored_record, mirrored_text
from phonofilm.data.precompute import main
from phonofilm.types import Event


@pytest.fixture
def store(tmp_path: Path) -> RawStore:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 255, (3, 4, 6, 8, 3), generator=generator, dtype=torch.uint8)
    sound = torch.randn(3, 2, 100, generator=generator)
    stems = torch.randn(3, 3, 2, 100, generator=generator)
    tensors = {"frames": frames, "waveform": sound.half(), "stems": stems.half()}
    save_file(tensors, tmp_path / "clips-00000.safetensors")
    event = Event(0.5, "impact", (0.1, 0.2, 0.3, 0.4), -0.4)
    said = {"effects": "A car passes on the left."}
    records = [
        ClipRecord(row, "clips-00000.safetensors", row, kind, row, "On the left, a cat.", (event,), {"said": said})
        for row, kind in enumerate(("bounce", "strike", "talk"))
    ]
    write_manifest(tmp_path / "manifest.jsonl", records)
    (tmp_path / "store.json").write_text(json.dumps({"fps": "12", "sample_rate": 24_000}))
    return RawStore(tmp_path)


def test_picture_ears_and_words_turn_together(store: RawStore) -> None:
    mirrored = Mirrored.of(store, without=("strike",))
    assert len(mirrored) == 2
    assert [mirrored.family(row) for row in range(2)] == ["bounce", "talk"]
    clips, before = mirrored.read([0, 1]), store.read([0, 2])
    assert torch.equal(clips.frames[:, :, :, 0], before.frames[:, :, :, -1])
    assert torch.equal(clips.waveform[:, 0], before.waveform[:, 1])
    assert torch.equal(mirrored.stem_window(1)[:, 1], store.stem_window(2)[:, 0])
    assert torch.equal(mirrored.window(1, 1, 3), clips.frames[1, 1:3])
    record = clips.records[0]
    assert record.caption == "On the right, a cat."
    assert record.params["said"]["effects"] == "A car passes on the right."
    assert record.events[0].pan == 0.4
    assert record.events[0].box == pytest.approx((0.7, 0.2, 0.9, 0.4))
    assert mirrored.digest() != store.digest()
    assert [Mirrored.of(store, skip=1).family(row) for row in range(2)] == ["strike", "talk"]


def test_twice_turned_is_as_before(store: RawStore) -> None:
    record = store.records[0]
    twice = mirrored_record(mirrored_record(record))
    assert twice.caption == record.caption
    assert twice.params == record.params
    assert twice.events[0].box == pytest.approx(record.events[0].box)


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("From left to right, a car.", "From right to left, a car."),
        ('Left, a man says "Turn left, right?" Right.', 'Right, a man says "Turn left, right?" Left.'),
        ("A bright, leftover light.", "A bright, leftover light."),
    ],
)
def test_words_for_sides(text: str, turned: str) -> None:
    assert mirrored_text(text) == turned


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--world", "bounce", "-n", "1", "--mirror"], "--mirror needs --raw"),
        (["--raw", "r", "--without", "x"], "--without"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], said: str, tmp_path: Path, capsys) -> None:
    assert main(["latents", *options, "-o", str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
