"""A clip in a notebook: a player with the film inside the page."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path

from phonofilm.media.write import write_clip
from phonofilm.types import Clip

SHOWN = 384


def html_player(clip: Clip) -> str:
    """HTML with the whole clip embedded: a looping video, or an audio player where there is no picture."""
    has_frames = clip.frames is not None and len(clip.frames) > 0
    if not has_frames and (clip.waveform is None or not clip.waveform.shape[1]):
        return "<em>an empty clip</em>"
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(clip, Path(folder) / ("clip.mp4" if has_frames else "clip.wav"))
        data = base64.b64encode(path.read_bytes()).decode()
    caption = f"<figcaption>{html.escape(clip.prompt)}</figcaption>" if clip.prompt else ""
    if not has_frames:
        return f'<figure><audio controls src="data:audio/wav;base64,{data}"></audio>{caption}</figure>'
    width = max(SHOWN, clip.picture.frames.shape[2])
    video = f'<video controls loop width="{width}" src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{video}{caption}</figure>"
