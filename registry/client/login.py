"""Logging in to a registry: Basic, and the token flow (OCI's and docker's "Token authentication").

A credential goes to the registry that it is for, and to the realm that this registry names, for
that is how the token flow works; to nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import urlencode, urlsplit

from registry.client import challenge
from registry.client.challenge import Challenge
from registry.client.credentials import Credential
from registry.client.transport import RemoteError, Transport

_MAX_TOKEN = 1 << 18
_CLIENT = "sidecargo"


class Login:
    """The Authorization headers for one registry, by scope.

    A scope is `repository:NAME:pull,push`, or several of them with a space between.
    """

    def __init__(self, host: str, transport: Transport, find: Callable[[], Credential | None]) -> None:
        self._host = host
        self._transport = transport
        self._find = find
        self._headers: dict[str, str] = {}

    def header(self, scope: str) -> str:
        """What to send for a scope; empty as long as the registry has not asked."""
        return self._headers.get(scope, "")

    def answer(self, headers: Iterable[str], scope: str, origin: str) -> bool:
        """Take up the challenges of a 401 from `origin`; whether there is now something new to send."""
        before = self._headers.pop(scope, None)
        credential = self._find() or Credential()
        asked = challenge.read(headers)
        for one in sorted(asked, key=lambda one: one.scheme != "bearer"):
            header = (
                credential.basic if one.scheme == "basic" else self._bearer(one, credential, scope, origin)
            )
            if header and header != before:
                self._headers[scope] = header
                return True
        return False

    def _bearer(self, asked: Challenge, credential: Credential, scope: str, origin: str) -> str:
        if credential.registry_token:
            return f"Bearer {credential.registry_token}"
        realm = asked.parameters.get("realm", "")
        if urlsplit(realm).scheme not in ("https", urlsplit(origin).scheme) or not urlsplit(realm).hostname:
            raise RemoteError(
                f"{self._host} sends to {realm[:200]!r} for a token: no safe place for a credential.",
                "Its administrator has to give an https realm.",
            )
        service = asked.parameters.get("service", "")
        query = {"service": service} if service else {}
        if credential.identity_token:
            form = {"grant_type": "refresh_token", "client_id": _CLIENT, **query, "scope": scope}
            answer = self._transport.send(
                "POST",
                realm,
                {"Content-Type": "application/x-www-form-urlencoded"},
                urlencode({**form, "refresh_token": credential.identity_token}).encode(),
            )
        else:
            joint = "&" if urlsplit(realm).query else "?"
            # Several are parameters of their own here, and words of one in the form above.
            scopes = [("scope", one) for one in scope.split()]
            headers = {"Authorization": credential.basic} if credential.basic else {}
            answer = self._transport.send(
                "GET", f"{realm}{joint}{urlencode([*query.items(), *scopes])}", headers
            )
        if answer.status != 200:
            raise answer.refusal(f"{self._host} gives no token for {scope}")
        return f"Bearer {self._token(answer.body(_MAX_TOKEN))}"

    def _token(self, body: bytes) -> str:
        try:
            answer = json.loads(body)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RemoteError(f"{self._host}: its token service answered without a token.")
        return token
