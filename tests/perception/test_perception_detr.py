"""DETR on a tiny random network: boxes, classes and scores as transformers' own post-processing has them."""

import numpy as np
import pytest
import torch

from phonofilm.errors import PhonofilmError
from phonofilm.perception.vision.detr import Detr, prepare_frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, num_queries=7,
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_attention_heads=2, num_labels=4,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("detr")
    DetrForObjectDetection(config).save_pretrained(path)
    return path


def test_things_are_those_of_transformers(folder):
    from transformers import DetrForObjectDetection

    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 64, 3), dtype=np.uint8)
    seen = Detr.load(folder)(frames, threshold=0.0)
    assert seen.rows.shape == (14, 7)
    assert seen.names == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    network = DetrForObjectDetection.from_pretrained(folder).eval()
    with torch.inference_mode():
        for index, frame in enumerate(frames):
            known = network(pixel_values=prepare_frames(frame[None]))
            shares = known.logits.softmax(-1)[0, :, :-1]
            rows = seen.rows[seen.rows[:, 0] == index]
            np.testing.assert_allclose(rows[:, 2], shares.max(-1).values, atol=1e-5)
            np.testing.assert_array_equal(rows[:, 1], shares.argmax(-1))
            middle = (rows[:, 3:5] + rows[:, 5:7]) / 2
            inside = ((rows[:, 3:] > 0) & (rows[:, 3:] < 1)).all(axis=1)
            np.testing.assert_allclose(middle[inside], known.pred_boxes[0, inside, :2], atol=1e-5)
    assert len(Detr.load(folder)(frames, threshold=1.1).rows) == 0


def test_pictures_are_800_high_unless_they_are_too_wide(tmp_path):
    assert prepare_frames(np.zeros((1, 48, 64, 3), np.uint8)).shape[-2:] == (800, 1067)
    assert prepare_frames(np.zeros((1, 48, 96, 3), np.uint8)).shape[-2:] == (666, 1333)
    with pytest.raises(PhonofilmError, match="not a folder of weights"):
        Detr.load(tmp_path)
