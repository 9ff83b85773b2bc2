"""What works on this machine: each check is one small function that looks and changes nothing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from phonofilm.errors import PhonofilmError
from phonofilm.extras import EXTRAS, install_command, missing


@dataclass(frozen=True)
class Check:
    """What was looked at, whether generation needs it, whether it works, and what was found."""

    name: str
    needed: bool
    works: bool
    found: str


def examine() -> list[Check]:
    """All checks, in the order in which a broken machine should be mended."""
    needed = {"python": _python, "torch": _torch, "media": _media, "text encoder": _text, "weights": _weights}
    checks = [_look(name, True, look) for name, look in needed.items()]
    checks += [_look(f"device {name}", False, look) for name, look in {"cuda": _cuda, "mps": _mps}.items()]
    checks += [_extra(name) for name in EXTRAS]
    checks.append(Check("ffmpeg", False, True, "not needed: PyAV brings its own libraries"))
    free = shutil.disk_usage(".").free / 1e9
    return [*checks, Check("disk", False, free > 1, f"{free:.1f} GB free in this folder")]


def _look(name: str, needed: bool, look: Callable[[], str]) -> Check:
    try:
        return Check(name, needed, True, look())
    except (PhonofilmError, ImportError, OSError) as error:
        return Check(name, needed, False, " ".join(str(error).split()))


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _torch() -> str:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return f"{torch.__version__}, {build}, {torch.get_num_threads()} threads"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        raise PhonofilmError("none; the CPU does the work")
    device = torch.cuda.get_device_properties(0)
    return f"{device.name}, {device.total_memory / 2**30:.0f} GiB"


def _mps() -> str:
    import torch

    if not torch.backends.mps.is_available():
        raise PhonofilmError("none; the CPU does the work")
    return "Apple GPU"


def _media() -> str:
    from phonofilm.media import FORMATS, unwritable

    if missing := unwritable():
        raise PhonofilmError(f"PyAV cannot write {' '.join(sorted(missing))}: pip install --force-reinstall av")
    return f"reads what FFmpeg reads, writes {' '.join(FORMATS)}"


def _text() -> str:
    from phonofilm.codecs.text import TextEncoder

    return f"all-MiniLM-L6-v2, prompts up to {TextEncoder.load('cpu').max_tokens} tokens"


def _weights() -> str:
    from phonofilm.weights import digest, locate

    return f"nano, {digest(locate('nano'))[:16]}"


def _extra(name: str) -> Check:
    absent = missing(name)
    advice = f"not installed ({', '.join(absent)}): {install_command(name)}"
    return Check(f"extra {name}", False, not absent, advice if absent else "installed")
