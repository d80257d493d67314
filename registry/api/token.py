"""`/token`: tokens for a short time (distribution, "Token Authentication" and its OAuth2 form)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from registry.access import scopes
from registry.access.credentials import Password
from registry.access.identities import Identity
from registry.access.issued import TokenInvalid
from registry.access.principal import OIDC, Principal
from registry.access.scopes import Scope
from registry.api.call import Call
from storage.errors import NameUnknown, ParameterInvalid, Unauthorized

if TYPE_CHECKING:
    from registry.access.tokens import Tokens

_LARGEST = 64 << 10
_FIELDS = 120
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {"Cache-Control": "no-store"}


async def get(call: Call) -> Response:
    """A token for whoever Basic shows, or for everybody.

    Raises Unauthorized, ParameterInvalid, NameUnknown.
    """
    tokens = _tokens(call, call.query("service"))
    principal = call.principal
    if principal.scopes is not None:
        raise Unauthorized("a token gets no tokens.", fix="Send a name and a password.")
    identity = None
    if principal.name:
        identity = Identity(principal.name, principal.proof, principal.groups, principal.ends, principal.by)
    asked = scopes.parse(call.request.query_params.getlist("scope"))
    said = _answer(call, tokens, identity, asked)
    said["token"] = said["access_token"]
    if identity is not None and call.query("offline_token") == "true" and not _is_elsewhere(identity):
        said["refresh_token"] = tokens.refresh(identity)
    return JSONResponse(said, headers=_HEADERS)


async def post(call: Call) -> Response:
    """The same by a form; raises Unauthorized, Busy, ParameterInvalid, NameUnknown."""
    form = await _form(call)
    tokens = _tokens(call, form.get("service"))
    kind = form.get("grant_type", "")
    if kind == "password":
        password = Password(form.get("username", ""), form.get("password", "").encode())
        identity = await call.services.door.prove(password, call.origin)
    elif kind == "refresh_token":
        identity = _refreshing(call, tokens, form.get("refresh_token", ""))
    else:
        raise ParameterInvalid(
            f"grant_type {kind[:40]!r} is none that gets a token.", fix="Send password or refresh_token."
        )
    said = _answer(call, tokens, identity, scopes.parse([form.get("scope", "")]))
    if kind == "refresh_token":
        said["refresh_token"] = form["refresh_token"]
    elif form.get("access_type") == "offline" and not _is_elsewhere(identity):
        said["refresh_token"] = tokens.refresh(identity)
    return JSONResponse(said, headers=_HEADERS)


def _answer(call: Call, tokens: Tokens, identity: Identity | None, asked: Iterable[Scope]) -> dict[str, Any]:
    name, groups = (identity.name, identity.groups) if identity else ("", frozenset[str]())
    principal = Principal(name, call.principal.address, groups)
    granted = call.services.rules.granted(principal, asked)
    issued = tokens.access(identity, granted)
    return {
        "access_token": issued.token,
        "expires_in": issued.seconds,
        "issued_at": datetime.fromtimestamp(int(issued.since), UTC).isoformat().replace("+00:00", "Z"),
        "scope": " ".join(sorted(map(str, granted))),
    }


def _is_elsewhere(identity: Identity) -> bool:
    """Whether it is known elsewhere: there nobody tells us when it is not any more, so it is told again."""
    return identity.name.startswith(OIDC)


def _refreshing(call: Call, tokens: Tokens, token: str) -> Identity:
    try:
        identity = tokens.read_refresh(token)
    except TokenInvalid:
        identity = None
    if identity is None or not call.services.door.is_known(identity):
        raise Unauthorized("the refresh token is not good any more.", fix="Log in again with docker login.")
    return identity


def _tokens(call: Call, service: str | None) -> Tokens:
    tokens = call.services.door.tokens
    if tokens is None:
        raise NameUnknown("this registry gives no tokens.", fix="Send a name and a password (Basic).")
    if service not in (None, tokens.service):
        raise ParameterInvalid(
            f"there is no service {service[:80] if service else ''!r} here.",
            fix=f"It is {tokens.service}, as the registry's challenge says.",
        )
    return tokens


async def _form(call: Call) -> dict[str, str]:
    """The form's fields, the first of each name; raises ParameterInvalid."""
    if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ParameterInvalid("the body is no form.", fix=f"Send {_FORM}.")
    body = b""
    async for piece in call.body():
        body += piece
        if len(body) > _LARGEST:
            raise ParameterInvalid(f"the form is larger than {_LARGEST} bytes.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise ParameterInvalid("the form cannot be read.", fix=f"Send {_FORM}.") from None
    return dict(reversed(fields))
