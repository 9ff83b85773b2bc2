"""Signed manifests: every kind of file is Valid, a flipped byte is noticed, and given films keep their credentials."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.provenance.kept import home
from phonofilm.provenance.manifest.certificate import Identity, given_identity, own_identity
from phonofilm.provenance.manifest.sign import Claim, beside, sign
from phonofilm.provenance.verify import manifest
from phonofilm.types import Clip

KINDS = (".mp4", ".m4v", ".mov", ".wav", ".gif", ".webm", ".mkv")


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each test."""
    monkeypatch.setenv("PHONOFILM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def clip() -> Clip:
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    return Clip(frames, Fraction(12), random.normal(0, 0.1, (2, 8000)).astype(np.float32), 16_000)


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_is_trusted_here_and_valid_elsewhere(
    installation: Path, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    clip.save(path)
    where = sign(path, Claim(made="the sound and the picture", said={"model": "nano"}), own_identity())
    assert where == (beside(path) if suffix in (".webm", ".mkv") else path)
    here = manifest(path)
    assert here.verdict == "trusted", here
    assert here.facts["actions"] == ["c2pa.created"]
    assert here.facts["recipe"] == {"model": "nano"}
    assert "all of it was made by a model" in here.lines
    monkeypatch.setenv("PHONOFILM_HOME", str(tmp_path / "elsewhere"))
    assert manifest(path).verdict == "valid"


PLACES = {
    ".mp4": (b"moov", b"mdat"),
    ".mov": (b"moov", b"mdat"),
    ".m4v": (b"moov", b"mdat"),
    ".wav": (b"data",),
    ".gif": (b"\x21\xf9\x04",),
    ".webm": (b"\x1f\x43\xb6\x75",),
    ".mkv": (b"\x1f\x43\xb6\x75",),
}
"""What stands before the content of a kind of file: boxes, samples, a frame, a cluster."""


@pytest.mark.parametrize(("suffix", "place"), [(suffix, place) for suffix, all in PLACES.items() for place in all])
def test_a_flipped_byte_is_noticed(installation: Path, clip: Clip, tmp_path: Path, suffix: str, place: bytes) -> None:
    path = tmp_path / f"clip{suffix}"
    clip.save(path)
    sign(path, Claim(), own_identity())
    content = bytearray(path.read_bytes())
    at = content.index(place) + len(place) + 60
    content[at] ^= 1
    path.write_bytes(content)
    found = manifest(path)
    assert found.verdict == "invalid"
    assert "changed" in found.lines[0]


def test_a_given_film_comes_with_its_own_credentials(installation: Path, clip: Clip, tmp_path: Path) -> None:
    for number, suffix in enumerate((".mp4", ".webm")):
        given, path = tmp_path / f"given{suffix}", tmp_path / f"new{number}.mp4"
        clip.save(given)
        sign(given, Claim(), own_identity())
        clip.save(path)
        sign(path, Claim(composite=True, given=(given,), made="the sound"), own_identity())
        found = manifest(path)
        assert found.verdict == "trusted"
        assert found.facts["actions"] == ["c2pa.opened", "c2pa.edited"]
        assert "part of it was made by a model" in found.lines
        assert f"it was made of {given.name}, with its own credentials" in found.lines


def test_a_given_film_without_credentials_is_named(installation: Path, clip: Clip, tmp_path: Path) -> None:
    given, path = tmp_path / "given.mkv", tmp_path / "new.wav"
    clip.save(given)
    clip.save(path)
    sign(path, Claim(composite=True, given=(given,)), own_identity())
    assert "it was made of given.mkv, which has no credentials" in manifest(path).lines


def test_the_installation_signs_with_one_certificate_that_nobody_else_can_read(installation: Path) -> None:
    first = own_identity()
    assert own_identity() == first
    assert (installation / "c2pa.pem").stat().st_mode & 0o077 == 0
    assert home.private_key() == home.private_key()
    assert (installation / "watermark.key").stat().st_mode & 0o077 == 0


def test_a_rotated_certificate_stays_trusted_when_it_is_kept(installation: Path, clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    clip.save(path)
    sign(path, Claim(), own_identity())
    (installation / "trusted").mkdir()
    (installation / "c2pa.pem").rename(installation / "trusted" / "2026.pem")
    own_identity()
    assert manifest(path).verdict == "trusted"


def test_a_certificate_that_is_given_signs(installation: Path, clip: Clip, tmp_path: Path) -> None:
    own: Identity = own_identity()
    (tmp_path / "cert.pem").write_bytes(own.chain)
    (tmp_path / "key.pem").write_bytes(own.key)
    given = given_identity(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert given.algorithm == "es256"
    path = tmp_path / "clip.wav"
    clip.save(path)
    sign(path, Claim(), given)
    assert manifest(path).verdict == "trusted"


@pytest.mark.parametrize("wrong", ["certificate", "key", "pair", "missing"])
def test_a_certificate_that_cannot_sign_is_refused_in_a_line(installation: Path, tmp_path: Path, wrong: str) -> None:
    own = own_identity()
    (installation / "c2pa.pem").unlink()
    other = own_identity()
    chain = {"certificate": b"nothing"}.get(wrong, own.chain)
    key = {"key": b"nothing", "pair": other.key}.get(wrong, own.key)
    (tmp_path / "cert.pem").write_bytes(chain)
    if wrong != "missing":
        (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(PhonofilmError, match=r"(cert|key)\.pem"):
        given_identity(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_file_without_a_manifest_says_so(installation: Path, clip: Clip, tmp_path: Path) -> None:
    for suffix in (".mp4", ".wav", ".mkv", ".gif"):
        path = tmp_path / f"clip{suffix}"
        clip.save(path)
        assert manifest(path).verdict == "none", suffix
