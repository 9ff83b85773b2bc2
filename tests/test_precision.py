"""bfloat16 is chosen where it is native, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from phonofilm import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_autocast_follows_the_hardware_unless_told_otherwise(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda device: native)
    weight = torch.ones(2, 2)
    for enabled, expected in ((None, native), (True, True), (False, False)):
        with precision.autocast(CPU, enabled):
            assert ((weight @ weight).dtype == torch.bfloat16) is expected


def test_a_cpu_without_the_instructions_or_the_question_is_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not precision.native_bfloat16(CPU)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert precision.native_bfloat16(CPU)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert not precision.native_bfloat16(CPU)
