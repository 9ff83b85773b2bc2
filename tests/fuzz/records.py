"""What is not media and yet comes from elsewhere: prompts, subtitles, batches, recipes, manifests, studies, weights."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from fuzz.damage import damaged
from fuzz.runner import Target
from fuzz.structured import json_damaged, lines_damaged, tensors_damaged, toml_damaged, toml_lines
from phonofilm.config import to_dict
from phonofilm.data.manifest import ClipRecord
from phonofilm.types import Event

RECIPES = Path(__file__).parents[2] / "recipes"


def use_prompts(path: Path) -> None:
    from phonofilm.app.study.build import read_prompts as read_scenes
    from phonofilm.evaluation.prompts import read_prompts

    (read_scenes if path.name.startswith("scenes") else read_prompts)(path)


def use_subtitles(path: Path) -> None:
    """The cues, and the lines that are said of them, as `soundtrack --say FILE` takes them."""
    from phonofilm.media.subtitle_files import read_subtitles
    from phonofilm.perception.speech.script import subtitle_lines

    cues = read_subtitles(path)
    assert all(0 <= cue.start < cue.end for cue in cues), cues
    assert all(line.text and line.at is not None for line in subtitle_lines(cues))


def use_batch(path: Path) -> None:
    """Every line is a clip, or a fault in one line."""
    from phonofilm.app.jobs.batch import read_items
    from phonofilm.app.jobs.spec import RequestSpec

    _, faults = read_items(path, RequestSpec(model="fake"), path.parent)
    assert all(fault.strip() and "\n" not in fault for fault in faults), faults


def use_recipe(path: Path) -> None:
    """The settings and the task, and its network as far as sizes go: data of a generator is not here."""
    from phonofilm.config import from_dict, read_toml
    from phonofilm.training.tasks.base import make_task
    from phonofilm.training.tasks.generator import GeneratorRecipe, network_of

    values = read_toml(path)
    if values.get("kind") == "generator":
        network, config = network_of(from_dict(GeneratorRecipe, values))
        make = partial(network, config)
        sizes = to_dict(config)
    else:
        task = make_task(values, str(path))
        make, sizes = task.build, to_dict(task.recipe)
    if size_of(sizes) < 2000:
        with torch.device("meta"):
            make()


def size_of(values: Any) -> float:
    """The largest number among settings: a network of such a size is not built."""
    if isinstance(values, dict):
        return max(map(size_of, values.values()), default=0)
    if isinstance(values, list):
        return max(map(size_of, values), default=0)
    return abs(values) if isinstance(values, int | float) else 0


def use_manifest(path: Path) -> None:
    from phonofilm.data.building import read_rates
    from phonofilm.data.manifest import read_manifest
    from phonofilm.media.metadata import from_tags, to_events
    from phonofilm.weights import public

    if path.name == "manifest.jsonl":
        for record in read_manifest(path):
            assert all(0 <= event.time <= 86_400 for event in record.events)
    elif path.name == "store.json":
        read_rates(path.parent)
    elif path.name == "tags.json":
        to_events(from_tags({"comment": path.read_text(encoding="utf-8", errors="replace")}))
    else:
        shutil.copy(path, path.parent / public.MANIFEST)
        public.read_manifest(path.parent)


def use_study(path: Path) -> None:
    """All that a study decides for its first raters."""
    from phonofilm.evaluation.study.protocol import load_study

    study = load_study(path.parent)
    assert study.minutes > 0
    for seat in range(3):
        for trial in study.trials(seat):
            assert all(study.stimuli[stimulus].file for stimulus in trial.stimuli)


@dataclass(frozen=True)
class TinyConfig:
    """Of a network that is quickly built."""

    width: int = 4
    depth: tuple[int, ...] = (1, 2)
    note: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise ValueError(f"width = {self.width} is not possible")


class Tiny(nn.Module):
    """The network of the weights that are damaged."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.width, config.width)


def use_weights(path: Path) -> None:
    """Whatever reads weights: a module of ours, a checkpoint, defaults of a model, published files."""
    from phonofilm.backends.canvas.model_defaults import ModelDefaults
    from phonofilm.backends.published.files import eight_bit, parameters, read_header, stored_dtype
    from phonofilm.backends.published.stored import stored_tensors
    from phonofilm.checkpoint import load_module, read_metadata
    from phonofilm.training.resume import Checkpoint
    from phonofilm.training.tasks.audio_vae import VocoderRecipe
    from phonofilm.types import Geometry

    if path.name.startswith("published"):
        read_header(path)
        eight_bit([path])
        parameters([path])
        stored_dtype([path])
        for found in stored_tensors([path]).values():
            found.read()
    elif path.name.startswith("checkpoint"):
        Checkpoint.read(path, VocoderRecipe)
    elif path.name.startswith("model"):
        ModelDefaults.read(read_metadata(path), Geometry(), str(path))
    else:
        load_module(Tiny, path)


def _prompts() -> dict[str, bytes]:
    rows = [{"name": f"clip {n}.mp4", "prompt": f"a ball, {n}"} for n in range(4)]
    table = "name,prompt\n" + "".join(f"{row['name']},{row['prompt']}\n" for row in rows)
    return {
        "rows.json": json.dumps(rows).encode(),
        "prompts.json": json.dumps({row["name"]: row["prompt"] for row in rows}).encode(),
        "rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "rows.csv": table.encode(),
        "scenes.json": json.dumps({"one": "a ball"}).encode(),
        "scenes.txt": b"one\ta ball\ntwo\ta mallet\n",
    }


def _subtitles() -> dict[str, bytes]:
    said = [
        ("Where were you?", "00:00:01.000", "00:00:02.500"),
        ("- At home.\n- <i>All</i> night?", "00:00:03.000", "00:00:05.250"),
    ]
    said += [("[thunder] ANNA: ¿Quién? ♪ la la ♪", "00:01:00.000", "00:01:04.000")]
    vtt = "WEBVTT\n\nNOTE of the maker\n\n" + "".join(
        f"{start} --> {end} line:0\n{text}\n\n" for text, start, end in said
    )
    srt = "".join(
        f"{number}\n{start} --> {end}\n{text}\n\n".replace(".000", ",000")
        .replace(".500", ",500")
        .replace(".250", ",250")
        for number, (text, start, end) in enumerate(said, start=1)
    )
    return {"said.vtt": vtt.encode(), "said.srt": srt.encode(), "old.srt": srt.replace("♪", "").encode("cp1252")}


def _batch() -> dict[str, bytes]:
    jobs: list[Any] = ["a red ball bounces", {"prompt": "a bell", "seed": 3, "seconds": 2.5, "size": "128x64"}]
    jobs += [{"prompt": "a mallet", "name": "third", "fps": "25", "steps": 8, "guidance": [2.0, 1.5], "count": 2}]
    jobs += [{"prompt": "rain", "negative": "wind", "sampler": "heun", "video_seed": 1, "audio_seed": 2}]
    return {"batch.jsonl": "".join(json.dumps(job) + "\n" for job in jobs).encode()}


def _recipes() -> dict[str, bytes]:
    """Those that ship, without the files that they need."""
    found = {}
    for path in sorted(RECIPES.glob("*.toml")):
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if "run" not in values:
            continue  # a recipe of several stages
        values["run"].pop("init", None)
        values.pop("keep", None)
        if values["kind"] != "generator":
            for name in ("folder", "more", "stems"):
                values.get("data", {}).pop(name, None)
        found[path.name] = "\n".join(toml_lines(values)).encode()
    return found


def _manifests() -> dict[str, bytes]:
    impact = Event(0.5, "impact", (0.1, 0.2, 0.3, 0.4), -0.25, -12.0, label="wood")
    events = (impact, Event(1.0, "word", None, None, None, 1.5, "hello"))
    records = [
        ClipRecord(n, "clips-00000.safetensors", n, "bounce", n, "A ball.", events, {"g": 9.8}) for n in range(3)
    ]
    tags = [{"time": 0.5, "kind": "impact", "box": [0.1, 0.2, 0.3, 0.4]}]
    files = {"vae/model.safetensors": {"size": 12, "sha256": "0" * 64, "blob": None}}
    return {
        "manifest.jsonl": "".join(record.to_json() + "\n" for record in records).encode(),
        "store.json": json.dumps(
            {"kind": "raw", "source": "x", "fps": "12", "sample_rate": 16_000, "count": 3}
        ).encode(),
        "tags.json": json.dumps({"prompt": "a ball", "seed": 1, "events": json.dumps(tags)}).encode(),
        "fetched.json": json.dumps({"model": "ltx2", "commit": "0", "files": files, "complete": True}).encode(),
    }


def _studies() -> dict[str, bytes]:
    from phonofilm.evaluation.study.protocol import Stimulus, Study

    names, scenes = ("one", "two", "reference"), ("a", "b", "c")
    stimuli = [
        Stimulus(f"{name}-{scene}.mp4", name, scene, "reference" if name == "reference" else "system", 2.0, "0" * 64)
        for name in names
        for scene in scenes
    ]
    stimuli += [Stimulus(f"{kind}.mp4", kind, "a", kind, 2.0, "0" * 64, "a ball") for kind in ("anchor", "catch")]
    study = Study("Test", 1, names, scenes, tuple(stimuli), likert=4, pairs=2, anchors=1, catches=1, duplicates=1)
    return {"study.json": json.dumps(to_dict(study)).encode()}


def _weights() -> dict[str, bytes]:
    tensors = Tiny(TinyConfig()).state_dict()
    ours = {"kind": "Tiny", "config": json.dumps(to_dict(TinyConfig()))}
    run = {"output": "out", "steps": 10, "init": None}
    recipe = {
        "kind": "vocoder",
        "run": run,
        "optim": {"lr": 1e-3, "betas": [0.9, 0.99]},
        "data": {"families": ["rain"]},
    }
    checkpoint = {"recipe": json.dumps(recipe), "progress": json.dumps({"step": 4, "seconds": 1.5, "skipped": 0})}
    trained = {"size": [64, 64], "fps": "12", "seconds": "4", "steps": 24, "guidance": [1.0, 1.0], "sampler": "euler"}
    codes = {"a.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "a.weight_scale": torch.ones(4), "b": torch.ones(2)}
    return {
        "tiny.safetensors": save(tensors, ours),
        "checkpoint.safetensors": save(tensors, checkpoint),
        "model.safetensors": save(tensors, {"trained": json.dumps(trained)}),
        "published.safetensors": save(codes, {"format": "pt"}),
    }


def _by_suffix(content: bytes, generator: Any, others: Any = ()) -> bytes:
    """JSON, lines of it or a table: whichever the content is."""
    if content.startswith(b"[") or content.count(b"\n") == 0:
        return json_damaged(content, generator, others)
    if content.startswith((b"{", b'"')):
        return lines_damaged(content, generator, others)
    return damaged(content, generator, others)


def target(name: str) -> Target:
    seeds, use, damage = _TARGETS[name]
    return Target(name, seeds(), use, damage)


_TARGETS: dict[str, tuple[Callable[[], dict[str, bytes]], Callable[[Path], None], Any]] = {
    "prompts": (_prompts, use_prompts, _by_suffix),
    "subtitles": (_subtitles, use_subtitles, damaged),
    "batches": (_batch, use_batch, lines_damaged),
    "recipes": (_recipes, use_recipe, toml_damaged),
    "manifests": (_manifests, use_manifest, _by_suffix),
    "studies": (_studies, use_study, json_damaged),
    "weights": (_weights, use_weights, tensors_damaged),
}
NAMES = tuple(_TARGETS)
