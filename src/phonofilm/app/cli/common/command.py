"""What every command has: --json and --debug, told to the session as they are parsed, and values of which it completes.

The parser alone says what is an option and what is the value of one: a prompt may be the text "--json".
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from phonofilm.app.session import Session


class CommandLine(typer.Typer):
    """A group of commands, each of which takes --json and --debug besides its own options; -h explains
    it, and so does the group alone."""

    def __init__(self, **settings: Any) -> None:
        usual: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": "rich"}
        super().__init__(**usual | {"context_settings": {"help_option_names": ["-h", "--help"]}} | settings)

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command; the function itself stays as it is."""
        register = super().command

        def registered(function: Callable[..., None]) -> Callable[..., None]:
            kind = type("Command", (Command,), {"files": files_of(function)})
            register(*arguments, **{"cls": kind} | settings)(with_flags(function))
            return function

        return registered


class Command(TyperCommand):
    """A command that refuses an empty text as the name of a file, which would be read as the folder that one is in."""

    files: frozenset[str] = frozenset()
    """Parameters that name files or folders."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any command.

        Raises:
            BadParameter: an empty text where a file or a folder is to be named.
        """
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            for parameter in (one for one in self.params if one.name in self.files):
                value = given.get(parameter.name or "")
                if "" in (value if isinstance(value, list | tuple) else (value,)):
                    long = [name for name in parameter.opts if name.startswith("--")]
                    name = long[0] if long else parameter.metavar
                    raise typer.BadParameter("it is empty; name a file or a folder", ctx=ctx, param_hint=name)
        return super().parse_args(ctx, args)


def files_of(function: Callable[..., None]) -> frozenset[str]:
    """The parameters of a command whose values are names of files or folders."""
    found = set()
    for name, hint in get_type_hints(function, include_extras=True).items():
        kind, *told = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
        metavar = str(getattr(told[0], "metavar", None) or "")
        if _holds_path(kind) or any(one.startswith(("FILE", "DIR")) for one in metavar.split("|")):
            found.add(name)
    return frozenset(found)


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(_holds_path(inner) for inner in get_args(kind))


def with_flags(function: Callable[..., None]) -> Callable[..., None]:
    """A command with --json and --debug, which its session is told of."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        return function(**{name: value for name, value in given.items() if name not in FLAGS})

    hints = get_type_hints(function, include_extras=True)
    parameters = [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints.get(parameter.name, parameter.annotation)
        )
        for parameter in inspect.signature(function).parameters.values()
    ]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in FLAGS.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _set_json(context: typer.Context, value: bool) -> bool:
    Session.of(context).json |= value
    return value


def _set_debug(context: typer.Context, value: bool) -> bool:
    Session.of(context).debug |= value
    return value


# eager: they hold for the errors in the values of all other options
FLAGS: dict[str, Any] = {
    "json": Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object on standard output, and no progress.",
            callback=_set_json,
            is_eager=True,
        ),
    ],
    "debug": Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True)
    ],
}


def flags_in(command: Any, arguments: Sequence[str]) -> set[str]:
    """The long options in a command line that the parser refused as a whole, before it told of any of them.

    What follows an option that takes a value is its value, and what follows "--" are arguments.
    """
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    valued = {name for option in options if not (option.is_flag or option.count) for name in option.opts}
    found: set[str] = set()
    rest = list(arguments)
    while rest and (argument := rest.pop(0)) != "--":
        if argument in getattr(command, "commands", {}):
            return found | flags_in(command.commands[argument], rest)
        if argument.startswith("--"):
            name, equals, _ = argument.partition("=")
            found.add(name)
            takes_next = name in valued and not equals
        else:  # short options may stand together, the last one with its value
            letters = argument[1:] if argument.startswith("-") else ""
            first = next((place for place, letter in enumerate(letters) if f"-{letter}" in valued), None)
            takes_next = first is not None and first == len(letters) - 1
        rest = rest[takes_next:]
    return found


def complete(*values: str) -> Callable[[str], list[str]]:
    """Completion in the shell of an option that takes one of these values."""

    def matching(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return matching


def complete_model(incomplete: str) -> list[str]:
    """Completion in the shell of a model's name."""
    from phonofilm.weights import CATALOG, EMBEDDED

    return [name for name in (*EMBEDDED, *CATALOG) if name.startswith(incomplete)]
