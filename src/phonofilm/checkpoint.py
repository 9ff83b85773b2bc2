"""Weights on disk: safetensors, never pickle, with all that is needed to build the network again."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from phonofilm.config import from_dict, parse_json, to_dict
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic

if TYPE_CHECKING:
    import torch

Module = TypeVar("Module", bound="torch.nn.Module")


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] = {}) -> Path:
    """Write tensors and text metadata atomically.

    Raises:
        PhonofilmError: the folder is not there or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # safetensors refuses views and shared storage, which tied weights are
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        temporary.touch()  # as the umask says; safetensors lets the owner alone read its files
        mode = temporary.stat().st_mode
        try:
            save_file(owned, temporary, metadata=dict(metadata))
            temporary.chmod(mode)
        except SafetensorError as error:
            if found := re.search(r"os error (\d+)", str(error)):
                number = int(found[1])
                raise OSError(number, os.strerror(number), str(temporary)) from error
            raise PhonofilmError(f"{path} could not be written: {error}") from error
    return Path(path)


def weight_files(path: str | Path) -> tuple[Path, ...]:
    """The files that hold some weights: the one of this name, or its parts `NAME-1of2.safetensors` and on, in order.

    Files of a repository are best small, so that large weights may lie in parts; whatever reads `NAME.safetensors` here
    reads the parts where that file is not there. No files where there is neither, or where a part is missing.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not (first := sorted(path.parent.glob(f"{glob.escape(path.stem)}-1of*{path.suffix}"))):
        return ()
    count = first[0].stem.rsplit("of", 1)[1]
    numbers = range(1, int(count) + 1) if count.isdigit() else ()
    files = tuple(path.with_stem(f"{path.stem}-{number}of{count}") for number in numbers)
    return files if all(file.is_file() for file in files) else ()


def load_tensors(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read all tensors of a safetensors file, or of its parts, and their metadata.

    Raises:
        PhonofilmError: a missing, truncated or corrupt file.
    """
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, torch.Tensor] = {}
    metadata: dict[str, str] = {}
    try:
        for file in _files(path):
            with safe_open(file, framework="pt", device=str(device)) as opened:
                tensors |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
                facts = dict(opened.metadata() or {})
            if metadata not in ({}, facts):
                raise PhonofilmError(f"{file} belongs to other weights than the parts before it; copy all again")
            metadata = facts
        return tensors, metadata
    except (SafetensorError, OSError) as error:
        raise PhonofilmError(f"weights {path} are corrupt ({error}); fetch or copy them again") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors.

    Raises:
        PhonofilmError: a missing, truncated or corrupt file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_files(path)[0], framework="np") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise PhonofilmError(f"weights {path} are corrupt ({error}); fetch or copy them again") from error


def _files(path: str | Path) -> tuple[Path, ...]:
    if files := weight_files(path):
        return files
    raise PhonofilmError(f"weights {path} are missing; check the path, or run `phonofilm models`")


def save_module(
    path: str | Path,
    module: torch.nn.Module,
    *,
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] = {},
) -> Path:
    """Write a network with its class name and `config`; `dtype` narrows the parameters, buffers stay exact.

    Raises:
        PhonofilmError: a parameter that is not finite (in that dtype), or a file that cannot be written.
    """
    tensors = dict(module.state_dict())
    for name, parameter in module.named_parameters(remove_duplicate=False):
        narrow = parameter.detach().to(dtype or parameter.dtype)
        if not narrow.isfinite().all():
            raise PhonofilmError(f"{type(module).__name__}.{name} is not finite as {narrow.dtype}; it was not saved")
        tensors[name] = narrow
    config = json.dumps(to_dict(module.config), sort_keys=True)
    return save_tensors(path, tensors, {**metadata, "kind": type(module).__name__, "config": config})


def load_module(
    cls: type[Module],
    path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    condition_inputs: Sequence[Any] = (),
) -> Module:
    """Build `cls` from the config that lies beside its weights, in evaluation mode.

    Weights stored in a narrow dtype are computed in the network's own (or in `dtype`, where given).

    Args:
        condition_inputs: inputs that the network gets besides those of its config, where it takes any. The weights of
            condition inputs may be missing in the file and are zero then, which changes no output; all others must be
            there.

    Raises:
        PhonofilmError: a missing or corrupt file, weights of another class, or of another shape.
    """
    import torch

    tensors, metadata = load_tensors(path)
    kind = metadata.get("kind")
    if kind != cls.__name__:
        raise PhonofilmError(f"weights {path} are of a {kind or 'foreign format'}, where a {cls.__name__} is needed")
    config = _config(cls, metadata, path)
    if condition_inputs:
        config = replace(config, condition_inputs=(*config.condition_inputs, *condition_inputs))
    with torch.random.fork_rng(devices=[]):  # initial weights are thrown away: leave the caller's seed alone
        module = cls(config)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    optional: frozenset[str] = getattr(module, "condition_parameters", frozenset)()
    absent = optional - found.keys()
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    wrong = [name for name in wrong if name not in absent]
    if wrong:
        name = wrong[0]
        raise PhonofilmError(
            f"weights {path} do not fit {cls.__name__}: {len(wrong)} tensors differ, "
            f"the first is {name} ({found.get(name, 'missing')} for {expected.get(name, 'nothing')})"
        )
    fresh = module.state_dict()
    module.load_state_dict(tensors | {name: torch.zeros_like(fresh[name]) for name in absent})
    return module.to(device=device, dtype=dtype).eval()


def refill(module: torch.nn.Module, path: str | Path) -> None:
    """Read weights of the same class and config into a network in place, tensor by tensor: it takes no memory for two.

    Raises:
        PhonofilmError: a missing or corrupt file, or other tensors than the network's; it is then as it was.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    held = module.state_dict()
    optional: frozenset[str] = getattr(module, "condition_parameters", frozenset)()
    try:
        with contextlib.ExitStack() as stack, torch.no_grad():
            opened = [stack.enter_context(safe_open(file, framework="pt")) for file in _files(path)]
            holder = {name: part for part in opened for name in part.keys()}  # noqa: SIM118 (not a mapping)
            shapes = {name: tuple(part.get_slice(name).get_shape()) for name, part in holder.items()}
            wanted = {name: tuple(tensor.shape) for name, tensor in held.items()}
            absent = optional - shapes.keys()
            if wrong := sorted(n for n in (wanted.keys() | shapes.keys()) - absent if wanted.get(n) != shapes.get(n)):
                raise PhonofilmError(f"weights {path} do not fit this {type(module).__name__}: first {wrong[0]}")
            for name, tensor in held.items():
                if name in absent:
                    tensor.zero_()
                else:
                    tensor.copy_(holder[name].get_tensor(name))
    except (SafetensorError, OSError) as error:
        raise PhonofilmError(f"weights {path} are corrupt ({error}); fetch or copy them again") from error


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits; where weights lie in parts, of the parts' bytes one after another.

    Raises:
        PhonofilmError: the file cannot be read.
    """
    found = hashlib.sha256()
    try:
        for file in weight_files(path) or (Path(path),):
            with open(file, "rb") as opened:
                while block := opened.read(1 << 20):
                    found.update(block)
        return found.hexdigest()
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error


def _config(cls: type, metadata: Mapping[str, str], path: str | Path) -> Any:
    try:
        values = parse_json(metadata["config"])
    except (KeyError, ValueError) as error:
        raise PhonofilmError(f"weights {path} do not say how {cls.__name__} is built (no valid config)") from error
    if not isinstance(values, dict):
        raise PhonofilmError(f"weights {path} do not say how {cls.__name__} is built (its config is no object)")
    hint = get_type_hints(cls.__init__)["config"]  # type: ignore[misc]
    # it may be `Config | None`
    kind = next(option for option in (*get_args(hint), hint) if isinstance(option, type) and is_dataclass(option))
    try:
        return from_dict(kind, values)
    except PhonofilmError as error:
        raise PhonofilmError(f"weights {path} were made for another version of {cls.__name__}: {error}") from error
