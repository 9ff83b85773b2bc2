"""The comparison as a page: what each system costs, what it reaches, and by how much they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.app.experiments.training_comparison.analysis import SHOWN
from phonofilm.app.experiments.training_comparison.plan import LEADER
from phonofilm.app.reports.intervals import interval_text
from phonofilm.app.reports.markdown import table_head
from phonofilm.app.reports.score_table import TITLES
from phonofilm.files import write_bytes

NAMES = {"joint": "joint", "cascade": "cascade", "unet": "U-Net"}


def write_page(found: dict[str, Any], folder: Path) -> Path:
    """Write comparison.md and comparison.json; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "comparison.json", (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())
    return write_bytes(folder / "comparison.md", ("\n".join(lines(found)) + "\n").encode())


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The page, line by line, of an analysis or of the JSON that was written of one."""
    found = {**found, **{part: _ordered(found[part]) for part in ("systems", "differences")}}
    systems = found["systems"]
    seeds = min(len(system["each"]) for system in systems.values())
    yield "# Joint, cascade, U-Net"
    yield ""
    yield "Three ways from a prompt to a film with sound, trained in the same way by `make compare`"
    yield "(`recipes/compare/systems.toml`): *joint*, one network with both streams; *cascade*, a network that makes"
    yield "the picture and a second one that makes sound for it; *U-Net*, a 3D and a 1D U-Net joined at each level."
    yield f"Same clips of {' and '.join(found['recipe']['data']['families'])}, same codecs and optimiser."
    yield "The one task is text to picture and sound; sampled without guidance, in 24 Euler steps."
    yield ""
    yield from _cost(systems, found["budget"])
    yield from _scores(found, seeds)
    yield from _differences(found)
    yield from _seeds(systems)
    yield from _validation(systems)


def _ordered(of_systems: dict[str, Any]) -> dict[str, Any]:
    return {name: of_systems[name] for name in NAMES if name in of_systems}


def _cost(systems: dict[str, Any], budget: float) -> Iterator[str]:
    yield from table_head(
        f"Cost: {budget / 1e12:.1f} TFLOP of training each",
        "",
        "parameters",
        "GFLOP a clip, forward and backward",
        "clips seen",
        "training TFLOP",
        "minutes a seed",
    )
    for name, system in systems.items():
        minutes = ", ".join(f"{value:.0f}" for value in system["minutes"])
        yield (
            f"| {NAMES[name]} | {system['parameters']:,} | {system['flops_per_clip'] / 1e9:.2f} | "
            f"{system['clips_seen']:,} | {system['training_flops'] / 1e12:.1f} | {minutes} |"
        )
    yield ""
    yield "Parameters are those that get a gradient. The two stages of the cascade are counted together, and each sees"
    yield "as many clips as the table says. Minutes are wall time of one thread on a shared machine, not a measure of"
    yield "speed."
    yield ""


def _scores(found: dict[str, Any], seeds: int) -> Iterator[str]:
    systems = found["systems"]
    # measured before chance was counted over all other clips, and with it the difference
    paired = all("above_chance" in system for system in systems.values())
    title = f"Scores: {found['clips']} held-out prompts, {seeds} {'seeds' if seeds > 1 else 'seed'} of training"
    yield from table_head(title, "measure", *(NAMES[name] for name in systems), "truth")
    for metric in SHOWN:
        cells = [_interval(system["scores"][metric]) for system in systems.values()]
        true = found["truth"].get(metric, {}).get("value")
        yield f"| {TITLES[metric]} | {' | '.join(cells)} | {_number(true)} |"
        if metric == "sync_f1_60ms":
            chance = [_number(float(np.mean(system["shuffled"]))) for system in systems.values()]
            true = found["truth"]["sync_f1_60ms_shuffled"]["value"]
            yield f"| &emsp;shuffled: chance | {' | '.join(chance)} | {_number(true)} |"
            if paired:
                above = [_interval(system["above_chance"], sign="+") for system in systems.values()]
                yield f"| &emsp;above chance | {' | '.join(above)} | |"
    yield ""
    yield "Pooled over seeds; brackets hold 95 % intervals (bootstrap over prompts, each with the clips of all seeds)."
    if paired:
        yield "*Shuffled* pairs each picture with the sounds of all other clips of its family; *above chance* is the"
        yield "paired difference from that."
    else:
        yield "*Shuffled* pairs each picture with the sound of another clip of its family."
    yield ""


def _differences(found: dict[str, Any]) -> Iterator[str]:
    others = found["differences"]
    yield from table_head("Paired differences from joint", "measure", *(f"{NAMES[name]} − {LEADER}" for name in others))
    for metric in SHOWN:
        yield (
            f"| {TITLES[metric]} | "
            + " | ".join(_interval(table[metric], sign="+") for table in others.values())
            + " |"
        )
    yield ""
    yield "Same prompts, same noise, same seeds; an interval that does not hold 0 is a difference for these trainings."
    yield ""


def _seeds(systems: dict[str, Any]) -> Iterator[str]:
    yield from table_head(
        "Each seed",
        "",
        "seed",
        "sync F1 ±60 ms",
        "shuffled",
        "colour",
        "pitch",
        "visible events a clip",
        "audible events a clip",
    )
    for name, system in systems.items():
        for seed, scores in enumerate(system["each"]):
            sights, onsets = system["events"][seed]
            yield (
                f"| {NAMES[name]} | {seed} | {_number(scores['sync_f1_60ms'])} | {_number(system['shuffled'][seed])} | "
                f"{_number(scores['colour'])} | {_number(scores['pitch'])} | {sights:.1f} | {onsets:.1f} |"
            )
    yield ""


def _validation(systems: dict[str, Any]) -> Iterator[str]:
    yield from table_head("Errors on held-out latents at noise level 0.9", "", "seed", "picture", "sound")
    for name, system in systems.items():
        for seed, errors in enumerate(system["validation"]):
            video = next(value for key, value in errors.items() if key.endswith("video"))
            audio = next(value for key, value in errors.items() if key.endswith("audio"))
            yield f"| {NAMES[name]} | {seed} | {video:.3f} | {audio:.3f} |"
    yield ""
    yield "Mean squared error over noise level of the clean estimate; latents have unit variance. The cascade's sound"
    yield "is given the true picture, where the others have a picture as noisy as their sound."


def _interval(value: dict[str, float | None], sign: str = "") -> str:
    known = value if value["low"] is not None and value["high"] is not None else None
    return interval_text(known, lambda part: f"{part:{sign}.2f}".replace("-", "−"), "no event")


def _number(value: float | None) -> str:
    return "no event" if value is None or value != value else f"{value:.2f}"
