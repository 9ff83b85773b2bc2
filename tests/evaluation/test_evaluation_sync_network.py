"""The sync network that ships, on Foley World clips that it never saw, as `evaluate` asks it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.decoded_clip import Film, UnfitError
from phonofilm.evaluation.features.registry import catalogue
from phonofilm.evaluation.features.signal import facts
from phonofilm.evaluation.suite.clip_metrics import own_desync
from phonofilm.evaluation.suite.sample import Sample
from phonofilm.types import Clip
from phonofilm.weights import shipped


@pytest.fixture(scope="module")
def bounces() -> list[Clip]:
    truths = [world.sample("bounce", 95_000_000 + seed, seconds=5.0) for seed in range(4)]
    return world.clips(truths, size=64, fps=25)


def cut(clip: Clip, early: float, seconds: float = 4.0) -> Film:
    """The first seconds of the picture, and sound that comes `early` seconds early."""
    assert clip.frames is not None
    assert clip.waveform is not None
    start, length = round(early * 16_000), round(seconds * 16_000)
    frames = clip.frames[: round(seconds * 25)]
    return Film(Clip(frames, Fraction(25), clip.waveform[:, start : start + length], 16_000))


def views(films: list[Film]) -> list[Sample]:
    take = catalogue()["syncnet"].load(None)
    kept = [{"syncnet": take(film), "facts": facts(film)} for film in films]
    return [Sample(look, look) for look in (features.__getitem__ for features in kept)]


def test_early_sound_is_found_and_strange_sound_is_not(bounces: list[Clip]) -> None:
    together, early = (views([cut(clip, shift) for clip in bounces]) for shift in (0.0, 0.4))
    for expected, slack in ((False, 0.05), (True, 0.08)):
        assert np.median([own_desync(sample, expected) for sample in together]) == pytest.approx(0, abs=slack)
        assert np.median([own_desync(sample, expected) for sample in early]) == pytest.approx(0.4, abs=slack)
    strangers = [
        sample.with_audio(other.sound) for sample, other in zip(together, together[1:] + together[:1], strict=True)
    ]
    assert np.mean([own_desync(sample, expected=False) for sample in strangers]) > 0.15
    # the control goes through kept embeddings, and says of a clip's own sound what the clip itself said
    again = together[0].with_audio(lambda feature: together[0].sound(feature))
    assert own_desync(again, expected=True) == pytest.approx(own_desync(together[0], expected=True), abs=0.01)


def test_a_short_clip_has_no_answer(bounces: list[Clip]) -> None:
    with pytest.raises(UnfitError, match="needs 2 s"):
        views([cut(bounces[0], 0.0, seconds=1.5)])


def test_numbers_depend_on_the_weights_that_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalogue()["syncnet"].depends()["weights"] == shipped.FILES["syncnet"]
    assert shipped.shipped_file("syncnet").stat().st_size < 4_000_000
    monkeypatch.setitem(shipped.FILES, "syncnet", "0" * 64)
    with pytest.raises(PhonofilmError, match="is not the file that Phonofilm ships"):
        shipped.shipped_file("syncnet")
