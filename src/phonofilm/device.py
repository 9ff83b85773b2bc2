"""Where to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phonofilm.choices import DEVICES
from phonofilm.errors import PhonofilmError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto", automatic: tuple[str, ...] = ("cuda", "mps", "cpu")) -> torch.device:
    """A torch device from its name, as "cpu", "cuda:1" or "auto", checked to be there.

    Args:
        automatic: the kinds that "auto" takes the first of that is there.

    Raises:
        PhonofilmError: unknown, or not on this machine.
    """
    import torch

    if name.split(":")[0] not in DEVICES:
        raise PhonofilmError(f"unknown device {name!r}; choose one of {', '.join(DEVICES)}")
    if name == "auto":
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        return torch.device(next(kind for kind in automatic if there[kind]))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # torch raises RuntimeError for a number that is too high, AssertionError in a build without CUDA, and
    # NotImplementedError in one without MPS
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PhonofilmError(f"this machine has no device {name!r} for torch; choose cpu or auto") from error
    return device
