"""What is chosen by name, each list once; it imports nothing, so that the command line's help is quick."""

from __future__ import annotations

from typing import Literal, get_args

Task = Literal["generate", "foley", "animate", "extend", "retake"]
SamplerName = Literal["euler", "heun", "multistep", "unipc"]
Stem = Literal["speech", "effects", "music"]
Part = Literal["video", "audio", "speech", "effects", "music"]
"""A part of a film that can be asked for: the picture, all sound, or one stem of it."""

Offload = Literal["none", "model", "sequential", "disk"]
"""Where a component of a published model waits: on the device; in main memory; there, with the blocks of the large
networks fetched one by one while they work; or on disk, read again for each stage."""
NetworkName = Literal["phonofilm", "diffusers"]
"""Which code runs the transformer of a published LTX-2."""
Quantization = Literal["int8", "fp8", "nf4"]
"""What the matrices of a published transformer are kept in: 8-bit integers or 8-bit floats with a scale for each
output, or 4 bits with a scale for each 64 weights."""

TASKS: tuple[Task, ...] = get_args(Task)
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
STEMS: tuple[Stem, ...] = get_args(Stem)
"""The parts of a sound, in the order in which models and stores keep them."""
PARTS: tuple[Part, ...] = get_args(Part)
OFFLOADS: tuple[Offload, ...] = get_args(Offload)
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
DEVICES = ("auto", "cpu", "cuda", "mps")
