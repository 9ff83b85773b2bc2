"""The commands about weights: which models there are, and fetching a public one, the only time a connection is made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonofilm.app.options import Debug, Json
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError

if TYPE_CHECKING:
    from phonofilm.weights import PublicModel
    from phonofilm.weights.hub import Listing

weights = typer.Typer(name="weights", help="Fetch the weights of public models.", rich_markup_mode="rich")


def _session(ctx: typer.Context) -> Session:
    return ctx.obj if isinstance(ctx.obj, Session) else Session()


@weights.command("get")
def get(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A public model; see phonofilm models.")],
    yes: Annotated[bool, typer.Option("--yes", help="I have read its license and accept it.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch a public model from the hub, with its license accepted and every hash checked; goes on where it stopped.

    [dim]$[/] phonofilm weights get ltx2
    [dim]$[/] phonofilm weights get ltx2-distilled --yes
    """
    from phonofilm.weights import CATALOG, EMBEDDED, find
    from phonofilm.weights.hub import fetch, look_up

    session = _session(ctx)
    with session.report("weights get") as report:
        model = find(name)
        if model is None:
            if name in EMBEDDED:
                raise PhonofilmError(f"{name} ships with Phonofilm; there is nothing to fetch")
            raise PhonofilmError(f"no public model named {name!r}; there are {', '.join(CATALOG)}")
        report.progress("asking", 0, 1)
        listing = look_up(model)
        _accept(session, listing, yes)
        folder = fetch(listing, progress=lambda file, done, total: report.progress("fetching", done, total))
        report.add(model=name, folder=str(folder), bytes=listing.size, commit=listing.commit, license=model.license)
        report.say(f"{name}: {listing.size / 1e9:.1f} GB in {folder}, every hash as published")


def _accept(session: Session, listing: Listing, yes: bool) -> None:
    """Nothing is fetched before its terms are accepted.

    Raises:
        PhonofilmError: they are not, or nobody is there to ask.
    """
    model = listing.model
    if not session.json:
        print(f"{model.title}, {listing.size / 1e9:.1f} GB from {model.repository}", file=sys.stderr)
        print(f"license: {model.license}\n         {model.license_url}", file=sys.stderr)
    if yes:
        return
    if session.json or not sys.stdin.isatty():
        raise PhonofilmError(f"{model.name} comes under {model.license} ({model.license_url}); accept it with --yes")
    if not typer.confirm("Do you accept it?", err=True):
        raise PhonofilmError("nothing was fetched")


def models(ctx: typer.Context, json: Json = False, debug: Debug = False) -> None:
    """List the models that --model takes: size, license, what they can do, and whether they are here.

    [dim]$[/] phonofilm models
    """
    from phonofilm.weights import CATALOG, EMBEDDED

    with _session(ctx).report("models") as report:
        rows = [_shipped(name) for name in EMBEDDED] + [_public(model) for model in CATALOG.values()]
        report.add(models=rows)
        for row in rows:
            report.say(f"{row['name']:<16} {row['knows']}")
            report.say(f"{'':<16} {_state(row)}")
            report.say(f"{'':<16} {', '.join(row['tasks'])}; {row['license']}")
        report.say(
            "a folder of weights works too, of your own or in diffusers' layout, and so does one .safetensors file"
        )
        report.say("of LTX-2 with the other components beside it: --model runs/mine")


def _state(row: dict[str, Any]) -> str:
    size = f"{row['megabytes'] / 1e3:.1f} GB" if row["megabytes"] >= 1e3 else f"{row['megabytes']} MB"
    if row["present"]:
        return f"{size}, here, weights {row['weights'][:12]}"
    return f"about {size}, not here: {row['problem']}"


def _shipped(name: str) -> dict[str, Any]:
    from phonofilm.backends.familiar import KNOWS
    from phonofilm.backends.requests import TASKS
    from phonofilm.weights import digest, locate

    row: dict[str, Any] = {"name": name, "knows": KNOWS, "present": False, "tasks": list(TASKS), "megabytes": 0}
    row |= {"license": "Apache-2.0, as Phonofilm"}
    try:
        folder = locate(name)
    except PhonofilmError as error:
        return row | {"problem": str(error)}
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6
    return row | {"present": True, "megabytes": round(size, 1), "weights": digest(folder), "folder": str(folder)}


def _public(model: PublicModel) -> dict[str, Any]:
    from phonofilm.backends.base import fingerprint
    from phonofilm.weights import fetched
    from phonofilm.weights.public import read_manifest

    row: dict[str, Any] = {"name": model.name, "knows": model.title, "present": False, "tasks": list(model.tasks)}
    row |= {"license": model.license, "license_url": model.license_url, "megabytes": model.gigabytes * 1e3}
    row |= {"repository": model.repository, "problem": f"phonofilm weights get {model.name}"}
    folder = fetched(model)
    if folder is None:
        return row
    size = sum(facts["size"] for facts in read_manifest(folder)["files"].values()) / 1e6
    try:
        weights = fingerprint(model.name)
    except PhonofilmError as error:
        return row | {"problem": str(error)}
    return row | {"present": True, "megabytes": round(size, 1), "weights": weights, "folder": str(folder)}
