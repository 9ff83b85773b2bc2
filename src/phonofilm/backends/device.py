"""Where a model computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phonofilm.choices import DEVICES
from phonofilm.errors import PhonofilmError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """A torch device from its name, checked to be there.

    Raises:
        PhonofilmError: unknown, or not on this machine.
    """
    import torch

    if name.split(":")[0] not in DEVICES:
        raise PhonofilmError(f"unknown device {name!r}; choose one of {', '.join(DEVICES)}")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, found in there.items() if found))
    if not there[name.split(":")[0]]:
        raise PhonofilmError(f"there is no {name} device for torch on this machine; use --device cpu, or auto")
    return torch.device(name)
