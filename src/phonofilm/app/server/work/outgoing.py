"""Requests that this server sends: only to hosts that are allowed by name, and never into a private network.

The name is resolved once and the connection goes to the very address that was checked, so that a second answer of the
name server changes nothing. Every redirect is a request of its own and checked in the same way.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from phonofilm.errors import PhonofilmError

REDIRECTS = 3
SECONDS = 15.0


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call:
    """One request to one address.

    Attributes:
        address: the checked address; host: the name, for TLS and the Host header.
        most: bytes of the answer that are read.
    """

    method: str
    address: str
    host: str
    port: int
    target: str
    headers: Mapping[str, str]
    body: bytes
    most: int


Resolver = Callable[[str, int], Sequence[str]]
Transport = Callable[[Call], Reply]


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def send(call: Call) -> Reply:
    """Send a request over TLS, to the address and for the name."""
    connection = _Pinned(call.host, call.port, call.address)
    try:
        connection.request(call.method, call.target, call.body or None, dict(call.headers))
        answer = connection.getresponse()
        body = answer.read(call.most + 1)
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
    except (OSError, http.client.HTTPException) as error:
        raise PhonofilmError(f"{call.host} does not answer") from error
    finally:
        connection.close()


class _Pinned(http.client.HTTPSConnection):
    """A connection to one address that shows the certificate of a name."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=SECONDS, context=ssl.create_default_context())
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Outgoing:
    """Sends requests.

    Attributes:
        hosts: names that are allowed, as "example.org", or ".example.org" for all names below it.
    """

    hosts: tuple[str, ...] = ()
    resolver: Resolver = field(default=resolve)
    transport: Transport = field(default=send)

    def check(self, url: str) -> tuple[str, int, str]:
        """Host, port and target of a URL that may be asked.

        Raises:
            PhonofilmError: no https, a host that is not allowed, or odd parts.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:
            raise PhonofilmError("this address is not possible") from error
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme != "https" or not host or parts.username is not None or parts.password is not None:
            raise PhonofilmError("an address must begin with https:// and have no name or password in it")
        if any(letter <= " " or letter > "~" for letter in url):
            raise PhonofilmError("this address has letters that do not belong there")
        if not any(host == name or (name.startswith(".") and host.endswith(name)) for name in self.hosts):
            raise PhonofilmError("this server does not ask that host; whoever runs it can allow it by --allow-host")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return host, port, target

    def _address(self, host: str, port: int) -> str:
        try:
            found = self.resolver(host, port)
        except OSError as error:
            raise PhonofilmError(f"{host} has no address") from error
        if not found or not all(is_public(address) for address in found):
            raise PhonofilmError(f"{host} is not on the public network, where alone this server asks")
        return found[0]

    def get(self, url: str, most: int) -> bytes:
        """What is at an address, after at most three redirects.

        Raises:
            PhonofilmError: it may not be asked, does not answer, or is larger than `most` bytes.
        """
        for _ in range(REDIRECTS + 1):
            reply = self._once("GET", url, {"Accept": "*/*"}, b"", most)
            if reply.status in (301, 302, 303, 307, 308) and "location" in reply.headers:
                url = urljoin(url, reply.headers["location"])
                continue
            if reply.status != 200:
                raise PhonofilmError(f"that address answers {reply.status}")
            if len(reply.body) > most:
                raise PhonofilmError(f"what is at that address is larger than {most} bytes")
            return reply.body
        raise PhonofilmError("that address leads on and on")

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a message; returns the status. A redirect is not followed.

        Raises:
            PhonofilmError: it may not be sent there, or nobody answers.
        """
        return self._once("POST", url, headers, body, 10_000).status

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes, most: int) -> Reply:
        host, port, target = self.check(url)
        address = self._address(host, port)
        said = {"Host": host if port == 443 else f"{host}:{port}", "User-Agent": "phonofilm", **headers}
        return self.transport(Call(method, address, host, port, target, said, body, most))


def is_public(address: str) -> bool:
    """Whether an address is one of the public network: no private, local, shared, multicast or embedded one."""
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return False
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner:
            return bool(found.ipv4_mapped) and is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
