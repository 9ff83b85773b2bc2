"""Is an output a copy of a training clip? The nearest one is looked up, measured and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from phonofilm.types import Clip
from phonofilm.workers import Workers

TRAINED_SEEDS = range(5000, 11000)  # of each family, see docs/model-card.md
FAMILIES = ("bounce", "strike")
SIDE, MOMENTS = 16, 12


def thumbnail(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] -> float32 [MOMENTS * SIDE * SIDE * 3] in 0..255: box-averaged, evenly spaced frames."""
    picked = frames[np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)].astype(np.float32)
    _, height, width, _ = picked.shape
    boxes = picked.reshape(MOMENTS, SIDE, height // SIDE, SIDE, width // SIDE, 3)
    return boxes.mean((2, 4)).ravel()


def training_thumbnails(job: tuple[str, Sequence[int]]) -> np.ndarray:
    """float32 [n, D] of training scenes, drawn again."""
    import torch

    from phonofilm import world

    torch.set_num_threads(1)
    family, seeds = job
    made = world.render([world.sample(family, seed) for seed in seeds])
    return np.stack([thumbnail(frames) for frames in made.frames.numpy()])


def nearest(
    outputs: Sequence[Clip], truths: Sequence[Clip], count: int, sheet: Path, workers: int = 2
) -> dict[str, float]:
    """Distance of outputs, and of true held-out clips, to the nearest of `count` training clips.

    Distances are root mean squares of thumbnails, in grey levels. The most copy-like outputs are drawn beside
    their nearest training clip on `sheet`.

    Returns:
        median and smallest distance of outputs, the same of held-out truth, and the number of clips looked through.
    """
    seeds = list(TRAINED_SEEDS)[:: max(1, len(TRAINED_SEEDS) * len(FAMILIES) // count)]
    jobs = [(family, seeds[start : start + 20]) for family in FAMILIES for start in range(0, len(seeds), 20)]
    with Workers(workers) as pool:
        known = np.concatenate(list(pool.map(training_thumbnails, jobs)))
    names = [(family, seed) for family, part in jobs for seed in part]
    made, true = (np.stack([thumbnail(c.frames) for c in clips if c.frames is not None]) for clips in (outputs, truths))
    to_made, to_true = distances(made, known), distances(true, known)
    closest = np.argsort(to_made.min(1))[:8]
    draw(sheet, [(outputs[i], names[to_made[i].argmin()], float(to_made[i].min())) for i in closest])
    return {
        "looked_through": float(len(known)),
        "output_median": float(np.median(to_made.min(1))),
        "output_smallest": float(to_made.min()),
        "truth_median": float(np.median(to_true.min(1))),
        "truth_smallest": float(to_true.min()),
    }


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square differences [N, M] of rows."""
    squares = (first**2).mean(1)[:, None] + (second**2).mean(1) - 2 * first @ second.T / first.shape[1]
    return np.sqrt(np.maximum(squares, 0))


def draw(path: Path, rows: Sequence[tuple[Clip, tuple[str, int], float]]) -> None:
    """Two strips a row: the output, and its nearest training clip below."""
    from phonofilm import world

    tile, gap, header = 96, 12, 22
    strip = np.linspace(0, 47, 10).round().astype(int)
    height = header + len(rows) * (2 * tile + header + gap)
    page = Image.new("RGB", (len(strip) * tile, height), (18, 18, 22))
    pen = ImageDraw.Draw(page)
    pen.text((6, 5), "output above, nearest training clip below (distance in grey levels)", fill=(220, 220, 220))
    for number, (clip, scene, distance) in enumerate(rows):
        top = header + number * (2 * tile + header + gap)
        pen.text((6, top + 4), f"{distance:.1f}   {clip.prompt}", fill=(160, 190, 200))
        train = world.clips([world.sample(*scene)])[0]
        for line, film in enumerate((clip, train)):
            frames = film.picture.frames
            for place, frame in enumerate(frames[np.minimum(strip, len(frames) - 1)]):
                picture = Image.fromarray(frame).resize((tile, tile), Image.Resampling.NEAREST)
                page.paste(picture, (place * tile, top + header + line * tile))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)
