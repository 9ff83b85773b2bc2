"""`phonofilm serve`, `phonofilm worker` and `phonofilm keys`: films over HTTP."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Annotated

import typer

from phonofilm.app.cli.common.command import CommandLine
from phonofilm.app.limits import Limit, check_limits
from phonofilm.app.server.base.settings import MEGABYTE, VARIABLE, Settings
from phonofilm.app.session import Session
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.files import check_folder

PURPOSE = "serving"
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where jobs, films and keys are kept.")]
Store = Annotated[
    str, typer.Option("--database", metavar="URL", help="PostgreSQL, as postgresql+psycopg://USER@HOST/NAME.")
]
Place = Annotated[str, typer.Option("--files", metavar="URL", help="Another place for films, as fsspec has them.")]
Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME[=DIR]", help="A model that clients may ask for; the first one is the usual one."
    ),
]
Lora = Annotated[
    list[str] | None, typer.Option("--lora", metavar="NAME=FILE", help="A LoRA that clients may ask for by this name.")
]
Adapter = Annotated[
    list[str] | None,
    typer.Option("--adapter", metavar="NAME=FILE", help="A control module that clients may ask for by this name."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]

keys = CommandLine(help="API keys: whoever is not on this machine needs one.", no_args_is_help=True)


def serve(
    ctx: typer.Context,
    data: Data = Path("phonofilm-data"),
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Any but this machine's own needs keys and TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="N", help="0 takes any free one.")] = 8720,
    model: Model = None,
    lora: Lora = None,
    adapter: Adapter = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(metavar="N", help="Workers on this machine; 0 where others do the jobs.")] = 1,
    database: Store = "",
    files: Place = "",
    keep_days: Annotated[float, typer.Option(metavar="N", help="How long films are kept; 0 is for ever.")] = 30,
    queue: Annotated[int, typer.Option(metavar="N", help="Jobs that may wait, in all.")] = 1000,
    per_key: Annotated[int, typer.Option(metavar="N", help="Jobs that may wait, of one key.")] = 200,
    upload_mb: Annotated[int, typer.Option(metavar="N", help="Size of an upload, at most.")] = 256,
    reserve_mb: Annotated[int, typer.Option(metavar="N", help="What stays free on the disk.")] = 512,
    live: Annotated[int, typer.Option(metavar="N", help="Live films at a time; 0 for none.")] = 1,
    drain: Annotated[float, typer.Option(metavar="S", help="For how long jobs in hand are finished when it stops.")] = (
        30
    ),
    name: Annotated[list[str] | None, typer.Option("--name", metavar="HOST", help="A name it is called by.")] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host to fetch pictures from and send webhooks to; .NAME: all below."),
    ] = None,
    report_page: Annotated[
        list[Path] | None,
        typer.Option("--report", metavar="FILE", help="A report.html of evaluate or study, shown in the studio."),
    ] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front does TLS.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
) -> None:
    """Make films in the browser, and over OpenAI's videos API. Stop it with Ctrl-C; no job is lost.

    [dim]$[/] phonofilm serve
    [dim]$[/] phonofilm serve --model nano --model big=models/big --keep-days 7
    [dim]$[/] phonofilm serve --host 0.0.0.0 --behind-proxy --name films.example.org
    """
    with Session.of(ctx).report("serve") as report, optional(PURPOSE):
        from phonofilm.app.server.http.run import Address
        from phonofilm.app.server.http.run import serve as run

        check_limits(
            Limit("--port", port, 0, 65535),
            Limit("--workers", workers, 0, 64),
            Limit("--keep-days", keep_days, 0),
            Limit("--queue", queue, 1),
            Limit("--per-key", per_key, 1),
            Limit("--upload-mb", upload_mb, 1),
            Limit("--reserve-mb", reserve_mb, 0),
            Limit("--live", live, 0, 16),
            Limit("--drain", drain, 0),
        )
        settings = _settings(data, database, files, model, lora, adapter, device, drain)
        settings = _with(
            settings,
            keep_days=keep_days,
            queue=queue,
            per_key=per_key,
            upload=upload_mb * MEGABYTE,
            reserve=reserve_mb * MEGABYTE,
            hosts=tuple(allow_host or ()),
            names=tuple(name or ()),
            reports=_reports(report_page or []),
            live=live,
        )
        address = Address(host, port, behind_proxy, tls_cert, tls_key)
        run(settings, address, workers, lambda url: print(url, flush=True))
        report.set_fields(data=str(data))


def worker(
    ctx: typer.Context,
    data: Data = Path("phonofilm-data"),
    database: Store = "",
    files: Place = "",
    model: Model = None,
    lora: Lora = None,
    adapter: Adapter = None,
    device: Device = "auto",
    drain: Annotated[float, typer.Option(metavar="S", help="For how long a job in hand is finished.")] = 30,
) -> None:
    """Do jobs of a server, on this machine or on another one, until told to stop.

    [dim]$[/] phonofilm worker --database postgresql+psycopg://phonofilm@db/films --files s3://films --device cuda
    """
    with Session.of(ctx).report("worker") as report, optional(PURPOSE):
        import os

        from phonofilm.app.server.work.worker import main

        settings = _settings(data, database, files, model, lora, adapter, device, drain)
        if main([], os.environ | {VARIABLE: settings.to_json()}):
            raise PhonofilmError("the worker cannot begin; the line above says why")
        report.set_fields(data=str(data))


def _settings(
    data: Path,
    database: str,
    files: str,
    model: list[str] | None,
    lora: list[str] | None,
    adapter: list[str] | None,
    device: str,
    drain: float,
) -> Settings:
    models = {}
    for text in model or ["nano"]:
        name, _, place = text.partition("=")
        if not name or len(name) > 200:
            raise PhonofilmError(f"--model {text!r} is not possible; write NAME, or NAME=DIR")
        models[name] = place or name
    loras, adapters = _named_files("--lora", lora or []), _named_files("--adapter", adapter or [])
    return Settings(data, database, files, models, loras, adapters, device, drain_seconds=drain)


def _named_files(option: str, listed: list[str]) -> dict[str, str]:
    """Files by the names that clients call them."""
    found: dict[str, str] = {}
    for text in listed:
        name, _, file = text.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name, re.ASCII) or not file:
            raise PhonofilmError(f"{option} {text!r} is not possible; write NAME=FILE, as in night=night.safetensors")
        if not Path(file).is_file():
            raise PhonofilmError(f"{option} {text!r}: there is no file {file}; check the path")
        found[name] = str(Path(file).absolute())
    return found


def _reports(files: list[Path]) -> dict[str, str]:
    """Pages by what they are called: their own title, or else their folder."""
    found: dict[str, str] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PhonofilmError(
                f"--report {file} cannot be read; give the report.html of evaluate or study"
            ) from error
        title = re.search(r"<title>([^<]{1,60})", text)
        name = html.unescape(title[1]).strip() if title else file.parent.name or file.name
        found[name if name not in found else f"{name} {len(found) + 1}"] = str(file.absolute())
    return found


def _with(settings: Settings, **values: object) -> Settings:
    from dataclasses import replace

    return replace(settings, **values)  # type: ignore[arg-type]


@keys.command("new")
def new_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, for people.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="NAME", help="read, write, admin; the first two if not said."),
    ] = None,
    data: Data = Path("phonofilm-data"),
    database: Store = "",
) -> None:
    """Make a key, and show it this once.

    [dim]$[/] phonofilm keys new "anna's laptop"
    """
    with Session.of(ctx).report("keys new") as report, optional(PURPOSE):
        text, made = _keys(data, database).make(name, scope or ["read", "write"])
        report.set_fields(key=text, id=made.id)
        report.print_line(text)


@keys.command("list")
def list_keys(ctx: typer.Context, data: Data = Path("phonofilm-data"), database: Store = "") -> None:
    """Show the keys there are, without what opens.

    [dim]$[/] phonofilm keys list
    """
    with Session.of(ctx).report("keys list") as report, optional(PURPOSE):
        found = _keys(data, database).list() if _is_there(data, database) else []
        rows = [{"id": key.id, "name": key.name, "scopes": sorted(key.scopes)} for key in found if not key.revoked_at]
        report.set_fields(keys=rows)
        for row in rows:
            report.print_line(f"{row['id']}  {','.join(row['scopes']):<12} {row['name']}")


@keys.command("revoke")
def revoke_key(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="As phonofilm keys list shows it.")],
    data: Data = Path("phonofilm-data"),
    database: Store = "",
) -> None:
    """Let a key open nothing any more.

    [dim]$[/] phonofilm keys revoke 4f2a90c1d3e5
    """
    with Session.of(ctx).report("keys revoke") as report, optional(PURPOSE):
        if not _is_there(data, database):
            raise PhonofilmError(f"there are no keys in {data} yet; --data says where else to look")
        _keys(data, database).revoke(id)
        report.set_fields(id=id)
        report.print_line(f"{id} opens nothing any more")


@keys.command("webhook-secret")
def webhook_secret(ctx: typer.Context, data: Data = Path("phonofilm-data")) -> None:
    """Show the secret by which webhooks are checked.

    [dim]$[/] phonofilm keys webhook-secret
    """
    with Session.of(ctx).report("keys webhook-secret") as report, optional(PURPOSE):
        from phonofilm.app.server.work.webhooks import server_secret, shown

        check_folder(data).mkdir(parents=True, exist_ok=True)
        secret = shown(server_secret(data, "webhook"))
        report.set_fields(secret=secret)
        report.print_line(secret)


def _is_there(data: Path, url: str) -> bool:
    """Whether there is a store: to look at keys makes none."""
    return bool(url) or (data / "phonofilm.db").is_file()


def _keys(data: Path, url: str):  # type: ignore[no-untyped-def]
    from phonofilm.app.server.store.database import Database
    from phonofilm.app.server.store.keys import Keys

    check_folder(data).mkdir(parents=True, exist_ok=True)
    database = Database(Settings(data, url).database_url)
    database.migrate()
    return Keys(database)
