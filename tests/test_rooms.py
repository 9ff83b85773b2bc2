"""Data flows one way: a room imports only lower ranks, and generation never learns of the world."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import phonofilm

SOURCE = Path(__file__).parents[1] / "src" / "phonofilm"
RANKS = {
    "choices": 0,
    "errors": 0,
    "types": 0.1,
    "extras": 0.2,
    "quiet": 0.2,
    "__init__": 0.2,
    "files": 0.2,
    "config": 0.2,
    "device": 0.2,
    "precision": 0.2,
    "mel": 0.2,
    "workers": 0.2,
    "strict_json": 0.2,
    "checkpoint": 0.5,
    "events": 0.5,
    "weights": 1,
    "media": 1,
}
# the world lies just below `data`, which draws from it
RANKS |= {"provenance": 1.5}
RANKS |= {"signals": 2, "perception": 2, "codecs": 2, "model": 2, "world": 2.5, "control": 3, "sampling": 3, "data": 3}
RANKS |= {"parity": 3, "training": 4, "evaluation": 4, "backends": 4, "streaming": 4.5, "app": 5, "__main__": 6}
# thin functions that import when called: `Clip.save`, its notebook display, and `phonofilm.load`
EXCEPTIONS = {("types", "provenance"), ("__init__", "backends")}
HEAVY = {"torch", "av", "transformers", "scipy", "PIL", "pymunk", "matplotlib", "typer", "rich"}
MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Dotted name inside the package, "__init__" for the package itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[0]


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Dotted names inside the package of all that a file imports, at any depth; type checking alone does not count."""
    found = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    inside = {name.removeprefix("phonofilm.") for name in found if name.startswith("phonofilm.")}
    return frozenset(inside)


def resolve(dotted: str) -> Path | None:
    """The file that an imported name (a module, or something in a module) lives in."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        stem = SOURCE.joinpath(*parts[:length])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def reached_from(*starts: str) -> set[str]:
    """Names of all modules that importing and running these would load."""
    seen: set[Path] = set()
    pending = [path for start in starts for path in MODULES if (name_of(path) + ".").startswith(start + ".")]
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(found for name in imports_of(path) if (found := resolve(name)))
            # a submodule brings its packages with it
            pending.extend(
                p for parent in path.parents if SOURCE in parent.parents and (p := parent / "__init__.py").is_file()
            )
    return {name_of(path) for path in seen}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_lower_ranks(path: Path) -> None:
    room = room_of(name_of(path))
    assert room in RANKS, f"{room} has no rank yet; give it one here and in the design"
    others = {name: room_of(name) for name in imports_of(path) if resolve(name)}
    for imported, other in others.items():
        allowed = other == room or (room, other) in EXCEPTIONS or RANKS[other] < RANKS[room]
        assert allowed, f"{name_of(path)} (rank {RANKS[room]}) imports {imported} (rank {RANKS[other]})"


def test_generation_never_reaches_the_world() -> None:
    reached = reached_from("backends", "sampling", "model", "codecs", "media")
    assert "backends.base" in reached
    assert not {name for name in reached if room_of(name) in ("world", "data", "training", "evaluation")}


def test_evaluation_scores_files_made_by_any_system() -> None:
    reached = reached_from("evaluation")
    assert not {name for name in reached if room_of(name) in ("model", "control", "sampling", "backends", "training")}


def test_sampling_is_pure_loops() -> None:
    assert not {name for name in reached_from("sampling") if room_of(name) in ("model", "codecs", "backends")}


def test_only_media_knows_pyav() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        uses = any(room_of(name) == "av" for name in names)
        assert not uses or room_of(name_of(path)) == "media", f"{name_of(path)} imports PyAV"


def test_importing_the_package_is_light() -> None:
    code = f"import sys, phonofilm; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_everything_promised_is_there() -> None:
    assert all(hasattr(phonofilm, name) for name in phonofilm.__all__)
