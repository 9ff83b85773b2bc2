"""Draw the small films and sounds of examples/media: python scripts/make_media.py

Scenes of Foley World by their seeds, and what nano makes of the same captions; nobody else has rights in them.
"""

from __future__ import annotations

import json
from pathlib import Path

import phonofilm
from phonofilm import world

MEDIA = Path(__file__).parents[1] / "examples" / "media"
GIVEN = ("bounce", 200_024), ("bounce", 200_037)
"""What silent.mp4 and knocks.wav are of."""
PAIRS = {"rubber-box": ("bounce", 200_010), "glass-ball": ("bounce", 200_012)}
PAIRS |= {"slow-xylophone": ("strike", 200_008), "steady-xylophone": ("strike", 200_024)}


def main() -> None:
    draw = {name: world.clips([world.sample(*scene)])[0].with_(events=()) for name, scene in PAIRS.items()}
    for folder in ("real", "clips"):
        (MEDIA / folder).mkdir(parents=True, exist_ok=True)
    nano = phonofilm.load(device="cpu")
    for name, clip in draw.items():
        clip.save(MEDIA / "real" / f"{name}.mp4")
        nano.generate(clip.prompt or "", seed=1).save(MEDIA / "clips" / f"{name}.mp4")
    prompts = [{"name": name, "prompt": clip.prompt} for name, clip in draw.items()]
    lines = "".join(json.dumps(row) + "\n" for row in prompts)
    (MEDIA / "prompts.jsonl").write_text(lines, encoding="utf-8")
    silent, knocks = (world.clips([world.sample(*scene)])[0].with_(prompt=None, events=()) for scene in GIVEN)
    silent.with_(waveform=None, sample_rate=None, stems={}).save(MEDIA / "silent.mp4")
    knocks.with_(frames=None, fps=None).save(MEDIA / "knocks.wav")


if __name__ == "__main__":
    main()
