"""The commands about weights: which models and judges there are, and fetching one, which alone makes a connection."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonofilm.app.cli.common.command import CommandLine
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError

if TYPE_CHECKING:
    from phonofilm.weights import Judge, PublicModel, Published
    from phonofilm.weights.hub import Listing

weights = CommandLine(
    name="weights",
    help="Fetch the weights of public models, of the networks that judge clips, and of voices.",
)


@weights.command("get")
def get(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A public model, a judge or a voice; see phonofilm models.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="I have read its license and accept it.")] = False,
) -> None:
    """Fetch a public model, a network that judges or a voice, its license accepted and every hash checked; resumes.

    [dim]$[/] phonofilm weights get ltx2
    [dim]$[/] phonofilm weights get ltx2-distilled --yes
    [dim]$[/] phonofilm weights get clip
    [dim]$[/] phonofilm weights get fenrir
    """
    from phonofilm.weights import CATALOG, EMBEDDED, JUDGES, SPEAKERS
    from phonofilm.weights.hub import fetch, look_up

    session = Session.of(ctx)
    with session.report("weights get") as report:
        model: Published | None = CATALOG.get(name) or JUDGES.get(name) or SPEAKERS.get(name)
        if model is None:
            if name in EMBEDDED:
                raise PhonofilmError(f"{name} ships with Phonofilm; there is nothing to fetch")
            judges = ", ".join(JUDGES)
            raise PhonofilmError(
                f"no public model named {name!r}; there are {', '.join(CATALOG)}, to judge {judges}, "
                f"and to speak {', '.join(SPEAKERS)}"
            )
        report.progress("asking", 0, 1)
        listing = look_up(model)
        _accept(session, listing, yes)
        folder = fetch(listing, progress=lambda file, done, total: report.progress("fetching", done, total))
        report.set_fields(
            model=name, folder=str(folder), bytes=listing.size, commit=listing.commit, license=model.license
        )
        report.print_line(f"{name}: {_bytes(_present(model)['megabytes'])} in {folder}, every hash as published")
        if name in JUDGES:
            report.print_line(f"phonofilm evaluate finds it there by itself, for {JUDGES[name].judges}")


def _accept(session: Session, listing: Listing, yes: bool) -> None:
    """Nothing is fetched before its terms are accepted.

    Raises:
        PhonofilmError: they are not, or nobody is there to ask.
    """
    model = listing.model
    if not session.json:
        whole = all(file.size for file in listing.files)
        size = _bytes(listing.size / 1e6) if whole else f"about {_bytes(model.gigabytes * 1e3)}"
        origin = [model.repository] * bool(model.repository) + [file.url for file in model.pinned]
        print(f"{model.title}, {size} from {' and '.join(origin)}", file=sys.stderr)
        print(f"license: {model.license}\n         {model.license_url}", file=sys.stderr)
    if yes:
        return
    if session.json or not sys.stdin.isatty():
        raise PhonofilmError(f"{model.name} comes under {model.license} ({model.license_url}); accept it with --yes")
    if not typer.confirm("Do you accept it?", err=True):
        raise PhonofilmError("nothing was fetched")


def models(ctx: typer.Context) -> None:
    """List models, networks that judge and voices: size, license, use, and whether they are here.

    [dim]$[/] phonofilm models
    """
    from phonofilm.weights import CATALOG, EMBEDDED, JUDGES

    with Session.of(ctx).report("models") as report:
        rows = [_shipped(name) for name in EMBEDDED] + [_public(model) for model in CATALOG.values()]
        judges = [_judge(judge) for judge in JUDGES.values()]
        voices = _voices()
        unfinished = _unfinished(Path("checkpoints"))
        report.set_fields(models=rows, unfinished=unfinished, judges=judges, voices=voices)
        report.print_line("what makes: --model")
        for row in rows:
            report.print_line(f"  {row['name']:<16} {row['knows']}")
            report.print_line(f"  {'':<16} {_state(row)}")
            report.print_line(f"  {'':<16} {', '.join(row['tasks'])}; {row['license']}")
        for row in unfinished:
            report.print_line(f"  {row['name']}")
            report.print_line(f"  {'':<16} {row['knows']}")
            report.print_line(
                f"  {'':<16} {row['grid']}; {row['evaluations']} network evaluations a clip; {_state(row)}"
            )
            report.print_line(f'  {"":<16} phonofilm generate "Rain on a roof." --model {row["name"]} -o rain.mkv')
        report.print_line(
            "  a folder of weights works too, of your own or in diffusers' layout, and so does one .safetensors"
        )
        report.print_line("  file of LTX-2 with the other components beside it, or in a model that --components names")
        report.print_line("")
        report.print_line("what judges: phonofilm evaluate, which finds it here or takes it from --weights NAME=FILE")
        for line in _judge_lines(judges):
            report.print_line(line)
        report.print_line("")
        report.print_line("what speaks: words in quotes, --say and --voice")
        for voice in voices:
            state = "here" if voice["problem"] is None else f"not here: {voice['problem']}"
            report.print_line(f"  {voice['name']:<16} {voice['about']}; {state}")


UNFINISHED = {
    "nano_128": "the next nano, its base network, still in training: all six families of Foley World, "
    "speech, effects and music apart"
}
"""What weights of a clone are that do not ship yet, by the names of their folders."""


def _unfinished(folder: Path) -> list[dict[str, Any]]:
    """Weights that a clone holds while they are trained."""
    from phonofilm.backends.canvas.model_defaults import ModelDefaults
    from phonofilm.checkpoint import read_metadata, weight_files
    from phonofilm.types import Geometry
    from phonofilm.weights import digest

    rows = []
    for name, knows in UNFINISHED.items():
        weights = folder / name / "transformer.safetensors"
        if not (files := weight_files(weights)):
            continue
        row: dict[str, Any] = {"name": str(folder / name), "knows": knows, "present": True}
        row["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6, 1)
        try:
            trained = ModelDefaults.read(read_metadata(weights), Geometry(), str(weights))
            row |= {"grid": str(trained), "evaluations": trained.evaluations, "weights": digest(folder / name)}
        except PhonofilmError as error:
            row |= {"grid": "not readable", "evaluations": 0, "present": False, "problem": str(error)}
        rows.append(row)
    return rows


def _voices() -> list[dict[str, Any]]:
    from phonofilm.perception.speech.registry import VOICES, missing_voice

    entries = [entry for entry in VOICES.values() if entry.who]
    return [
        {"name": entry.name, "who": entry.who, "about": entry.about, "problem": missing_voice(entry.name)}
        for entry in entries
    ]


def _judge_lines(judges: list[dict[str, Any]]) -> list[str]:
    """A table of the judges; what is not here says about how much a fetch brings."""
    lines = []
    for row in judges:
        size = _bytes(row["megabytes"])
        lines.append(f"  {row['name']:<16} {row['title']}")
        lines.append(f"  {'':<16} {f'{size}, here' if row['present'] else f'about {size}, not here'}: {row['judges']}")
        lines.append(f"  {'':<16} {row['license']}")
    return [*lines, f"  {'to fetch one':<16} phonofilm weights get NAME"]


def _bytes(megabytes: float) -> str:
    if megabytes >= 1e3:
        return f"{megabytes / 1e3:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


def _state(row: dict[str, Any]) -> str:
    size = _bytes(row["megabytes"])
    if row["present"]:
        return f"{size}, here, weights {row['weights'][:12]}"
    return f"about {size}, not here: {row['problem']}"


def _shipped(name: str) -> dict[str, Any]:
    from phonofilm.backends.familiar import TRAINED_DOMAIN
    from phonofilm.choices import TASKS
    from phonofilm.weights import digest, locate

    row: dict[str, Any] = {
        "name": name,
        "knows": TRAINED_DOMAIN,
        "present": False,
        "tasks": list(TASKS),
        "megabytes": 0,
    }
    row |= {"license": "Apache-2.0, as Phonofilm"}
    try:
        folder = locate(name)
    except PhonofilmError as error:
        return row | {"problem": str(error)}
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6
    return row | {"present": True, "megabytes": round(size, 1), "weights": digest(folder), "folder": str(folder)}


def _present(model: Published) -> dict[str, Any]:
    """Where its weights are and how large; about how large, where they are not here."""
    from phonofilm.weights import fetched
    from phonofilm.weights.public import read_manifest

    folder = fetched(model)
    if folder is None:
        return {"present": False, "megabytes": model.gigabytes * 1e3}
    size = sum(facts["size"] for facts in read_manifest(folder)["files"].values()) / 1e6
    return {"present": True, "megabytes": round(size, 1), "folder": str(folder)}


def _terms(model: Published) -> dict[str, Any]:
    return {"repository": model.repository, "license": model.license, "license_url": model.license_url}


def _judge(judge: Judge) -> dict[str, Any]:
    row = {"name": judge.name, "title": judge.title, "judges": judge.judges, **_terms(judge), **_present(judge)}
    return row | {"urls": [file.url for file in judge.pinned]}


def _public(model: PublicModel) -> dict[str, Any]:
    from phonofilm.backends.registry import fingerprint

    row: dict[str, Any] = {"name": model.name, "knows": model.title, "tasks": list(model.tasks), **_terms(model)}
    row |= {"problem": f"phonofilm weights get {model.name}"} | _present(model)
    if not row["present"]:
        return row
    try:
        return row | {"weights": fingerprint(model.name)}
    except PhonofilmError as error:
        return row | {"present": False, "problem": str(error)}
