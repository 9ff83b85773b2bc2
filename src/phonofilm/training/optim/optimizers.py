"""Muon for hidden matrices, AdamW for everything else, and the learning rate's course."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.muon import Muon
from phonofilm.training.optim.shares import like, whole

INSIDE_A_STACK = re.compile(r"(^|\.)\d+\.")


@dataclass(frozen=True)
class OptimConfig:
    """How weights are moved.

    Attributes:
        lr: learning rate of AdamW.
        muon_lr: learning rate of Muon, on AdamW's scale (its updates are matched to AdamW's RMS).
        muon: whether hidden matrices get Muon at all; "all" gives it convolution kernels too, as matrices.
        warmup: steps of linear warm-up.
        schedule: "trapezoid" holds the rate and lets it fall over the last `cooldown` of the run;
            "cosine" falls from the end of the warm-up on.
        final: last learning rate as a fraction of the first.
        clip: largest norm of the whole gradient.
        spike: a step whose gradient is longer than so many times the median of the last ones is not taken; four of
            them in a row, and the run goes back to its checkpoint, and on with the batches that follow. 0: never.
        ema: decay of the averaged weights.
    """

    lr: float = 1e-3
    muon_lr: float = 1.5e-3
    muon: Literal["none", "matrices", "all"] = "matrices"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: int = 100
    schedule: Literal["trapezoid", "cosine"] = "trapezoid"
    cooldown: float = 0.3
    final: float = 0.02
    clip: float = 1.0
    spike: float = 0.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        for name in ("lr", "muon_lr"):
            if not 0 <= getattr(self, name) < math.inf:
                raise PhonofilmError(f"optim.{name} = {getattr(self, name):g} is not possible; it is 0 or more")
        if self.spike and not 1 < self.spike < math.inf:
            raise PhonofilmError(f"optim.spike = {self.spike:g} is not possible; it is above 1, or 0 for never")


def lr_scale(config: OptimConfig, step: int, fraction: float) -> float:
    """Factor on every learning rate at `step`, when `fraction` in [0, 1] of the run is over."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
    else:
        fall = min(1.0, (1 - min(fraction, 1.0)) / max(config.cooldown, 1e-9))
    return warm * (config.final + (1 - config.final) * fall)


def takes_muon(name: str, module: nn.Module, config: OptimConfig) -> bool:
    """Whether the weight of this module is a hidden matrix: inside a numbered stack, neither entry nor exit."""
    if config.muon == "none" or not INSIDE_A_STACK.search(f"{name}."):
        return False
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        if config.muon != "all" or module.groups != 1:
            return False
    elif not isinstance(module, nn.Linear):
        return False
    # Newton-Schulz needs a matrix of some rank; slim ones (gates of a few rows) are AdamW's.
    return min(module.weight.flatten(1).shape) >= 16


class Optimisers:
    """Muon and AdamW over one module's parameters, stepped and stored as one."""

    def __init__(self, module: nn.Module, config: OptimConfig) -> None:
        self.config = config
        hidden = {
            id(part.weight)
            for name, part in module.named_modules()
            if takes_muon(name, part, config)  # type: ignore[arg-type]
        }
        stacked = {id(parameter) for part in module.modules() for parameter in _stacked(part, config)}
        hidden |= stacked
        named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.parameters = list(named.values())
        self.matrices: dict[str, nn.Parameter] = {}
        self._sources: list[tuple[nn.Parameter, int | None]] = []
        """Of each matrix its parameter, and which of its matrices it is where it has many."""
        for name, parameter in named.items():
            if id(parameter) in hidden:
                self._add_matrices(name, parameter, id(parameter) in stacked)
        rest = {name: p for name, p in named.items() if id(p) not in hidden}
        self.parts: dict[str, tuple[torch.optim.Optimizer, list[str]]] = {}
        if rest:
            decayed = [p for p in rest.values() if p.ndim > 1]
            plain = [p for p in rest.values() if p.ndim <= 1]
            groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
            adamw = torch.optim.AdamW(groups, config.lr, config.betas, weight_decay=config.weight_decay, foreach=True)
            order = [n for n, p in rest.items() if p.ndim > 1] + [n for n, p in rest.items() if p.ndim <= 1]
            self.parts["adamw"] = (adamw, order)
        if self.matrices:
            muon = Muon(self.matrices.values(), lr=config.muon_lr, weight_decay=config.weight_decay)
            self.parts["muon"] = (muon, list(self.matrices))

    def _add_matrices(self, name: str, parameter: nn.Parameter, stacked: bool) -> None:
        if not stacked:
            self.matrices[name] = _as_matrix(parameter)
            self._sources.append((parameter, None))
            return
        for number, matrix in enumerate(parameter.detach()):
            self.matrices[f"{name}.{number}"] = nn.Parameter(matrix)
            self._sources.append((parameter, number))

    def step(self, scale: float, limit: float = math.inf) -> float:
        """Clip, move the weights at `scale` times their learning rates, forget the gradients.

        Returns:
            the norm of the gradient before clipping; weights stay as they are if it is not finite or above `limit`.
        """
        norm = float(whole(nn.utils.clip_grad_norm_(self.parameters, self.config.clip, foreach=True)))
        if math.isfinite(norm) and norm <= limit:
            for matrix, (parameter, number) in zip(self.matrices.values(), self._sources, strict=True):
                gradient = parameter.grad if number is None or parameter.grad is None else parameter.grad[number]
                matrix.grad = None if gradient is None else gradient.reshape(matrix.shape)
            for name, (optimiser, _) in self.parts.items():
                rate = self.config.muon_lr if name == "muon" else self.config.lr
                for group in optimiser.param_groups:
                    group["lr"] = rate * scale
                optimiser.step()
        for parameter in (*self.parameters, *self.matrices.values()):
            parameter.grad = None
        return norm

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """State as flat named tensors: "adamw.blocks.0.norm.weight.exp_avg" and so on."""
        for kind, (optimiser, names) in self.parts.items():
            for index, values in optimiser.state_dict()["state"].items():
                for key, value in values.items():
                    yield f"{kind}.{names[index]}.{key}", torch.as_tensor(value)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave.

        Raises:
            PhonofilmError: state of other parameters than these, or of other shapes.
        """
        for kind, (optimiser, names) in self.parts.items():
            state: dict[int, dict[str, Tensor]] = {}
            index = {name: i for i, name in enumerate(names)}
            held = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            known = dict(zip(names, held, strict=True))
            for name, value in tensors.items():
                if name.startswith(f"{kind}."):
                    parameter, _, key = name[len(kind) + 1 :].rpartition(".")
                    if parameter not in index:
                        raise PhonofilmError(f"the checkpoint's optimiser knows {parameter}, this model does not")
                    if value.ndim and value.shape != known[parameter].shape:
                        raise PhonofilmError(f"the checkpoint's optimiser has {parameter} in another shape")
                    state.setdefault(index[parameter], {})[key] = like(value, known[parameter]) if value.ndim else value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _stacked(module: nn.Module, config: OptimConfig) -> Iterator[nn.Parameter]:
    """Parameters [N, out, in] of a module that are many hidden matrices; it says so itself in `stacked`."""
    if config.muon != "none":
        for name in getattr(module, "stacked", ()):
            parameter = getattr(module, name)
            if min(parameter.shape[1:]) >= 16:
                yield parameter


def _as_matrix(parameter: nn.Parameter) -> nn.Parameter:
    """The same memory as a matrix [out, everything else], which is what Muon moves."""
    return parameter if parameter.ndim == 2 else nn.Parameter(parameter.detach().view(parameter.shape[0], -1))
