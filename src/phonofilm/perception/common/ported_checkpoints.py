"""Published checkpoints into our own classes: strictly by name and shape; entries that are no tensors are ignored."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError

WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "generator")
PREFIXES = ("module.",)


class Published(Protocol):
    """A network that published checkpoints load into.

    Attributes:
        ignored: prefixes of keys that a published file may hold and the port has no use for.
    """

    ignored: ClassVar[tuple[str, ...]]


Network = TypeVar("Network", bound=nn.Module)


def load(cls: type[Network], path: str | Path, device: str | torch.device = "cpu", config: Any = None) -> Network:
    """Build `cls` with the weights of a published file (.safetensors, or .pt/.pth read as tensors only).

    Raises:
        PhonofilmError: the file is missing or damaged, or holds another network's weights.
    """
    return build(cls, read_state(path), device, config, source=str(path))


def build(
    cls: type[Network],
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
    config: Any = None,
    source: str = "these weights",
) -> Network:
    """Build `cls(config)`, in evaluation mode, around the tensors of a state dict in the published layout.

    The network is laid out without memory and then takes the tensors over, so even a billion
    parameters are held only once and never initialised in vain.
    """
    with torch.device("meta"):
        network = cls() if config is None else cls(config)
    wanted = {key for key in strip(state) if not key.startswith(tuple(getattr(cls, "ignored", ())))}
    tensors = {key: tensor.to(device) for key, tensor in strip(state).items() if key in wanted}
    expected = network.state_dict()
    tensors |= _counters(expected, tensors, device)
    problem = _mismatch(expected, tensors)
    if problem:
        raise PhonofilmError(f"{source} are not weights of {cls.__name__}: {problem}")
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def _counters(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], device: str | torch.device
) -> dict[str, Tensor]:
    """Batch norms' counters of training steps where a file has none of them, as rgb_imagenet.pt of 2017 has none.

    They are not used outside training.
    """
    counters = {key for key in expected if key.endswith(".num_batches_tracked")}
    if counters & given.keys():
        return {}
    return {key: torch.zeros((), dtype=torch.long, device=device) for key in counters}


def strip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without the prefix that distributed training leaves on every key."""
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return dict(state)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a published file, unwrapped from "model" or "state_dict".

    Raises:
        PhonofilmError: the file is missing, damaged, or would run code when read.
    """
    path = Path(path)
    if not path.is_file():
        raise PhonofilmError(f"no weights at {path}; download the published file and name it with --weights")
    try:
        # Published research weights come as pickles; weights_only refuses everything but plain tensors.
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:
        if path.suffix != ".safetensors" and not _is_pickled(path):
            said = "is no file of weights, neither safetensors nor PyTorch's; name the file that was published"
        elif isinstance(error, pickle.UnpicklingError):
            said = "holds more than tensors and is not read; keep only its state dict"
        else:
            said = f"is not a readable weights file ({type(error).__name__}); fetch or copy it again"
        raise PhonofilmError(f"{path} {said}") from error
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PhonofilmError(f"{path} holds no state dict")
    return dict(state)


def _is_pickled(path: Path) -> bool:
    """Whether a file is one that PyTorch writes: an archive, or before 2020 a pickle."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04")


def _mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str | None:
    """One line on the first difference of two state dicts, or None."""
    shapes = {key for key in expected.keys() & given.keys() if expected[key].shape != given[key].shape}
    if missing := sorted(expected.keys() - given.keys()):
        return f"{len(missing)} keys are missing, {_first(missing)}"
    if extra := sorted(given.keys() - expected.keys()):
        return f"{len(extra)} keys are unknown, {_first(extra)}"
    if shapes:
        key = min(shapes)
        return f"{key} has shape {tuple(given[key].shape)}, not {tuple(expected[key].shape)}"
    return None


def _first(keys: Iterable[str]) -> str:
    return f"the first is {next(iter(keys))}"
