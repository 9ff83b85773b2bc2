"""The nodes of ComfyUI, against a server of a few lines and in place of ComfyUI's own packages their names."""

from __future__ import annotations

import importlib.util
import io as bytes_io
import json
import sys
import threading
import wave
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "integrations" / "comfyui"
FILM = {"id": "video_1", "status": "completed", "progress": 100, "variants": ["video", "audio"]}


SOCKET = SimpleNamespace(Input=lambda name, **options: name, Output=lambda name, **options: name)
"""`io.Video` and the like: an input or output stands for its name."""


@pytest.fixture(scope="module")
def nodes():
    """The package of nodes; what it imports of ComfyUI is declared, and does nothing."""
    kinds = dict.fromkeys(("Video", "Audio", "Image", "String", "Int", "Float", "Combo", "Boolean"), SOCKET)
    io = SimpleNamespace(
        **kinds,
        Custom=lambda name: SOCKET,
        ComfyNode=object,
        Schema=SimpleNamespace,
        NodeOutput=lambda *values: values,
    )
    latest, comfy = ModuleType("comfy_api.latest"), ModuleType("comfy")
    latest.io, latest.ComfyExtension = io, object
    latest.InputImpl = SimpleNamespace(VideoFromFile=lambda file: file.read())
    management, utils = ModuleType("comfy.model_management"), ModuleType("comfy.utils")
    management.throw_exception_if_processing_interrupted = lambda: None
    utils.ProgressBar = lambda most: SimpleNamespace(update_absolute=lambda done, most: None)
    comfy.model_management, comfy.utils = management, utils
    found = {"comfy_api": ModuleType("comfy_api"), latest.__name__: latest}
    found |= {"comfy": comfy, management.__name__: management, utils.__name__: utils}
    spec = importlib.util.spec_from_file_location(
        "comfyui_phonofilm", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, fake in (found | {"comfyui_phonofilm": module}).items():
            patch.setitem(sys.modules, name, fake)
        spec.loader.exec_module(module)
        yield module
        sys.modules.pop("comfyui_phonofilm.client", None)


@pytest.fixture
def server(nodes, monkeypatch):
    """A server that has made a film, and notes what it was asked."""
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.path, self.headers.get("Authorization"), fields_of(self.headers["Content-Type"], body)))
            if self.path.endswith("/cancel"):
                return self.say(b"{}")
            if "bad" in self.path:
                return self.say(b'{"error": {"message": "there is no model of that name"}}', 400)
            state = {"status": "queued", "progress": 0}
            return self.say(json.dumps(FILM | state).encode())

        def do_GET(self):
            variant = self.path.partition("variant=")[2]
            made = {"spritesheet": picture(), "video": b"film"}
            kept = sound(0.25 if variant == "music" else 0.5) if variant else json.dumps(FILM).encode()
            self.say(made.get(variant, kept))

        def say(self, content, status=200):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(sys.modules[nodes.Server.__module__], "POLL_SECONDS", 0.01)
    yield SimpleNamespace(node=nodes.Server(f"http://127.0.0.1:{listening.server_port}/", "secret"), asked=asked)
    listening.shutdown()
    listening.server_close()


def fields_of(kind, body):
    """Of a form: the text or bytes of each field."""
    if not body:
        return {}
    form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    parts = form.get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def sound(level):
    file = bytes_io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(16000)
        output.writeframes(np.full((100, 2), round(level * 32768), "<i2").tobytes())
    return file.getvalue()


def picture():
    file = bytes_io.BytesIO()
    Image.new("RGB", (6, 4), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


SOURCES = ("Load", "SetOptions")
MAKERS = ("Generate", "Foley", "Animate", "Extend", "Retake", "Soundtrack", "Story")


def every_node(nodes):
    listed = nodes.Phonofilm().get_node_list()
    try:
        listed.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the list of nodes waits for something")


def test_each_node_has_a_name_of_its_own_and_says_what_it_gives(nodes):
    schemas = {node.__name__: node.define_schema() for node in every_node(nodes)}
    assert len({schema.node_id for schema in schemas.values()}) == len(schemas) == 11
    assert all(schema.node_id == f"Phonofilm{name}" and schema.description for name, schema in schemas.items())
    assert all(schema.inputs[0] == "server" for name, schema in schemas.items() if name not in SOURCES)
    assert {name: schema.outputs for name, schema in schemas.items()} == {
        "Load": ["server"],
        "SetOptions": ["options"],
        "Stems": ["speech", "effects", "music"],
        "Sheet": ["image"],
    } | {name: ["video", "audio", "film"] for name in MAKERS}


def test_a_film_is_asked_for_waited_for_and_given(nodes, server):
    video, audio, film = nodes.Generate.execute(server.node, "Rain.", 2.5, 7, "", torch.ones(1, 4, 6, 3))
    path, key, fields = server.asked[0]
    assert (path, key) == ("/v1/videos", "Bearer secret")
    assert {name: fields[name] for name in ("prompt", "seconds", "seed")} == {
        "prompt": b"Rain.",
        "seconds": b"2.5",
        "seed": b"7",
    }
    assert "size" not in fields  # left to the model
    assert Image.open(bytes_io.BytesIO(fields["input_reference"])).size == (6, 4)
    assert video == b"film"
    assert audio["sample_rate"] == 16000
    assert audio["waveform"].shape == (1, 2, 100)
    assert audio["waveform"].mean() == pytest.approx(0.5)
    assert json.loads(film) == FILM


def test_options_are_sent_as_the_server_takes_them_and_nothing_that_is_not_said(nodes, server):
    level = {"waveform": torch.full((1, 1, 4), 0.5), "sample_rate": 8000}
    (options,) = nodes.SetOptions.execute(
        only="speech, effects", speech_gain=-3.0, sync="off", control_scale=0.0, video_seed=0, draft=True, follow=level
    )
    nodes.Generate.execute(server.node, "Rain.", 2.5, 7, say="Hello@1\nman: Hi", options=options)
    fields = server.asked[0][2]
    assert {name: fields[name] for name in set(fields) - {"follow", "only", "say"}} == {
        "prompt": b"Rain.", "seconds": b"2.5", "seed": b"7", "gain[speech]": b"-3.0", "sync": b"false",
        "control_scale": b"0.0", "video_seed": b"0", "draft": b"true",
    }  # fmt: skip
    assert nodes._samples(fields["follow"])[0] == pytest.approx(0.5, abs=1e-3)
    (nothing,) = nodes.SetOptions.execute()
    assert (nothing.fields, nothing.files) == ({}, {})


def test_stems_and_sheet_are_taken_from_a_film(nodes, server):
    speech, effects, music = nodes.Stems.execute(server.node, json.dumps(FILM))
    assert [float(part["waveform"].mean()) for part in (speech, effects, music)] == [0.5, 0.5, 0.25]
    (image,) = nodes.Sheet.execute(server.node, json.dumps(FILM))
    assert image.shape == (1, 4, 6, 3)
    assert image[..., 0].min() == 1
    assert image[..., 1:].max() == 0


def test_a_sound_that_is_sent_is_the_one_that_was_given(nodes, server):
    given = {"waveform": torch.tensor([[[0.0, 0.5, -0.5], [2.0, -2.0, 0.25]]]), "sample_rate": 8000}
    nodes.Animate.execute(server.node, given, "A ball.", 1)
    samples, rate = nodes._samples(server.asked[0][2]["audio"])
    assert rate == 8000
    assert samples == pytest.approx(given["waveform"][0].clamp(-1, 1).numpy(), abs=1e-4)


def test_who_stops_cancels_the_job(nodes, server):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.node.make("/v1/videos", {}, {}, lambda done: None, stop)
    assert [path for path, *_ in server.asked] == ["/v1/videos", "/v1/videos/video_1/cancel"]


def test_what_the_server_says_is_what_the_user_reads(nodes, server):
    with pytest.raises(RuntimeError, match=r"^there is no model of that name$"):
        server.node.make("/bad", {}, {}, lambda done: None, lambda: None)
    with pytest.raises(RuntimeError, match="does not answer; is phonofilm serve running"):
        nodes.Server("http://127.0.0.1:9").content(FILM, "video")
