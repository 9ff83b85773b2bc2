"""How much one address or one key may ask of a server: token buckets, kept in memory."""

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
