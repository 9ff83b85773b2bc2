"""Sampling: pure loops over a callable, and the parameterisation that training shares."""

from phonofilm.sampling.denoiser import Denoiser, LossConfig, add_noise
from phonofilm.sampling.guidance import Guidance, Guided
from phonofilm.sampling.samplers import SAMPLERS, Given, Watch, euler, heun, multistep, steps_for, unipc
from phonofilm.sampling.schedule import draw_noise, flow_sigmas, token_shift

__all__ = [
    "SAMPLERS",
    "Denoiser",
    "Given",
    "Guidance",
    "Guided",
    "LossConfig",
    "Watch",
    "add_noise",
    "draw_noise",
    "euler",
    "flow_sigmas",
    "heun",
    "multistep",
    "steps_for",
    "token_shift",
    "unipc",
]
