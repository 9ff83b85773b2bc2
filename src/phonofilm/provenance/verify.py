"""What a file says of where it comes from, layer by layer, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking, missing
from phonofilm.media import probe, read_clip
from phonofilm.media.metadata import COMPOSITE, SOURCE_TYPES
from phonofilm.provenance.kept.fingerprint import fingerprint
from phonofilm.provenance.kept.home import known_private_key
from phonofilm.provenance.kept.log import is_there, recall
from phonofilm.provenance.manifest.sign import OTHER, beside, context, mime
from phonofilm.provenance.watermark.picture import find_in_picture
from phonofilm.provenance.watermark.signs import PUBLIC, Found
from phonofilm.provenance.watermark.sound import find_in_sound
from phonofilm.types import Clip

CHANGED = {
    "assertion.bmffHash.mismatch": "its content was changed after it was signed",
    "assertion.dataHash.mismatch": "its content was changed after it was signed",
    "assertion.hashedURI.mismatch": "what the manifest says was changed after it was signed",
    "claimSignature.mismatch": "the signature is not that of its content",
    "signingCredential.expired": "the certificate had run out when it signed",
    "signingCredential.untrusted": "nobody here vouches for who signed",
}
SOURCES = {
    "trainedAlgorithmicMedia": "all of it was made by a model",
    "compositeWithTrainedAlgorithmicMedia": "part of it was made by a model",
}


@dataclass(frozen=True)
class Layer:
    """What one layer says.

    Attributes:
        name: "manifest", "metadata", "watermark" or "log".
        verdict: one word for programs.
        lines: sentences for people.
        facts: what else programs may want.
    """

    name: str
    verdict: str
    lines: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def verify(path: str | Path) -> list[Layer]:
    """All layers of a file; it is read, and nothing is written.

    Raises:
        PhonofilmError: a file that cannot be read at all.
    """
    path = Path(path)
    said = probe(path).metadata
    return [manifest(path), _metadata(said), _watermark(path, said), _log(path)]


def manifest(path: Path) -> Layer:
    """The signed manifest in a file or beside it: "trusted", "valid", "invalid", "none" or "unread"."""
    if absent := missing("provenance"):
        line = str(lacking(absent[0], "reading signed manifests"))
        return Layer("manifest", "unread", (line,))
    import c2pa

    own = beside(path)
    try:
        with path.open("rb") as file:
            if own.is_file():
                reader = c2pa.Reader(mime(path), file, own.read_bytes(), context=context())
            elif mime(path) == OTHER:
                return Layer("manifest", "none", (f"no signed manifest: there is no {own.name} beside it",))
            else:
                reader = c2pa.Reader(mime(path), file, context=context())
            found, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ or "no JUMBF" in str(error):
            return Layer("manifest", "none", ("no signed manifest",))
        return Layer("manifest", "invalid", (f"the signed manifest cannot be read: {error}",))
    return _read_manifest(found, state)


def _read_manifest(found: dict[str, Any], state: str) -> Layer:
    active = found["manifests"][found["active_manifest"]]
    signed = active.get("signature_info", {})
    who = " ".join(filter(None, (signed.get("issuer"), signed.get("common_name")))) or "somebody unknown"
    results = found.get("validation_results", {}).get("activeManifest", {})
    wrong = [one["code"] for one in results.get("failure", [])]
    verdict = state.lower()
    words = {
        "trusted": f"Trusted: signed by {who}, whose root this installation trusts, and not changed since",
        "valid": f"Valid: signed by {who}, and not changed since; whether to trust them is not known here",
        "invalid": f"Invalid: it names {who} as signing, but {_faults(wrong)}",
    }
    lines = [words.get(verdict, f"{state}: signed by {who}")]
    actions = _actions(active)
    lines += [line for line in (_source(actions), *(action.get("description") for action in actions)) if line]
    for given in active.get("ingredients", []):
        credentials = "with its own credentials" if given.get("active_manifest") else "which has no credentials"
        lines.append(f"it was made of {given.get('title', 'a file')}, {credentials}")
    recipe: dict[str, Any] = next(
        (a["data"] for a in active["assertions"] if a["label"].startswith("org.phonofilm.recipe")), {}
    )
    facts = {"signed_by": who, "state": state, "failures": wrong, "recipe": recipe}
    facts["actions"] = [action["action"] for action in actions]
    return Layer("manifest", verdict, tuple(lines), facts)


def _faults(codes: list[str]) -> str:
    known = dict.fromkeys(CHANGED.get(code, f"a check failed ({code})") for code in codes)
    return " and ".join(known) or "it does not hold"


def _actions(active: dict[str, Any]) -> list[dict[str, Any]]:
    assertions = (a for a in active["assertions"] if a["label"].startswith("c2pa.actions"))
    return [action for one in assertions for action in one["data"].get("actions", [])]


def _source(actions: list[dict[str, Any]]) -> str | None:
    types = [str(action.get("digitalSourceType", "")).removeprefix(SOURCE_TYPES) for action in actions]
    return next((SOURCES[one] for one in types if one in SOURCES), None)


def _metadata(said: dict[str, str]) -> Layer:
    if said.get("ai_generated") != "true":
        return Layer("metadata", "none", ("the file's own description does not say that a model made it",))
    by = " ".join(filter(None, (said.get("generator"), f"model {said['model']}" if "model" in said else None)))
    return Layer("metadata", "said", (f"the file's own description says that a model made it: {by}",))


def _watermark(path: Path, said: dict[str, str]) -> Layer:
    part = said.get("digital_source_type") == COMPOSITE
    clip, private = read_clip(path), known_private_key()
    lines, facts = [], {}
    for stream, missing_words in (("sound", "there is no sound"), ("picture", "there is no picture")):
        found = {"public": _look(clip, stream, PUBLIC, missing_words)}
        if private is not None and not found["public"].reason:
            found["private"] = _look(clip, stream, private, missing_words)
        lines.append(_told(stream, found, part))
        facts[stream] = {name: {"score": _finite(one.score), "threshold": _finite(one.threshold),
                                "found": one.present, "reason": one.unsure} for name, one in found.items()}  # fmt: skip
    there = [one["found"] for streams in facts.values() for one in streams.values()]
    looked = [one["reason"] == "" for streams in facts.values() for one in streams.values()]
    return Layer("watermark", "found" if any(there) else "none" if any(looked) else "unread", tuple(lines), facts)


def _look(clip: Clip, stream: str, key: bytes, none: str) -> Found:
    if stream == "sound":
        return Found(reason=none) if clip.waveform is None else find_in_sound(clip.waveform, clip.sample_rate or 1, key)
    return Found(reason=none) if clip.frames is None or not clip.fps else find_in_picture(clip.frames, clip.fps, key)


def _told(stream: str, found: dict[str, Found], part: bool) -> str:
    names = [name for name, one in found.items() if one.present]
    best = found["public"]
    if not names and best.unsure:
        return f"a mark cannot be looked for in the {stream}: {best.unsure}"
    if not names:
        short = "; only a part of the film was made, which may be too short for it" if part else ""
        return (
            f"no mark was found in the {stream}: {best.score:.1f}, and a mark has {best.threshold:.1f} or more{short}"
        )
    ours = "; the private one says that this installation made it" if "private" in names else ""
    return f"a mark was found in the {stream}, by the {' and the '.join(names)} key{ours}"


def _log(path: Path) -> Layer:
    if not is_there():
        return Layer("log", "none", ("this installation has logged nothing",))
    try:
        best = recall(path, fingerprint(path))
    except PhonofilmError as error:
        return Layer("log", "unread", (f"no fingerprint can be taken: {error}",))
    if best is None:
        return Layer("log", "none", ("nothing in this installation's log looks or sounds like it",))
    line, recipe = best.line, dict(best.line.get("recipe", {}))
    prompt = f", prompt {recipe['prompt']!r}" if recipe.get("prompt") else ""
    how = "is the very file" if best.exact else "looks or sounds like the one"
    shares = " and ".join(f"{share:.0%} of the {name}" for name, share in best.shares.items())
    words = f"it {how} that this installation made on {line.get('made')} as {line.get('name')}{prompt}"
    agree = f" ({shares} agree)" if shares else ""
    return Layer("log", "exact" if best.exact else "alike", (words + agree,), {"recipe": recipe, **best.shares})


def _finite(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
