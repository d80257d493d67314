"""References as they are typed: `HOST/REPO:TAG` or `HOST/REPO@sha256:…`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from storage import names
from storage.digest import Digest
from storage.errors import NameInvalid

_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_FIX = "Write HOST/REPO:TAG or HOST/REPO@sha256:DIGEST, as in localhost:5000/acme/plugin:v1."


@dataclass(frozen=True, slots=True)
class Reference:
    """A manifest in a registry: `host` as typed (with its port), `target` a tag or a digest."""

    host: str
    repository: str
    target: str | Digest

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference, `oci://` before it allowed; raises NameInvalid or DigestInvalid with the fix.

        As in docker's grammar, the first segment is a host when it has a dot or a port or is
        `localhost`; here one is always needed.
        """
        host, slash, rest = text.removeprefix("oci://").partition("/")
        if not slash or not _HOST.fullmatch(host) or not ("." in host or ":" in host or host == "localhost"):
            raise NameInvalid(f"{text[:300]!r} names no registry.", fix=_FIX)
        if (port := _port(host)) and not 0 < int(port) < 1 << 16:
            raise NameInvalid(f"{text[:300]!r} names the port {port}; ports are 1 to 65535.", fix=_FIX)
        named, at, digest = rest.partition("@")
        repository, _, tag = named.partition(":")
        if not at and not tag:
            raise NameInvalid(f"{text[:300]!r} has neither a tag nor a digest.", fix=_FIX)
        if tag:
            names.tag(tag)
        return cls(host, names.repository(repository), Digest.parse(digest) if at else tag)

    def at(self, digest: Digest) -> Reference:
        """The same repository's manifest of a digest."""
        return replace(self, target=digest)

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.name}{'@' if isinstance(self.target, Digest) else ':'}{self.target}"


def _port(host: str) -> str:
    return host.rpartition("]")[2].partition(":")[2]


def is_loopback(host: str) -> bool:
    """Whether a host, its port aside, is this machine."""
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
