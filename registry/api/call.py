"""A request that has passed the choke point: what it asks for, who asks, and what answers with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from starlette.requests import Request

from registry.access.capabilities import Capabilities
from registry.access.expiry import Ending
from registry.access.principal import Principal
from registry.access.proxies import Proxies
from registry.access.rights import Right
from registry.access.rules import Rules
from registry.api.bodies import Bodies
from registry.audit.record import NOWHERE, Audit, Origin, silent
from registry.hot.cache import EVERYBODY
from registry.hot.flights import Flights
from registry.hot.pulled import Pulled
from registry.login.challenges import Challenges
from registry.login.door import Door
from registry.login.origins import Origins
from registry.metrics import Metrics
from registry.publish.examiner import Examiner
from registry.publish.publisher import Publisher
from registry.publish.verifier import Verifier
from registry.signing.ring import KeyRing
from storage import names
from storage.digest import Digest
from storage.driver import Locates, Opens, Page, Witness
from storage.errors import DigestInvalid, PageInvalid, SizeInvalid
from storage.manifest import Descriptor
from storage.pulls import AGENT
from storage.remembered import Remembered
from storage.repositories import Repository
from storage.store import Store
from storage.tags import History
from storage.urls import Url

MAX_PAGE = 10_000


class Answers(Protocol):
    """Where whole answers are remembered for the hot path."""

    @property
    def largest(self) -> int:
        """Bodies of more bytes than this are not remembered."""

    def holds(self, size: int) -> bool:
        """Whether a body of so many bytes fits into the memory that is given."""

    def offer(
        self,
        path: bytes,
        audience: Hashable,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        witness: Witness,
        pulled: str = "",
    ) -> None:
        """Remember the answer 200 to a GET of `path` for whom it was decided, while the witness holds.

        `pulled`: what who gets it has pulled.
        """

    def known(self, path: bytes, audience: Hashable, witness: Witness) -> bytes | None:
        """The body of the answer to a GET of `path` that this witness makes true, if it is remembered."""

    def last(self, path: bytes, audience: Hashable) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        """Headers and body of the answer to a GET of `path` whose witness holds, if it is remembered."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the resources work with.

    `rules` say who may do what, the `door` who asks, `challenges` how a login is asked for. `store` asks
    where content is kept, `pulls` may have seen it a moment ago. `verifier` holds back from who may not push
    what is not signed. `ring` are the keys that sign and signed; `public_url` is how the registry is known
    from outside, "" where that is not said; `capabilities` write and read URLs that need no login;
    `remembered` is the memory in front of a store that has one; `locates` tells where clients fetch large
    blobs themselves, if they are to, `opens` gives blobs that are files as such. `origins` say where requests
    come from, `audit` takes down what was done; `certificates` says when what is served by TLS ends; `pulled`
    notes who pulled what.
    """

    rules: Rules
    door: Door
    challenges: Challenges
    store: Store
    pulls: Store
    publisher: Publisher
    examiner: Examiner
    answers: Answers
    flights: Flights
    metrics: Metrics
    bodies: Bodies
    ring: KeyRing
    public_url: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    verifier: Verifier = field(default_factory=Verifier)
    remembered: Remembered | None = None
    locates: Locates | None = None
    opens: Opens | None = None
    origins: Origins = field(default_factory=lambda: Origins(Proxies()))
    audit: Audit = silent
    certificates: Callable[[], Iterable[Ending]] = tuple
    pulled: Pulled = field(default_factory=Pulled)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. The repository of its path is there as a value; its name is well-formed.

    `audience` is for whom its answer may be remembered, `origin` where it comes from. `given` is the URL that
    it came by, if it needs no login, and what makes that true.
    """

    request: Request
    services: Services
    principal: Principal
    named: Repository | None
    audience: Hashable = EVERYBODY
    origin: Origin = NOWHERE
    given: tuple[Url, Witness] | None = None

    @property
    def repository(self) -> Repository:
        """The repository of a route that has one in its path."""
        assert self.named is not None
        return self.named

    async def visible(self, *, after: str, limit: int) -> Page:
        """A part of the names of the repositories that whoever asks may pull, in byte order."""
        rules, catalog = self.services.rules, self.services.pulls.catalog
        if not rules.given:
            return await catalog(after=after, limit=limit)
        found: list[str] = []
        more, size = True, limit + 1
        while more and len(found) <= limit:
            page = await catalog(after=after, limit=size)
            size = min(2 * size, MAX_PAGE)
            found += (name for name in page.names if rules.shows(self.principal, name))
            more = page.more
            after = page.names[-1] if page.names else after
        return Page(tuple(found[:limit]), len(found) > limit)

    @property
    def path(self) -> bytes:
        """The path as it was sent."""
        return bytes(self.request.scope["raw_path"])

    def digest(self) -> Digest:
        """The digest in the path; raises DigestInvalid."""
        return Digest.parse(self.request.path_params["digest"])

    def reference(self) -> str | Digest:
        """The tag or digest in the path; raises NameInvalid or DigestInvalid."""
        params = self.request.path_params
        if "digest" in params:
            return self.digest()
        return names.tag(params["tag"]) if "tag" in params else names.reference(params["reference"])

    def may(self, right: Right) -> bool:
        """Whether who asks has a right to the repository of the path."""
        return self.services.rules.allow(self.principal, right, self.named.name if self.named else None)

    async def find(
        self, reference: str | Digest, repository: Repository | None = None
    ) -> tuple[Descriptor, Witness | None]:
        """What a tag or a digest names for who asks; and what makes that true for everybody, if it is.

        `repository` is that of the path, looked at in another way. Raises ManifestUnknown.
        """
        there = repository or self.repository
        return await self.services.verifier.find(there, reference, may_push=self.may(Right.PUSH))

    async def history(self, tag: str) -> History:
        """What a tag names and named for who asks; raises ManifestUnknown."""
        verifier, may_push = self.services.verifier, self.may(Right.PUSH)
        return await verifier.history(self.repository, tag, may_push=may_push)

    def pulled(self, what: str) -> None:
        """Note that who asks has pulled `what` (`registry.hot.pulled`)."""
        agent = self.request.headers.get("user-agent", "").encode("latin-1")[:AGENT]
        at = asyncio.get_running_loop().time()
        self.services.pulled.note(what, self.principal.name or EVERYBODY, agent, at)

    def query(self, name: str) -> str | None:
        """A parameter of the query."""
        return self.request.query_params.get(name)

    def query_digest(self) -> Digest:
        """The `digest` parameter; raises DigestInvalid."""
        text = self.query("digest")
        if not text:
            raise DigestInvalid("the parameter digest is missing.", fix="Add ?digest=sha256:….")
        return Digest.parse(text)

    def content_length(self) -> int | None:
        """The announced length of the body, None where it is chunked; raises SizeInvalid."""
        text = self.request.headers.get("content-length")
        if text is None:
            return None
        if not text.isascii() or not text.isdigit():
            raise SizeInvalid(f"Content-Length {text[:40]!r} is no number.")
        return int(text)

    def body(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self.request.stream()

    def page(self) -> tuple[str, int | None]:
        """The parameters `last` and `n` (None: all that one answer holds); raises PageInvalid."""
        text = self.query("n")
        if text is None:
            return self.query("last") or "", None
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise PageInvalid(f"n={text[:40]!r} is not a number of entries.", fix="Write n=100, for example.")
        return self.query("last") or "", int(text)

    def next_page(self, last: str, limit: int | None = None) -> dict[str, str]:
        """The Link header to the entries after `last`."""
        return {"Link": f'<{self.next_path(last, limit)}>; rel="next"'}

    def next_path(self, last: str, limit: int | None = None) -> str:
        """The path of the entries after `last`, other parameters kept."""
        asked = [
            (name, value)
            for name, value in self.request.query_params.multi_items()
            if name not in ("n", "last")
        ]
        query = urlencode([*asked, *([("n", str(limit))] if limit is not None else []), ("last", last)])
        return f"{self.path.decode()}?{query}"
