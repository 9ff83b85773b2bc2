"""Where bfloat16 is worth it: in hardware it doubles the speed, emulated it costs a multiple of float32."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def native_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX on a CPU)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # private, but the only way to ask; without it the answer is the one that is never slow
        asks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(bool(ask()) for ask in asks if ask is not None)
    return False


def autocast(device: torch.device, enabled: bool | None = None) -> AbstractContextManager[object]:
    """Autocast to bfloat16; None enables it where it is native."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=native_bfloat16(device) if enabled is None else enabled)
