#!/usr/bin/env python3
"""Run the numeric tests as other processors would: `make test-portable`.

Every setting is a run of its own of the same tests: narrower vector units, other kernels of the matrix libraries,
and 1, 2 and 4 threads. Prints the processor, and a line for each setting.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NUMERIC = (
    "tests/model", "tests/sampling", "tests/codecs", "tests/signals", "tests/perception", "tests/evaluation",
    "tests/training/test_training_optim.py", "tests/training/test_training_noise.py", "tests/backends/ltx2",
)  # fmt: skip
SETTINGS: dict[str, dict[str, str]] = {
    "as it is": {},
    "ATEN_CPU_CAPABILITY=default": {"ATEN_CPU_CAPABILITY": "default"},
    "ATEN_CPU_CAPABILITY=avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "ONEDNN_MAX_CPU_ISA=AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "MKL_CBWR=COMPATIBLE": {"MKL_CBWR": "COMPATIBLE"},
    "1 thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "4 threads": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make test-portable", description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", help="files or folders of tests; the numeric ones if none are named")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="only this one; may be given again")
    given = parser.parse_args()
    tests = given.tests or [path for path in NUMERIC if (ROOT / path).exists()]
    print(processor(), flush=True)
    failed = [name for name in given.setting or SETTINGS if not passes(name, tests)]
    sys.exit(f"failed under {', '.join(failed)}" if failed else 0)


def processor() -> str:
    """Its name, its vector units, and what torch makes of them."""
    code = "import torch; print(torch.__version__, torch.backends.cpu.get_cpu_capability())"
    torch = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    name, flags = platform.processor() or platform.machine(), set[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text(encoding="utf-8").splitlines() if ":" in line)
        rows = {key.strip(): value.strip() for key, value in lines.items()}
        name, flags = rows.get("model name", name), set(rows.get("flags", "").split())
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in flags]
    return f"{name}; {', '.join(units) or 'no vector units known'}; {os.cpu_count()} cores; torch {torch}"


def passes(name: str, tests: list[str]) -> bool:
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | SETTINGS[name], capture_output=True, text=True, check=False
    )
    verdict = "passed" if done.returncode == 0 else "FAILED"
    print(f"{name:32} {verdict} in {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], sep="\n", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
