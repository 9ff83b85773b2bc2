"""Pseudo-weights and inputs of a parity fixture, rebuilt from its recipe.

Fixtures describe their inputs in a line of numpy. It is read, not executed: only the few numpy
calls that a seeded input needs are known here, so a fixture from anywhere cannot run code.
"""

from __future__ import annotations

import ast
import math
import operator
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError

Array = np.ndarray

PLAIN = "abs arange clip concatenate cos exp float32 float64 linspace maximum minimum ones sin sqrt stack where zeros"
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "numpy.random.Generator": np.random.Generator,
    "numpy.random.PCG64": np.random.PCG64,
    **{f"numpy.{name}": getattr(np, name) for name in PLAIN.split()},
}
VALUES: Mapping[str, Any] = {"numpy.pi": np.pi, "numpy.float32": np.float32, "numpy.float64": np.float64}
METHODS: Mapping[type, frozenset[str]] = {
    np.random.Generator: frozenset({"standard_normal", "uniform", "integers"}),
    np.ndarray: frozenset({"astype", "repeat", "transpose", "reshape", "cumsum", "copy"}),
}
BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def pseudo_weights(keys: Iterable[tuple[str, list[int], str]], gain: float = 1.0) -> dict[str, Array]:
    """Fill a state dict from the names of its keys, float32; integer keys become zeros.

    Args:
        keys: (key, shape, dtype) in state-dict order.
        gain: factor on matrices and kernels beside 1/sqrt(fan in): 1, or sqrt(2) for ReLU networks.
    """
    return {
        key: pseudo_tensor(key, tuple(shape), gain) if dtype.startswith("float") else np.zeros(shape, dtype)
        for key, shape, dtype in keys
    }


def pseudo_tensor(key: str, shape: tuple[int, ...], gain: float) -> Array:
    """One tensor, drawn from the CRC-32 of its key and scaled by what the key stands for."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    z = np.asarray(generator.standard_normal(shape, dtype=np.float32))
    if key.endswith(("running_var", "latents_std")):
        return np.float32(1.0) + np.float32(0.1) * np.abs(z)
    last = key.rsplit(".", 1)[-1]
    if z.ndim <= 1:
        return np.float32(1.0) + np.float32(0.1) * z if key.endswith("weight") else np.float32(0.02) * z
    if not (last.startswith("weight") or last.endswith("weight")):
        return np.float32(0.02) * z
    # In place: the largest networks hold more than a billion of these.
    z *= np.float32(gain / math.sqrt(math.prod(shape[1:])))
    return z


def gain_of(text: str | float) -> float:
    """The gain of a recipe, which may be written as "sqrt(2.0)"."""
    text = str(text)
    return math.sqrt(float(text[5:-1])) if text.startswith("sqrt(") and text.endswith(")") else float(text)


def evaluate(code: str) -> dict[str, Any]:
    """Read a line of assignments in numpy and return its names; the last one is under "" as well.

    Raises:
        PhonofilmError: the line does anything else than draw, shape and combine arrays.
    """
    names: dict[str, Any] = {}
    try:
        for statement in ast.parse(code).body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                raise PhonofilmError(f"a fixture's input may only assign arrays, not {ast.unparse(statement)}")
            names[statement.targets[0].id] = names[""] = _value(statement.value, names)
    except SyntaxError as error:
        raise PhonofilmError(f"a fixture's input is not a line of numpy: {code[:80]}") from error
    return names


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_value(item, names) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_value(left, names), _value(right, names))
        case ast.Subscript(value=value, slice=index):
            return _value(value, names)[_index(index, names)]
        case ast.Attribute() if (dotted := ast.unparse(node)) in VALUES:
            return VALUES[dotted]
        case ast.Call(func=function, args=arguments, keywords=keywords):
            positional = [_value(argument, names) for argument in arguments]
            named = {keyword.arg: _value(keyword.value, names) for keyword in keywords if keyword.arg}
            return _callable(function, names)(*positional, **named)
    raise PhonofilmError(f"a fixture's input may not contain {ast.unparse(node)}")


def _callable(node: ast.expr, names: Mapping[str, Any]) -> Callable[..., Any]:
    dotted = ast.unparse(node)
    if dotted in FUNCTIONS:
        return FUNCTIONS[dotted]
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, names)
        if any(isinstance(owner, kind) and node.attr in allowed for kind, allowed in METHODS.items()):
            return getattr(owner, node.attr)
    raise PhonofilmError(f"a fixture's input may not call {dotted}")


def _index(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Slice):
        return slice(*(None if end is None else _value(end, names) for end in (node.lower, node.upper, node.step)))
    if isinstance(node, ast.Tuple):
        return tuple(_index(item, names) for item in node.elts)
    return _value(node, names)
