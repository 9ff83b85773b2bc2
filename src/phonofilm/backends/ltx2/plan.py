"""What a job would take on this machine, said before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from phonofilm.backends.canvas.canvas import MAKE, Canvas
from phonofilm.backends.canvas.layout import lay_out, work_out
from phonofilm.backends.ltx2.backend import LTX2Backend, text_width
from phonofilm.backends.ltx2.decode import Tile
from phonofilm.backends.ltx2.fitting import fitted
from phonofilm.backends.ltx2.folder import COMPONENTS, Folder
from phonofilm.backends.ltx2.memory import HEADROOM, available, choose_tile, decode_cost, decode_peak
from phonofilm.backends.ltx2.parts import Parts
from phonofilm.backends.ltx2.probe import Speed, resident
from phonofilm.backends.ltx2.refine import REFINING, UPSAMPLER, half
from phonofilm.backends.ltx2.workload import audio_cost, encoding_cost, step_cost, text_cost, upsampling_cost
from phonofilm.backends.published.planning.footprint import Cost
from phonofilm.backends.published.stored import reading_bytes
from phonofilm.backends.requests import check
from phonofilm.choices import Offload
from phonofilm.codecs.tiling import places
from phonofilm.sampling import Guidance
from phonofilm.types import Grid, Request


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    Attributes:
        components: at work in it.
        weights: bytes of weights in the device's memory, those waiting there from earlier stages among them.
        work: bytes beside them, at the peak.
        seconds: expected, without reading from disk.
    """

    name: str
    components: tuple[str, ...]
    weights: int
    work: int
    seconds: float

    @property
    def peak(self) -> int:
        return self.weights + self.work


@dataclass(frozen=True)
class Plan:
    """A job on this machine.

    Attributes:
        sizes: bytes of each component on disk.
        base: bytes that the process takes before it loads anything, where the device is the CPU.
        windows: parts that the job is made in, one after the other.
        tile: what the picture is decoded in.
        space: pixels along each side of a latent.
    """

    model: str
    device: str
    offload: Offload
    sizes: dict[str, int]
    stages: tuple[Stage, ...]
    base: int
    free: float
    windows: int
    size: tuple[int, int]
    fps: float
    frames: int
    tile: Tile
    space: int = 32

    @property
    def peak(self) -> int:
        """Bytes of the device's memory at the worst moment."""
        return self.base + max(stage.peak for stage in self.stages)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def fits(self) -> bool:
        return self.peak - self.base <= self.free

    def facts(self) -> dict[str, Any]:
        """For programs."""
        free = None if math.isinf(self.free) else int(self.free)
        stages = [{**asdict(stage), "peak": stage.peak} for stage in self.stages]
        facts = {**asdict(self), "stages": stages, "free": free, "peak": self.peak}
        return facts | {"seconds": round(self.seconds, 2), "fits": self.fits}

    def lines(self) -> Iterator[str]:
        """For people."""
        parts = f" in {self.windows} windows" if self.windows > 1 else ""
        yield f"{self.model}: {self.frames} frames of {self.size[0]}x{self.size[1]} at {self.fps:g} fps{parts}"
        yield f"components, {_bytes(sum(self.sizes.values()))} on disk, offload {self.offload}:"
        for name, size in self.sizes.items():
            yield f"  {name:<14}{_bytes(size):>10}"
        yield f"on {self.device}{'':<12}weights       work       time"
        for stage in self.stages:
            yield f"  {stage.name:<14}{_bytes(stage.weights):>10}{_bytes(stage.work):>11}{_time(stage.seconds):>11}"
        side = self.tile.space * self.space
        yield f"picture decoded {'whole' if side >= max(self.size) else f'in tiles of up to {side} pixels'}"
        yield f"peak {_bytes(self.peak)}, of which the program itself {_bytes(self.base)}"
        free = "unknown" if math.isinf(self.free) else _bytes(self.free)
        yield f"free {free}: {'it fits' if self.fits else 'it does not fit; make it smaller or shorter'}"
        yield f"expected time {_time(self.seconds)}, and reading {_bytes(sum(self.sizes.values()))} from disk"


def make_plan(backend: LTX2Backend, request: Request) -> Plan:
    """Plan a job.

    Raises:
        PhonofilmError: a request that makes no sense.
    """
    check(request)
    parts = backend.parts
    trained = fitted(request, backend.trained, stages=backend.stages)
    canvas = lay_out(work_out(request, trained), trained)
    spans = canvas.spans(trained.frames)
    grid = trained.grid(len(spans[0]))
    shape = grid.video_shape
    tile = choose_tile(parts.folder, shape, parts.device)
    guidance = backend.trained.guidance_of(request)
    evaluations = request.steps or backend.trained.steps
    two = backend.stages == 2 and canvas.frames is not None and bool((canvas.frame_states == MAKE).any())
    stages = _stages(parts, canvas, grid, tile, guidance, evaluations, len(spans), two)
    return Plan(
        model=backend.name,
        device=str(parts.device),
        offload=parts.offload,
        sizes={name: parts.folder.bytes(name) for name in (*COMPONENTS, *([UPSAMPLER] if two else []))},
        stages=tuple(stages),
        base=resident() if parts.device.type == "cpu" else 0,
        free=HEADROOM * available(parts.device),
        windows=len(spans),
        size=trained.size,
        fps=float(trained.fps),
        frames=len(canvas.frame_states),
        tile=tile,
    )


def _stages(
    parts: Parts, canvas: Canvas, grid: Grid, tile: Tile, guidance: Guidance, evaluations: int, windows: int, two: bool
) -> Iterator[Stage]:
    folder, device = parts.folder, parts.device
    speed = Speed(folder, device)
    weights = Weights(parts)
    told = text_cost(folder, device)
    for stage, works in (("text", ("text_encoder",)), ("connectors", ("connectors",))):
        part = told[stage]
        yield Stage(stage, works, weights.during(works), part.peak, 2 * speed.seconds(part))
    frames, sound = _given(canvas)
    if frames or sound:
        encoders = tuple(name for name, needed in (("vae", frames), ("audio_vae", sound)) if needed)
        part = encoding_cost(folder, grid, frames, sound, device)
        yield Stage(
            "encoding", encoders, weights.during(encoders), part.peak, windows * speed.seconds(part, convolved=True)
        )
    streams = (canvas.frames is not None, canvas.waveform is not None)
    rows = 4 if parts.offload == "sequential" else 1
    width, first = text_width(folder.configs["transformer"]), half(grid) if two else grid
    part = step_cost(folder, first, streams, guidance, rows, width, device, parts.quantize)
    seconds = windows * evaluations * speed.seconds(part)
    read = reading_bytes(folder.transformer) if parts.quantize is not None and device.type == "cpu" else 0
    yield Stage("sampling", ("transformer",), weights.during(("transformer",)), max(part.peak, read), seconds)
    if two:
        part, enlarging = upsampling_cost(folder, first, device), ("vae", UPSAMPLER)
        seconds = windows * speed.seconds(part, convolved=True)
        yield Stage("upsampling", enlarging, weights.during(enlarging), part.peak, seconds)
        part = step_cost(folder, grid, streams, Guidance(), rows, width, device, parts.quantize)
        seconds = windows * (len(REFINING) - 1) * speed.seconds(part)
        yield Stage("refining", ("transformer",), weights.during(("transformer",)), max(part.peak, read), seconds)
    if canvas.waveform is not None and (canvas.sample_states == MAKE).any():
        part, decoders = audio_cost(folder, grid, device), ("audio_vae", "vocoder")
        yield Stage(
            "sound", decoders, weights.during(decoders), part.peak, windows * speed.seconds(part, convolved=True)
        )
    if canvas.frames is not None and (canvas.frame_states == MAKE).any():
        peak = decode_peak(folder, grid.video_shape, tile, device)
        seconds = windows * _tiles(grid.video_shape, tile) * speed.seconds(_one(folder, grid, tile, device), True)
        yield Stage("picture", ("vae",), weights.during(("vae",)), int(peak), seconds)


class Weights:
    """How many bytes of weights are in the device's memory, stage after stage."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self._waiting = parts, set[str]()

    def during(self, components: tuple[str, ...]) -> int:
        """With these at work; where nothing is put away, all earlier ones are still there."""
        offload = self.parts.offload
        stays = offload == "none" or (offload != "disk" and self.parts.device.type == "cpu")
        self._waiting = self._waiting | set(components) if stays else set(components)
        sizes = [self.parts.bytes(name) for name in self._waiting]
        if offload == "sequential" and self.parts.device.type != "cpu":
            # one block of the two large networks, and what is not in blocks
            return sum(size // 10 if name in ("transformer", "text_encoder") else size for name, size in
                       zip(self._waiting, sizes, strict=True))  # fmt: skip
        return sum(sizes)


def _given(canvas: Canvas) -> tuple[bool, bool]:
    """Whether any picture, and any sound, is given and so must be encoded."""
    frames = canvas.frames is not None and bool((canvas.frame_states != MAKE).any())
    return frames, canvas.waveform is not None and bool((canvas.sample_states != MAKE).any())


def _tiles(shape: tuple[int, int, int], tile: Tile) -> int:
    time, height, width = shape
    shared, overlap = tile.shared
    across = [len(places(side, tile.space, shared)) for side in (height, width)]
    return len(places(time, tile.time, overlap)) * (math.prod(across) if max(height, width) > tile.space else 1)


def _one(folder: Folder, grid: Grid, tile: Tile, device: torch.device) -> Cost:
    return decode_cost(folder, tile.within(grid.video_shape), device)


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _time(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.2g} s"
