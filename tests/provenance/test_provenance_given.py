"""What is marked stays below full scale, and what was given keeps every bit."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm.provenance.watermark.given import Made, mark_clip, mark_pieces
from phonofilm.types import Clip

KEYS = [b"k" * 32]


@pytest.fixture
def loud() -> Clip:
    """Stems of which one fills full scale alone, and less of it beside the other."""
    generator = np.random.default_rng(0)
    effects = np.sign(generator.normal(size=(2, 24_000))).astype(np.float32) * np.float32(0.999)
    speech = (-0.05 * np.sign(effects)).astype(np.float32)
    stems = {"speech": speech, "effects": effects, "music": np.zeros_like(speech)}
    return Clip(waveform=speech + effects, sample_rate=24_000, stems=stems)


def whole(clips: list[Clip]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    stems = {name: np.concatenate([clip.stems[name] for clip in clips], axis=1) for name in clips[0].stems}
    return np.concatenate([clip.sound.waveform for clip in clips], axis=1), stems


@pytest.mark.parametrize("pieces", [False, True])
def test_marks_fit_below_full_scale_in_the_mix_and_in_each_stem(loud: Clip, pieces: bool) -> None:
    if pieces:
        halves = [
            loud.with_(waveform=loud.sound.waveform[:, part], stems={n: s[:, part] for n, s in loud.stems.items()})
            for part in (slice(0, 12_000), slice(12_000, None))
        ]
        mix, stems = whole(list(mark_pieces(iter(halves), KEYS, ("speech",))))
    else:
        mix, stems = whole([mark_clip(loud, Made((0, 0), (0, 24_000), ("effects", "music")), KEYS)])
    assert np.array_equal(stems["speech"], loud.stems["speech"])
    assert not np.array_equal(stems["effects"], loud.stems["effects"])
    assert max(np.abs(sound).max() for sound in (mix, *stems.values())) <= 1 + 1e-6
    np.testing.assert_allclose(sum(stems.values()), mix, atol=1e-6)
