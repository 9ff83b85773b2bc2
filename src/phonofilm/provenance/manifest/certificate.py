"""Who signs: a certificate of this installation, made at first use, or one that is given.

C2PA asks for a certificate that is not signed by itself, so there are two: a root, which others can be told to
trust, and one for signing. The root's own key is thrown away once it has signed: nobody can sign a second one with it.
"""

from __future__ import annotations

import datetime
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.provenance.kept.home import home, once

YEARS = 30
ORGANISATION = "Phonofilm installation"
ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512", "ed25519": "ed25519", "rsa": "ps256"}
"""How C2PA calls the signature of a kind of key."""


@dataclass(frozen=True)
class Identity:
    """What signing takes.

    Attributes:
        chain: PEM of the signing certificate, then of those above it.
        key: PEM of its private key.
        algorithm: in C2PA's names.
    """

    chain: bytes
    key: bytes
    algorithm: str


def trusted_roots() -> bytes:
    """PEM of the root of this installation's own certificate, and of those in its folder "trusted"."""
    found: list[bytes] = []
    for path in [home() / "c2pa.pem", *sorted((home() / "trusted").glob("*.pem"))]:
        with suppress(OSError):
            found += _certificates(path.read_bytes())[-1:]
    return b"".join(found)


def own_identity() -> Identity:
    """The certificate of this installation; it is made at first use.

    Raises:
        PhonofilmError: an extra is missing, or it can be neither read nor written.
    """
    path = home() / "c2pa.pem"
    # key and certificates are one file, so that two processes at first use cannot mix theirs
    held = path.read_bytes() if path.is_file() else once(path, _make())
    start = held.find(b"-----BEGIN CERTIFICATE")
    if start <= 0 or len(_certificates(held)) < 2:
        raise PhonofilmError(f"{path} holds no key with its certificates; delete it and a new one is made")
    return Identity(held[start:], held[:start], "es256")


def given_identity(certificate: str | Path, key: str | Path) -> Identity:
    """A certificate and its key, PEM files; the chain above the certificate may follow it in its file.

    Raises:
        PhonofilmError: a file that is not there, is no PEM, or a key that is not the certificate's.
    """
    with optional("signing"):
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    chain, private = _read(certificate), _read(key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise PhonofilmError(f"{certificate} is no certificate in PEM") from error
    try:
        loaded = serialization.load_pem_private_key(private, None)
    except (ValueError, TypeError) as error:
        raise PhonofilmError(f"{key} is no private key in PEM without a password") from error
    if loaded.public_key() != first.public_key():
        raise PhonofilmError(f"{key} is not the key of {certificate}")
    plain = loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(chain, plain, _algorithm(loaded, key))


def _algorithm(key: Any, path: str | Path) -> str:
    kind = getattr(getattr(key, "curve", None), "name", type(key).__name__.lower())
    for name, algorithm in ALGORITHMS.items():
        if name in kind:
            return algorithm
    raise PhonofilmError(f"{path}: C2PA does not sign with a key of this kind; use P-256, P-384, P-521, Ed25519 or RSA")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error


def _certificates(pem: bytes) -> list[bytes]:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----\n"
    parts = pem.split(begin)[1:]
    return [begin + part.partition(end)[0] + end for part in parts]


def _make() -> bytes:
    """PEM: a private key, its certificate, and the root that signed this."""
    with optional("signing"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    end = start.replace(year=start.year + YEARS, day=min(start.day, 28))
    above, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    number = x509.random_serial_number()

    def name(role: str) -> x509.Name:
        names = {NameOID.ORGANIZATION_NAME: ORGANISATION, NameOID.COMMON_NAME: f"{role} {number % 16**8:08x}"}
        return x509.Name([x509.NameAttribute(*pair) for pair in names.items()])

    def certificate(role: str, public: Any, is_root: bool) -> Any:
        uses = x509.KeyUsage(not is_root, False, False, False, False, is_root, is_root, False, False)
        builder = x509.CertificateBuilder(name("root"), name(role), public, x509.random_serial_number(), start, end)
        builder = builder.add_extension(x509.BasicConstraints(is_root, 0 if is_root else None), True)
        builder = builder.add_extension(uses, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        if not is_root:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key())
            builder = builder.add_extension(issuer, False)
        return builder.sign(above, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate("signing", key.public_key(), False) + certificate("root", above.public_key(), True)
