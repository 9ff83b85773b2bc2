"""How much one address and one rater may ask of the study's server."""

from __future__ import annotations

from dataclasses import dataclass

from phonofilm.app.web.buckets import Rate

JOINS, ADDRESS, RATER = Rate(40, 1 / 60), Rate(600, 60), Rate(120, 10)


@dataclass(frozen=True)
class Limits:
    """What the server accepts.

    Attributes:
        joins: new raters from one address; a class in one room may begin together.
        address, rater: calls of the page from one address and by one rater; films and sounds are not counted.
        events: how many events of one rater are kept.
        body: bytes of one request's body; seconds: in which it must arrive.
    """

    joins: Rate = JOINS
    address: Rate = ADDRESS
    rater: Rate = RATER
    events: int = 5000
    body: int = 32 * 1024
    seconds: float = 20


DEFAULT_LIMITS = Limits()
