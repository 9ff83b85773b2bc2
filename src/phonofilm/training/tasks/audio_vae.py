"""The tasks of the audio autoencoder and of the vocoder; both learn from waveforms alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_loss import audio_vae_loss, vocoder_loss
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig, log_mel
from phonofilm.codecs.vocoder import Vocoder, VocoderConfig
from phonofilm.codecs.voice.loss import voice_loss
from phonofilm.codecs.voice.voice import Voice
from phonofilm.data.building import sets_text
from phonofilm.data.clips import to_model_samples
from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for
from phonofilm.training.tasks.codec_base import ClipRows, ClipsConfig, KeepConfig, Older, cut
from phonofilm.training.tasks.mixes import random_mixes
from phonofilm.training.tasks.previews import save_mels
from phonofilm.types import causal_length


@dataclass(frozen=True)
class AudioVAERecipe:
    """recipes/audio_vae.toml"""

    kind: Literal["audio_vae"]
    run: RunConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: ClipsConfig = field(default_factory=lambda: ClipsConfig(window=161))
    model: AudioVAEConfig = field(default_factory=AudioVAEConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)


@dataclass(frozen=True)
class VocoderRecipe:
    """recipes/vocoder.toml

    Attributes:
        learn: "all", or the tracker of the "voice" alone, which takes a small part of the time of the bank.
        codec: an audio VAE through which the voice hears; without it, mels are disturbed a little instead.
    """

    kind: Literal["vocoder"]
    run: RunConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: ClipsConfig = field(default_factory=lambda: ClipsConfig(window=80))
    model: VocoderConfig = field(default_factory=VocoderConfig)
    learn: Literal["all", "voice"] = "all"
    codec: Path | None = None


class _SoundTask:
    """Random windows of waveforms; what both tasks share."""

    Recipe: ClassVar[type[Any]]
    filename: ClassVar[str]
    free_at_resume: ClassVar[frozenset[str]] = frozenset()
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe
        self.clips = ClipRows(recipe.data, recipe.run)
        self.mel: MelConfig = recipe.model.mel
        self.samples = self.clips.source.waveforms([0]).shape[-1] if recipe.data.stems else 0

    def batch(self, step: int) -> Batch:
        """waveform float32 [B, 2, window · hop], one random window of each clip, cut between mel frames.

        From stems, also speech: what of the waveform is speech.
        """
        rows, window = self.clips.training(step), self.recipe.data.window
        generator = generator_for("window", self.recipe.run.seed, step)
        if self.recipe.data.stems:
            return self._mixed(rows, window * self.mel.hop, generator)
        waveforms = self.clips.source.waveforms(rows)
        frames = waveforms.shape[-1] // self.mel.hop
        starts = [cut(frames, window, generator) * self.mel.hop for _ in waveforms]
        cuts = [w[:, s : s + window * self.mel.hop] for w, s in zip(waveforms, starts, strict=True)]
        return {"waveform": to_model_samples(torch.stack(cuts), window * self.mel.hop)}

    def _mixed(self, rows: list[int], count: int, generator: torch.Generator) -> Batch:
        """A window of `count` samples of each clip's stems, mixed in many ways."""
        source = self.clips.source
        starts = [cut(self.samples, count, generator) for _ in rows]
        cuts = [source.stem_window(row, start, start + count) for row, start in zip(rows, starts, strict=True)]
        stems = to_model_samples(torch.stack(cuts), count)
        waveform, speech = random_mixes(stems, generator, self.recipe.data.speech)
        return {"waveform": waveform, "speech": speech}

    def faulty(self, step: int | None) -> list[str]:
        """See `Task.faulty`."""
        return self.clips.faulty_of(step)

    def provenance(self) -> dict[str, str]:
        return {"data": self.clips.source.digest(), **sets_text(self.clips.source)}

    def _whole(self, batches: list[list[int]], model: nn.Module, multiple: int, head: int = 1) -> Iterator[Tensor]:
        """Whole waveforms, continued with silence to head + multiple·n mel frames (multiple 1: to whole frames)."""
        device = next(model.parameters()).device
        for rows in batches:
            waveform = self.clips.source.waveforms(rows)
            frames = causal_length(-(-waveform.shape[-1] // self.mel.hop), multiple, head)
            yield to_model_samples(waveform, frames * self.mel.hop).to(device)


class AudioVAETask(_SoundTask):
    """Mel spectrograms through the autoencoder."""

    Recipe = AudioVAERecipe
    filename = "audio_vae.safetensors"

    def __init__(self, recipe: AudioVAERecipe) -> None:
        time, head, window = recipe.model.time, recipe.model.head, recipe.data.window
        if window < head or (window - head) % time:
            raise PhonofilmError(f"data.window must be {head} + {time}·n mel frames, not {window}")
        super().__init__(recipe)
        self.older = Older.of(AudioVAE, recipe.keep, recipe.model)

    def build(self) -> AudioVAE:
        return AudioVAE(self.recipe.model)

    def batch(self, step: int) -> Batch:
        """waveform as for the vocoder; keep bool [B], whose latents are kept."""
        rows = self.clips.training(step)
        return {**super().batch(step), "keep": self.clips.of_families(rows, self.recipe.keep.families)}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(batch["waveform"].device.type, enabled=False):  # decibels need float32's digits
            mel = log_mel(batch["waveform"], self.mel)
        kept = self.older and self.older.kept(batch["keep"], mel, lambda codec, x: codec.posterior(x)[0])
        return audio_vae_loss(model, mel, generator, kept)  # type: ignore[arg-type]

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Mean absolute error in dB of held-out mels, over all frames, where the level rises, and by family."""
        errors, attacks, mel = [], [], None
        decibel = -self.mel.floor_db / 2
        for mel in self._mels(self.clips.held_out(), model):
            decoded = model.decode(model.encode(mel)[0])[0]  # type: ignore[operator]
            error = (decoded - mel).abs() * decibel
            rise = mel.diff(dim=-1).clamp_min(0) + 1e-6
            errors.append(error.mean(dim=(1, 2, 3)))
            attacks.append((error[..., 1:] * rise).sum(dim=(1, 2, 3)) / rise.sum(dim=(1, 2, 3)))
        if mel is not None:
            save_mels(folder / f"{step:07d}.png", mel[:4], decoded[:4])
        families = {f"error_db_{name}": float(part.mean()) for name, part in self.clips.by_family(torch.cat(errors))}
        return {"error_db": float(torch.cat(errors).mean()), "attack_db": float(torch.cat(attacks).mean()), **families}

    def finish(self, model: nn.Module) -> None:
        """Latents of whole training clips get unit variance; kept ones, the scale that they had."""
        if self.older is not None:
            self.older.restore(model)
            return
        finite = [some for rows in self.clips.sample(0, 16) if (some := self.clips.finite(rows))]
        if not finite:
            raise PhonofilmError(f"no clip to scale the latents with is finite: {', '.join(self.faulty(0)[:4])}")
        model.calibrate(self._mels(finite, model))  # type: ignore[operator]

    def compile(self, model: nn.Module) -> None:
        for name in ("posterior", "reconstruct"):
            setattr(model, name, torch.compile(getattr(model, name)))

    def _mels(self, batches: list[list[int]], model: nn.Module) -> Iterator[Tensor]:
        time, head = self.recipe.model.time, self.recipe.model.head
        return (log_mel(waveform, self.mel) for waveform in self._whole(batches, model, time, head))


class VocoderTask(_SoundTask):
    """Waveforms from their own mel spectrograms."""

    Recipe = VocoderRecipe
    filename = "vocoder.safetensors"

    def __init__(self, recipe: VocoderRecipe) -> None:
        if recipe.model.voice is not None and not recipe.data.stems:
            raise PhonofilmError("a voice is learnt from speech that is heard alone: set data.stems = true")
        if recipe.model.voice is None and recipe.learn == "voice":
            raise PhonofilmError('learn = "voice" needs a vocoder with a voice: set [model.voice]')
        super().__init__(recipe)
        self.codec = None if recipe.codec is None else load_module(AudioVAE, recipe.codec).requires_grad_(False)
        if self.codec is not None:
            time, head, window = self.codec.config.time, self.codec.config.head, recipe.data.window
            if self.codec.config.mel != self.mel:
                raise PhonofilmError(f"{recipe.codec} has another mel spectrogram than the vocoder")
            if window < head or (window - head) % time:
                raise PhonofilmError(f"data.window must be {head} + {time}·n mel frames for a codec, not {window}")

    def build(self) -> Vocoder:
        model = Vocoder(self.recipe.model)
        if self.recipe.learn == "voice":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith("voice."))
        return model

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        metrics: dict[str, Tensor] = {}
        loss = batch["waveform"].new_zeros(())
        if self.recipe.learn == "all":
            loss, metrics = vocoder_loss(model, batch["waveform"], generator)  # type: ignore[arg-type]
        voice = model.voice
        if voice is not None:
            more, of_voice = self._voice_loss(voice, batch, generator)  # type: ignore[arg-type]
            loss, metrics = loss + more, metrics | of_voice
        return loss, metrics

    def _voice_loss(self, voice: Voice, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        mel, decoded = log_mel(batch["waveform"], self.mel), None
        if self.codec is not None:
            codec = self.codec.to(mel.device)
            with torch.no_grad():
                decoded = codec.decode(codec.encode(mel)[0])[0]
        return voice_loss(voice, mel, batch["speech"], decoded, generator)

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Mean absolute error in dB between the mel of what the vocoder makes and the mel it was given."""
        errors, mel, again = [], None, None
        for waveform in self._whole(self.clips.held_out(), model, 1):
            mel = log_mel(waveform, self.mel)
            again = log_mel(model(mel)[0], self.mel)
            errors.append((again - mel).abs().mean(dim=(1, 2, 3)) * (-self.mel.floor_db / 2))
        if mel is not None and again is not None:
            save_mels(folder / f"{step:07d}.png", mel[:4], again[:4])
        families = {f"mel_db_{name}": float(part.mean()) for name, part in self.clips.by_family(torch.cat(errors))}
        return {"mel_db": float(torch.cat(errors).mean()), **families}

    def finish(self, model: nn.Module) -> None:
        """Nothing: a vocoder has no statistics."""

    def compile(self, model: nn.Module) -> None:
        # the oscillators' complex arithmetic stays eager; the network is what costs
        setattr(model, "controls", torch.compile(getattr(model, "controls")))  # noqa: B009, B010
