"""How our port of MMAudio computes the outputs of its fixtures, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from phonofilm.codecs.mmaudio.bigvgan import BigVGAN, BigVGANConfig, folded
from phonofilm.codecs.mmaudio.mel_vae import MelVAE, MelVAEConfig, prepared
from phonofilm.model.mmaudio.network import MMAudio, MMAudioConfig
from phonofilm.model.mmaudio.sampling import sample
from phonofilm.parity.fixtures import Fixture, Outputs, Runner

Module = TypeVar("Module", bound=nn.Module)


def network(fixture: Fixture, device: torch.device) -> Outputs:
    """The flow at two times, and four steps of the guided sampler."""
    weights = fixture.weights()
    ours = _filled(MMAudio(MMAudioConfig.of(weights)), weights, device)
    latents, clip, sync, text = (_drawn(fixture, name, device) for name in ("latents", "clip", "sync", "text"))
    told = ours.tell(clip, sync, text, latents.shape[1])
    time = torch.tensor([0.3, 0.85], dtype=torch.float64, device=device)
    away = ours.tell(*ours.nothing(clip.shape[1], sync.shape[1]), latents.shape[1])
    return {"flow": ours(latents, time, told), "sampled": sample(ours, latents, told, away, steps=4, guidance=4.5)}


def mel_vae(fixture: Fixture, device: torch.device) -> Outputs:
    weights = {name: tensor.double() for name, tensor in fixture.weights().items()}
    weights["data_std"] = 1 + weights["data_std"].abs()
    ours = _filled(MelVAE(MelVAEConfig.of(weights)), prepared(weights), device)
    return {
        "latents": ours.encode(_drawn(fixture, "mel", device)),
        "mel": ours.decode(_drawn(fixture, "latents", device)),
    }


def vocoder(fixture: Fixture, device: torch.device) -> Outputs:
    weights = {name: tensor.double() for name, tensor in fixture.weights().items()}
    ours = _filled(BigVGAN(BigVGANConfig.of(fixture.config)), folded(weights), device)
    return {"sound": ours(_drawn(fixture, "mel", device))}


def _filled(module: Module, weights: Mapping[str, Tensor], device: torch.device) -> Module:
    module.double().load_state_dict(dict(weights))
    return module.to(device).eval()


def _drawn(fixture: Fixture, name: str, device: torch.device) -> Tensor:
    return torch.from_numpy(fixture.draw(name)).double().to(device)


RUNNERS: Mapping[str, Runner] = {"mmaudio": network, "mmaudio_vae": mel_vae, "mmaudio_vocoder": vocoder}
