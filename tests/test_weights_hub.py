"""Fetching weights, against a hub on this machine: resume, hashes, terms, and one line for whatever goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from phonofilm.app.cli.main import main
from phonofilm.errors import PhonofilmError
from phonofilm.weights import CATALOG, JUDGES, family, fetched, fetched_judges, hub, quick_digest
from phonofilm.weights.catalog import Pinned
from phonofilm.weights.hub import fetch, look_up
from phonofilm.weights.public import read_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BIG = bytes(range(256)) * 4096  # 1 MB
CONTENT = {
    "model_index.json": json.dumps({"_class_name": "LTX2Pipeline"}).encode(),
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors": BIG,
    "vae/config.json": b'{"a": 1}',
    "README.md": b"not needed",
    "ltx-2-19b-dev.safetensors": b"not needed either",
    "config.json": b"{}",
    "model.safetensors": BIG[:5000],
    "pytorch_model.bin": BIG[:6000],
}
MODEL = replace(CATALOG["ltx2"], name="ltx2")
HEAD = BIG[77:1077]


class Hub(ThreadingHTTPServer):
    """As much of the hub's interface as a fetch uses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = dict(CONTENT)
        self.served: list[tuple[str, str]] = []
        self.cut_after: int | None = None
        self.tokens: dict[str, str | None] = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.file(body=False)

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            siblings = [self.sibling(name) for name in CONTENT]
            self.answer(json.dumps({"id": MODEL.repository, "sha": COMMIT, "siblings": siblings}).encode())
        else:
            self.file(body=True)

    def sibling(self, name: str) -> dict:
        content = CONTENT[name]
        found = {"rfilename": name, "size": len(content)}
        found["blobId"] = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        return found

    def file(self, body: bool) -> None:
        name = self.path.split(f"/resolve/{COMMIT}/")[-1].removeprefix("/elsewhere/")
        published = CONTENT.get(name, HEAD)
        content = self.server.content.get(name, published)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.server.tokens[name] = self.headers.get("Authorization")
        etag = hashlib.sha256(published).hexdigest()
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.server.served.append((name, self.headers.get("Range", "")))
            rest = content[start:]
            if self.server.cut_after is not None and len(rest) > self.server.cut_after:
                self.wfile.write(rest[: self.server.cut_after])
                self.close_connection = True
                return
            with contextlib.suppress(ConnectionError):
                self.wfile.write(rest)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = Hub()
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


def get(server: Hub, home: Path, **options) -> Path:
    return fetch(look_up(MODEL, endpoint=server.address), home=home, endpoint=server.address, **options)


def test_only_what_is_needed_comes_whole_and_with_its_hashes(server, tmp_path):
    seen: list[tuple[str, int, int]] = []
    folder = get(server, tmp_path, progress=lambda *step: seen.append(step))
    names = {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts
    }
    assert names == {"model_index.json", "phonofilm.json", *(name for name in CONTENT if "/" in name)}
    assert all((folder / name).read_bytes() == CONTENT[name] for name in names - {"phonofilm.json"})
    manifest = read_manifest(folder)
    assert manifest["commit"] == COMMIT
    assert manifest["license"] == MODEL.license
    facts = manifest["files"]["transformer/diffusion_pytorch_model.safetensors"]
    assert facts["sha256"] == hashlib.sha256(BIG).hexdigest()
    done = [step[1] for step in seen]
    assert done == sorted(done)
    assert seen[-1][1] <= seen[-1][2] == sum(len(CONTENT[name]) for name in names - {"phonofilm.json"})
    assert fetched(MODEL, tmp_path) == folder
    assert family(folder) == "ltx2"


def test_a_second_time_nothing_is_fetched(server, tmp_path):
    get(server, tmp_path)
    server.served.clear()
    get(server, tmp_path)
    assert server.served == []


def test_cut_off_it_goes_on_where_it_stopped(server, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 65_536)
    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, progress=lambda name, done, total: stop_after(done, 200_000))
    assert fetched(MODEL, tmp_path) is None
    server.served.clear()
    folder = get(server, tmp_path)
    big = [asked for name, asked in server.served if name.endswith(".safetensors")]
    assert len(big) == 1
    assert int(big[0].removeprefix("bytes=").split("-")[0]) >= 131_072
    assert (folder / "transformer/diffusion_pytorch_model.safetensors").read_bytes() == BIG
    assert fetched(MODEL, tmp_path) == folder


def test_a_connection_that_breaks_is_taken_up_again(server, tmp_path, monkeypatch):
    server.cut_after = 400_000
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 65_536)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    folder = get(server, tmp_path)
    assert (folder / "transformer/diffusion_pytorch_model.safetensors").read_bytes() == BIG
    assert len([name for name, _ in server.served if name.endswith(".safetensors")]) == 3


def stop_after(done: int, limit: int) -> None:
    if done > limit:
        raise KeyboardInterrupt


def test_other_content_of_the_right_length_is_refused(server, tmp_path):
    server.content["transformer/diffusion_pytorch_model.safetensors"] = BIG[::-1]
    with pytest.raises(PhonofilmError, match="did not arrive as published"):
        get(server, tmp_path)
    server.content = dict(CONTENT)
    assert (get(server, tmp_path) / "transformer/diffusion_pytorch_model.safetensors").read_bytes() == BIG


def test_a_file_that_went_missing_is_noticed_and_comes_again(server, tmp_path):
    folder = get(server, tmp_path)
    (folder / "vae/config.json").unlink()
    assert fetched(MODEL, tmp_path) is None
    get(server, tmp_path)
    assert fetched(MODEL, tmp_path) == folder


def test_too_little_space_is_said_before_anything_comes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(PhonofilmError, match="PHONOFILM_MODELS"):
        get(server, tmp_path)
    assert server.served == []


def test_no_connection_gets_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(PhonofilmError, match="run the same again") as caught:
        look_up(MODEL, endpoint="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def judge_of(server: Hub, digest: str, size: int | None):
    head = Pinned("head.pth", f"{server.address}/elsewhere/head.pth", digest, size)
    return replace(JUDGES["aesthetic"], pinned=(head,))


def fetch_judge(server: Hub, home: Path, digest: str, size: int | None = None) -> Path:
    listing = look_up(judge_of(server, digest, size), endpoint=server.address)
    return fetch(listing, home=home, endpoint=server.address)


@pytest.mark.parametrize("digits", [8, 64])
def test_a_judge_comes_without_pickles_it_does_not_need_and_with_what_is_pinned(server, tmp_path, monkeypatch, digits):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    digest = hashlib.sha256(HEAD).hexdigest()[:digits]
    folder = fetch_judge(server, tmp_path, digest, len(HEAD) if digits == 64 else None)
    files = {path.name for path in folder.iterdir()}
    assert files == {"config.json", "model.safetensors", "head.pth", "phonofilm.json"}
    assert (folder / "head.pth").read_bytes() == HEAD
    assert server.tokens["model.safetensors"] == "Bearer hf_secret"
    assert server.tokens["head.pth"] is None
    server.served.clear()
    fetch_judge(server, tmp_path, digest)
    assert server.served == []


def test_a_pinned_file_of_another_hash_is_refused(server, tmp_path):
    with pytest.raises(PhonofilmError, match="did not arrive as published"):
        fetch_judge(server, tmp_path, "0" * 8)
    assert not (tmp_path / "aesthetic" / "head.pth").exists()
    assert fetched_judges(tmp_path) == {}


def test_evaluate_finds_what_was_fetched(server, tmp_path):
    folder = fetch_judge(server, tmp_path, hashlib.sha256(HEAD).hexdigest())
    assert fetched_judges(tmp_path) == {"aesthetic": folder}
    (folder / "head.pth").unlink()
    assert fetched_judges(tmp_path) == {}


def test_judges_are_named_once_and_state_their_terms():
    assert not JUDGES.keys() & CATALOG.keys()
    for judge in JUDGES.values():
        assert judge.license
        assert judge.license_url.startswith("https://")
        assert judge.gigabytes > 0
        assert judge.repository or judge.pinned
        assert all(len(file.sha256) in (8, 64) and file.url.startswith("https://") for file in judge.pinned)


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path))
        monkeypatch.setattr(hub, "look_up", lambda model: look_up(model, endpoint=server.address))
        monkeypatch.setattr(hub, "fetch", lambda listing, progress: get(server, tmp_path, progress=progress))

    def test_terms_come_first(self, capsys, server):
        assert main(["weights", "get", "ltx2", "--json"]) == 1
        assert "accept it with --yes" in json.loads(capsys.readouterr().out)["error"]
        assert server.served == []

    def test_accepted_it_comes_and_is_listed(self, capsys, tmp_path):
        assert main(["weights", "get", "ltx2", "--yes"]) == 0
        captured = capsys.readouterr()
        assert "LTX-2 Community License" in captured.err
        assert "every hash as published" in captured.out
        assert (tmp_path / "ltx2" / "model_index.json").is_file()

    def test_unknown_and_shipped_names(self, capsys):
        assert main(["weights", "get", "ltx3"]) == 1
        assert "no public model named 'ltx3'; there are ltx2" in capsys.readouterr().err
        assert main(["weights", "get", "yolo"]) == 1
        assert "to judge synchformer, i3d" in capsys.readouterr().err
        assert main(["weights", "get", "nano"]) == 1
        assert "ships with Phonofilm" in capsys.readouterr().err

    def test_a_model_that_is_not_here_says_how_to_get_it(self, capsys):
        pytest.importorskip("diffusers", reason="without the extra, that is what is said")
        assert main(["generate", "x", "--model", "ltx2.3", "-o", "a.mp4"]) == 1
        assert "fetch it with: phonofilm weights get ltx2.3" in capsys.readouterr().err


def test_models_lists_what_makes_and_what_judges(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path))
    assert main(["models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    judges = {row["name"]: row for row in found["judges"]}
    assert judges.keys() == JUDGES.keys()
    assert not judges["clip"]["present"]
    assert judges["imagebind"]["megabytes"] == 4800
    assert "nano" in {row["name"] for row in found["models"]}
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "what judges" in shown
    assert "about 610 MB, not here: CLIPScore" in shown


def test_quick_digest_sees_other_weights(tmp_path):
    one, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    one.write_bytes(BIG * 3)
    first = quick_digest([one])
    assert first == quick_digest([one])
    assert first != quick_digest([one], "with a LoRA")
    other.write_bytes(BIG * 3)
    assert first != quick_digest([other])
    one.write_bytes(BIG * 2 + BIG[::-1])
    assert first != quick_digest([one])
