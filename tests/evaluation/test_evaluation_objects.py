"""VBench's dimensions of meaning over detected things whose truth is known."""

import numpy as np
import pytest

from phonofilm.evaluation.metrics.objects import (
    COLOURS,
    box_colour,
    class_index,
    colour_share,
    object_share,
    objects_share,
    relation_share,
)

CAT, DOG = 0, 1
ROWS = np.array(
    [
        # frame, class, score, x0, y0, x1, y1
        [0, CAT, 0.9, 0.1, 0.4, 0.3, 0.6],
        [0, DOG, 0.9, 0.6, 0.4, 0.9, 0.7],
        [1, CAT, 0.9, 0.1, 0.1, 0.3, 0.2],
        [1, DOG, 0.9, 0.1, 0.7, 0.3, 0.9],
        [2, CAT, 0.9, 0.2, 0.2, 0.6, 0.6],
        [2, DOG, 0.9, 0.3, 0.2, 0.7, 0.6],
    ]
)  # fmt: skip


def test_shares_of_frames():
    assert object_share(ROWS, 4, CAT) == 0.75
    assert objects_share(ROWS[1:], 4, CAT, DOG) == 0.5
    assert objects_share(ROWS, 4, CAT, CAT) == 0
    twice = np.concatenate([ROWS, ROWS[:1]])
    assert objects_share(twice, 4, CAT, CAT) == 0.25


def test_relations_ask_for_axis_side_and_little_overlap():
    # frame 0: to the left; frame 1: above; frame 2: to the left with IoU .12 / .20 = .6
    left = relation_share(ROWS, 4, CAT, DOG, "on the left of")
    assert left == pytest.approx((1 + 0 + 0.1 / 0.6 + 0) / 4)
    assert relation_share(ROWS, 4, DOG, CAT, "on the right of") == pytest.approx(left)
    assert relation_share(ROWS, 4, CAT, DOG, "above") == 0.25
    assert relation_share(ROWS, 4, CAT, DOG, "on the bottom of") == 0
    with pytest.raises(ValueError, match="no relation"):
        relation_share(ROWS, 4, CAT, DOG, "inside")


@pytest.mark.parametrize(
    ("colour", "pixel"),
    [
        ("red", (200, 20, 30)), ("orange", (240, 140, 20)), ("yellow", (240, 220, 40)), ("green", (30, 150, 50)),
        ("blue", (40, 70, 210)), ("purple", (130, 40, 180)), ("pink", (245, 160, 190)), ("brown", (110, 65, 30)),
        ("white", (245, 245, 240)), ("black", (15, 15, 18)), ("gray", (128, 130, 127)),
    ],
)  # fmt: skip
def test_colours_have_their_names(colour, pixel):
    ground = np.full((40, 40, 3), (90, 120, 90), np.uint8)
    ground[6:34, 6:34] = pixel
    assert COLOURS[box_colour(ground)] == colour


def test_colour_share_is_of_the_frames_with_the_thing():
    colours = [COLOURS.index(name) for name in ("red", "blue", "red", "red", "gray", "red")]
    assert colour_share(ROWS, colours, CAT, "red") == pytest.approx(2 / 3)
    assert colour_share(ROWS, colours, DOG, "grey") == 0
    assert colour_share(ROWS, colours, 7, "red") is None
    with pytest.raises(ValueError, match="no colour"):
        colour_share(ROWS, colours, CAT, "loud")


def test_words_of_prompts_meet_the_detectors_names():
    names = ("N/A", "person", "fire hydrant", "tv")
    assert class_index(names, "Person") == 1
    assert class_index(names, "fire hydrant") == 2
    with pytest.raises(ValueError, match="knows no"):
        class_index(names, "unicorn")
