"""MMAudio on `Request`: sound for a film of any length, or from text alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonofilm.backends.base import Cancel, JobContext
from phonofilm.backends.canvas.control import check_heard
from phonofilm.backends.canvas.finite import check_finite
from phonofilm.backends.canvas.fit import crossfaded, to_length
from phonofilm.backends.canvas.stems import check_stems, wanted
from phonofilm.backends.canvas.tracks import FADE_SECONDS
from phonofilm.backends.canvas.windows import Window
from phonofilm.backends.mmaudio.folder import MMAudioFolder
from phonofilm.backends.mmaudio.parts import PICTURES, MMAudioParts, segments_of
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.requests import as_request, check
from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import mix, resample_audio
from phonofilm.model.mmaudio.network import SEGMENT
from phonofilm.model.mmaudio.sampling import GUIDANCE, STEPS, sample
from phonofilm.provenance.watermark.given import made_of
from phonofilm.sampling import draw_noise
from phonofilm.types import Clip, Progress, Request, nearest

SECONDS = Fraction(8)
"""What it was trained on; a longer film is made in windows, a text alone is made as long as this."""
MOST = Fraction(12)
"""The longest text alone: beyond that its positions are far from those it was trained on."""


@dataclass(frozen=True)
class MMAudioBackend:
    """A published MMAudio, ready to work; made by `load`. Its networks are read when they are first needed."""

    parts: MMAudioParts

    @staticmethod
    def load(model: str | Path, device: str = "auto") -> MMAudioBackend:
        """Check a model's files.

        Raises:
            PhonofilmError: no such model or device, or files that are missing.
        """
        return MMAudioBackend(MMAudioParts(MMAudioFolder.open(model), pick_device(device)))

    @property
    def name(self) -> str:
        return self.parts.folder.name

    @property
    def fingerprint(self) -> str:
        """Names the weights."""
        return self.parts.folder.fingerprint()

    @property
    def window(self) -> Window:
        """What it looks at in one go."""
        return Window(SECONDS)

    def check(self, request: Request) -> None:
        """See `Backend.check`."""
        check(request)
        check_heard(request)
        self._check(request)

    def _check(self, request: Request) -> None:
        check_stems(replace(request, model=self.name), ())
        asked = wanted(request)
        if request.sampler not in (None, "euler"):
            raise PhonofilmError(f"{self.name} is sampled by Euler's steps; omit --sampler")
        if request.draft:
            raise PhonofilmError(f"a draft is made by our own models; ask {self.name} for fewer --steps")
        if request.task == "generate":
            if asked.picture:
                raise PhonofilmError(
                    f"{self.name} makes sound for films: phonofilm foley FILM --model {self.name}, "
                    f"--model wan2.2+{self.name} for both, or --only audio for sound from text alone"
                )
            if request.seconds is not None and not 0 < request.seconds <= MOST:
                raise PhonofilmError(f"{self.name} makes up to {MOST} s from text alone; ask for less")
        elif request.task != "foley" and not (request.task == "retake" and not asked.picture):
            raise PhonofilmError(f"{self.name} makes sound alone, and cannot {request.task}; ltx2 and nano can")

    @torch.inference_mode()
    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`. A retake of the sound, which later windows of a film are, does not hear what was
        before: it is faded into it."""
        request, monitor = as_request(request, {**fields, "model": self.name}), JobContext(progress, cancel)
        self._check(request)
        monitor("text", 0, 1)
        source, rate = request.source, self.parts.folder.rates.sample_rate
        seconds = Fraction(request.seconds or SECONDS) if source is None else Fraction(source.picture_seconds)
        waveform = self._sound(request, seconds, monitor)
        sound = to_length(np.repeat(waveform, 2, 0), nearest(seconds * rate))
        if request.task == "retake" and source is not None and request.span is not None:
            sound = _continued(source, sound, rate, request.span)
        metadata = provenance_metadata(request, self.name, self.fingerprint, monitor.notices)
        made = Clip() if source is None else Clip(source.frames, source.fps)
        clip = made.with_(waveform=sound, sample_rate=rate, prompt=request.prompt, metadata=metadata)
        return clip.with_(made=made_of(clip, request))

    def _sound(self, request: Request, seconds: Fraction, monitor: JobContext) -> np.ndarray:
        """float32 [1, N], as long as whole latents are."""
        parts, rates = self.parts, self.parts.folder.rates
        network = parts.network
        length = math.ceil(seconds * rates.sample_rate / rates.hop / 2)
        pictures, moments = max(1, int(seconds * PICTURES)), SEGMENT * segments_of(seconds)
        clip, sync, text = network.nothing(pictures, moments)
        away = network.tell(clip, sync, parts.read(request.negative) if request.negative else text, length)
        if request.prompt.strip():
            text = parts.read(request.prompt)
        if request.source is not None and request.source.frames is not None:
            monitor("encoding", 0, 1)
            clip, sync = parts.seen(request.source.frames, request.source.picture.fps)
        told = network.tell(clip, sync, text, length)
        seed = request.seed if request.audio_seed is None else request.audio_seed
        noise = draw_noise((length, network.config.latents), [seed], "audio").to(parts.device)
        steps, guidance = request.steps or STEPS, request.guidance[1] if request.guidance else GUIDANCE
        latents = sample(network, noise, told, away, steps, guidance, monitor.within("sampling", 0, 1))
        monitor("decoding", 0, 1)
        sound = parts.vocoder(parts.vae.decode(network.unnormalised(latents).mT))[0]
        check_finite(sound, "sound")
        made: np.ndarray = sound.float().cpu().numpy()
        return made


def _continued(source: Clip, made: np.ndarray, rate: int, span: tuple[float, float]) -> np.ndarray:
    """What was made, [2, N], where the span is, and the source's sound around it."""
    known = np.zeros_like(made)
    if source.waveform is not None and source.sample_rate is not None:
        stereo = mix(source.waveform, 2, source.layout)
        known = to_length(resample_audio(stereo, source.sample_rate, rate), made.shape[1])
    keep = np.ones(made.shape[1], bool)
    start, end = (nearest(Fraction(moment) * rate) for moment in span)
    keep[start:end] = False
    return crossfaded(known, made, keep, nearest(FADE_SECONDS * rate))
