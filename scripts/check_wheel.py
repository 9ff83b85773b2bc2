"""A wheel is all that a user needs: build it, install it into a clean environment outside the checkout, make a clip.

    python scripts/check_wheel.py

PHONOFILM_TORCH chooses the build of PyTorch, as at set-up. Prints how long each step took; all is taken away after.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "A red rubber ball falls and bounces in a small room."
WHERE = "import phonofilm, sys; print(phonofilm.__file__)"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="phonofilm-wheel-") as folder:
        room = Path(folder)
        run("build", sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", room, ROOT, cwd=room)
        (wheel,) = room.glob("phonofilm-*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        setup = (sys.executable, ROOT / "scripts" / "setup", "--wheel", wheel)
        run("install", *setup, cwd=room, PHONOFILM_VENV=str(room / "venv"))
        programs = room / "venv" / ("Scripts" if os.name == "nt" else "bin")
        found = run("import", programs / "python", "-I", "-c", WHERE, cwd=room)
        if not Path(found).is_relative_to(room):
            raise SystemExit(f"the clean environment imports {found}, which is not of the wheel")
        run("generate", programs / "phonofilm", "generate", PROMPT, "-o", "clip.mp4", "--seed", "1", cwd=room)
        print(run("check", programs / "python", "-I", ROOT / "scripts" / "check_demo.py", "clip.mp4", cwd=room))


def run(step: str, *command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command says, run without anything of the environment that leads Python elsewhere."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    started = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment | variables, stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"check_wheel: {step} failed with {done.returncode}; what it said is above\n{done.stdout}")
    print(f"{step}: {time.monotonic() - started:.1f} s", flush=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
