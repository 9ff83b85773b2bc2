"""The same job from its parts, as a researcher would take it apart: python examples/sampler.py"""

import torch

from phonofilm.backends.native import NativeBackend
from phonofilm.sampling import Denoiser, draw_noise, euler, flow_sigmas
from phonofilm.types import Latents

nano = NativeBackend.load("nano")
parts, trained = nano.parts, nano.parts.trained
grid = trained.grid(trained.frames)
text = parts.text.encode(["A blue rubber ball falls and bounces in a small room."])
noise = Latents(
    draw_noise((parts.channels[0], *grid.video_shape), [1], "video"),
    draw_noise((parts.channels[1], grid.audio_length), [1], "audio"),
)
denoiser, positions = Denoiser(parts.transformer, trained.prediction), grid.positions()
with torch.inference_mode():
    latents = euler(lambda x, sigma: denoiser(x, sigma, text, positions), noise, flow_sigmas(24, shift=3.0))
    frames, _ = parts.video_vae.decode(latents.video)
    mel, _ = parts.audio_vae.decode(latents.audio)
    sound, _ = parts.vocoder(mel)
print("frames", tuple(frames.shape), "sound", tuple(sound.shape), f"peak {sound.abs().max():.2f}")
