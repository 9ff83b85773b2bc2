"""A page of its own for one model, as a Hugging Face Space or at home: pip install gradio, python examples/space.py

The studio (phonofilm serve) does more.
"""

import json
import os
import tempfile
from pathlib import Path

import gradio

from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import run
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.backends.base import JobContext
from phonofilm.errors import PhonofilmError

MODEL = os.environ.get("PHONOFILM_MODEL", "nano")
POOL = BackendPool()
MORE = {
    "video_seed", "audio_seed", "size", "fps", "steps", "sampler", "draft", "upsample", "guidance", "stg", "negative",
    "modality_guidance", "only", "no", "effects", "music", "gain", "mix_as", "sync", "control_scale", "label", "notice",
}  # fmt: skip
"""Fields of a job that a visitor may say as JSON; the others are the page's own, the host's, or may name files."""
EXAMPLES = ["A red rubber ball falls and bounces in a small room.", "A mallet strikes three bars of a xylophone."]


def make(
    prompt: str, seconds: float, seed: float, film: str | None, image: str | None, more: str,
    progress: object = gradio.Progress(),
) -> str:  # fmt: skip
    """A film from words, or with a given film the sound for it; returns the name of its file."""
    asked = {"task": "foley", "source": film} if film else {"task": "generate", "seconds": seconds, "image": image}

    def tell(stage: str, done: int, total: int) -> None:
        progress((done, max(1, total)), desc=stage)  # type: ignore[operator]

    try:
        said = json.loads(more or "{}")
        if not isinstance(said, dict) or set(said) - MORE:
            raise PhonofilmError(f"more is an object in JSON, of these fields: {', '.join(sorted(MORE))}")
        spec = RequestSpec.from_json({**said, "prompt": prompt, "seed": int(seed), "model": MODEL, **asked})
        path = Path(tempfile.mkdtemp(prefix="phonofilm-")) / "film.mp4"
        run(spec, path, JobContext(tell), POOL)
    except (PhonofilmError, json.JSONDecodeError) as error:
        raise gradio.Error(str(error)) from error
    return str(path)


def page() -> gradio.Interface:
    """The page: what is asked on the left, the film on the right."""
    return gradio.Interface(
        make,
        inputs=[
            gradio.Textbox(EXAMPLES[0], label="What is seen and heard", lines=2),
            gradio.Slider(0.5, 10, 4, label="Seconds"),
            gradio.Number(0, label="Seed", precision=0),
            gradio.Video(label="A silent film, to have its sound made"),
            gradio.Image(type="filepath", label="The first picture"),
            gradio.Textbox(label='More, as JSON: {"guidance": 3, "no": ["music"], "effects": "a clock"}'),
        ],
        outputs=gradio.Video(label="The film"),
        title="Phonofilm",
        description="Film and sound made together. What a model made is signed and marked; phonofilm verify reads it.",
        examples=[[text, 4, 1, None, None, ""] for text in EXAMPLES],
        cache_examples=False,
        flagging_mode="never",
    )


if __name__ == "__main__":
    page().queue(max_size=20).launch()
