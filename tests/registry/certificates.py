"""Certificates made for a test: an authority of its own, and what it has signed."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key in PEM."""

    certificate: Path
    key: Path

    def replace(self, other: Files) -> None:
        """Have what `other` has."""
        for here, there in ((self.certificate, other.certificate), (self.key, other.key)):
            new = here.with_suffix(".new")
            new.write_bytes(there.read_bytes())
            new.replace(here)


class Authority:
    """Signs certificates for localhost and 127.0.0.1; `root` is the file that clients trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("a test's authority")
        self._made = 0
        now = datetime.datetime.now(datetime.UTC)
        root = self._builder(self._name, now - datetime.timedelta(days=1), now + datetime.timedelta(days=9))
        root = root.public_key(self._key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
        self.root = folder / "root.pem"
        self.root.write_bytes(_pem(root.sign(self._key, hashes.SHA256())))

    def make(self, name: str, *, begins: float = -1.0, ends: float = 9.0, also: Sequence[str] = ()) -> Files:
        """A certificate that is good from and until so many days from now; its serial is the next number.

        It is for the hosts and URIs of `also`, too.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        built = self._builder(
            _named(name), now + datetime.timedelta(days=begins), now + datetime.timedelta(days=ends)
        )
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        names += [
            x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name) for name in also
        ]
        built = built.public_key(key.public_key()).add_extension(x509.SubjectAlternativeName(names), False)
        files = Files(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        files.certificate.write_bytes(_pem(built.sign(self._key, hashes.SHA256())))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files

    def encrypted(self, files: Files) -> Path:
        """The key of `files` under a passphrase."""
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        hidden = serialization.BestAvailableEncryption(b"a passphrase")
        path = files.key.with_suffix(".encrypted")
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
        )
        return path

    def client(self) -> ssl.SSLContext:
        """What a client opens connections with that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.root))

    def _builder(
        self, name: x509.Name, begins: datetime.datetime, ends: datetime.datetime
    ) -> x509.CertificateBuilder:
        self._made += 1
        built = x509.CertificateBuilder().subject_name(name).issuer_name(self._name)
        return built.serial_number(self._made).not_valid_before(begins).not_valid_after(ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
