"""An issuer as it is now: its keys, and where people sign in there."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

from registry.access.issuers import Issuer
from registry.access.keyset import Key, KeySetInvalid, parse
from registry.login.asking import Asked, Asking, IssuerSilent, answer, is_safe
from storage.errors import Busy

_log = logging.getLogger("sidecargo.access")

FRESH_SECONDS = 3600.0
"""How long keys are used before they are asked for again."""

KEPT_SECONDS = 24 * 3600.0
"""How long keys are used while the issuer does not answer."""

LEAST_SECONDS = 10.0
"""Time between two questions: an unknown key is a reason to ask, and costs nothing to make up."""

_DISCOVERY = "/.well-known/openid-configuration"
_SAYS_JSON = (ValueError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Client:
    """As whom people are signed in."""

    id: str
    secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid",)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an issuer is found: `keys` is a URL or a file, "" where the issuer says it itself.

    It may send us to `hosts` besides its own. `ca` is the file of who signs its certificate, `token` that of
    what it wants to see.
    """

    keys: str = ""
    hosts: tuple[str, ...] = ()
    ca: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a browser is sent to sign in, where we then get a token, and where keys are."""

    authorization: str
    token: str
    keys: str


class Provider:
    """Asks an issuer for its keys when they are needed, and remembers them."""

    def __init__(
        self,
        issuer: Issuer,
        place: Place,
        asking: Asking,
        client: Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.client = client
        self._place = place
        self._asking = asking
        self._clock = clock
        self._said: tuple[Endpoints, float] | None = None
        self._keys: Mapping[str, Key] = {}
        self._found = -KEPT_SECONDS
        self._asked = -LEAST_SECONDS
        self._under_way: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> Key | None:
        """The issuer's key of an id, None where it has no such; raises IssuerSilent where none is known."""
        age = self._clock() - self._found
        known = self._keys.get(key_id) if age < KEPT_SECONDS else None
        if known is None:
            await self._renewed()
        elif age >= FRESH_SECONDS:
            self._renewing()  # nobody waits for it
        if self._clock() - self._found >= KEPT_SECONDS:
            raise IssuerSilent(f"the keys of {self.issuer.url} are not known")
        return self._keys.get(key_id)

    async def endpoints(self) -> Endpoints:
        """What the issuer says of itself, asked once an hour; raises IssuerSilent."""
        found = self._said
        if found is None or self._clock() - found[1] >= FRESH_SECONDS:
            found = self._said = await self._asking.run(self._discovered), self._clock()
        return found[0]

    async def exchange(self, code: str, verifier: str, back: str) -> str:
        """The identity token for what a browser brought back from there; raises IssuerSilent."""
        assert self.client is not None
        endpoints = await self.endpoints()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        form |= {"code_verifier": verifier, "client_id": self.client.id}
        headers = {}
        if self.client.secret is not None:
            both = f"{quote_plus(self.client.id)}:{quote_plus(self.client.secret)}"  # RFC 6749, 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
        asked = Asked(endpoints.token, headers, form, self._place.ca)
        found = _json(await self._asking.run(partial(answer, asked)), endpoints.token)
        return _text(found, "id_token", endpoints.token)

    async def _renewed(self) -> None:
        task = self._renewing()
        if task is not None:
            await asyncio.shield(task)

    def _renewing(self) -> asyncio.Task[None] | None:
        """The question for keys that is under way, asked now if it is time to; None: it is not."""
        now = self._clock()
        if self._under_way is None and now - self._asked >= LEAST_SECONDS:
            self._asked = now
            self._under_way = asyncio.create_task(self._renew())
            self._under_way.add_done_callback(self._done)
        return self._under_way

    def _done(self, task: asyncio.Task[None]) -> None:
        del task
        self._under_way = None

    async def _renew(self) -> None:
        try:
            keys = parse(await self._asking.run(self._published))
        except (IssuerSilent, KeySetInvalid, Busy) as error:
            left = max(self._found + KEPT_SECONDS - self._clock(), 0.0)
            _log.warning(
                "the keys of %s were not renewed, %s: %s",
                self.issuer.url,
                f"those that are known count for {left / 3600:.0f} hours more" if left else "none are known",
                error,
            )
        else:
            self._keys, self._found = keys, self._clock()

    def _published(self) -> bytes:
        """The document with the keys; blocks. Raises IssuerSilent."""
        place = self._place.keys
        if place and "://" not in place:
            return _read(place)
        return self._get(place or self._discovered().keys)

    def _discovered(self) -> Endpoints:
        url = self.issuer.url.rstrip("/") + _DISCOVERY
        said = _json(self._get(url), url)
        if said.get("issuer") != self.issuer.url:
            raise IssuerSilent(f"{url} is of another issuer, {str(said.get('issuer'))[:200]!r}")
        keys = self._place.keys or self._reachable(_text(said, "jwks_uri", url))
        token = said.get("token_endpoint")
        return Endpoints(
            str(said.get("authorization_endpoint", "")),
            self._reachable(str(token)) if self.client is not None else "",
            keys,
        )

    def _reachable(self, url: str) -> str:
        """A URL that the issuer names, when it is its own or one that the settings allow."""
        if is_safe(url) and (
            _origin(url) == _origin(self.issuer.url) or urlsplit(url).netloc in self._place.hosts
        ):
            return url
        raise IssuerSilent(
            f"{self.issuer.url} leads to {url[:200]!r}, which is not its own host: "
            "if that is right, name it in hosts"
        )

    def _get(self, url: str) -> bytes:
        headers = {}
        # What it wants to see is shown to nobody to whom it only leads.
        if self._place.token is not None and _origin(url) in map(
            _origin, (self.issuer.url, self._place.keys)
        ):
            headers["Authorization"] = "Bearer " + _read(self._place.token).decode("latin-1").strip()
        return answer(Asked(url, headers, ca=self._place.ca))


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise IssuerSilent(f"{file} cannot be read: {error.strerror or error}") from None


def _origin(url: str) -> tuple[str, str]:
    found = urlsplit(url)
    return found.scheme, found.netloc


def _json(body: bytes, url: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except _SAYS_JSON:
        found = None
    if not isinstance(found, dict):
        raise IssuerSilent(f"{url} answered no JSON object")
    return found


def _text(said: Mapping[str, Any], name: str, url: str) -> str:
    if not isinstance(found := said.get(name), str):
        raise IssuerSilent(f"{url} answered without {name}")
    return found
