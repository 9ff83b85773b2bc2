from pathlib import Path

import torch

from phonofilm.codecs.text import TextEncoder, package_folder
from phonofilm.codecs.text_compact import NAME, save_compact


def test_the_compact_encoder_says_nearly_the_same_in_a_quarter_of_the_bytes(tmp_path: Path) -> None:
    encoder = TextEncoder.load()
    path = save_compact(encoder.network.state_dict(), package_folder() / "tokenizer.json", tmp_path)
    assert path.name == NAME
    assert path.stat().st_size < 24_000_000
    compact = TextEncoder.compact(tmp_path)
    prompts = ["A red rubber ball bounces on the floor.", ""]
    whole, small = encoder.encode(prompts), compact.encode(prompts)
    assert torch.equal(whole.mask, small.mask)
    error = (whole.states - small.states).abs()[whole.mask]
    assert float(error.mean()) < 0.04 * float(whole.states[whole.mask].abs().mean())
    assert compact.digest != encoder.digest
