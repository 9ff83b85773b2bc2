"""A request that cannot be met."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class RefusedError(Exception):
    """A request that cannot be met; its text is one sentence that repeats nothing of the request.

    Attributes:
        status: the HTTP status that says so; headers: to send with it.
        code: a word for programs. param: the field that is wrong.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers, self.code, self.param = status, headers, code, param
