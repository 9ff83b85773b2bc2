"""What a job with Wan would take on this machine, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from phonofilm.backends.canvas.canvas import HINT
from phonofilm.backends.canvas.layout import lay_out
from phonofilm.backends.published.planning.footprint import Cost
from phonofilm.backends.published.planning.memory import HEADROOM, available
from phonofilm.backends.published.planning.plan import Plan, Stage
from phonofilm.backends.published.planning.speed import Speed, resident
from phonofilm.backends.published.stored import reading_bytes
from phonofilm.backends.published.tiles import Tile
from phonofilm.backends.requests import check
from phonofilm.backends.wan.backend import WanBackend, film_job
from phonofilm.backends.wan.fitting import check_task, fitted, schedule
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.backends.wan.memory import choose_tile, decode_flops, decode_peak, encoding_cost, step_cost, text_cost
from phonofilm.backends.wan.network import timesteps
from phonofilm.backends.wan.parts import WanParts
from phonofilm.types import Grid, Request


def make_plan(backend: WanBackend, request: Request) -> Plan:
    """Plan a film.

    Raises:
        PhonofilmError: a request that makes no sense.
    """
    check(request)
    parts, folder, place = backend.parts, backend.parts.folder, backend.parts.device
    check_task(request, backend.name, folder.settings)
    trained = fitted(request, backend.trained, backend.name)
    canvas = lay_out(film_job(request, trained), trained)
    frames = len(canvas.frame_states)
    grid = trained.grid(frames)
    tile = choose_tile(folder, grid.video_shape, place)
    stages = tuple(_stages(parts, request, grid, tile, bool((canvas.frame_states == HINT).any())))
    sizes = {name: sum(path.stat().st_size for path in paths) for name, paths in folder.files.items()}
    return Plan(
        model=backend.name,
        device=str(place),
        offload=parts.offload,
        sizes=sizes,
        stages=stages,
        base=resident() if place.type == "cpu" else 0,
        free=HEADROOM * available(place),
        windows=1,
        size=trained.size,
        fps=float(trained.fps),
        frames=frames,
        tile=tile,
        space=trained.geometry.video_space,
    )


def _stages(parts: WanParts, request: Request, grid: Grid, tile: Tile, picture: bool) -> Iterator[Stage]:
    folder, device, settings = parts.folder, parts.device, parts.folder.settings
    speed = Speed(folder.dtype("transformer", device), folder.dtype("vae", device), device)
    weights = _Weights(parts)
    text = text_cost(folder, device)
    yield Stage("text", ("text_encoder",), weights.during("text_encoder"), text.peak, 2 * speed.seconds(text))
    if picture:
        part = encoding_cost(folder, grid, device)
        yield Stage("encoding", ("vae",), weights.during("vae"), part.peak, speed.seconds(part, convolved=True))
    costs: dict[int, Cost] = {}  # the experts are alike
    read = reading_bytes(folder.files["transformer"]) if parts.quantize is not None and device.type == "cpu" else 0
    for name, count, passes in experts_at_work(request, folder):
        costs[passes] = costs.get(passes) or step_cost(folder, grid, passes, device, parts.quantize)
        part = costs[passes]
        stage = "high noise" if name == "transformer" and settings.boundary is not None else "sampling"
        stage = "low noise" if name == "transformer_2" else stage
        yield Stage(stage, (name,), weights.during(name), max(part.peak, read), count * speed.seconds(part))
    shape = grid.video_shape
    peak = decode_peak(folder, shape, tile, device)
    seconds = decode_flops(folder, shape, tile, device) / speed.convolution
    yield Stage("picture", ("vae",), weights.during("vae"), int(peak), seconds)


def experts_at_work(request: Request, folder: WanFolder) -> Iterator[tuple[str, int, int]]:
    """(expert, evaluations, passes of each) of a job, in order."""
    settings = folder.settings
    levels = timesteps(schedule(request, settings.trained)[:-1])
    high = int((levels >= 1000 * settings.boundary).sum()) if settings.boundary is not None else len(levels)
    scales = request.guidance or settings.trained.guidance, request.guidance or (settings.low_guidance, 1.0)
    counts = (high, len(levels) - high)
    for name, count, scale in zip(("transformer", "transformer_2"), counts, scales, strict=True):
        if count:
            yield name, count, 1 + (scale[0] != 1)


class _Weights:
    """How many bytes of weights are in the device's memory, stage after stage; of two experts one at a time, where
    anything is put away."""

    def __init__(self, parts: WanParts) -> None:
        self.parts, self._waiting = parts, set[str]()

    def during(self, name: str) -> int:
        """With this component at work."""
        parts = self.parts
        stays = parts.offload == "none" or (parts.offload != "disk" and parts.device.type == "cpu")
        self._waiting = self._waiting | {name} if stays else {name}
        sizes = {part: parts.bytes(part) for part in self._waiting}
        if parts.offload == "sequential" and parts.device != torch.device("cpu"):
            return sum(size if part == "vae" else size // 10 for part, size in sizes.items())
        return sum(sizes.values())
