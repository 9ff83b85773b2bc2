"""What a job would take on this machine, said before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from phonofilm.backends.canvas.canvas import MAKE, Canvas
from phonofilm.backends.canvas.layout import lay_out, work_out
from phonofilm.backends.ltx2.backend import LTX2Backend, text_width
from phonofilm.backends.ltx2.fitting import fitted
from phonofilm.backends.ltx2.folder import COMPONENTS, Folder
from phonofilm.backends.ltx2.memory import choose_tile, decode_cost, decode_peak
from phonofilm.backends.ltx2.network import stored_dtype
from phonofilm.backends.ltx2.parts import Parts, stored_dtype_of
from phonofilm.backends.ltx2.refine import REFINING, UPSAMPLER, half
from phonofilm.backends.ltx2.vae.decode import Tile
from phonofilm.backends.ltx2.workload import audio_cost, encoding_cost, step_cost, text_cost, upsampling_cost
from phonofilm.backends.published.planning.footprint import Cost
from phonofilm.backends.published.planning.memory import HEADROOM, available
from phonofilm.backends.published.planning.plan import Plan, Stage
from phonofilm.backends.published.planning.speed import Speed, resident
from phonofilm.backends.published.stored import reading_bytes
from phonofilm.backends.requests import check
from phonofilm.codecs.tiling import places
from phonofilm.sampling import Guidance
from phonofilm.types import Grid, Request


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
    speed = Speed(stored_dtype(folder.transformer), stored_dtype_of(folder, "vae"), device)
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
