"""Parts of a page in Markdown, line by line."""

from __future__ import annotations

from collections.abc import Iterator


def table_head(title: str, *columns: str) -> Iterator[str]:
    """A heading, and the first two lines of a table below it."""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
