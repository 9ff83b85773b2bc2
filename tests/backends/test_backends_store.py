"""Latents on disk: what an earlier run sampled is taken up again, and what is not of today's layout is not."""

from __future__ import annotations

import torch

from phonofilm.backends.published.store import Store
from phonofilm.checkpoint import save_tensors
from phonofilm.types import Latents


def test_windows_are_kept_by_job_and_files_of_other_layouts_count_as_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path))
    store, latents = Store.of("a job"), Latents(torch.randn(1, 4, 2, 3, 3), torch.randn(1, 1, 4, 5))
    assert store.load(0) is None
    store.save(0, latents)
    found = Store.of("a job").load(0)
    assert found is not None
    assert torch.equal(found.video, latents.video)
    assert torch.equal(found.audio, latents.audio)
    assert Store.of("another job").load(0) is None
    assert latents.audio is not None
    save_tensors(store.path(1), {"audio": latents.audio[:, 0]})  # before sound had stems
    assert store.load(1) is None
    store.path(2).write_bytes(b"damaged")
    assert store.load(2) is None
