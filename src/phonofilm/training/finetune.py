"""Fine-tuning with an adapter: the data as it comes, then the one training loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phonofilm.config import read_toml
from phonofilm.data.building import FACTS, read_facts
from phonofilm.data.clips import RawStore
from phonofilm.data.encoder import Encoder
from phonofilm.data.latents import write_latents
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_folder
from phonofilm.training.loop import fit
from phonofilm.training.parallel.processes import joined
from phonofilm.training.tasks.base import make_task
from phonofilm.weights import EMBEDDED, locate, part_files

HELD_OUT = 0.1
"""Share of few clips that is held out, unless the recipe says how many."""


def finetune(recipe: str | Path, data: Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    """Train an adapter on a store and return the path of its file.

    Args:
        data: latents, or a raw store, which is encoded with the base's codecs into the run's folder first.
        overrides, resume: see `train`.

    Raises:
        PhonofilmError: a recipe of another kind, or data that is empty or no store.
    """
    values = read_toml(recipe, overrides)
    if values.get("kind") != "lora":
        kind = values.get("kind")
        said = "no line says what it trains" if kind is None else f"it trains {kind!r}"
        raise PhonofilmError(
            f'{recipe} is no recipe of an adapter: {said}; its kind must be "lora", as that of recipes/lora.toml'
        )
    run = values.get("run", {})
    check_folder(_output(values))
    with joined(str(run.get("device", "auto")), alone=run.get("placement") != "shares") as processes:
        if processes.first:
            _latents(data, values)
        processes.wait()
        return _finetune(recipe, _latents(data, values), values, resume)


def _finetune(recipe: str | Path, latents: Path, values: dict[str, Any], resume: bool) -> Path:
    section = values.setdefault("data", {})
    section["folder"] = str(latents)
    count = read_facts(Path(section["folder"])).get("count", 0)
    section.setdefault("held_out", max(1, round(HELD_OUT * count)))
    return fit(make_task(values, str(recipe)), resume=resume)


def _latents(data: Path, values: dict[str, Any]) -> Path:
    """The latents of a store of either kind."""
    if not data.is_dir():
        raise PhonofilmError(f"data folder {data} {'is a file' if data.exists() else 'does not exist'}; name a store")
    if not any(data.iterdir()):
        raise PhonofilmError(f"data folder {data} is empty; write clips into it: python -m phonofilm.data.precompute")
    if not (data / FACTS).is_file():
        raise PhonofilmError(f"{data} is no store of clips; write one: python -m phonofilm.data.precompute raw")
    if read_facts(data).get("kind") != "raw":
        return data
    store, base = RawStore(data), str(values.get("base", "nano"))
    named = base in EMBEDDED or Path(base).is_dir()
    codecs = part_files(locate(base))["video_vae"].parent if named else Path(base).parent
    output = _output(values) / "latents"
    stems = "stems" in store.shards.names
    write_latents(store, len(store), Encoder.load(codecs), output, shard=64, batch=4, stems=stems)
    return output


def _output(values: dict[str, Any]) -> Path:
    """The folder of a run."""
    return Path(str(values.get("run", {}).get("output", "runs/lora")))
