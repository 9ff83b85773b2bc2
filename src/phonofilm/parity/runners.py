"""How each network of this room computes the outputs of its parity fixture."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from phonofilm.parity.fixtures import Fixture, Runner
from phonofilm.perception.audio import ms_clap, panns, passt
from phonofilm.perception.audio.vggish import VGGish, log_mel_examples
from phonofilm.perception.audiovisual import imagebind, synchformer
from phonofilm.perception.audiovisual.imagebind import ImageBind, TrunkConfig
from phonofilm.perception.audiovisual.imagebind_text import ImageBindText, ImageBindTextConfig
from phonofilm.perception.audiovisual.peavs import Peavs
from phonofilm.perception.audiovisual.synchformer import Synchformer
from phonofilm.perception.common import ported_checkpoints
from phonofilm.perception.vision.i3d import I3D


def vggish(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(VGGish, fixture.weights(), device)
    examples = log_mel_examples(_draw(fixture, "waveform", device))
    return {"log_mel_examples": examples, "embeddings": network(examples)}


def i3d(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(I3D, fixture.weights(), device)
    taps = Taps(network, "Conv3d_1a_7x7", "Mixed_3c", "Mixed_4f", "Mixed_5c")
    pooled = network.pooled(rearrange(_draw(fixture, "frames", device), "t c h w -> 1 c t h w"))
    probes = {f"probe_{name}": _thin(output[0]) for name, output in taps.outputs.items()}
    return {"pooled": pooled[0, :, 0], "logits": network.classify(pooled)[0], **probes}


def synchformer_mel(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    mel = synchformer.mel_segments(_draw(fixture, "waveform", device))
    spread = mel.std((1, 2), correction=0)
    return {"mel": mel[[0, 7, 13]], "mel_mean": mel.mean((1, 2)), "mel_std": spread, "mel_l2": mel.norm(dim=(1, 2))}


def synchformer_whole(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(Synchformer, fixture.weights(), device)
    segments = synchformer.frame_segments(_draw(fixture, "frames", device))
    # One segment at a time: the whole clip's attention would need gigabytes.
    vision = torch.cat([network.vision(segment[None, None]) for segment in segments], 1)
    audio = network.audio(synchformer.mel_segments(_draw(fixture, "waveform", device))[None])
    logits = network.compare(vision, audio)
    return {"vision_features": vision[0], "audio_features": audio[0], "logits": logits[0]}


def imagebind_mel(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    return {"mel": imagebind.log_mel_clips(_draw(fixture, "waveform", device))[:, 0]}


def imagebind_whole(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(ImageBind, fixture.weights(), device)
    frames = _draw(fixture, "frames", device)
    image, film = frames[:1], rearrange(frames, "t c h w -> 1 c t h w")
    outputs: dict[str, Tensor] = {}
    for name, x in (("image", image), ("video", film)):
        raw = network.vision_raw(x)
        outputs |= {f"{name}_embedding_raw": raw[0], f"{name}_embedding": nn.functional.normalize(raw, dim=-1)[0]}
    mel = imagebind.log_mel_clips(_draw(fixture, "waveform", device))
    embedding = network.audio(mel)
    outputs |= {"audio_embedding_raw": network.audio_raw(mel), "audio_embedding": embedding}
    return outputs | {"audio_embedding_mean": embedding.mean(0)}


def panns_whole(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(panns.Cnn14, fixture.weights(), device)
    mel = panns.log_mel(_draw(fixture, "waveform", device))
    embeddings, logits = network(mel[None])
    return {"log_mel": mel[::20], "embeddings": embeddings[0], "logits": logits[0]}


def passt_whole(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(passt.PaSST, fixture.weights(), device)
    mel = passt.log_mel(_draw(fixture, "waveform", device))
    embeddings, logits = network(mel[None])
    return {"log_mel": mel[:, ::20], "embeddings": embeddings[0], "logits": logits[0]}


def ms_clap_sound(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ms_clap.build(fixture.weights(), "these weights", text=False).to(device)
    mel = ms_clap.log_mel(_draw(fixture, "waveform", device))
    return {"log_mel": mel[::20], "embedding": network.sound(mel[None])[0]}


def imagebind_text_whole(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    config = ImageBindTextConfig(TrunkConfig(*fixture.config["trunk"]), **fixture.config["rest"])
    network = ported_checkpoints.build(ImageBindText, fixture.weights(), device, config)
    ids = _draw(fixture, "ids", device).long()[None]
    return {"embedding_raw": network.raw(ids)[0], "embedding": network(ids)[0]}


def peavs(fixture: Fixture, device: torch.device) -> dict[str, Tensor]:
    network = ported_checkpoints.build(Peavs, fixture.weights(), device)
    audio, video = (_draw(fixture, name, device).float()[None] for name in ("audio", "video"))
    return {"prediction": network(audio, video)}


RUNNERS: Mapping[str, Runner] = {
    "vggish": vggish,
    "i3d": i3d,
    "synchformer_mel": synchformer_mel,
    "synchformer": synchformer_whole,
    "imagebind_mel": imagebind_mel,
    "imagebind": imagebind_whole,
    "panns": panns_whole,
    "passt": passt_whole,
    "peavs": peavs,
    "ms_clap": ms_clap_sound,
    "imagebind_text": imagebind_text_whole,
}


class Taps:
    """Keeps what named layers of a network put out."""

    def __init__(self, network: nn.Module, *names: str) -> None:
        self.outputs: dict[str, Tensor] = {}
        for name in names:
            network.get_submodule(name).register_forward_hook(self._keep(name))

    def _keep(self, name: str):
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.outputs[name] = output

        return hook


def _draw(fixture: Fixture, name: str, device: torch.device) -> Tensor:
    return torch.from_numpy(fixture.draw(name)).to(device)


def _thin(x: Tensor) -> Tensor:
    """[C, T, H, W] sub-sampled to about [8, 2, 7, 7], as the I3D fixture stores its probes."""
    channels, times, height, _ = x.shape
    space = max(1, height // 7)
    return x[:: max(1, channels // 8), :: max(1, times // 2), ::space, ::space]
