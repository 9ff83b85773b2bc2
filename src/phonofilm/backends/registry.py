"""The models by their names: one row for each kind of backend, and what is done with whichever is meant.

A new kind is a module, with a class that loads and (where it needs one) a plan, and a row of `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phonofilm.backends.base import Backend
from phonofilm.control import foleycrafter
from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking, missing
from phonofilm.types import Clip, Request
from phonofilm.weights import digest, family, locate

if TYPE_CHECKING:
    from phonofilm.backends.published.planning.plan import Plan

OWN_SOUND = "foley"
"""Stands for the embedded model in the name of a cascade, as "wan2.2+foley"."""


@dataclass(frozen=True)
class Family:
    """One kind of backend.

    Attributes:
        title: what people call its models.
        backend: module and class, imported when a model is loaded; the class has `load(model, device, **options)`.
        names: of its models, for kinds that neither the catalogue of public models nor a folder tells.
        options: of `load`, those that people choose.
        planner: module whose `make_plan(backend, request)` says what a job takes; None where nobody needs to know.
        extra: that it needs.
        silent: its films have no sound, so that another model may add some.
    """

    title: str
    backend: str
    names: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    planner: str | None = None
    extra: str | None = None
    silent: bool = False

    @property
    def cls(self) -> Any:
        """The class of the backend.

        Raises:
            PhonofilmError: the extra that it needs is not installed.
        """
        if self.extra is not None and (absent := missing(self.extra)):
            raise lacking(absent[0], self.title)
        module, name = self.backend.split(":")
        return getattr(import_module(f"phonofilm.backends.{module}"), name)


FAMILIES: Mapping[str, Family] = {
    "native": Family(
        "our own models", "native:NativeBackend", options=frozenset({"dtype", "loras", "boundary", "adapters"})
    ),
    "fake": Family("the backend of tests", "fake:FakeBackend", frozenset({"fake"})),
    "ltx2": Family(
        "LTX-2",
        "ltx2.backend:LTX2Backend",
        options=frozenset({"offload", "network", "loras", "components", "upsample", "quantize"}),
        planner="ltx2.plan",
        extra="public",
    ),
    "wan": Family(
        "Wan",
        "wan.backend:WanBackend",
        options=frozenset({"offload", "quantize"}),
        planner="wan.plan",
        extra="public",
        silent=True,
    ),
    "mmaudio": Family("MMAudio", "mmaudio.backend:MMAudioBackend", frozenset({"mmaudio"}), extra="public"),
}


def load(model: str | Path = "nano", device: str = "auto", **options: Any) -> Backend:
    """Load a model by its name ("nano", "ltx2"), the folder or file of its weights, or two as "wan2.2+foley".

    Args:
        device: "auto" (the best there is), "cpu", "cuda" or "mps".
        options: of the backend, for instance `dtype=torch.bfloat16` for our own models, and `offload`, `network` and
            `loras` for public ones (see `FAMILIES` and each backend's `load`).

    Raises:
        PhonofilmError: no such model or device, or weights that are missing, corrupt or of another network.
    """
    pair = split_cascade_name(model)
    if pair is None:
        loaded: Backend = _family(model, options).cls.load(model, device=device, **options)
        return loaded
    from phonofilm.backends.cascade import Cascade

    first, second = _cascaded(model, pair)
    picture = _family(first, options).cls.load(first, device=device, alone=False, **options)
    return Cascade(Path(model).name, picture, load(second, device=device, **_options_for(second, options)))


def fingerprint(model: str | Path = "nano", **options: Any) -> str:
    """The hash of a model's weights, without loading them; `options` as for `load`.

    Raises:
        PhonofilmError: no such model.
    """
    from phonofilm.backends.cascade import join_hashes

    pair = split_cascade_name(model)
    if pair is not None:
        return join_hashes([fingerprint(part, **_options_for(part, options)) for part in _cascaded(model, pair)])
    found = _family(model, options)
    merged = any(options.get(name) for name in ("loras", "boundary", "adapters"))
    if found.extra is not None or merged:  # what is merged in and how it is kept count as well
        return str(found.cls.load(model, device="cpu", **options).fingerprint)
    return "none" if found is FAMILIES["fake"] else digest(locate(model))


def plan(request: Request, device: str = "auto", **options: Any) -> Plan:
    """What a job would take on this machine, without loading the model; `options` as for `load`.

    Raises:
        PhonofilmError: a request that makes no sense, a model that is not here, or one that needs no plan.
    """
    pair = split_cascade_name(request.model)
    first, second = (request.model, None) if pair is None else _cascaded(request.model, pair)
    found = _family(first, options)
    if found.planner is None:
        raise PhonofilmError(f"{first} needs no plan; --dry-run is for public models such as ltx2")
    backend = found.cls.load(first, device=device, **options)
    made: Plan = import_module(f"phonofilm.backends.{found.planner}").make_plan(backend, request)
    if second is None or _family(second, {}).planner is None:  # our own models are too small to count
        return made
    width, height = made.size
    film = Clip(np.broadcast_to(np.zeros(3, np.uint8), (made.frames, height, width, 3)), made.rate)
    sound = plan(Request(request.prompt, "foley", source=film, model=second), device, **_options_for(second, options))
    return replace(made.followed_by(sound), model=str(request.model))


def split_cascade_name(model: str | Path) -> tuple[str, str] | None:
    """The models of picture and of sound in a name like "wan2.2+foley", or None for any other name or path."""
    picture, plus, sound = str(model).rpartition("+")
    if not plus or not picture or not sound or Path(model).exists():
        return None
    return picture, "nano" if sound == OWN_SOUND else sound


def _cascaded(model: str | Path, pair: tuple[str, str]) -> tuple[str, str]:
    """The two models of a cascade.

    Raises:
        PhonofilmError: the first one makes no silent film.
    """
    _kind(pair[1])  # what nothing runs is refused before the first model is read
    if not FAMILIES[_kind(pair[0])].silent:
        raise PhonofilmError(f"{model}: {pair[0]} makes no silent film for another model to add sound to; wan2.2 does")
    return pair


def _kind(model: str | Path) -> str:
    """The row of `FAMILIES` for a model."""
    if str(model).lower() == "foleycrafter":
        raise PhonofilmError(f"FoleyCrafter is not run: {foleycrafter.MODEL}")
    named = (kind for kind, found in FAMILIES.items() if str(model) in found.names)
    return next(named, None) or family(model) or "native"


def _family(model: str | Path, options: Mapping[str, Any]) -> Family:
    """The kind of backend that runs a model.

    Raises:
        PhonofilmError: options that are not for this model.
    """
    found = FAMILIES[_kind(model)]
    for name in options:
        owners = [other.title for other in FAMILIES.values() if name in other.options]
        if owners and name not in found.options:
            raise PhonofilmError(f"{name} is for {' and '.join(owners)}, not for {model}; omit it")
    return found


def _options_for(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options of a cascade that its second model takes."""
    return {name: value for name, value in options.items() if name in FAMILIES[_kind(model)].options}
