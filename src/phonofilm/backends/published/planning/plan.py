"""What a job would take on this machine, stage by stage, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from phonofilm.backends.published.tiles import Tile
from phonofilm.choices import Offload
from phonofilm.types import rational


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
    def rate(self) -> Fraction:
        """The frame rate, exactly."""
        return rational(self.fps)

    def followed_by(self, other: Plan) -> Plan:
        """This job and then another, whose stages and components are told by a plus."""
        return replace(
            self,
            stages=(*self.stages, *(replace(stage, name=f"+{stage.name}") for stage in other.stages)),
            sizes=self.sizes | {f"+{name}": size for name, size in other.sizes.items()},
        )

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


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _time(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.2g} s"
