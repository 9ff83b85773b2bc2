"""Control modules that are attached to a loaded network, and what they are told of a request."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.canvas.canvas import MAKE
from phonofilm.backends.canvas.control import control_from
from phonofilm.backends.canvas.loop import Part
from phonofilm.checkpoint import file_sha256
from phonofilm.control.hits import Hit
from phonofilm.control.inputs.attachment import Attachment
from phonofilm.control.inputs.features import as_a_whole, by_moment
from phonofilm.control.inputs.files import ControlConfig, load_control
from phonofilm.control.inputs.sync import at_tokens
from phonofilm.control.timing import hits_signal, loudness_signal
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer
from phonofilm.perception.audiovisual.syncnet import RATE, SyncNet
from phonofilm.types import Request


@dataclass(frozen=True)
class Controls:
    """Modules by what they hear; all are attached."""

    modules: dict[str, tuple[Attachment, ControlConfig]]
    digest: str = ""

    @staticmethod
    def load(files: Sequence[str], network: AVTransformer) -> Controls:
        """Read modules and attach them; where one does not fit, none is attached.

        Raises:
            PhonofilmError: see `load_control`, or two files that hear the same.
        """
        found: dict[str, tuple[Attachment, ControlConfig]] = {}
        for file in files:
            module, config = load_control(Path(file), network)
            if config.hears in found:
                raise PhonofilmError(f"two control modules hear {config.hears}; leave out {file}")
            found[config.hears] = module, config
        for module, _ in found.values():
            module.attach(network)
        lines = "\n".join(file_sha256(file) for file in files)
        return Controls(found, hashlib.sha256(lines.encode()).hexdigest() if files else "")

    def named(self, weights: str) -> str:
        """The hash of a network's weights with that of these modules."""
        return hashlib.sha256(f"{weights} {self.digest}".encode()).hexdigest() if self.digest else weights

    @property
    def heard(self) -> frozenset[str]:
        return frozenset(self.modules)

    def told(self, request: Request, part: Part, device: torch.device) -> dict[str, Tensor]:
        """What each is told of one window; one that is told nothing changes nothing."""
        for module, _ in self.modules.values():
            if hasattr(module, "scale"):
                module.scale = 1.0 if request.control_scale is None else request.control_scale  # type: ignore[assignment]
        if not self.modules or part.canvas.waveform is None:
            return {}
        bounds = part.grid.positions().audio
        asked = control_from(
            request, Fraction(part.span.start) / part.canvas.fps, Fraction(len(part.span)) / part.canvas.fps
        )
        found: dict[str, Tensor] = {}
        if "hits" in self.modules and request.hits:  # none in this window is told as well: nothing sounds there
            hits = [Hit(*hit) for hit in asked.hits]
            found["hits"] = hits_signal(hits, bounds, self.modules["hits"][1].slots)
        if "follow" in self.modules and asked.follow is not None:
            found["follow"] = loudness_signal(*asked.follow.sound, bounds, self.modules["follow"][1].slots)
        stems = len(part.canvas.stems)
        found = {name: signal.repeat(1, stems, 1) for name, signal in found.items()}
        if request.sync is not False:
            found |= self._seen(part, bounds, stems)
        return {name: signal.to(device) for name, signal in found.items()}

    def _seen(self, part: Part, bounds: np.ndarray, stems: int) -> dict[str, Tensor]:
        """What the modules for pictures are told, where the window's picture is given as a whole."""
        looks = self.heard & {"sync", "semantic"}
        place = slice(part.span.start, part.span.stop)
        if not looks or part.canvas.frames is None or (part.canvas.frame_states[place] == MAKE).any():
            return {}
        features = by_moment(self._network, part.canvas.frames[place], part.canvas.fps)
        found = {"semantic": as_a_whole(features), "sync": at_tokens(features, float(RATE), bounds, stems)}
        return {name: found[name] for name in looks}

    @cached_property
    def _network(self) -> SyncNet:
        return SyncNet.load().requires_grad_(False)


NO_CONTROLS = Controls({})
