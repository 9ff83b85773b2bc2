"""Fetching published weights: the only place in Phonofilm that opens a connection, and only when told to."""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.files import check_folder
from phonofilm.types import Progress
from phonofilm.weights.catalog import Pinned, Published
from phonofilm.weights.public import models_home, read_manifest, write_manifest

BLOCK = 2**22


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: `sha256` for large files, the git blob's SHA-1 for small ones of a repository.

    One outside huggingface.co has its `url`; its size may be unknown (0), and its SHA-256 be known in part.
    """

    name: str
    size: int
    sha256: str | None
    blob: str | None
    url: str | None = None

    def matches(self, path: Path) -> bool:
        """Whether a local file has this content."""
        if not path.is_file() or (self.size and path.stat().st_size != self.size):
            return False
        if self.sha256:
            return _digest(path, hashlib.sha256()).startswith(self.sha256)
        return self.blob is None or _digest(path, hashlib.sha1(f"blob {self.size}\0".encode())) == self.blob


@dataclass(frozen=True)
class Listing:
    """What a fetch would bring: the files of one commit."""

    model: Published
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def look_up(model: Published, endpoint: str | None = None) -> Listing:
    """Ask the hub for the files of a model, and add those that are pinned.

    Raises:
        PhonofilmError: the hub cannot be reached or does not have the files, or they could not be written here.
    """
    check_folder(models_home() / model.name)
    pinned = tuple(_pinned(file) for file in model.pinned)
    if not model.repository:
        return Listing(model, "", pinned)
    from huggingface_hub import HfApi

    try:
        found = HfApi(endpoint=endpoint).model_info(model.repository, files_metadata=True)
    except Exception as error:
        raise _unreachable(model, error) from error
    files = tuple(_remote(sibling) for sibling in found.siblings or [] if _wanted(sibling.rfilename, model.patterns))
    if not files or not found.sha:
        raise PhonofilmError(f"{model.repository} has none of the files of {model.name}; it may have been reorganised")
    return Listing(model, found.sha, _one_format(files) + pinned)


def fetch(
    listing: Listing,
    home: Path | None = None,
    progress: Progress | None = None,
    endpoint: str | None = None,
) -> Path:
    """Bring all files of a model; what is there and whole is kept, what is there in part goes on.

    Args:
        home: where models live; the model gets a folder of its name there.

    Raises:
        PhonofilmError: too little space, no connection, or a file whose hash is not the published one.
    """
    model, folder = listing.model, (home or models_home()) / listing.model.name
    folder.mkdir(parents=True, exist_ok=True)
    done = dict(read_manifest(folder).get("files", {}))
    missing = [file for file in listing.files if not _known(file, folder, done)]
    _check_space(folder, sum(file.size for file in missing))
    origin = model.repository or ", ".join(file.url or "" for file in listing.files)
    manifest = {"model": model.name, "repository": origin, "commit": listing.commit}
    manifest |= {"license": model.license, "license_url": model.license_url}
    so_far = listing.size - sum(file.size for file in missing)
    for file in missing:
        if not file.matches(folder / file.name):
            _download(listing, file, folder, endpoint, _Counter(progress, file.name, so_far, listing.size))
        so_far += file.size
        facts = {"sha256": file.sha256, "blob": file.blob}
        done[file.name] = {"size": (folder / file.name).stat().st_size, **facts}
        write_manifest(folder, {**manifest, "files": done, "complete": False})
    names = {file.name for file in listing.files}
    files = {name: facts for name, facts in done.items() if name in names}
    write_manifest(folder, {**manifest, "files": files, "complete": True})
    return folder


class _Counter:
    """Makes the class that huggingface_hub reports a file's bytes to pass them on."""

    def __init__(self, progress: Progress | None, name: str, before: int, total: int) -> None:
        self.progress, self.name, self.before, self.total = progress, name, before, total

    def bar(self) -> Any:
        """A quiet progress bar that tells `progress`."""
        from tqdm.auto import tqdm

        counter = self

        class Bar(tqdm):  # type: ignore[type-arg]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                options.pop("name", None)
                super().__init__(*arguments, **{**options, "disable": True})
                self._seen = options.get("initial", 0) or 0

            def update(self, n: float | None = 1) -> None:
                self._seen += n or 0
                if counter.progress is not None:
                    counter.progress(counter.name, counter.before + int(self._seen), counter.total)

        return Bar


def _download(listing: Listing, file: RemoteFile, folder: Path, endpoint: str | None, counter: _Counter) -> None:
    """Bring one file by way of a partial one, which an interrupted fetch leaves for the next to go on with."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    target = folder / file.name
    partial = target.with_name(f"{target.name}.{(file.sha256 or file.blob or '')[:12]}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    hub = hf_hub_url(listing.model.repository or "-", file.name, revision=listing.commit, endpoint=endpoint)
    try:
        with partial.open("ab") as opened:
            http_get(
                file.url or hub,
                opened,
                resume_size=opened.tell(),
                # what a user's token opens is the hub's alone to know
                headers={} if file.url else build_hf_headers(),
                expected_size=file.size or None,
                displayed_filename=file.name,
                tqdm_class=counter.bar(),
            )
    except Exception as error:
        raise _unreachable(listing.model, error) from error
    if not file.matches(partial):
        partial.unlink()
        raise PhonofilmError(
            f"{file.name} of {listing.model.name} did not arrive as published (its hash differs); run the same again"
        )
    partial.replace(target)


def _known(file: RemoteFile, folder: Path, done: dict[str, Any]) -> bool:
    """A file that an earlier fetch has checked is not read again."""
    facts, path = done.get(file.name), folder / file.name
    if facts is None or not path.is_file():
        return False
    same = (facts["sha256"], facts["blob"]) == (file.sha256, file.blob) and file.size in (0, facts["size"])
    return same and path.stat().st_size == facts["size"]


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PhonofilmError(
            f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed; "
            "free some space, or set PHONOFILM_MODELS to a folder on a larger disk"
        )


def _remote(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs
    sha256 = None if lfs is None else lfs["sha256"] if isinstance(lfs, dict) else lfs.sha256
    return RemoteFile(sibling.rfilename, sibling.size or 0, sha256, None if sha256 else sibling.blob_id)


def _pinned(file: Pinned) -> RemoteFile:
    return RemoteFile(file.name, file.size or 0, file.sha256, None, file.url)


def _one_format(files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """Without pickles, where the same repository has safetensors."""
    safe = any(file.name.endswith(".safetensors") for file in files)
    return tuple(file for file in files if not (safe and file.name.endswith(".bin")))


def _wanted(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
    return str(digest.hexdigest())


def _unreachable(model: Published, error: Exception) -> Exception:
    """One line for whatever went wrong between here and the hub; what was fetched so far stays."""
    kind = type(error).__name__
    if isinstance(error, (KeyboardInterrupt, PhonofilmError)):
        return error
    if kind == "OfflineModeIsEnabled":
        return PhonofilmError("HF_HUB_OFFLINE is set, which forbids fetching; unset it and run the same again")
    if kind == "GatedRepoError":
        page = f"https://huggingface.co/{model.repository}"
        return PhonofilmError(f"{model.repository} wants its terms accepted on {page}; do so, then run `hf auth login`")
    first = str(error).strip().splitlines()[0] if str(error).strip() else kind
    return PhonofilmError(f"fetching {model.name} stopped ({first}); what has arrived is kept, run the same again")
