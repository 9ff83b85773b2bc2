"""What files are to a job, and by which names clients ask for files of this server."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

GIVEN_STEM = "given-"
"""Begins the role of a stem that is given, as "given-speech"."""
MUSIC = "music"
"""Music that is laid under a film."""
OF_REQUESTS = ("source", "image", "follow")
"""Roles that are fields of a `RequestSpec`."""


def fields_of(files: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a `RequestSpec` that are files, of files by their roles."""
    found: dict[str, Any] = {role: files[role] for role in OF_REQUESTS if role in files}
    stems = {role.removeprefix(GIVEN_STEM): file for role, file in files.items() if role.startswith(GIVEN_STEM)}
    return found | ({"given_stems": stems} if stems else {})


def split_strength(said: str, known: Container[str]) -> tuple[str, str]:
    """The name of a LoRA and what follows it, from "night" or "night:0.8": ("night", ":0.8")."""
    name, colon, strength = said.rpartition(":")
    return (name, colon + strength) if colon and said not in known else (said, "")
