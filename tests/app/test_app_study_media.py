"""Films and sounds of a study in the parts that players ask for: every kind of range, on every route that has media."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the study extra: pip install -e '.[study]'")
from fastapi.testclient import TestClient
from study_material import study_of

from phonofilm.app.study.server import create_app
from phonofilm.app.web.media_files import Span, span_of
from phonofilm.app.web.refusals import RefusedError


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return TestClient(create_app(study_of(tmp_path_factory.mktemp("made"))[0]))


@pytest.fixture(scope="module")
def routes(client):
    token = client.post("/api/join", json={}).json()["token"]
    client.post("/api/headphones", json={"heard": ["left"] * 4}, headers={"X-Rater": token})
    for _ in range(2):
        client.post("/api/headphones", json={"heard": ["left"] * 4}, headers={"X-Rater": token})
    client.post("/api/latency", json={"offset": 0}, headers={"X-Rater": token})
    film = client.get("/api/state", headers={"X-Rater": token}).json()["trial"]["clips"][0]["url"]
    return [f"/{film}", "/probe/-240.mp4", f"/sound/3.wav?rater={token}", "/assets/study.js"]


@pytest.mark.parametrize("number", range(4), ids=["film", "probe", "sound", "script"])
def test_parts_of_every_medium(client, routes, number):
    url = routes[number]
    whole = client.get(url)
    size = len(whole.content)
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == size
    for asked, start, end in [
        ("bytes=0-1", 0, 2),  # what Safari asks first
        ("bytes=0-", 0, size),
        ("bytes=5-9", 5, 10),
        (f"bytes=10-{10 * size}", 10, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{10 * size}", 0, size),
        (f"bytes={size - 1}-", size - 1, size),
    ]:
        part = client.get(url, headers={"Range": asked})
        assert part.status_code == 206, asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.content == whole.content[start:end]
        assert int(part.headers["content-length"]) == end - start
        assert part.headers["content-type"] == whole.headers["content-type"]
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0"):
        refused = client.get(url, headers={"Range": asked})
        assert refused.status_code == 416, asked
        assert refused.headers["content-range"] == f"bytes */{size}"
        assert refused.json()["error"]
    for asked in (
        "bytes=9-5",
        "bytes=-",
        "bytes=a-b",
        "items=0-1",
        "bytes=0-1,5-6",
        "bytes=" + "9" * 5000 + "-",
        "",
        "٠",
    ):
        ignored = client.get(url, headers={"Range": asked.encode()})
        assert (ignored.status_code, ignored.content) == (200, whole.content), asked


@pytest.mark.parametrize("number", range(4), ids=["film", "probe", "sound", "script"])
def test_a_part_of_a_changed_file_is_never_joined_to_the_old_one(client, routes, number):
    url = routes[number]
    tag = client.get(url).headers["etag"]
    same = client.get(url, headers={"Range": "bytes=2-5", "If-Range": tag})
    assert same.status_code == 206
    for other in ('"another"', f"W/{tag}", "Tue, 01 Jan 2030 00:00:00 GMT"):
        assert client.get(url, headers={"Range": "bytes=2-5", "If-Range": other}).status_code == 200
        beyond = client.get(url, headers={"Range": "bytes=99999999-", "If-Range": other})
        assert beyond.status_code == 200, "If-Range is asked before the range"
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("number", range(4), ids=["film", "probe", "sound", "script"])
def test_head_says_what_get_would(client, routes, number):
    whole = client.get(routes[number])
    head = client.head(routes[number])
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert client.head(routes[number], headers={"Range": "bytes=0-1"}).status_code == 200


def test_a_film_that_vanished_is_404_and_no_fault(tmp_path):
    folder, study = study_of(tmp_path)
    client = TestClient(create_app(folder))
    name = study.stimuli[0].file
    (folder / "clips" / name).unlink()
    assert client.get(f"/media/{name}").status_code == 404


@pytest.mark.parametrize(
    ("header", "size", "span"),
    [("bytes=0-1", 10, Span(0, 2)), ("bytes=-3", 10, Span(7, 10)), (None, 10, None), ("bytes=1-2,3-4", 10, None)],
)
def test_span_of(header, size, span):
    assert span_of(header, size) == span


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5", "bytes=0-0"])
def test_an_empty_file_has_no_parts(header):
    with pytest.raises(RefusedError) as error:
        span_of(header, 0)
    assert error.value.status == 416
