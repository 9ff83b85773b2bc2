"""Response curves as PNG: one picture a knob, one panel a metric, the required shape shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.extras import lacking
from phonofilm.files import atomic

GOOD, BAD, PLAIN, SHADE = "#1f7a5c", "#b3402a", "#3d4f66", "#cfe3da"
COLUMNS = 4
LINEAR = {"offset, signed", "lip offset, signed"}
LOGARITHMIC = {"low-pass", "N", "fragments", "blur", "grain"}


def draw(knob: str, title: str, unit: str, curves: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw all curves of one knob.

    Raises:
        PhonofilmError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise lacking("matplotlib", "drawing") from error
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        columns = min(COLUMNS, len(curves))
        rows = -(-len(curves) // columns)
        figure = Figure(figsize=(3.4 * max(columns, 2), 2.75 * rows + 0.5), dpi=96, layout="constrained")
        FigureCanvasAgg(figure)
        judged = [curve for curve in curves if curve["verdict"]]
        passed = sum(curve["verdict"]["passed"] for curve in judged)
        figure.suptitle(f"{title}: {passed} of {len(judged)} shapes held", fontsize=12, fontweight="bold")
        for place, curve in enumerate(curves):
            _panel(figure.add_subplot(rows, columns, place + 1), knob, unit, curve)
        with atomic(path) as part:
            figure.savefig(part, format="png", metadata={"Software": None})
    _slim(path)


def _panel(axes: Any, knob: str, unit: str, curve: Mapping[str, Any]) -> None:
    order = np.argsort(curve["levels"])
    x, y, low, high = (np.array(curve[key])[order] for key in ("levels", "values", "low", "high"))
    verdict = curve["verdict"]
    colour = PLAIN if verdict is None else GOOD if verdict["passed"] else BAD
    _scale(axes, knob, curve)
    if len(curve["expected"]):
        line = np.array(curve["expected"])[order]
        stretched = axes.get_yscale() == "symlog"  # there what is allowed can be seen; elsewhere it may need help
        band = curve["band"] if stretched else max(curve["band"], 0.012 * float(np.ptp(line)))
        axes.fill_between(x, line - band, line + band, color=SHADE, lw=0)
        axes.plot(x, line, color="#7fa898", lw=0.8)
    elif verdict is not None:
        axes.set_facecolor("#f0f6f3" if verdict["passed"] else "#fbf1ee")
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(x, y, color=colour, marker="o", ms=3, lw=1.2)
    word = "shown" if verdict is None else "pass" if verdict["passed"] else "FAIL" if curve["must"] else "not reliable"
    axes.set_title(
        f"{curve['metric']}\n{curve['source']}, {curve['clips']} {'pairs' if knob == 'N' else 'clips'}: {word}",
        fontsize=8,
        color=colour,
    )
    said = unit if verdict is None else f"{unit}\n{_wrapped(verdict['measured'])}"
    axes.set_xlabel(said, fontsize=7)
    axes.tick_params(labelsize=7)


def _scale(axes: Any, knob: str, curve: Mapping[str, Any]) -> None:
    if knob in LOGARITHMIC:
        axes.set_xscale("log")
        levels = np.sort(curve["levels"])
        apart = np.append(levels[1:] / levels[:-1] > 1.3, True)  # nearer ones would be written over each other
        axes.set_xticks(levels, [f"{level:g}" if clear else "" for level, clear in zip(levels, apart, strict=True)])
        axes.minorticks_off()
    if knob == "offset" or knob == "disturbed":
        axes.set_xscale("symlog", linthresh=50)
        ticks = [-1000, -100, 0, 100, 1000], ["−1000", "−100", "0", "100", "1000"]
        axes.set_xticks(*ticks)
        if curve["metric"].split(" · ")[0] in LINEAR:
            axes.set_yscale("symlog", linthresh=50)
            axes.set_yticks(*ticks)
    if knob == "N" and curve["metric"] == "FAD":
        axes.set_yscale("log")
    if knob == "codec":
        axes.set_xticks([0, 1, 2, 3], ["lossless", "MP4", "MOV", "WebM"])


def _wrapped(text: str, width: int = 44) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(line.strip() for line in lines)


def _slim(path: Path) -> None:
    """A plot has few colours: a palette makes its file a third as large."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    with atomic(path) as part:
        small.save(part, format="PNG", optimize=True)
