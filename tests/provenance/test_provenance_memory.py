"""A long film is signed and verified in the memory of a short one, and a byte changed anywhere in it is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from phonofilm.provenance.manifest.certificate import own_identity
from phonofilm.provenance.manifest.sign import Claim, sign
from phonofilm.provenance.verify import manifest

MEGABYTE = 2**20
FRAMES, TURNS = 6, 45
"""Of a loop of noise, about 2 MB, that is shown again and again."""
SIGNED = """
import resource, sys
from pathlib import Path
from phonofilm.provenance.manifest.certificate import own_identity
from phonofilm.provenance.manifest.sign import Claim, sign
from phonofilm.provenance.verify import manifest
for path in map(Path, sys.argv[1:]):
    sign(path, Claim(), own_identity())
    assert manifest(path).verdict == "trusted"
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def film(path: Path, turns: int) -> Path:
    """A film of noise that is hardly compressed."""
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 360, 640, 3), np.uint8)
    loop = path.with_name("loop.mp4")
    with av.open(loop, "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"preset": "ultrafast", "qp": "8", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for pixels in noise:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    with av.open(path, "w") as output:
        copied = None
        for turn in range(turns):
            with av.open(loop) as source:
                copied = copied or output.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        later = round(turn * FRAMES / 24 / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, copied
                        output.mux(packet)
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("long") / "long.mp4", TURNS)


def test_memory_does_not_grow_with_the_film(long: Path, tmp_path: Path) -> None:
    short, signed = film(tmp_path / "short.mp4", 2), Path(shutil.copy(long, tmp_path / "signed.mp4"))
    larger = long.stat().st_size - short.stat().st_size
    assert larger > 60 * MEGABYTE
    command = [sys.executable, "-c", SIGNED, str(short), str(signed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    little, much = map(int, done.stdout.split())
    assert much - little < larger / 3, f"{(much - little) / MEGABYTE:.0f} MiB more for {larger / MEGABYTE:.0f}"
    with av.open(signed) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == FRAMES * TURNS


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_byte_that_is_changed_anywhere_is_noticed(long: Path, tmp_path: Path, share: float) -> None:
    path = Path(shutil.copy(long, tmp_path / "long.mp4"))
    sign(path, Claim(), own_identity())
    assert manifest(path).verdict == "trusted"
    with path.open("r+b") as file:
        place = round(share * path.stat().st_size)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    assert manifest(path).verdict not in ("trusted", "valid")
