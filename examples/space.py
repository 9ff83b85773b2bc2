"""A page of its own for one model, as a Hugging Face Space or at home: pip install gradio, python examples/space.py

The studio (phonofilm serve) does more.
"""

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
EXAMPLES = ["A red rubber ball falls and bounces in a small room.", "A mallet strikes three bars of a xylophone."]


def make(prompt: str, seconds: float, seed: float, film: str | None, progress: object = gradio.Progress()) -> str:
    """A film from words, or with a given film the sound for it; returns the name of its file."""
    asked = {"task": "foley", "source": film} if film else {"task": "generate", "seconds": seconds}

    def tell(stage: str, done: int, total: int) -> None:
        progress((done, max(1, total)), desc=stage)  # type: ignore[operator]

    try:
        spec = RequestSpec.from_json({"prompt": prompt, "seed": int(seed), "model": MODEL, **asked})
        path = Path(tempfile.mkdtemp(prefix="phonofilm-")) / "film.mp4"
        run(spec, path, JobContext(tell), POOL)
    except PhonofilmError as error:
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
        ],
        outputs=gradio.Video(label="The film"),
        title="Phonofilm",
        description="Film and sound made together. What a model made is signed and marked; phonofilm verify reads it.",
        examples=[[text, 4, 1, None] for text in EXAMPLES],
        cache_examples=False,
        flagging_mode="never",
    )


if __name__ == "__main__":
    page().queue(max_size=20).launch()
