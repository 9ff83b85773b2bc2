"""The one-method interface of every model, and the one place that finds a model by its name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from phonofilm.choices import DEVICES
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.extras import lacking
from phonofilm.types import Clip, Request

if TYPE_CHECKING:
    import torch

    from phonofilm.backends.ltx2.plan import Plan
    from phonofilm.backends.trained import ModelDefaults

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) at the start of every stage and at every step of it."""

Cancel = Callable[[], bool]
"""Asked between steps; True stops the job."""

_ASKED = ("task", "negative", "video_seed", "audio_seed", "span", "only")
_SAMPLED = ("steps", "sampler", "guidance", "modality_guidance", "stg")
"""Where a request leaves these open, the model's own decide."""

PUBLIC_OPTIONS = {"offload", "network", "loras", "components", "upsample", "quantize"}


@runtime_checkable
class Backend(Protocol):
    """A model that is ready to work."""

    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """Do one job; `request` is a `Request`, or a prompt with fields of `Request` as keywords.

        What the user should know about the result (a size made by resizing, a prompt far from what the
        model knows) stands in `metadata["notices"]`, one line each.

        Raises:
            PhonofilmError: a request that makes no sense.
            Cancelled: `cancel` said so.
        """

    def check(self, request: Request) -> None:
        """Refuse what this model cannot do, before anything is computed.

        Raises:
            PhonofilmError: with what is wrong and what to do.
        """


class JobContext:
    """The job's line to whoever waits for it: it reports progress and notices, and hears of a cancel."""

    def __init__(
        self,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.progress, self.cancel, self.tell = progress, cancel, tell
        self.notices: list[str] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report a step.

        Raises:
            Cancelled: the job is no longer wanted.
        """
        if self.cancel is not None and self.cancel():
            raise Cancelled("cancelled; nothing was written")
        if self.progress is not None:
            self.progress(stage, done, total)

    def within(self, stage: str, part: int, parts: int) -> Callable[[int, int], None]:
        """Progress of one of several equal parts of a stage, as (done, total) of that part."""
        return lambda done, total: self(stage, part * total + done, parts * total)

    def warn(self, line: str) -> None:
        """Note what the user should know, once; `tell` is told at once."""
        if line not in self.notices:
            self.notices.append(line)
            if self.tell is not None:
                self.tell(line)


def load(model: str | Path = "nano", device: str = "auto", **options: Any) -> Backend:
    """Load a model by its name ("nano", "ltx2") or the folder or file of its weights.

    Args:
        device: "auto" (the best there is), "cpu", "cuda" or "mps".
        options: passed on to the backend, for instance `dtype=torch.bfloat16` for our own models, and `offload`,
            `network` and `loras` for public ones (see `backends.ltx2`).

    Raises:
        PhonofilmError: no such model or device, or weights that are missing, corrupt or of another network.
    """
    from phonofilm.backends.cascade import Cascade, split_cascade_name

    if split_cascade_name(model) is not None:
        return Cascade.load(str(model), device=device, **options)
    public = public_backend(model, options)
    if public is not None:
        return public.load(model, device=device, **options)
    if str(model) == "fake":
        from phonofilm.backends.fake import FakeBackend

        return FakeBackend()
    from phonofilm.backends.native import NativeBackend

    return NativeBackend.load(model, device=device, **options)


def fingerprint(model: str | Path = "nano", **options: Any) -> str:
    """The hash of a model's weights, without loading them; `options` as for `load`.

    Raises:
        PhonofilmError: no such model.
    """
    from phonofilm.backends.cascade import join_hashes, pair_of, split_cascade_name

    if split_cascade_name(model) is not None:
        return join_hashes([fingerprint(part) for part in pair_of(model)])
    public = public_backend(model, options)
    if public is not None:
        return public.load(model, device="cpu", **options).fingerprint
    if str(model) == "fake":
        return "none"
    from phonofilm.weights import digest, locate

    return digest(locate(model))


def plan(request: Request, device: str = "auto", **options: Any) -> Plan:
    """What a job would take on this machine, without loading the model; `options` as for `load`.

    Raises:
        PhonofilmError: a request that makes no sense, a model that is not here, or one that needs no plan.
    """
    from phonofilm.backends.cascade import split_cascade_name
    from phonofilm.weights import family

    cascaded = split_cascade_name(request.model) is not None
    if cascaded or family(request.model) == "wan":
        from phonofilm.backends.wan.plan import make_plan as make_wan_plan

        return make_wan_plan(request, device, **options)
    public = public_backend(request.model, options)
    if public is None:
        raise PhonofilmError(f"{request.model} needs no plan; --dry-run is for public models such as ltx2")
    from phonofilm.backends.ltx2.plan import make_plan

    return make_plan(public.load(request.model, device=device, **options), request)


def public_backend(model: str | Path, options: dict[str, Any]) -> Any:
    """The class of the backend of a public model, or None for a model of our own.

    Raises:
        PhonofilmError: options that are not for this model, or the extra that runs it is not installed.
    """
    from phonofilm.weights import family

    found = None if str(model) == "fake" else family(model)
    for name in options:
        if found is None and name in PUBLIC_OPTIONS:
            raise PhonofilmError(f"{name} is for public models such as ltx2, not for {model}; leave it away")
        if found == "wan" and name in PUBLIC_OPTIONS - {"offload", "quantize"}:
            raise PhonofilmError(f"{name} is for LTX-2, not for {model}; leave it away")
    if found is None:
        return None
    if importlib.util.find_spec("diffusers") is None:
        raise lacking("diffusers", str(model))
    if found == "wan":
        from phonofilm.backends.wan import WanBackend

        return WanBackend
    from phonofilm.backends.ltx2 import LTX2Backend

    return LTX2Backend


def provenance_metadata(
    request: Request, model: str, weights: str, notices: list[str], trained: ModelDefaults | None = None
) -> dict[str, str]:
    """`Clip.metadata` of what a backend made: everything that decided it, so that it can be made again."""
    from phonofilm import __version__
    from phonofilm.media import provenance

    decided = {name: getattr(request, name) for name in (*_ASKED, *_SAMPLED)}
    for name in _SAMPLED:
        if decided[name] is None:
            decided[name] = getattr(trained, name, None)
    decided = {name: value for name, value in decided.items() if value not in (None, "")}
    facts = {name: list(value) if isinstance(value, tuple) else str(value) for name, value in decided.items()}
    return provenance(
        prompt=request.prompt,
        seed=request.seed,
        model=model,
        weights=weights,
        generator=f"phonofilm {__version__}",
        **facts,
        request=request.digest,
        notices="\n".join(notices) or None,
    )


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
