"""What devices can do by their makers' data sheets, dense bfloat16; for a CPU, what it is seen to do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from phonofilm.errors import PhonofilmError
from phonofilm.precision import native_bfloat16


@dataclass(frozen=True)
class Device:
    """Attributes:
    tflops: matrix products, 1e12 operations a second.
    gigabytes: memory, 1e9 bytes; 0 where it is not known.
    memory: bytes a second between memory and arithmetic.
    link: bytes a second to the other devices, one way.
    """

    name: str
    tflops: float
    gigabytes: float
    memory: float
    link: float


GPUS = {
    device.name.lower(): device
    for device in (
        Device("A100", 312, 80, 2.0e12, 300e9),
        Device("H100", 989, 80, 3.35e12, 450e9),
        Device("H200", 989, 141, 4.8e12, 450e9),
        Device("B200", 2250, 180, 8.0e12, 900e9),
        Device("L40S", 362, 48, 0.86e12, 32e9),
        Device("4090", 165, 24, 1.0e12, 32e9),
    )
}
CPU = "cpu"


def parse(text: str) -> tuple[int, Device]:
    """How many of what: "8xH100", "H200", "2xcpu".

    Raises:
        PhonofilmError: no such device.
    """
    match = re.fullmatch(r"(?:(\d{1,5})x)?(\w+)", text.strip().lower())
    if match is None or int(match[1] or 1) == 0 or (match[2] not in GPUS and match[2] != CPU):
        names = ", ".join([*(device.name for device in GPUS.values()), CPU])
        raise PhonofilmError(f"--gpus {text!r} is not known: say how many of what, as 8xH100 (of {names})")
    return int(match[1] or 1), this_cpu() if match[2] == CPU else GPUS[match[2]]


def of_torch(device: torch.device) -> Device:
    """What a device of this machine can do; one that is not in the table can do 0."""
    if device.type != "cuda":
        return this_cpu()
    name = torch.cuda.get_device_name(device).lower()
    return next((known for key, known in GPUS.items() if key in name), Device(name, 0, 0, 0, 0))


def this_cpu(side: int = 1024, repeats: int = 4, clock: Callable[[], float] = time.perf_counter) -> Device:
    """This CPU with the threads that torch has, by products of matrices and by a copy, the best of a few tries."""
    kind = torch.bfloat16 if native_bfloat16(torch.device("cpu")) else torch.float32
    a, b = torch.ones(side, side, dtype=kind), torch.ones(side, side, dtype=kind)
    large = torch.ones(2**24)
    product = min(_seconds(lambda: a @ b, clock) for _ in range(repeats))
    copy = min(_seconds(large.clone, clock) for _ in range(repeats))
    rate = 2 * large.nbytes / copy
    return Device(CPU, 2 * side**3 / product / 1e12, 0, rate, rate / 4)


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    run()
    return clock() - begin
