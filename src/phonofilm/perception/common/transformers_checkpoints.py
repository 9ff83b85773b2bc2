"""Networks that transformers describes, from a folder in its layout: nothing is downloaded, guessed or filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.perception.common.devices import OnDevice
from phonofilm.quiet import quiet


def load_pretrained(cls: Any, folder: str | Path, kinds: tuple[str, ...], device: str = "cpu", **options: Any) -> Any:
    """Build a class of transformers, float32 and frozen, with the weights of a folder.

    Args:
        cls: the class; its tensors must all be in the folder, which may hold more.
        kinds: the `model_type`s of config.json that it takes. options: of the class.
        device: where it computes; its inputs and outputs stay on the CPU.

    Raises:
        PhonofilmError: no such folder, another network's, or one that lacks weights.
    """
    kind = read_config(folder).get("model_type")
    if kind not in kinds:
        raise PhonofilmError(f"{folder} holds a network of type {kind}, not {' or '.join(kinds)}")
    with quiet("transformers"):
        try:
            network, found = cls.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, **options
            )
        except Exception as error:
            told = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise PhonofilmError(f"the weights in {folder} cannot be read: {told}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise PhonofilmError(f"{folder} lacks {len(missing)} tensors of {cls.__name__}, the first is {missing[0]}")
    network = network.eval().requires_grad_(False)
    return network if device == "cpu" else OnDevice(network, device)


def read_config(folder: str | Path, name: str = "config.json") -> dict[str, Any]:
    """One of the folder's descriptions.

    Raises:
        PhonofilmError: it is not there, or not readable.
    """
    path = Path(folder) / name
    if not Path(folder).is_dir() or not path.is_file():
        raise PhonofilmError(f"{folder} is not a folder of weights in transformers' layout: it needs {name}")
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PhonofilmError(f"{path} is damaged; fetch or copy the network again") from error
    if not isinstance(found, dict):
        raise PhonofilmError(f"{path} is no JSON object; fetch or copy the network again")
    return found


class Words:
    """A folder's tokenizer: text to ids, one text at a time, so that no padding has to be masked.

    Args:
        limit: ids that the network reads. A longer text loses its end, but never its closing token.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        from tokenizers import Tokenizer

        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise PhonofilmError(f"{folder} has no tokenizer.json; fetch or copy the network again")
        self._whole, self._cut = Tokenizer.from_file(str(path)), Tokenizer.from_file(str(path))
        for tokenizer in (self._whole, self._cut):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        self._cut.enable_truncation(limit)

    def __call__(self, text: str) -> tuple[torch.Tensor, int]:
        """Ids int64 [1, L], and how many ids of the text were cut off."""
        ids = self._cut.encode(text).ids
        return torch.tensor([ids]), len(self._whole.encode(text).ids) - len(ids)
