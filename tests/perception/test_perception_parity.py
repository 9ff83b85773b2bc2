"""The ported networks give their references' outputs, under the published state-dict layout."""

from pathlib import Path

import pytest
import torch

from phonofilm.parity.fixtures import Fixture, check_folder
from phonofilm.parity.runners import RUNNERS
from phonofilm.perception.audio.vggish import VGGish
from phonofilm.perception.audiovisual import imagebind, synchformer
from phonofilm.perception.audiovisual.imagebind import ImageBind, ImageBindConfig, TrunkConfig
from phonofilm.perception.audiovisual.synchformer import Synchformer, SynchformerConfig
from phonofilm.perception.common import ported_checkpoints
from phonofilm.perception.vision.i3d import I3D
from phonofilm.perception.vision.motionformer import MotionFormerConfig

FIXTURES = Path(__file__).parents[1] / "fixtures" / "networks"
NETWORKS = {"vggish": VGGish, "i3d": I3D, "synchformer": Synchformer, "imagebind": ImageBind}


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def within(fixture, name, found, wanted=None):
    wanted = torch.from_numpy(fixture.outputs[name]) if wanted is None else wanted
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= fixture.tolerance(name), name


@pytest.mark.parametrize("name", NETWORKS)
def test_the_state_dict_is_the_published_one(name):
    fixture = Fixture.read(FIXTURES / f"{name}.json")
    with torch.device("meta"):
        ours = {key: list(tensor.shape) for key, tensor in NETWORKS[name]().state_dict().items()}
    assert ours == {key: shape for key, shape, _ in fixture.description["keys"]}


@pytest.mark.parametrize("name", ["vggish", "i3d", "synchformer_mel", "imagebind_mel", "peavs", "imagebind_text"])
def test_small_fixtures(name):
    (report,) = check_folder(FIXTURES, RUNNERS, names=[name])
    assert report["ok"], report


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two minutes of two idle cores, ten of a busy one
@pytest.mark.parametrize("name", ["synchformer", "imagebind", "panns", "passt", "ms_clap"])
def test_large_fixtures(name):
    (report,) = check_folder(FIXTURES, RUNNERS, names=[name])
    assert report["ok"], report


def part_of(fixture, *heavy):
    """The fixture without the keys of the blocks that would take minutes."""
    keys = [row for row in fixture.description["keys"] if not row[0].startswith(heavy)]
    return Fixture(fixture.path, {**fixture.description, "keys": keys})


def test_synchformer_in_parts():
    """One block of picture, all of the sound, and the head on the reference's features."""
    fixture = Fixture.read(FIXTURES / "synchformer.json")
    light = part_of(fixture, *(f"vfeat_extractor.blocks.{index}." for index in range(1, 12)))
    network = ported_checkpoints.build(
        Synchformer, light.weights(), config=SynchformerConfig(MotionFormerConfig(depth=1))
    )
    segments = synchformer.frame_segments(torch.from_numpy(fixture.draw("frames")))
    assert len(segments) == 14
    eye = network.vfeat_extractor
    tokens = eye.blocks[0](eye.embed(segments[:1].transpose(1, 2)), 8)
    within(fixture, "probe_vision_block0", tokens[0, [0, 1, 200, 1568]])
    mel = synchformer.mel_segments(torch.from_numpy(fixture.draw("waveform")))
    within(fixture, "audio_features", network.audio(mel[None])[0])
    vision, audio = (torch.from_numpy(fixture.outputs[f"{name}_features"])[None] for name in ("vision", "audio"))
    within(fixture, "logits", network.compare(vision, audio)[0])


def test_imagebind_sound_and_stem():
    """The audio part whole, and the vision part up to its trunk, which alone would take a minute."""
    fixture = Fixture.read(FIXTURES / "imagebind.json")
    light = part_of(fixture, "modality_trunks.vision.blocks.")
    config = ImageBindConfig(vision=TrunkConfig(1280, 0, 16))
    network = ported_checkpoints.build(ImageBind, light.weights(), config=config)
    mel = imagebind.log_mel_clips(torch.from_numpy(fixture.draw("waveform")))
    within(fixture, "audio_embedding", network.audio(mel))
    within(
        fixture,
        "audio_embedding_raw",
        network.audio_raw(mel[:1]),
        torch.from_numpy(fixture.outputs["audio_embedding_raw"][:1]),
    )
    film = torch.from_numpy(fixture.draw("frames")).transpose(0, 1)[None]
    tokens = network.modality_preprocessors["vision"](film)[0, [0, 1, 128, 256]]
    within(fixture, "probe_video_tokens", tokens)
