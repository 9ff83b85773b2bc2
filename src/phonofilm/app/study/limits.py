"""How much one address and one rater may ask of the study's server: token buckets, kept in memory."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """`burst` requests at once, and `per_second` from then on."""

    burst: float
    per_second: float


@dataclass(frozen=True)
class Limits:
    """What the server accepts.

    Attributes:
        joins: new raters from one address; a class in one room may begin together.
        address, rater: calls of the page from one address and by one rater; films and sounds are not counted.
        events: how many events of one rater are kept.
        body: bytes of one request's body; seconds: in which it must arrive.
    """

    joins: Rate = Rate(40, 1 / 60)
    address: Rate = Rate(600, 60)
    rater: Rate = Rate(120, 10)
    events: int = 5000
    body: int = 32 * 1024
    seconds: float = 20


DEFAULT_LIMITS = Limits()


class Buckets:
    """One token bucket for each key; keys whose bucket is full again are forgotten."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic, most: int = 10_000) -> None:
        self._rate, self._clock, self._most = rate, clock, most
        self._levels: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str) -> float:
        """Take one token; returns 0, or the seconds until there will be one."""
        now = self._clock()
        level, at = self._levels.pop(key, (self._rate.burst, now))
        level = min(self._rate.burst, level + (now - at) * self._rate.per_second)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate.per_second
        # put back at the end, so that the dictionary is in order of use
        self._levels[key] = (level if wait else level - 1, now)
        if len(self._levels) > self._most:
            self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        """Drop full buckets; where that is not enough, the half that was used longest ago."""
        burst, speed = self._rate.burst, self._rate.per_second
        left = {key: (n, at) for key, (n, at) in self._levels.items() if n + (now - at) * speed < burst}
        if len(left) > self._most // 2:
            left = dict(list(left.items())[-self._most // 2 :])
        self._levels = left


def address_key(host: str | None) -> str:
    """What counts as one address: an IPv4 address, or the /64 network that one IPv6 customer has."""
    try:
        address = ipaddress.ip_address((host or "").split("%")[0])
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
