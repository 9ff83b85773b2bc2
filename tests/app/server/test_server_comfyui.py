"""The nodes of ComfyUI on a stand-in of its V3 schema (ComfyUI itself is in no registry): each makes what it says.

The stand-in takes only the names that ComfyUI's published `comfy_api.latest._io` takes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io as bytes_io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from studio import Studio
from test_server_attacks import Served

FOLDER = Path(__file__).parents[3] / "integrations" / "comfyui"
PLAIN = {"display_name", "optional", "tooltip", "lazy", "extra_dict", "raw_link", "advanced"}
WIDGET = PLAIN | {"default", "socketless", "force_input"}
NUMBER = WIDGET | {"min", "max", "step", "display_mode"}
KINDS = {"Video": PLAIN, "Audio": PLAIN, "Image": PLAIN, "Float": NUMBER | {"round", "gradient_stops"}}
KINDS |= {
    "String": WIDGET | {"multiline", "placeholder", "dynamic_prompts"},
    "Int": NUMBER | {"control_after_generate"},
    "Combo": WIDGET | {"options", "control_after_generate", "upload", "image_folder", "remote"},
    "Boolean": WIDGET | {"label_on", "label_off"},
}
SCHEMA = {"node_id", "display_name", "category", "description", "inputs", "outputs", "is_output_node"}


class Interrupted(Exception):
    pass


def kind(name: str, allowed: set[str]) -> type:
    class Input:
        def __init__(self, id: str, **options) -> None:
            assert set(options) <= allowed, (name, options)
            self.id, self.kind, self.options = id, name, options

    class Output:
        def __init__(self, id: str | None = None, display_name=None, tooltip=None, is_output_list=False) -> None:
            self.id, self.kind = id, name

    return type(name, (), {"Input": Input, "Output": Output})


class Schema:
    def __init__(self, **values) -> None:
        assert set(values) <= SCHEMA
        self.__dict__.update(values)


class NodeOutput:
    def __init__(self, *args) -> None:
        self.args = args


class VideoFromFile:
    def __init__(self, file: bytes_io.BytesIO) -> None:
        self.content = file.getvalue()

    def save_to(self, file: bytes_io.BytesIO) -> None:
        file.write(self.content)


@pytest.fixture
def nodes(monkeypatch):
    """The extension as ComfyUI loads it, the percents it showed, and a way to interrupt it."""
    io = types.SimpleNamespace(ComfyNode=object, Schema=Schema, NodeOutput=NodeOutput)
    io.Custom = lambda name: kind(name, PLAIN)
    for name, allowed in KINDS.items():
        setattr(io, name, kind(name, allowed))
    latest = types.ModuleType("comfy_api.latest")
    latest.io, latest.ComfyExtension = io, object
    latest.InputImpl = types.SimpleNamespace(VideoFromFile=VideoFromFile)
    shown: list[int] = []
    state = types.SimpleNamespace(stop=False, shown=shown)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            assert total == 100

        def update_absolute(self, value: int, total: int) -> None:
            shown.append(value)

    def throw() -> None:
        if state.stop:
            raise Interrupted

    utils, management = types.ModuleType("comfy.utils"), types.ModuleType("comfy.model_management")
    utils.ProgressBar, management.throw_exception_if_processing_interrupted = ProgressBar, throw
    comfy, api = types.ModuleType("comfy"), types.ModuleType("comfy_api")
    comfy.utils, comfy.model_management = utils, management
    for module in (comfy, utils, management, api, latest):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location(
        "phonofilm_nodes", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "phonofilm_nodes", made)
    spec.loader.exec_module(made)
    listed = asyncio.run(asyncio.run(made.comfy_entrypoint()).get_node_list())
    state.nodes = {node.__name__: node for node in listed}
    yield state
    sys.modules.pop("phonofilm_nodes.client", None)


@pytest.fixture
def served(tmp_path, monkeypatch):
    studio = Studio(tmp_path)
    made = Served(studio.app, monkeypatch)
    made.studio = studio
    yield made
    made.stop()


def test_every_node_has_a_schema_that_fits_what_it_takes(nodes):
    assert set(nodes.nodes) == {"Load", "SetOptions", *MAKES, "Stems", "Sheet"}
    ids = set()
    for node in nodes.nodes.values():
        schema = node.define_schema()
        ids.add(schema.node_id)
        taken = node.execute.__func__.__code__
        names = taken.co_varnames[1 : taken.co_argcount]
        assert {given.id for given in schema.inputs} == set(names), node
        required = names[: len(names) - len(node.execute.__func__.__defaults__ or ())]
        assert {given.id for given in schema.inputs if not given.options.get("optional")} == set(required), node
    assert len(ids) == len(nodes.nodes)


MAKES = {
    "Generate": "/v1/videos",
    "Foley": "/v1/videos/foley",
    "Animate": "/v1/videos/animate",
    "Extend": "/v1/videos/extensions",
    "Retake": "/v1/videos/retake",
    "Soundtrack": "/v1/videos/soundtrack",
    "Story": "/v1/videos/story",
}
CALLED = {"input_reference": "image", "speech_file": "speech_given", "effects_file": "effects_given"}
"""Fields that nodes call by other names."""
NOT_IN_NODES = {
    "priority": "a graph waits for its own films",
    "webhook_url": "the node waits for the film",
    "user": "not used",
    "generate_sound": "without = audio",
    "subtitles": "ComfyUI has no type for them",
    "hits_file": "ComfyUI has no type for MIDI; hits says the same",
}
"""Fields of the server that no node has, and why."""


def test_nodes_take_all_that_the_server_takes_but_for_what_is_named(nodes, tmp_path):
    described = Studio(tmp_path).app.openapi()
    of = {name: {given.id for given in node.define_schema().inputs} for name, node in nodes.nodes.items()}
    everything: set[str] = set()
    for name, path in MAKES.items():
        form = described["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        fields = {field.partition("[")[0] for field in form["properties"]}
        taken = of[name] | of["SetOptions"]
        given = "music" if name in ("Soundtrack", "Story") else "music_given"
        called = CALLED | {"music_file": given, "gain": "speech_gain"}
        # a film goes to animate as its sound
        left = {field for field in fields if called.get(field, field) not in taken}
        left -= {"video"} if name == "Animate" else set()
        assert left <= set(NOT_IN_NODES), (name, left)
        everything |= fields
    assert set(NOT_IN_NODES) <= everything, "what is named there is a field"


def test_each_node_makes_what_it_says(nodes, served):
    make = nodes.nodes
    (server,) = make["Load"].execute(f"http://127.0.0.1:{served.port}").args
    with served.studio.working():
        picture = torch.full((1, 32, 32, 3), 0.5)
        video, audio, film = make["Generate"].execute(server, "a ball", 1.0, 3, "32x32", picture).args
        assert video.content[4:8] == b"ftyp"
        assert audio["waveform"].shape[:2] == (1, 2)
        assert audio["waveform"].dtype == torch.float32
        assert 0.9 < audio["waveform"].shape[-1] / audio["sample_rate"] < 1.1
        assert nodes.shown[-1] == 100
        for name, arguments in (
            ("Foley", (video, "a ball", 1)),
            ("Animate", (audio, "a ball", 1)),
            ("Extend", (video, 0.5, "a ball", 1)),
            ("Retake", (video, 0.2, 0.6, "a ball", 1)),
            ("Soundtrack", (video, "a ball", 1, "", "", audio)),
            ("Story", ('[{"prompt": "a ball", "seconds": 0.5, "cast": ["Anna 1"]}]', 1, '{"Anna 1": "a woman"}')),
        ):
            (options,) = make["SetOptions"].execute(model="fake", draft=False, label=True).args
            made = make[name].execute(server, *arguments, options=options).args[0]
            assert made.content[4:8] == b"ftyp", name
        stems = make["Stems"].execute(server, film).args
        assert len(stems) == 3
        (sheet,) = make["Sheet"].execute(server, film).args
        assert sheet.shape[-1] == 3
        assert 0 <= np.asarray(sheet).min() <= np.asarray(sheet).max() <= 1


def test_an_interrupt_cancels_the_job(nodes, served):
    (server,) = nodes.nodes["Load"].execute(f"http://127.0.0.1:{served.port}").args
    nodes.stop = True
    with pytest.raises(Interrupted):
        nodes.nodes["Generate"].execute(server, "a ball", 1.0, 3)
    (film,) = served.studio.client.get("/v1/videos").json()["data"]
    assert film["error"]["code"] == "cancelled"


def test_what_the_server_refuses_is_one_sentence(nodes, served):
    make = nodes.nodes
    (server,) = make["Load"].execute(f"http://127.0.0.1:{served.port}").args
    with pytest.raises(RuntimeError, match="prompt"):
        make["Generate"].execute(server, "", 1.0, 3)
    (nobody,) = make["Load"].execute("http://127.0.0.1:1").args
    with pytest.raises(RuntimeError, match="phonofilm serve"):
        make["Generate"].execute(nobody, "a ball", 1.0, 3)


def test_an_option_that_a_task_does_not_take_is_refused_in_one_sentence(nodes, served):
    make = nodes.nodes
    (server,) = make["Load"].execute(f"http://127.0.0.1:{served.port}").args
    (options,) = make["SetOptions"].execute(hits="0.5").args
    with pytest.raises(RuntimeError, match="there is no field 'hits' here"):
        make["Story"].execute(server, '[{"prompt": "a ball", "seconds": 1}]', 1, options=options)


CORE = {"SaveVideo": {"video": "Video"}, "PreviewImage": {"images": "Image"}, "PreviewAudio": {"audio": "Audio"}}
"""Nodes of ComfyUI's own that the example ends in, and what they are joined to."""


def test_the_example_fits_the_nodes_and_makes_its_films(nodes, served):
    graph = json.loads((FOLDER / "example_workflows" / "film_and_stems.json").read_text())
    ours = {node.define_schema().node_id: node for node in nodes.nodes.values()}
    assert {step["class_type"] for step in graph.values()} <= {*ours, *CORE}
    graph["1"]["inputs"]["url"] = f"http://127.0.0.1:{served.port}"
    graph["2"]["inputs"] |= {"seconds": 1.0, "size": "32x32"}
    graph["3"]["inputs"] |= {"start": 0.25, "end": 0.75}
    made: dict[str, tuple] = {}
    with served.studio.working():
        for number, step in sorted(graph.items()):  # each stands after what it needs
            name, given = step["class_type"], {}
            for field, value in step["inputs"].items():
                linked = isinstance(value, list)
                given[field] = made[value[0]][value[1]] if linked else value
                if linked and graph[value[0]]["class_type"] in ours:
                    gives = ours[graph[value[0]]["class_type"]].define_schema().outputs[value[1]].kind
                    takes = CORE.get(name) or {one.id: one.kind for one in ours[name].define_schema().inputs}
                    assert takes[field] == gives, (number, field)
            if name in ours:
                made[number] = ours[name].execute(**given).args
    assert made["3"][0].content[4:8] == b"ftyp"
    assert made["5"][0].shape[-1] == 3
    assert made["7"][1]["waveform"].shape[1] == 2
