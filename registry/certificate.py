"""The server's certificate: read from its files, and again when they are renewed.

Connections that are open keep the one they were opened with; new ones see the new one.
"""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from registry.access import expiry
from registry.access.expiry import Ending
from storage.errors import Unusable

_log = logging.getLogger("sidecargo.tls")

# Of TLS 1.2 what keeps forward secrecy and is authenticated (RFC 9325, 4.2); 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateInvalid(Unusable):
    """A certificate that cannot be served."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, ready to be served, and when it ends."""

    context: ssl.SSLContext
    ending: Ending


def read(certificate: Path, key: Path) -> Pair:
    """The pair in two PEM files; raises CertificateInvalid."""
    # Here: a server without TLS needs none of it.
    from cryptography import x509  # noqa: PLC0415

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise CertificateInvalid(
                f"{path} cannot be read: {error.strerror}.",
                "Name a file in server.tls that this user may read.",
            ) from None
    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        raise CertificateInvalid(
            f"{certificate} has no certificate in PEM.",
            "Write the server's own certificate first, then those between it and the root.",
        ) from None
    try:
        # Without the callback OpenSSL asks for a passphrase at the terminal.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise CertificateInvalid(f"{certificate} and {key} {_why(error)}.", _fix(error)) from None
    ends = leaf.not_valid_after_utc.timestamp()
    life = ends - leaf.not_valid_before_utc.timestamp()
    return Pair(context, Ending(expiry.CERTIFICATE, certificate.name, ends, life))


class Certificate:
    """The pair that is served now. `context` is what connections are opened with, for good."""

    def __init__(self, certificate: Path, key: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises CertificateInvalid."""
        self._files = (certificate, key)
        self._clock = clock
        self._looked = -math.inf
        self._stamp = self._stamped()
        self._pair = read(certificate, key)
        self.context = self._pair.context
        # In the middle of a handshake, so that no other moment sees half of a change.
        self.context.sni_callback = self._serve

    @property
    def ending(self) -> Ending:
        """When it ends."""
        return self._pair.ending

    def look(self) -> None:
        """Serve what the files have now, if they have changed and are right; say so when it ends soon."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._pair = read(*self._files)
            except CertificateInvalid as invalid:
                _log.error("the certificate that was there before is served on: %s", invalid)
            else:
                self._looked = -math.inf
                _log.info("the certificate was renewed: it ends on %s", expiry.day(self.ending.at))
        now = self._clock()
        for ending in expiry.due([self.ending], self._looked, now):
            _log.warning("%s: renew it", ending.told(now))
        self._looked = now

    def _serve(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name
        if self._pair.context is not context:
            connection.context = self._pair.context

    def _stamped(self) -> Stamp:
        return tuple(map(_stamp, self._files))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class _Encrypted(ValueError):
    """The key has a passphrase."""


def _no_passphrase() -> bytes:
    raise _Encrypted


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "do not belong together"
    if isinstance(error, _Encrypted):
        return "cannot be used: the key is encrypted"
    return "cannot be used: one of them is no PEM, or damaged"


def _fix(error: Exception) -> str:
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return "Name the key that the certificate was made for."
    return "Write the certificate and an unencrypted key, both in PEM."
