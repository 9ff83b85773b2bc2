"""Decoders that run on: latents in pieces of any length, and out come picture and sound that end together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.convnext import Pasts
from phonofilm.codecs.pixels import to_frames
from phonofilm.codecs.video_vae import Past, VideoVAE
from phonofilm.codecs.vocoder import Vocoder, VocoderState, VoicedState
from phonofilm.types import Latents, nearest


class RunningState(NamedTuple):
    """What decoders need to go on, a value; see `RunningDecoder`.

    Attributes:
        video, audio, vocoder: states of the three networks.
        frames: uint8 [F, H, W, 3], decoded and waiting for their sound.
        sound: float32 [S, 2, N], decoded and waiting for its frames.
        done: frames that were handed out so far.
    """

    video: Past
    audio: Pasts
    vocoder: VocoderState | VoicedState
    frames: Tensor
    sound: Tensor
    done: int


@dataclass(frozen=True)
class RunningDecoder:
    """The three decoders of one clip, with their memory as an argument.

    A vocoder with a voice looks ahead, so sound is known a little later than its picture. Frames wait for it: what is
    handed out is whole frames with exactly their sound, and the first piece has fewer frames than latents stand for.

    Attributes:
        fps: frames a second.
        dtype: what the picture is computed in; bfloat16 by autocast. Sound is always float32.
    """

    video: VideoVAE
    audio: AudioVAE
    vocoder: Vocoder
    fps: Fraction
    dtype: torch.dtype = torch.float32

    @torch.inference_mode()
    def decode(
        self, latents: Latents, state: RunningState | None = None
    ) -> tuple[np.ndarray, np.ndarray, RunningState]:
        """Frames uint8 [F, H, W, 3] and their sound float32 [S, 2, N], as many as are known, and the state after them.

        However latents are cut into pieces, the pieces that come out join to the same film.

        Args:
            latents: [1, C, T, H, W] and [1, S, C, T'], the next ones of both streams; the same seconds.
            state: None at the start of a film.

        Raises:
            PhonofilmError: a picture that is not finite.
            ValueError: a stream that is absent.
        """
        if latents.video is None or latents.audio is None:
            raise ValueError("a running decoder needs picture and sound")
        with torch.autocast(latents.video.device.type, self.dtype, enabled=self.dtype != torch.float32):
            pixels, video = self.video.decode(latents.video, state and state.video)
        mel, audio = self.audio.decode(latents.audio[0].float(), state and state.audio)
        sound, vocoder = self.vocoder(mel, state and state.vocoder, more=True)
        frames = torch.from_numpy(to_frames(pixels[0]))
        sound = sound.float().cpu()
        if state is not None:
            frames, sound = torch.cat([state.frames, frames]), torch.cat([state.sound, sound], -1)
        done = state.done if state else 0
        count = self._known(done, len(frames), sound.shape[-1])
        length = self._samples(done + count) - self._samples(done)
        after = RunningState(video, audio, vocoder, frames[count:].clone(), sound[..., length:].clone(), done + count)
        return frames[:count].numpy(), sound[..., :length].numpy(), after

    def _samples(self, frames: int) -> int:
        """Samples of a film of so many frames."""
        return nearest(frames / self.fps * self.vocoder.config.mel.sample_rate)

    def _known(self, done: int, frames: int, samples: int) -> int:
        """How many of the frames that wait have all of their sound."""
        start = self._samples(done)
        while frames and self._samples(done + frames) - start > samples:
            frames -= 1
        return frames
