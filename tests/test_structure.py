"""The package stays a house one can live in: small folders, no circles of imports, few imports inside functions."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from test_rooms import MODULES, SOURCE, imports_of, name_of, resolve

LARGEST_FOLDER = 15
"""Files of source in one folder, its `__init__` not counted."""

FRONT_DOORS = {"types": ("provenance",)}
"""`Clip.save` and its display in notebooks import it when they are called; it is built on `types`."""

IMPORTS_INSIDE_FUNCTIONS = 265
"""A command imports what it needs when it runs, so that `--help` is quick, and optional packages are imported where
they are used. Anything else belongs to the head of a file: raise this number only for one of these reasons."""


def graph() -> dict[str, set[str]]:
    """For each module the modules of the package that it imports, inside functions too."""
    found = {}
    for path in MODULES:
        modules = {name_of(file) for name in imports_of(path) if (file := resolve(name))}
        found[name_of(path)] = modules - {name_of(path)}
    return found


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, directly or round about (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            start = stack.index(module)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(imports):
        if module not in order:
            visit(module)
    return found


def test_no_folder_is_crowded() -> None:
    sizes = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    crowded = {str(folder.relative_to(SOURCE)): size for folder, size in sizes.items() if size > LARGEST_FOLDER}
    assert not crowded, "divide them by subject into sub-rooms"


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_there_is_no_circle_of_imports() -> None:
    imports = graph()
    for door, rooms in FRONT_DOORS.items():
        imports[door] = {name for name in imports[door] if name.split(".")[0] not in rooms}
    assert circles(imports) == []


def folders(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """For each folder the folders that its files import; a package's own files are a folder beside its sub-folders."""
    folder = {name_of(path): ".".join(path.relative_to(SOURCE).parent.parts) or name_of(path) for path in MODULES}
    found: dict[str, set[str]] = {name: set() for name in folder.values()}
    for module, others in imports.items():
        found[folder[module]] |= {folder[other] for other in others} - {folder[module]}
    return found


def test_there_is_no_circle_of_folders() -> None:
    imports = folders(graph())
    assert imports["world.families"] >= {"world.common", "world.audio"}
    for door, rooms in FRONT_DOORS.items():
        imports[door] = {name for name in imports[door] if name.split(".")[0] not in rooms}
    assert circles(imports) == []


def inside_functions(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("phonofilm"):
                    yield str(inner.module)


def test_imports_inside_functions_are_counted() -> None:
    found = Counter({name_of(path): sum(1 for _ in inside_functions(path)) for path in MODULES})
    elsewhere = {name: count for name, count in found.items() if count and not name.startswith("app.")}
    assert sum(found.values()) <= IMPORTS_INSIDE_FUNCTIONS, found.most_common(8)
    assert sum(elsewhere.values()) <= IMPORTS_INSIDE_FUNCTIONS // 2, elsewhere
