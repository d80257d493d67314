"""A client of one registry (OCI Distribution 1.1): manifests and blobs, verified, as the user."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO
from urllib.parse import quote, urlencode, urljoin, urlsplit

from registry.client import credentials
from registry.client.credentials import Credential
from registry.client.login import Login
from registry.client.reference import Reference, is_loopback
from registry.client.transport import Answer, RemoteError, Transport
from registry.console.terminal import printable
from storage.digest import Digest, hasher
from storage.errors import DigestInvalid
from storage.manifest import MEDIA_TYPES, OCI_INDEX, Descriptor

MAX_MANIFEST = 4 << 20

_NEXT = re.compile(r"""<([^<>]*)>\s*;\s*rel="?next\b""")

# Docker Hub answers under another name than the one people write, and is logged in to by a third.
_HUB = "docker.io"
_HUB_API = "registry-1.docker.io"
_HUB_LOGIN = "index.docker.io"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest as a registry gave it."""

    body: bytes
    media_type: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest that a registry took; `warnings` are its own words.

    `as_referrer` is whether it took note of the manifest's subject (`OCI-Subject`).
    """

    digest: Digest
    warnings: tuple[str, ...]
    as_referrer: bool = False


class Remote:
    """A registry, spoken to by https; by http when `plain_http`, or when it is on this machine without TLS.

    Every method raises RemoteError. `find` gives the user's credential for a host.
    """

    def __init__(
        self,
        host: str,
        *,
        plain_http: bool = False,
        find: Callable[[str], Credential | None] = credentials.find,
    ) -> None:
        self.host = host
        self._api = _HUB_API if host == _HUB else host
        self._transport = Transport()
        self._login = Login(host, self._transport, lambda: find(_HUB_LOGIN if host == _HUB else host))
        self._origin = f"http://{self._api}" if plain_http else ""

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    @property
    def origin(self) -> str:
        """Scheme and host that it is spoken to by; found out when it is asked for first."""
        if not self._origin:
            tls = not is_loopback(self._api) or self._transport.speaks_tls(self._api)
            self._origin = f"{'https' if tls else 'http'}://{self._api}"
        return self._origin

    def manifest(self, repository: str, target: str | Digest) -> Fetched:
        """The manifest that a tag or a digest names; its bytes are checked against the digest."""
        name = f"{self.host}/{repository}{'@' if isinstance(target, Digest) else ':'}{target}"
        answer = self._ask(
            "GET",
            self._url(repository, f"manifests/{target}"),
            _pulling(repository),
            {"Accept": ", ".join(MEDIA_TYPES)},
        )
        if answer.status != 200:
            raise answer.refusal(name)
        said = answer.headers.get("Docker-Content-Digest", "")
        media_type = answer.headers.get("Content-Type", "")
        body = answer.body(MAX_MANIFEST)
        expected = target if isinstance(target, Digest) else _digest(said) or Digest.of(body)
        actual = Digest.of(body, expected.algorithm)
        if actual != expected:
            raise RemoteError(f"{name}: the manifest hashes to {actual}, not to {expected}.")
        return Fetched(body, media_type, actual)

    def report(self, repository: str, target: str | Digest) -> Answer:
        """What the registry's report on a tag or a digest answers, not yet read: only ours have one."""
        joint = "@" if isinstance(target, Digest) else ":"
        url = urljoin(self._url(repository, ""), f"/plugins/{repository}{joint}{target}")
        return self._ask("GET", url, _pulling(repository), {"Accept": "application/json"})

    def urls(self, method: str, repository: str, target: str | Digest, rest: str = "") -> Answer:
        """What the registry answers about URLs of a tag or a digest that need no login, not yet read.

        `rest` is what follows in the URL. Only ours have such.
        """
        joint = "@" if isinstance(target, Digest) else ":"
        url = urljoin(self._url(repository, ""), f"/plugins/{repository}{joint}{target}/urls{rest}")
        return self._ask(method, url, _pulling(repository), {"Accept": "application/json"})

    def blob(self, repository: str, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob in pieces; a size or digest other than the descriptor's is an error at the last piece."""
        name = f"{self.host}/{repository}@{descriptor.digest}"
        answer = self._ask(
            "GET", self._url(repository, f"blobs/{descriptor.digest}"), _pulling(repository), {}
        )
        if answer.status != 200:
            raise answer.refusal(name)
        running = hasher(descriptor.digest.algorithm)
        size = 0
        for piece in answer.pieces(descriptor.size):
            running.update(piece)
            size += len(piece)
            yield piece
        if size != descriptor.size or running.hexdigest() != descriptor.digest.hex:
            raise RemoteError(f"{name}: the content is not what its digest and size say.")

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository has a blob."""
        answer = self._ask("HEAD", self._url(repository, f"blobs/{digest}"), _pushing(repository), {})
        if answer.status not in (200, 404):
            raise answer.refusal(f"{self.host}/{repository}@{digest}")
        answer.drop()
        return answer.status == 200

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """Take a blob over from the repository `source` of the same registry; whether that was possible."""
        query = urlencode({"mount": str(digest), "from": self._named(source)})
        scope = f"{_pushing(repository)} {_pulling(source)}"
        answer = self._ask("POST", f"{self._url(repository, 'blobs/uploads/')}?{query}", scope, {})
        answer.drop()
        if answer.status == 202 and (session := answer.headers.get("Location")):
            # It began an upload instead, which nobody goes on with here.
            url = urljoin(self._url(repository, "blobs/uploads/"), session)
            self._ask("DELETE", url, _pushing(repository), {}).drop()
        if answer.status >= 500:
            raise answer.refusal(f"{self.host}/{repository} does not mount the blob {digest}")
        return answer.status == 201

    def put_blob(self, repository: str, digest: Digest, size: int, content: IO[bytes]) -> None:
        """Upload a blob of `size` bytes from a seekable file, unless it is there already."""
        if self.has_blob(repository, digest):
            return
        doing = f"{self.host}/{repository} does not take the blob {digest}"
        opened = self._ask("POST", self._url(repository, "blobs/uploads/"), _pushing(repository), {})
        if opened.status != 202:
            raise opened.refusal(doing)
        location = opened.headers.get("Location")
        opened.drop()
        if not location:
            raise RemoteError(f"{doing}: it opened an upload without a Location.")
        session = urljoin(self._url(repository, "blobs/uploads/"), location)
        joint = "&" if urlsplit(session).query else "?"
        answer = self._ask(
            "PUT",
            f"{session}{joint}digest={quote(str(digest), safe='')}",
            _pushing(repository),
            {"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            content,
        )
        if answer.status != 201:
            raise answer.refusal(doing)
        answer.drop()

    def put_manifest(self, repository: str, target: str | Digest, body: bytes, media_type: str) -> Stored:
        """Push a manifest under a tag or its digest."""
        answer = self._ask(
            "PUT",
            self._url(repository, f"manifests/{target}"),
            _pushing(repository),
            {"Content-Type": media_type},
            body,
        )
        name = str(Reference(self.host, repository, target))
        if answer.status != 201:
            raise answer.refusal(f"{name} is refused")
        warnings = tuple(printable(warning) for warning in answer.headers.getlist("Warning"))
        as_referrer = bool(answer.headers.get("OCI-Subject"))
        said = _digest(answer.headers.get("Docker-Content-Digest", ""))
        answer.drop()
        expected = Digest.of(body, said.algorithm if said else "sha256")
        if said and said != expected:
            raise RemoteError(f"{name}: the registry stored {said}, but {expected} was sent.")
        return Stored(expected, warnings, as_referrer)

    def referrers_page(self, repository: str, digest: Digest, page: str = "") -> tuple[Fetched | None, str]:
        """A page of the referrers API (an index), and the URL of the next ("": the last).

        None where the registry has no such API.
        """
        url = self._url(repository, f"referrers/{digest}")
        if page:
            url = urljoin(url, page)
        answer = self._ask("GET", url, _pulling(repository), {"Accept": OCI_INDEX})
        if answer.status != 200:
            if answer.status in (401, 403, 429) or answer.status >= 500:
                raise answer.refusal(f"{self.host}/{repository}@{digest}")
            answer.drop()
            return None, ""
        body = answer.body(MAX_MANIFEST)
        return Fetched(body, OCI_INDEX, Digest.of(body)), _next(answer)

    def _ask(
        self,
        method: str,
        url: str,
        scope: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None = None,
    ) -> Answer:
        """Send a request; with the credential when, and only when, the registry itself is asked."""
        is_own = _origin_of(url) == _origin_of(self._origin)
        header = self._login.header(scope) if is_own else ""
        answer = self._transport.send(method, url, _authorized(headers, header), body)
        # A redirect may have led elsewhere: what is asked for there is not ours to give.
        asked_here = is_own and _origin_of(answer.url) == _origin_of(url)
        if answer.status != 401 or not asked_here:
            return answer
        if not self._login.answer(answer.headers.getlist("WWW-Authenticate"), scope, self._origin):
            return answer
        answer.drop()
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        return self._transport.send(method, url, _authorized(headers, self._login.header(scope)), body)

    def _url(self, repository: str, rest: str) -> str:
        return f"{self.origin}/v2/{self._named(repository)}/{rest}"

    def _named(self, repository: str) -> str:
        return f"library/{repository}" if self.host == _HUB and "/" not in repository else repository


def _pulling(repository: str) -> str:
    return f"repository:{repository}:pull"


def _pushing(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _next(answer: Answer) -> str:
    """Where the Link header leads (RFC 8288), if it does."""
    links = _NEXT.findall(answer.headers.get("Link", ""))
    return links[0] if links else ""


def _authorized(headers: Mapping[str, str], header: str) -> dict[str, str]:
    return {**headers, "Authorization": header} if header else dict(headers)


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except DigestInvalid:
        return None
