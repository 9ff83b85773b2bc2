"""Whoever runs a server may have a say: callables, by entry points, that see what is asked and what was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from phonofilm.errors import PhonofilmError

GROUP = "phonofilm.policy"


@dataclass(frozen=True)
class Content:
    """What a policy judges.

    Attributes:
        moment: "before" anything is computed, or "after" the film was made and before anyone can see it.
        text: all words of the request: prompts, and what is said.
        picture: a given picture. film: given to work on before, and what was made after.
    """

    moment: Literal["before", "after"]
    task: str
    text: str
    picture: Path | None = None
    film: Path | None = None


Policy = Callable[[Content], str | None]
"""None where there is nothing to say against it, or one sentence that the client is told."""


class Refused(PhonofilmError):
    """A policy said no."""


def load_policies(names: Sequence[str] | None) -> tuple[Policy, ...]:
    """The policies of these names, or all that are installed.

    Raises:
        PhonofilmError: one is not installed; without it nothing may be made.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if absent := [name for name in names or () if name not in found]:
        raise PhonofilmError(f"no policy {absent[0]!r} is installed; it is an entry point of the group {GROUP}")
    return tuple(found[name].load() for name in (sorted(found) if names is None else names))


def ask(policies: Sequence[Policy], content: Content) -> None:
    """Ask all of them.

    Raises:
        Refused: the first sentence against it.
    """
    for policy in policies:
        if (said := policy(content)) is not None:
            raise Refused(" ".join(said.split())[:500])
