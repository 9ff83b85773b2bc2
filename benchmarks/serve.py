"""How many clients a server takes: so many ask for the state of a film once a second while films are being made.

    python benchmarks/serve.py --clients 200 --seconds 120 --model nano --draft

It starts a server of its own, on this machine, waits for its first film, and prints one line for docs/serving.md:
model, cores, clients, requests a minute, their median and 95th percentile in ms, the server's processor time for one in
ms (which holds on a busy machine, too), films a minute, and the median and 95th percentile of the seconds that making
one took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


def call(url: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> float:
    """One request on a connection that stays open; returns its milliseconds."""
    began = time.perf_counter()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
    await reader.readexactly(length)
    if " 200 " not in head.splitlines()[0]:
        raise RuntimeError(head.splitlines()[0])
    return 1000 * (time.perf_counter() - began)


async def client(port: int, path: str, number: int, count: int, until: float) -> list[float]:
    await asyncio.sleep(number / count)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while time.monotonic() < until:
        began = time.monotonic()
        times.append(await ask(reader, writer, path))
        await asyncio.sleep(max(0.0, 1 - (time.monotonic() - began)))
    writer.close()
    return times


async def load(port: int, path: str, count: int, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    found = await asyncio.gather(*(client(port, path, number, count, until) for number in range(count)))
    return [time for times in found for time in times]


def processor_seconds(process: int) -> float:
    """What a process has used so far, without its children (Linux)."""
    found = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(found[11]) + int(found[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--draft", action="store_true")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "phonofilm", "serve", "--data", str(Path(folder) / "data")]
        command += [
            "--port",
            str(port),
            "--model",
            options.model,
            "--device",
            "cpu",
            "--drain",
            "1",
            "--per-key",
            "1000",
        ]
        told = Path(folder) / "log"
        with told.open("wb") as file:
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, env=os.environ)
        try:
            while True:
                try:
                    call(f"{base}/readyz")
                    break
                except OSError:
                    if server.poll() is not None:
                        raise SystemExit("the server did not begin") from None
                    time.sleep(0.2)
            asked = {"prompt": "A red ball bounces.", "draft": options.draft}
            films = [call(f"{base}/v1/videos", asked | {"seed": n})["id"] for n in range(100)]
            while call(f"{base}/v1/videos/{films[0]}")["status"] != "completed":  # the model is read, and warm
                time.sleep(0.2)
            used = processor_seconds(server.pid)
            times = sorted(asyncio.run(load(port, f"/v1/videos/{films[-1]}", options.clients, options.seconds)))
            each_request = 1000 * (processor_seconds(server.pid) - used) / len(times)
            found = [call(f"{base}/v1/videos/{id}") for id in films]
        finally:
            server.terminate()
            server.wait()
            written = told.read_text()
    log = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    each = sorted(
        line["seconds"] for line in log if line.get("event") == "job ended" and line.get("end") == "completed"
    )
    made = sum(film["status"] == "completed" for film in found) - 1
    name = f"{options.model}, draft" if options.draft else options.model
    print(
        f"| {name} | {len(os.sched_getaffinity(0))} | {options.clients} | {60 * len(times) / options.seconds:.0f} "
        f"| {statistics.median(times):.0f} | {high(times):.0f} | {each_request:.2f} "
        f"| {60 * made / options.seconds:.1f} | {statistics.median(each):.1f} | {high(each):.1f} |"
    )


def high(ordered: list[float]) -> float:
    """The 95th percentile."""
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


if __name__ == "__main__":
    main()
