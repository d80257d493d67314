"""Signing in by a browser, with an issuer of the settings, to get a token that docker logs in with."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from registry.access.expiry import day
from registry.access.idtokens import IdTokenRefused
from registry.access.issued import Personal
from registry.access.principal import OIDC
from registry.access.signin import SECONDS, Attempt
from registry.api.call import Call
from registry.audit.record import Record
from registry.login.asking import IssuerSilent, is_safe
from registry.login.provider import Provider
from registry.web import pages
from storage.errors import Denied, IssuerUnavailable, NameUnknown, ParameterInvalid

if TYPE_CHECKING:
    from registry.access.tokens import Tokens

_log = logging.getLogger("sidecargo.access")

_BACK = "/login/callback"
_COOKIE = "sidecargo-login"
_KEPT_NOWHERE = {"Cache-Control": "no-store"}


async def begin(call: Call) -> Response:
    """`/login`: with whom one may sign in; with `?issuer=`, on the way there.

    Raises NameUnknown where nobody does, ParameterInvalid for an issuer that is none, IssuerUnavailable.
    """
    providers, _ = _signing_in(call)
    name = call.query("issuer")
    if name is None:
        return pages.render(call, "login.html", issuers=[one.issuer.name for one in providers])
    provider = _named(call, name)
    try:
        endpoint = (await provider.endpoints()).authorization
        if not is_safe(endpoint):
            raise IssuerSilent(f"{endpoint[:200]!r} is no place to sign in")
    except IssuerSilent as silent:
        raise _unavailable(provider, silent) from silent
    assert provider.client is not None
    attempt = Attempt.begin(name)
    there = attempt.url(endpoint, provider.client.id, provider.client.scopes, _back(call))
    response = Response(status_code=302, headers={"Location": there, **_KEPT_NOWHERE})
    _keep(call, response, attempt.kept, SECONDS)
    return response


async def callback(call: Call) -> Response:
    """`/login/callback`: back from there; a token, which is shown once and kept nowhere.

    Raises NameUnknown, ParameterInvalid for what was not begun by this browser, Denied, IssuerUnavailable.
    """
    _, tokens = _signing_in(call)
    attempt = Attempt.read(call.request.cookies.get(_cookie(call), ""))
    if attempt is None or not attempt.is_of(call.query("state") or ""):
        raise ParameterInvalid("this login was not begun here, or is over.", fix="Begin again at /login.")
    provider = _named(call, attempt.issuer)
    if call.query("iss") not in (None, provider.issuer.url):  # RFC 9207
        raise ParameterInvalid("this is the answer of another issuer.", fix="Begin again at /login.")
    code = call.query("code")
    if not code:
        said = "".join(one for one in (call.query("error") or "")[:80] if one.isalnum() or one == "_")
        raise Denied(f"{attempt.issuer} did not sign you in: {said or 'it does not say why'}.")
    personal, groups = await _personal(call, provider, tokens, attempt, code)
    response = pages.render(
        call, "token.html", personal=personal, groups=sorted(groups), ends=day(personal.ends)
    )
    response.headers.update(_KEPT_NOWHERE)
    _keep(call, response, "", 0)
    return response


async def _personal(
    call: Call, provider: Provider, tokens: Tokens, attempt: Attempt, code: str
) -> tuple[Personal, frozenset[str]]:
    federation, now = call.services.door.federation, time.time()
    assert provider.client is not None
    try:
        token = await provider.exchange(code, attempt.verifier, _back(call))
        identity = await federation.identity(
            provider, token, now, audience=provider.client.id, nonce=attempt.nonce
        )
    except IssuerSilent as silent:
        raise _unavailable(provider, silent) from silent
    except IdTokenRefused as refused:
        _note(call, "failed", f"{OIDC}{provider.issuer.name}", problems=(refused.problem,))
        raise Denied(refused.message, fix="Ask who runs the registry.") from None
    personal = tokens.personal(identity, federation.personal_seconds)
    if not federation.holds(replace(identity, by=personal.id), now):
        _note(call, "failed", identity.name, problems=("revoked",))
        raise Denied(f"{identity.name} gets no tokens here any more.", fix="Ask who runs the registry.")
    _note(call, "given", identity.name, what=personal.id)
    return personal, identity.groups


def _note(call: Call, verdict: str, who: str, problems: tuple[str, ...] = (), what: str = "") -> None:
    call.services.audit(Record("login", verdict, who, call.origin, problems=problems, what=what))


def _signing_in(call: Call) -> tuple[list[Provider], Tokens]:
    door = call.services.door
    if door.tokens is None or not door.federation.sign_in:
        raise NameUnknown("nobody signs in here by a browser.", fix="Log in with docker login.")
    return list(door.federation.sign_in), door.tokens


def _named(call: Call, name: str) -> Provider:
    providers, _ = _signing_in(call)
    found = next((one for one in providers if one.issuer.name == name), None)
    if found is None:
        raise ParameterInvalid("there is no such issuer.", fix="Choose one at /login.")
    return found


def _unavailable(provider: Provider, silent: IssuerSilent) -> IssuerUnavailable:
    _log.warning("nobody can sign in with %s: %s", provider.issuer.name, silent)
    return IssuerUnavailable(
        f"{provider.issuer.name} does not answer, or not as it should; the server's log says why.",
        fix="Try again in a few seconds.",
    )


def _back(call: Call) -> str:
    url = pages.known_url(call)
    if not url:
        raise ParameterInvalid("this registry does not know its own address.", fix="Set server.public_url.")
    return f"{url}{_BACK}"


def _cookie(call: Call) -> str:
    """The cookie's name: with that of https, no other host beside ours can set it (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{_COOKIE}" if _is_secure(call) else _COOKIE


def _is_secure(call: Call) -> bool:
    return pages.known_url(call).startswith("https:")


def _keep(call: Call, response: Response, value: str, seconds: int) -> None:
    response.set_cookie(
        _cookie(call),
        value,
        max_age=seconds,
        path="/",
        secure=_is_secure(call),
        httponly=True,
        samesite="lax",
    )
