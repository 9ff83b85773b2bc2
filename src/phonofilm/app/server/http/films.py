"""Jobs as clients see them, and the files that belong to them."""

from __future__ import annotations

from typing import Any

from phonofilm.app.server.http.bodies import Film
from phonofilm.app.server.store.records import Job

TYPES = {"mp4": "video/mp4", "wav": "audio/wav", "webp": "image/webp", "jpg": "image/jpeg", "json": "application/json"}
TYPES |= {"zip": "application/zip", "vtt": "text/vtt; charset=utf-8"}


def film(job: Job, ahead: int | None = None) -> Film:
    """A job as JSON has it.

    Args:
        ahead: how many are made before it.
    """
    facts: dict[str, Any] = dict(job.result.get("facts", {}))
    size = f"{facts['width']}x{facts['height']}" if "width" in facts else job.size or ""
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message or ""}
    waits = job.status == "in_progress"
    return Film(
        id=job.id,
        model=job.model,
        status=job.status,
        progress=job.progress,
        created_at=int(job.created_at),
        completed_at=whole(job.completed_at),
        expires_at=whole(job.expires_at),
        size=size,
        seconds="" if job.seconds is None else f"{job.seconds:g}",
        prompt=job.prompt or None,
        remixed_from_video_id=job.parent,
        error=error,
        task=job.task,
        stage=job.stage if waits else None,
        seconds_left=job.seconds_left if waits else None,
        queue_position=ahead,
        variants=variants(job),
        notices=list(job.notices),
        facts=facts,
    )


def whole(moment: float | None) -> int | None:
    """Seconds since 1970 as OpenAI's clients read them."""
    return None if moment is None else int(moment)


def variants(job: Job) -> list[str]:
    """What there is of a job."""
    return [*job.result.get("files", {}), "recipe"] if job.status == "completed" else []


def recipe(job: Job) -> dict[str, Any]:
    """All that was asked, to ask it again."""
    asked = {name: value for name, value in job.spec.items() if name != "inputs"}
    return {"id": job.id, "task": job.task, "model": job.model, **asked, "facts": dict(job.result.get("facts", {}))}
