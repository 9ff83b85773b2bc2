"""Two experts by noise level, as Wan 2.2 has them, of which one is in memory: high noise (layout, motion, what happens
when), then low noise (appearance).

A folder of weights holds them as transformer.safetensors and transformer_low.safetensors. Each says on which noise
levels it was trained (`levels`), and how it wants to be guided. A step of sampling costs what it does with one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.checkpoint import read_metadata, refill, weight_files
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling import Denoise
from phonofilm.types import Latents

HIGH, LOW = "transformer.safetensors", "transformer_low.safetensors"


class LevelExperts:
    """The network that `sampling.Denoiser` takes; the weights of the expert whose turn it is are read into one module.

    Attributes:
        boundary: the noise level from which on the expert for high noise works.
        trained: what each says of its training, by file name.
        at_work: file name of the one whose weights are in the network.
    """

    def __init__(self, network: AVTransformer, folder: Path, trained: dict[str, ModelDefaults], boundary: float):
        self.network, self.folder, self.trained, self.boundary = network, folder, trained, boundary
        self.at_work = HIGH
        self._turn = threading.RLock()

    def __call__(self, latents: Latents, sigma: Latents, *arguments: Any, **options: Any) -> Latents:
        """See `AVTransformer.forward`."""
        self.take_turn(self.whose(sigma))
        made: Latents = self.network(latents, sigma, *arguments, **options)
        return made

    def whose(self, sigma: Latents) -> str:
        """Whose turn it is: given positions have level 0 and do not count; the noisiest stream decides."""
        present = [level for level in (sigma.video, sigma.audio) if level is not None]
        noisiest = max(float(level.amax()) for level in present)
        return HIGH if noisiest >= self.boundary - 1e-6 else LOW

    def take_turn(self, name: str) -> None:
        """Have the weights of one expert in the network, in place of the other's."""
        if name != self.at_work:
            refill(self.network, self.folder / name)
            self.at_work = name

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Within it no other thread changes whose turn it is."""
        with self._turn:
            yield


class DenoisedByLevel:
    """A callable for samplers: the denoiser of each expert, with its guidance, made when its turn comes.

    Args:
        make: the denoiser of the expert of this file name, once its weights are in the network.
    """

    def __init__(self, experts: LevelExperts, make: Callable[[str], Denoise]) -> None:
        self.experts, self.make = experts, make
        self._made: tuple[str, Denoise] | None = None

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        """Guided clean estimate."""
        name = self.experts.whose(sigma)
        if self._made is None or self._made[0] != name:
            self.experts.take_turn(name)
            self._made = name, self.make(name)
        return self._made[1](x, sigma)


def open_experts(
    network: AVTransformer, folder: Path, high: ModelDefaults, boundary: float | None = None
) -> LevelExperts | None:
    """The experts of a folder whose transformer is read already; None where it is one network for all noise levels.

    Args:
        boundary: another than the lowest noise level of the expert for high noise; both must have learnt it.

    Raises:
        PhonofilmError: one expert without the other, experts of different networks or predictions, or levels that
            neither was trained on.
    """
    lowest, file = high.levels[0], folder / LOW
    if not weight_files(file):
        if lowest > 0:
            raise PhonofilmError(
                f"{folder / HIGH} knows noise levels from {lowest:g} up alone; put {LOW} for the others beside it"
            )
        if boundary is not None:
            raise PhonofilmError(f"{folder} has one network for all noise levels, so it has no boundary")
        return None
    ours, theirs = (read_metadata(folder / name) for name in (HIGH, LOW))
    low = ModelDefaults.read(theirs, high.geometry, str(file), high.stems)
    alike = ("size", "fps", "seconds", "prediction", "student")
    if ours.get("config") != theirs.get("config") or any(getattr(high, n) != getattr(low, n) for n in alike):
        raise PhonofilmError(f"{HIGH} and {LOW} in {folder} are not of one network; train both by one recipe")
    at = lowest if boundary is None else boundary
    if low.levels[0] > 0 or high.levels[1] < 1 or not 0 < at < 1 or not lowest <= at <= low.levels[1]:
        raise PhonofilmError(
            f"a boundary at {at:g} leaves noise levels that nothing in {folder} was trained on: {HIGH} knows "
            f"{lowest:g} to {high.levels[1]:g}, {LOW} {low.levels[0]:g} to {low.levels[1]:g}"
        )
    return LevelExperts(network, folder, {HIGH: high, LOW: low}, at)


def level_of_ratio(ratio: float) -> float:
    """The noise level at which the signal's power is `ratio` times the noise's: ((1 - s) / s)² = ratio."""
    return 1 / (1 + ratio**0.5)
