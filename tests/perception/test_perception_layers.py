"""The ports' layers against independent computations, and properties that hold for any weights."""

import math

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image
from torch import nn

from phonofilm.mel import band_edges
from phonofilm.perception.audio.ast import SpectrogramTransformerConfig
from phonofilm.perception.audio.vggish import log_mel_examples
from phonofilm.perception.audiovisual import imagebind, synchformer
from phonofilm.perception.audiovisual.imagebind import ImageBind, ImageBindConfig, TrunkConfig
from phonofilm.perception.audiovisual.synchformer import Synchformer, SynchformerConfig
from phonofilm.perception.common import frames as pictures
from phonofilm.perception.common.attention import MultiheadAttention, Pool
from phonofilm.perception.common.mel import frames, kaldi_log_mel, mel_bank
from phonofilm.perception.common.padding import pad_same
from phonofilm.perception.vision import i3d
from phonofilm.perception.vision.motionformer import DividedAttention, MotionFormerConfig


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("extra", [False, True])
def test_multihead_attention_is_torchs(extra):
    ours = MultiheadAttention(24, 3, extra).eval()
    theirs = nn.MultiheadAttention(24, 3, add_bias_kv=extra, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_pool_is_torchs_encoder_layer():
    ours = Pool(24, 3).eval()
    nn.init.normal_(ours.cls_token)
    theirs = nn.TransformerEncoderLayer(
        24, 3, 96, activation=nn.GELU(), layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    theirs.load_state_dict({key: value for key, value in ours.state_dict().items() if key != "cls_token"})
    x = torch.randn(5, 6, 24)
    whole = theirs(torch.cat([ours.cls_token.expand(5, -1, -1), x], 1))
    torch.testing.assert_close(ours(x), whole[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("group", "axis"), [("(b n) t d", "space"), ("(b t) n d", "time")])
def test_divided_attention_is_masked_attention(group, axis):
    times, places, width, heads = 3, 4, 12, 2
    layer = DividedAttention(width, heads).eval()
    x = torch.randn(2, 1 + times * places, width)
    when, where = np.divmod(np.arange(times * places), places)
    same = where if axis == "space" else when
    mask = torch.ones(len(x[0]), len(x[0]), dtype=torch.bool)
    mask[1:, 1:] = torch.from_numpy(same[:, None] == same)
    q, k, v = (rearrange(part, "b n (h d) -> b h n d", h=heads) for part in layer.qkv(x).chunk(3, -1))
    scores = (q @ k.mT / math.sqrt(width / heads)).masked_fill(~mask, -math.inf)
    wanted = layer.proj(rearrange(scores.softmax(-1) @ v, "b h n d -> b n (h d)"))
    torch.testing.assert_close(layer(x, group, times), wanted)


@pytest.mark.parametrize("size", [7, 8, 9, 15])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_same_padding_gives_the_ceiling(size, kernel, stride):
    x = pad_same(torch.randn(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)
    assert x.shape[2:] == (x.shape[2],) * 3
    assert (x.shape[2] - kernel) // stride + 1 == math.ceil(size / stride)
    added = x.shape[2] - size
    assert 0 <= added <= kernel - 1
    assert not x[:, :, : added // 2].any()


@pytest.mark.parametrize("kaldi", [False, True])
def test_mel_bank_sums_to_one_between_its_peaks(kaldi):
    bank = mel_bank(40, 20.0, 8000.0, 2048, 16_000, kaldi=kaldi)
    assert bank.shape == (1025, 40)
    assert bank.min() >= 0
    assert bank.max() <= 1
    peaks = bank.argmax(0)
    assert bool((peaks.diff() > 0).all())
    torch.testing.assert_close(
        bank[peaks[0] + 1 : peaks[-1]].sum(1), torch.ones_like(bank[peaks[0] + 1 : peaks[-1], 0])
    )


def test_a_tone_peaks_in_its_band():
    tone = 0.5 * torch.sin(2 * torch.pi * 1000.0 * torch.arange(16_000) / 16_000)
    band = int(np.abs(band_edges(128, 20.0, 8000.0)[1:-1] - 1000.0).argmin())
    assert abs(int(kaldi_log_mel(tone, 128, 16_000).mean(0).argmax()) - band) <= 1
    assert kaldi_log_mel(tone, 128, 16_000).shape == (98, 128)


def test_too_short_a_sound_gives_nothing():
    short = torch.zeros(399)
    assert frames(short, 400, 160).shape == (0, 400)
    assert log_mel_examples(short).shape == (0, 96, 64)
    assert log_mel_examples(torch.zeros(15_599)).shape == (0, 96, 64)
    assert log_mel_examples(torch.zeros(15_600)).shape == (1, 96, 64)
    assert synchformer.mel_segments(torch.zeros(2, 10_239)).shape == (2, 0, 128, 66)
    assert synchformer.frame_segments(torch.zeros(15, 3)).shape == (0, 16, 3)


def test_mel_segments_are_independent():
    waveform = torch.randn(20_480)
    segments = synchformer.mel_segments(waveform)
    assert segments.shape == (3, 128, 66)
    torch.testing.assert_close(synchformer.mel_segments(waveform[5_120:15_360])[0], segments[1])
    torch.testing.assert_close(segments[:, :, 65], torch.full((3, 128), 4.2677393 / (2 * 4.5689974)))


def test_clip_starts_are_spread_evenly():
    assert imagebind.clip_starts(6.0) == (0.0, 2.0, 4.0)
    assert imagebind.clip_starts(4.0) == (0.0, 1.0, 2.0)
    assert imagebind.clip_starts(1.0) == (0.0, 0.0, 0.0)
    assert imagebind.log_mel_clips(torch.zeros(8_000)).shape == (3, 1, 128, 204)


def test_overlapping_clips_do_not_disturb_each_other():
    waveform = torch.randn(48_000) + 3.0
    kept = waveform.clone()
    clips = imagebind.log_mel_clips(waveform)
    torch.testing.assert_close(waveform, kept)
    torch.testing.assert_close(clips[1], imagebind.log_mel_clips(waveform[8_000:40_000])[0])


@pytest.fixture
def photo():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((640, 360), Image.Resampling.BICUBIC))


def test_bicubic_is_pillows(photo):
    ours = pictures.short_side(pictures.to_tensor(photo[None]), 224)[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.fromarray(photo).resize((398, 224), Image.Resampling.BICUBIC), dtype=np.float32)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


def test_crops(photo):
    x = pictures.to_tensor(photo[None])
    assert pictures.three_crops(x, 224).shape == (3, 1, 3, 224, 224)
    torch.testing.assert_close(pictures.three_crops(x, 360)[0], x[..., :360])
    torch.testing.assert_close(pictures.three_crops(x, 360)[2], x[..., -360:])
    torch.testing.assert_close(pictures.three_crops(x.mT, 360)[2], x.mT[..., -360:, :])
    torch.testing.assert_close(pictures.centre_crop(x, 360), x[..., 140:500])
    with pytest.raises(ValueError, match="uint8"):
        pictures.to_tensor(photo[None].astype(np.float32))


def test_prepared_frames_have_the_networks_ranges(photo):
    film = np.stack([photo, 255 - photo])
    for prepared in (synchformer.prepare_frames(film), imagebind.prepare_frames(film)):
        assert prepared.shape == (2, 3, 224, 224)
    assert imagebind.prepare_frames(film, crops=True).shape == (3, 2, 3, 224, 224)
    for recipe in ("squash", "crop"):
        prepared = i3d.prepare_frames(film, recipe)
        assert prepared.shape == (3, 2, 224, 224)
        assert float(prepared.min()) < 0.0 < float(prepared.max())
        assert float(prepared.abs().max()) <= 1.0 + 1e-6
    white = np.full((1, 30, 40, 3), 255, np.uint8)
    torch.testing.assert_close(synchformer.prepare_frames(white), torch.ones(1, 3, 224, 224))


TINY = SynchformerConfig(
    vision=MotionFormerConfig(width=24, depth=2, heads=2, size=32),
    audio=SpectrogramTransformerConfig(width=24, depth=2, heads=2),
    segments=3,
    depth=1,
    heads=2,
    classes=5,
)


def test_synchformer_is_independent_of_the_batch():
    network = Synchformer(TINY).eval()
    film, mel = torch.randn(2, 3, 16, 3, 32, 32), torch.randn(2, 3, 128, 66)
    vision, audio = network.vision(film), network.audio(mel)
    assert vision.shape == (2, 3, 8, 24)
    assert audio.shape == (2, 3, 6, 24)
    torch.testing.assert_close(vision[1:, 2:], network.vision(film[1:, 2:]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(audio[1:, 2:], network.audio(mel[1:, 2:]), rtol=1e-4, atol=1e-5)
    assert network.compare(vision, audio).shape == (2, 5)
    with pytest.raises(ValueError, match="compares 3 segments of each, not 2 of picture and 3 of sound"):
        network.compare(vision[:, :2], audio)


def test_offset_grid():
    grid = synchformer.offset_grid()
    assert len(grid) == 21
    torch.testing.assert_close(grid[[0, 10, 11, 20]], torch.tensor([-2.0, 0.0, 0.2, 2.0]))


def test_imagebind_sees_an_image_as_a_still_film():
    config = ImageBindConfig(vision=TrunkConfig(32, 2, 2), audio=TrunkConfig(24, 2, 2), embedding=8, size=28)
    network = ImageBind(config).eval()
    for parameter in network.parameters():
        parameter.copy_(0.1 * torch.randn_like(parameter))
    image = torch.randn(2, 3, 28, 28)
    torch.testing.assert_close(network.vision(image), network.vision(torch.stack([image, image], 2)))
    torch.testing.assert_close(network.vision(image).norm(dim=-1), torch.ones(2))
    mel = torch.randn(3, 1, 128, 204)
    torch.testing.assert_close(network.audio(mel).norm(dim=-1), torch.full((3,), 20.0))
    torch.testing.assert_close(network.audio(mel)[1:2], network.audio(mel[1:2]), rtol=1e-4, atol=1e-4)
