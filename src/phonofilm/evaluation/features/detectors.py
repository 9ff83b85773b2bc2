"""Features of detectors: what things and faces are in the picture, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.feature import Extractor, Feature
from phonofilm.evaluation.features.packaged_networks import LITERT
from phonofilm.evaluation.features.ported_networks import given
from phonofilm.evaluation.metrics.objects import BOX, box_colour
from phonofilm.evaluation.metrics.spatial import SIDE

RATE = 4.0
"""Pictures a second that are looked at, the rate of Spatial AV-Align's detector."""

SCENES = (
    "alley", "amusement park", "aquarium", "arch", "art gallery", "bathroom", "bakery shop", "ballroom", "bar", "barn",
    "basement", "beach", "bedroom", "bridge", "botanical garden", "cafeteria", "campsite", "campus", "carrousel",
    "castle", "cemetery", "classroom", "cliff", "crosswalk", "construction site", "corridor", "courtyard", "desert",
    "downtown", "driveway", "farm", "food court", "football field", "forest road", "fountain", "gas station", "glacier",
    "golf course", "gymnasium", "harbor", "highway", "hospital", "house", "iceberg", "industrial area", "jail cell",
    "junkyard", "kitchen", "library", "lighthouse", "laboratory", "mansion", "marsh", "mountain", "movie theater",
    "museum", "music studio", "nursery", "ocean", "office", "palace", "parking lot", "pharmacy", "phone booth",
    "raceway", "restaurant", "river", "science museum", "shower", "ski slope", "sky", "skyscraper", "stadium",
    "staircase", "street", "supermarket", "swimming pool", "tower", "track", "train railway", "train station platform",
    "underwater coral reef", "valley", "volcano", "waterfall", "windmill",
)  # fmt: skip
"""Places that a picture may be of, which CLIP chooses from."""


def names_kept(names: tuple[str, ...]) -> np.ndarray:
    """Names as an array that the cache keeps."""
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def names_from(kept: np.ndarray) -> tuple[str, ...]:
    """The names that were kept."""
    return tuple(kept.tobytes().decode().split("\n"))


def load_things(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.detr import Detr

    detector = Detr.load(given(weights), device=device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames = film.at(RATE)
        seen = detector(frames)
        height, width = frames.shape[1:3]
        colours = []
        for row in seen.rows:
            x0, y0, x1, y1 = (row[BOX] * (width, height, width, height)).round().astype(int)
            colours.append(box_colour(frames[int(row[0]), y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]))
        boxes = np.stack([seen.rows[:, 0], SIDE * seen.rows[:, 3], SIDE * seen.rows[:, 5]], axis=1)
        return {
            "things": seen.rows.astype(np.float64), "colours": np.array(colours, np.int64), "rows": boxes,
            "frames": np.array(len(frames)), "names": names_kept(seen.names),
        }  # fmt: skip

    return take


def load_face_boxes(weights: Path | None) -> Extractor:
    from phonofilm.perception.vision.faces import FaceTracker

    tracker = FaceTracker.load()

    def take(film: Film) -> Mapping[str, np.ndarray]:
        """The surest face of each picture, as rows (frame, x0, x1) at 4 a second in 256 pixels."""
        frames = film.at(RATE)
        faces = tracker(frames)
        across = faces.landmarks[faces.found, :, 0] * (SIDE / frames.shape[2])
        return {"rows": np.stack([np.flatnonzero(faces.found), across.min(1), across.max(1)], axis=1).reshape(-1, 3)}

    return take


def load_scenes(weights: Path | None, device: str = "cpu") -> Extractor:
    import torch

    from phonofilm.perception.vision.clip import Clip

    network = Clip.load(given(weights), device=device)
    known = torch.stack([network.text(f"a picture of a {scene}")[0] for scene in SCENES])
    return lambda film: {"cosines": (network.pictures(film.at(RATE)) @ known.T).numpy()}


def load_actions(weights: Path | None, device: str = "cpu") -> Extractor:
    from phonofilm.perception.vision.videomae import VideoMAE

    network = VideoMAE.load(given(weights), device=device)

    def take(film: Film) -> Mapping[str, np.ndarray]:
        frames = film.frames
        picked = frames[np.linspace(0, len(frames) - 1, network.frames).round().astype(int)]
        return {"logits": network.logits(picked).numpy(), "names": names_kept(network.names)}

    return take


HUB = {"torch": "torch", "transformers": "transformers"}
DETECTORS = (
    Feature("detr", 1, "picture", load_things, HUB | {"timm": "timm", "torchvision": "torchvision"}, "detr"),
    Feature("face-boxes", 1, "picture", load_face_boxes, LITERT | {"mediapipe": "mediapipe"}),
    Feature("clip-scenes", 1, "picture", load_scenes, HUB, "clip"),
    Feature("actions", 1, "picture", load_actions, HUB, "videomae-kinetics"),
)
