"""Where training looks and what it hears: crops that lie where something moves, mixes of stems."""

import pytest
import torch

from phonofilm.codecs.video_loss import gradient_error
from phonofilm.training.tasks.base import generator_for
from phonofilm.training.tasks.crops import Crops, motion
from phonofilm.training.tasks.mixes import random_mixes


def _clip() -> torch.Tensor:
    """Something that moves from frame 20 to 29, in the lower right corner."""
    frames = torch.full((40, 64, 64, 3), 90, dtype=torch.uint8)
    for time in range(20, 30):
        frames[time, 40:48, 40 + time - 20 : 46 + time - 20] = 250
    return frames


def test_crops_lie_where_and_when_something_moves() -> None:
    clip, crops = _clip(), Crops((40, 64, 64), window=9, side=32, moving=1.0)
    for seed in range(40):
        box = crops.draw(0, lambda: clip, generator_for("crop", seed))
        cut = box.cut(clip[box.start : box.start + box.frames])
        assert cut.shape == (9, 32, 32, 3)
        assert cut.int().diff(dim=0).any(), f"nothing moves in {box}"


def test_crops_lie_anywhere_where_nothing_is_asked_of_them() -> None:
    crops = Crops((40, 64, 64), window=9, side=32, moving=0.0)
    boxes = [crops.draw(0, _clip, generator_for("crop", seed)) for seed in range(300)]
    assert {box.start for box in boxes} == set(range(32))
    assert min(box.top for box in boxes) == 0
    assert max(box.left for box in boxes) == 32


def test_a_still_clip_is_cut_anywhere_and_a_small_one_is_kept_whole() -> None:
    still = torch.zeros(40, 64, 64, 3, dtype=torch.uint8)
    assert motion(still, (9, 32, 32)).unique().tolist() == [1.0]
    box = Crops((5, 16, 16), window=9, side=32, moving=1.0).draw(0, lambda: still[:5, :16, :16], generator_for(1))
    assert (box.frames, box.height, box.width) == (5, 16, 16)


def test_a_clip_is_read_once_to_see_where_it_moves() -> None:
    reads = []
    crops = Crops((40, 64, 64), window=9, side=32, moving=1.0)
    for seed in range(5):
        crops.draw(3, lambda: reads.append(1) or _clip(), generator_for("crop", seed))
    assert reads == [1]


def test_mixes_are_stems_scenes_and_new_mixtures_that_never_clip() -> None:
    time = torch.arange(800) / 800
    stems = torch.zeros(4, 3, 2, 800)
    for scene in range(4):
        stems[scene, 1, 0] = 0.9 * torch.sin(2 * torch.pi * (scene + 2) * time)
    stems[0, 2, 1] = 0.9 * torch.sin(2 * torch.pi * 9 * time)
    kinds = set()
    for seed in range(60):
        mixed, speech = random_mixes(stems, generator_for("mix", seed))
        assert mixed.shape == (4, 2, 800)
        assert mixed.abs().max() <= 0.951
        assert torch.equal(mixed, random_mixes(stems, generator_for("mix", seed))[0])
        assert not speech.any(), "no scene has speech"
        tones = torch.fft.rfft(mixed.sum(1)).abs() > 4
        kinds |= {tuple(row.nonzero().flatten().tolist()) for row in tones}
    assert {(2,), (9,), (2, 9)} <= kinds, "single stems and a scene's own mix"
    assert any(len(kind) > 1 and kind != (2, 9) for kind in kinds), "mixes that no scene has"


def test_silence_stays_silence() -> None:
    for sound in random_mixes(torch.zeros(2, 3, 2, 100), generator_for("mix"), speech=1.0):
        assert not sound.any()


def test_speech_is_drawn_as_often_as_is_asked_and_is_told_apart() -> None:
    stems = torch.zeros(4, 3, 2, 100)
    stems[1, 0], stems[2, 1, 0] = 0.5, -0.9
    spoken = alone = 0
    for seed in range(50):
        mixed, speech = random_mixes(stems, generator_for("mix", seed), speech=0.8)
        others = mixed - speech
        assert (speech >= 0).all()
        assert (others <= 1e-6).all()
        spoken += int((speech.amax(dim=(1, 2)) > 0).sum())
        alone += int(((speech.amax(dim=(1, 2)) > 0) & (others.abs().amax(dim=(1, 2)) < 1e-6)).sum())
    assert spoken / 200 > 0.75
    assert 0.2 < alone / spoken < 0.9


@pytest.mark.parametrize(
    ("error", "found"), [(torch.ones(1, 3, 2, 4, 4), 0.0), (torch.eye(4).expand(1, 3, 2, 4, 4), 1.0)]
)
def test_an_even_error_has_no_gradient(error: torch.Tensor, found: float) -> None:
    """Of a diagonal of ones, half of the differences are one, down and right."""
    assert float(gradient_error(error, torch.ones(1, 1, 2, 4, 4))) == pytest.approx(found)
