"""Damaged prompts, batches, recipes, manifests, studies and weights are read, or refused in one line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fuzz import records
from fuzz.runner import FINDINGS, READ, REFUSED, case, outcome_of

COUNT = 60


@pytest.mark.parametrize("name", records.NAMES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    """In this process: what is read here is quick, and cannot end it."""
    target, found, outcomes = records.target(name), [], Counter[str]()
    for number in range(COUNT):
        file, content = case(target, 1, number)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / file).write_bytes(content)
        outcome, said = outcome_of(target.use, folder / file)
        outcomes[outcome] += 1
        found += [(number, outcome, said)] if outcome in FINDINGS else []
    assert not found
    assert outcomes[REFUSED] > (0 if name == "batches" else COUNT // 4), "a batch reports its lines one by one"


@pytest.mark.parametrize("name", records.NAMES)
def test_undamaged_files_are_read(name: str, tmp_path: Path) -> None:
    target = records.target(name)
    for file, content in target.seeds.items():
        (tmp_path / file).write_bytes(content)
        outcome, said = outcome_of(target.use, tmp_path / file)
        needs_data = name == "recipes" and outcome == REFUSED
        assert outcome == READ or needs_data, (file, said)
