"""Everything that a run needs on a bare machine without a network, in one folder.

The machine has Python with torch, numpy, scipy, safetensors, einops, tokenizers, pillow and threadpoolctl. The folder
holds the package without the weights that ship, the phrases decoded (so that no media library is needed), the text
encoder in fewer bits, wheels of what else is missing, and weights to go on from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import phonofilm
from phonofilm.codecs.text import TextEncoder, package_folder
from phonofilm.codecs.text_compact import FOLDER as TEXT
from phonofilm.codecs.text_compact import save_compact
from phonofilm.errors import PhonofilmError
from phonofilm.world.people import phrases

LIMIT = 64_000_000
"""Bytes in all."""
LEFT_OUT = ("*.safetensors", "*.opus", "__pycache__", "web")
RUN = """#!/bin/sh
# sh run.sh codecs|network [options]: see python -m phonofilm.training.grow --help
here=$(cd "$(dirname "$0")" && pwd)
site=${TMPDIR:-/tmp}/phonofilm-site
if ls "$here"/wheels/*.whl >/dev/null 2>&1; then
    install="python3 -m pip install -q --no-index --no-deps --no-compile --upgrade"
    $install --target "$site" "$here"/wheels/*.whl || exit 1
fi
PYTHONPATH="$here/src:$site" exec python3 -m phonofilm.training.grow "$@"
"""


def pack(output: Path, recipes: Path, weights: Path | None = None, wheels: Iterable[Path] = ()) -> int:
    """Write the folder and return its size in bytes.

    Args:
        output: a folder that is not there yet. recipes: the folder of recipes. weights: a folder to go on from.
        wheels: packages that the machine lacks (pymunk and cffi).

    Raises:
        PhonofilmError: the folder exists, or is larger than 64 MB.
    """
    if output.exists():
        raise PhonofilmError(f"{output} exists already: name another folder, or delete it")
    source = Path(phonofilm.__file__).parent
    shutil.copytree(source, output / "src" / "phonofilm", ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copytree(recipes, output / "recipes")
    packed = output / "src" / "phonofilm"
    phrases.save_decoded(packed / phrases.DECODED.relative_to(source))
    save_compact(
        TextEncoder.load().network.state_dict(), package_folder() / "tokenizer.json", packed / TEXT.relative_to(source)
    )
    (output / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, output / "wheels")
    if weights is not None:
        (output / "init").mkdir()
        for file in weights.glob("*.safetensors"):
            shutil.copy(file, output / "init")
    (output / "run.sh").write_text(RUN, encoding="utf-8")
    total = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    if total > LIMIT:
        raise PhonofilmError(f"{output} has {total / 1e6:.0f} MB, and {LIMIT / 1e6:.0f} may travel: leave weights out")
    return total
