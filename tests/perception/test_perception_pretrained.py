"""CLIP, CLAP, DINO, VideoMAE, PE-AV: our preprocessing and scores equal transformers' own, or a second computation."""

import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_networks import tiny_clap, tiny_clip, tiny_dino, tiny_pe_av, tiny_videomae
from transformers import AutoModel, ClapFeatureExtractor, ClapModel, CLIPModel, ViTModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.pe_audio.feature_extraction_pe_audio import PeAudioFeatureExtractor
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from phonofilm.errors import PhonofilmError
from phonofilm.perception.audio import clap
from phonofilm.perception.audio.clap import Clap
from phonofilm.perception.audiovisual import pe_av
from phonofilm.perception.audiovisual.pe_av import PeAv
from phonofilm.perception.vision import clip, dino, videomae
from phonofilm.perception.vision.clip import Aesthetic, Clip
from phonofilm.perception.vision.dino import Dino
from phonofilm.perception.vision.videomae import VideoMAE

LEVEL = 1 / 255
"""One level of 8 bits, before a picture is divided by its spread."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    makers = {"clip": tiny_clip, "clap": tiny_clap, "dino": tiny_dino, "videomae": tiny_videomae}
    for name, make in makers.items():
        make(root / name)
    return root


@pytest.fixture(scope="module")
def frames():
    """Smooth pictures of another shape than the networks want: blobs that drift over a slope of colour."""
    y, x = np.mgrid[:90, :160].astype(np.float64)
    slope = np.stack([x / 160, y / 90, 1 - x / 160], -1) * 160
    blobs = [np.exp(-((x - 30 - 6 * t) ** 2 + (y - 45) ** 2) / 200)[..., None] * 90 for t in range(16)]
    return np.stack([slope + blob for blob in blobs]).round().astype(np.uint8)


def noise(seconds, rate=48_000):
    return (0.1 * np.random.default_rng(3).standard_normal(int(seconds * rate))).astype(np.float32)


def test_clip_sees_what_its_own_processor_shows(place, frames):
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    theirs = CLIPImageProcessorPil(**size)(list(frames), return_tensors="pt")["pixel_values"]
    ours = clip.prepare_frames(frames, 32)
    # Pillow's fixed-point resampling may round a level otherwise
    assert float((ours - theirs).abs().max()) <= 1.01 * LEVEL / min(clip.CLIP_STD)
    network = CLIPModel.from_pretrained(place / "clip").eval()
    with torch.inference_mode():
        wanted = network(input_ids=torch.tensor([[10, 3, 4, 11]]), pixel_values=ours)
        seen = Clip.load(place / "clip")
        torch.testing.assert_close(seen.pictures(frames), wanted.image_embeds, rtol=1e-4, atol=1e-5)
        said, cut = seen.text("red ball")
    torch.testing.assert_close(said, wanted.text_embeds[0], rtol=1e-4, atol=1e-5)
    assert cut == 0


def test_long_text_keeps_its_closing_token(place):
    """torchmetrics and others cut it off, and CLIP reads its answer where that token stands."""
    network, seen = CLIPModel.from_pretrained(place / "clip").eval(), Clip.load(place / "clip")
    said, cut = seen.text("red ball bounces on wood dog barks red ball")
    ids = torch.tensor([[10, 3, 4, 5, 6, 7, 8, 11]])
    assert cut == 3
    with torch.inference_mode():
        wanted = network.text_projection(network.text_model(input_ids=ids).pooler_output)[0]
    torch.testing.assert_close(said, F.normalize(wanted, dim=0), rtol=1e-4, atol=1e-5)


def test_aesthetic_is_a_linear_head_over_unit_vectors(place, frames, tmp_path):
    folder = tiny_clip(tmp_path / "both")
    head = {"weight": torch.linspace(-1, 1, 12)[None], "bias": torch.tensor([5.0])}
    torch.save(head, folder / clip.HEAD)
    unit = Clip.load(folder).pictures(frames)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(16))
    torch.testing.assert_close(Aesthetic.load(folder)(frames), unit @ head["weight"][0] + 5)
    torch.save({"weight": torch.zeros(1, 768), "bias": torch.zeros(1)}, folder / clip.HEAD)
    with pytest.raises(PhonofilmError, match="not a linear head over the 12-d CLIP"):
        Aesthetic.load(folder)


@pytest.mark.parametrize("seconds", [0.3, 4.0, 10.0])
def test_clap_hears_what_its_own_extractor_gives(seconds):
    sound = noise(seconds)
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    theirs = extractor(sound, sampling_rate=48_000, return_tensors="pt")["input_features"][0, 0]
    ours = clap.log_mel_windows(torch.from_numpy(sound))
    assert ours.shape == (1, 1001, 64)
    torch.testing.assert_close(ours[0].double(), theirs.double(), rtol=0, atol=2e-3)


def test_clap_scores_are_those_of_transformers(place):
    network, hears = ClapModel.from_pretrained(place / "clap").eval(), Clap.load(place / "clap")
    sound = noise(3.0)
    mel = clap.log_mel_windows(torch.from_numpy(sound))[:, None]
    ids = torch.tensor([[10, 8, 9, 11]])
    with torch.inference_mode():
        wanted = network(input_ids=ids, attention_mask=torch.ones_like(ids), input_features=mel)
    torch.testing.assert_close(hears.sound(sound), F.normalize(wanted.audio_embeds, dim=-1)[0], rtol=1e-4, atol=1e-5)
    said, cut = hears.text("dog barks")
    torch.testing.assert_close(said, F.normalize(wanted.text_embeds, dim=-1)[0], rtol=1e-4, atol=1e-5)
    assert cut == 0
    assert hears.text("dog barks " * 8)[1] == 10


def test_long_sound_is_heard_whole_and_the_same_each_time(place):
    assert clap.window_starts(480_000) == [0]
    assert clap.window_starts(576_000) == [0, 96_000]
    assert clap.window_starts(1_000_000) == [0, 480_000, 520_000]
    hears, sound = Clap.load(place / "clap"), noise(12.0)
    parts = [hears.sound(sound[:480_000]), hears.sound(sound[-480_000:])]
    torch.testing.assert_close(hears.sound(sound), F.normalize(torch.stack(parts).mean(0), dim=0), rtol=1e-4, atol=1e-5)
    assert torch.equal(hears.sound(sound), hears.sound(sound))


def test_a_fused_clap_is_refused(tmp_path):
    with pytest.raises(PhonofilmError, match="take an unfused one"):
        Clap.load(tiny_clap(tmp_path, fused=True))


def lerp(values, size):
    """Half-pixel bilinear resampling along the second axis, written out."""
    length = values.shape[1]
    place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    low = np.floor(place).astype(int)
    share = (place - low)[None, :, None, None]
    return values[:, low] * (1 - share) + values[:, np.minimum(low + 1, length - 1)] * share


def test_dino_sees_whole_pictures_as_vbench_scales_them(place, frames):
    ours = dino.prepare_frames(frames[:2])
    assert ours.shape == (2, 3, 224, 398)
    scaled = lerp(frames[:2].astype(np.float64), 224)
    scaled = lerp(scaled.swapaxes(1, 2), 398).swapaxes(1, 2)
    wanted = (np.round(scaled) / 255 - dino.IMAGENET_MEAN) / dino.IMAGENET_STD
    assert np.abs(ours.numpy() - wanted.transpose(0, 3, 1, 2)).max() <= 1.01 * LEVEL / min(dino.IMAGENET_STD)
    network = ViTModel.from_pretrained(place / "dino", add_pooling_layer=False).eval()
    with torch.inference_mode():
        states = network(pixel_values=ours, interpolate_pos_encoding=True).last_hidden_state
    torch.testing.assert_close(Dino.load(place / "dino")(frames[:2]), states[:, 0], rtol=1e-4, atol=1e-5)


def test_videomae_equals_its_own_processor_and_the_logits_behind_it(place, frames):
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    spread = {"image_mean": videomae.IMAGENET_MEAN, "image_std": videomae.IMAGENET_STD}
    theirs = VideoMAEImageProcessorPil(**size, **spread)(list(frames), return_tensors="pt")["pixel_values"][0]
    ours = videomae.prepare_frames(frames, 32)
    assert float((ours - theirs).abs().max()) <= 1.01 * LEVEL / min(videomae.IMAGENET_STD)
    sees = VideoMAE.load(place / "videomae")
    with torch.inference_mode():
        wanted = sees._network(pixel_values=ours[None]).logits[0]
        torch.testing.assert_close(sees._network.classifier(sees(frames)), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="takes 16 frames, not 3"):
        sees(frames[:3])


def test_pe_av_pairs_film_and_sound_as_transformers_does(frames):
    sound = noise(1.01)
    extractor = PeAudioFeatureExtractor(hop_length=32)
    given = extractor(sound, sampling_rate=48_000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(pe_av.prepare_sound(torch.from_numpy(sound), 32), given.reshape(-1), rtol=0, atol=0)
    pictures = pe_av.prepare_frames(frames, 32)
    assert float(pictures.abs().max()) <= 1.0
    network = tiny_pe_av()
    with torch.inference_mode():
        wanted = network(input_values=given.reshape(1, 1, -1), pixel_values_videos=pictures[None])
        film, heard = PeAv(network, size=32)(frames, sound)
    torch.testing.assert_close(film, F.normalize(wanted.video_embeds, dim=-1)[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(heard, F.normalize(wanted.audio_embeds, dim=-1)[0], rtol=1e-4, atol=1e-5)
    assert pe_av.frame_indices(100) == [int(i * 99 / 15) for i in range(16)]
    assert pe_av.frame_indices(1) == [0] * 16


def test_pe_av_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PhonofilmError, match="seeing with PE-AV needs timm: pip install timm torchvision"):
        PeAv.load(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "needs config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"torn"), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read"),
        (lambda folder: drop(folder), "lacks 1 tensors of CLIPModel, the first is logit_scale"),
        (lambda folder: retype(folder), "of type vit, not clip"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(spoil, message, tmp_path):
    folder = tiny_clip(tmp_path / "clip")
    spoil(folder)
    with pytest.raises(PhonofilmError, match=message) as caught:
        Clip.load(folder)
    assert "\n" not in str(caught.value)


def drop(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["logit_scale"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def retype(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))


def test_transformers_itself_would_have_filled_in_what_is_missing(tmp_path):
    """Why it is checked: a folder without one tensor loads without an error, that tensor drawn at random."""
    folder = tiny_clip(tmp_path / "clip")
    drop(folder)
    assert AutoModel.from_pretrained(folder).logit_scale is not None
