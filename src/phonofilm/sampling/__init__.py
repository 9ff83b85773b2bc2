"""Sampling: pure loops over a callable, and the parameterisation that training shares."""

from phonofilm.sampling.denoiser import Denoiser, LossConfig, add_noise
from phonofilm.sampling.guidance import Guidance, Guided, texts_of
from phonofilm.sampling.samplers import SAMPLERS, Denoise, Given, Watch, euler, heun, multistep, steps_for, unipc
from phonofilm.sampling.schedule import draw_noise, flow_sigmas, token_shift
from phonofilm.sampling.student import JUMP, JUMP_WIDTH, Student, jump_features

__all__ = [
    "JUMP",
    "JUMP_WIDTH",
    "SAMPLERS",
    "Denoise",
    "Denoiser",
    "Given",
    "Guidance",
    "Guided",
    "LossConfig",
    "Student",
    "Watch",
    "add_noise",
    "draw_noise",
    "euler",
    "flow_sigmas",
    "heun",
    "jump_features",
    "multistep",
    "steps_for",
    "texts_of",
    "token_shift",
    "unipc",
]
