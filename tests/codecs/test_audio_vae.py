from dataclasses import replace

import pytest
import torch

from phonofilm.codecs.audio_loss import audio_vae_loss
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig

CONFIG = AudioVAEConfig(mel=MelConfig(bins=16), latents=8, width=32)


@pytest.fixture
def vae() -> AudioVAE:
    torch.manual_seed(0)
    return AudioVAE(CONFIG).eval()


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (161, 41)])
def test_the_first_frame_has_a_latent_of_its_own_then_four_share_one(vae: AudioVAE, frames: int, latents: int) -> None:
    mel = torch.randn(2, 2, 16, frames)
    encoded, _ = vae.encode(mel)
    assert encoded.shape == (2, 8, latents)
    assert vae.decode(encoded)[0].shape == mel.shape


@pytest.mark.parametrize("cuts", [[1, 40], [5, 4, 4, 28], [21, 20], [1] + [4] * 10])
def test_chunks_equal_the_whole(vae: AudioVAE, cuts: list[int]) -> None:
    mel = torch.randn(2, 2, 16, 41)
    whole, _ = vae.encode(mel)
    state, parts = None, []
    for chunk in mel.split(cuts, dim=-1):
        part, state = vae.encode(chunk, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, -1), whole, atol=1e-5, rtol=0)

    decoded, _ = vae.decode(whole)
    state, pieces = None, []
    for part in parts:
        piece, state = vae.decode(part, state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, -1), decoded, atol=1e-5, rtol=0)


def test_no_latent_and_no_frame_looks_ahead(vae: AudioVAE) -> None:
    mel = torch.randn(1, 2, 16, 41)
    changed = mel.clone()
    changed[..., 21:] += 1
    assert torch.equal(vae.encode(mel)[0][..., :6], vae.encode(changed)[0][..., :6])
    latents = torch.randn(1, 8, 11)
    other = latents.clone()
    other[..., 6:] += 1
    assert torch.equal(vae.decode(latents)[0][..., :21], vae.decode(other)[0][..., :21])


def test_a_wrong_length_is_refused(vae: AudioVAE) -> None:
    with pytest.raises(ValueError, match="takes 1 \\+ 4·n"):
        vae.encode(torch.randn(1, 2, 16, 40))


def test_calibrated_latents_have_unit_variance(vae: AudioVAE) -> None:
    mels = [torch.randn(8, 2, 16, 41) * 0.3 - 0.5 for _ in range(4)]
    unnormalised = vae.encode(mels[0])[0]
    reconstruction = vae.decode(unnormalised)[0]
    vae.calibrate(mels)
    latents = torch.cat([vae.encode(mel)[0] for mel in mels])
    torch.testing.assert_close(latents.std((0, 2)), torch.ones(8), atol=0.01, rtol=0)
    torch.testing.assert_close(latents.mean((0, 2)), torch.zeros(8), atol=0.01, rtol=0)
    torch.testing.assert_close(vae.decode(vae.encode(mels[0])[0])[0], reconstruction, atol=1e-5, rtol=0)


def test_it_learns_attacks_and_pan() -> None:
    """A few seconds of training stand for hours: attacks at random frames, at random places left or right."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    vae = AudioVAE(replace(CONFIG, latents=24, width=64))
    optimiser = torch.optim.AdamW(vae.parameters(), lr=8e-3)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 8e-3 * min(1.0, (step + 1) / 10, (200 - step) / 100)
        optimiser.zero_grad()
        loss, _ = audio_vae_loss(vae, impacts(32, generator)[0], generator)
        loss.backward()
        optimiser.step()
    mel, onset, louder = impacts(64, generator)
    with torch.no_grad():
        decoded, _ = vae.decode(vae.encode(mel)[0])
    assert (decoded - mel).abs().mean() < 0.25 * (mel - mel.mean(0)).abs().mean()
    found = decoded.mean((1, 2)).diff(dim=-1).argmax(-1) + 1
    assert ((found - onset).abs() <= 1).float().mean() > 0.95
    difference = (decoded[:, 0] - decoded[:, 1]).mean((1, 2))
    assert (difference.sign() == louder).float().mean() > 0.9


def impacts(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Made-up mel [B, 2, 16, 21] of one decaying impact each, its frame, and +1 where the left is louder."""
    onset = torch.randint(2, 16, (count,), generator=generator)
    louder = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    band = torch.rand(count, 1, 1, 1, generator=generator) * 16
    since = torch.arange(21) - onset[:, None]
    envelope = torch.where(since >= 0, 1.6 - 0.1 * since, torch.zeros(()))[:, None, None, :]
    spectrum = torch.exp(-(((torch.arange(16)[:, None] - band) / 3) ** 2))
    pan = torch.stack([1 + 0.15 * louder, 1 - 0.15 * louder], 1)[:, :, None, None]
    return envelope * spectrum * pan - 1, onset, louder


def test_a_first_latent_of_several_frames_ends_with_the_picture_s() -> None:
    torch.manual_seed(0)
    vae = AudioVAE(replace(CONFIG, time=8, head=4)).eval()
    mel = torch.randn(1, 2, 16, 4 + 8 * 5)
    whole, _ = vae.encode(mel)
    assert whole.shape == (1, 8, 6)
    first, state = vae.encode(mel[..., :4])
    rest, _ = vae.encode(mel[..., 4:], state)
    torch.testing.assert_close(torch.cat([first, rest], -1), whole, atol=1e-5, rtol=0)
    decoded, _ = vae.decode(whole)
    assert decoded.shape == mel.shape
    start, state = vae.decode(whole[..., :1])
    assert start.shape[-1] == 4
    torch.testing.assert_close(torch.cat([start, vae.decode(whole[..., 1:], state)[0]], -1), decoded, atol=1e-5, rtol=0)
    changed = mel.clone()
    changed[..., 12:] += 1
    assert torch.equal(vae.encode(changed)[0][..., :2], whole[..., :2])
    with pytest.raises(ValueError, match="takes 4 \\+ 8·n"):
        vae.encode(mel[..., :9])
