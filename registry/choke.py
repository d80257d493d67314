"""The choke point: every request passes here, on its way from a route to its resource."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from registry.access.capabilities import redacted
from registry.access.principal import Principal
from registry.access.rights import Right
from registry.access.rules import Rules
from registry.api import errors
from registry.api.call import Call, Services
from registry.audit.record import Origin, Record
from registry.hot.cache import EVERYBODY
from registry.login import audiences, origins
from registry.login.origins import REQUEST_ID
from registry.routes import Route
from registry.web import pages
from storage.driver import Witness
from storage.errors import (
    Denied,
    NameInvalid,
    NameUnknown,
    RegistryError,
    StoreUnavailable,
    Unauthorized,
)
from storage.store import Store
from storage.urls import Url

_READING = ("GET", "HEAD")
_ERRORS = 400


class _Rest(Convertor[str]):
    """A repository name in a path: anything, `/` included; `storage.names` decides if it is well-formed."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())


def guarded(routes: Iterable[Route], services: Services) -> list[StarletteRoute]:
    """The routes as the router takes them: one a path, behind its rights, counted, its errors answered."""
    paths: dict[str, dict[str, Route]] = {}
    for row in routes:
        paths.setdefault(row.path, {}).update(dict.fromkeys(row.methods.split(), row))
    return [StarletteRoute(path, _endpoint(rows, services), methods=[*rows]) for path, rows in paths.items()]


def _endpoint(rows: Mapping[str, Route], services: Services) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        row = rows.get(request.method) or rows["GET"]  # the router lets HEAD in where GET is
        count = partial(services.metrics.requests.labels, request.method, row.path)
        call = None
        origin = services.origins.of(request)
        request.scope["scheme"] = services.origins.scheme(request)
        try:
            call = await _admitted(row, services, request, origin)
            response = await row.resource(call)
        except Unauthorized as error:
            error = _challenged(row, services, request, error)
            response = await _failed(services, request, error)
        except RegistryError as error:
            kept = _last(call, error) if call else None
            response = kept or await _failed(services, request, error)
        except ClientDisconnect as error:
            response = await errors.on_disconnect(request, error)
        except Exception:
            count(500).inc()
            raise
        count(response.status_code).inc()
        # What only reads and succeeds has none: it may be answered from memory, the same for all.
        if request.method not in _READING or response.status_code >= _ERRORS:
            response.headers[REQUEST_ID] = origin.request
        return response

    return endpoint


async def _admitted(row: Route, services: Services, request: Request, origin: Origin) -> Call:
    """The request as a call.

    Raises NameInvalid, Unauthorized, and what `_refusal` says where the principal lacks the right; all of it
    before the store is asked for anything but whether a capability URL of ours counts.
    """
    _refuse_encoded(request.scope["raw_path"])
    name = request.path_params.get("repository")
    # A HEAD may name what another server has removed within the second: a manifest's PUT looks again.
    store = services.pulls if request.method in _READING else services.store
    repository = store.repository(name) if name is not None else None
    shown = [value for field, value in request.scope["headers"] if field == b"authorization"]
    principal = await services.door.enter(shown, origin, late="upload" in request.path_params)
    principal = replace(principal, address=origins.direct(request))
    rules = services.rules
    given = await _given(services, store, request)
    if name is None and row.right is Right.PULL:
        allowed = rules.may_list(principal)
    else:
        rights = (row.right,) if row.or_right is None else (row.right, row.or_right)
        allowed = given is not None or any(rules.allow(principal, right, name) for right in rights)
    if not allowed:
        refusal = _refusal(rules, principal, row.right, name)
        if _is_denied(refusal, request):
            services.audit(_denied(refusal, principal, request, origin, name))
        raise refusal
    open_to_all = not rules.given if name is None else rules.all_may(Right.PULL, name)
    audience = EVERYBODY if open_to_all else audiences.of(principal)
    return Call(request, services, principal, repository, audience, origin, given)


async def _given(services: Services, store: Store, request: Request) -> tuple[Url, Witness] | None:
    """The capability URL that the path is, while it counts; None for any other path.

    The store is asked for nothing that was not made here.
    """
    params = request.path_params
    if "capability" not in params:
        return None
    name, reference = params["repository"], params.get("digest") or params["tag"]
    url_id = services.capabilities.read(params["capability"], name, reference)
    return None if url_id is None else await store.urls(name).find(reference, url_id, time.time())


def _refusal(rules: Rules, principal: Principal, right: Right, name: str | None) -> RegistryError:
    """What who lacks a right is told: the same whether the repository is there or not."""
    if not rules.given:
        return Denied(
            f"without access rules, {right.value} is allowed from the registry's own machine only.",
            fix="Send the request from there.",
        )
    if not principal.name:
        return Unauthorized(
            "this needs a login.", fix="Log in with docker login.", reason=_insufficient(principal)
        )
    whole = replace(principal, scopes=None)
    if principal.scopes is not None and rules.allow(whole, right, name):
        return Unauthorized("the token is not for this.", reason=_insufficient(principal))
    if name is None:
        return Denied(f"{principal} may not do this.", fix=f"It takes a rule with {right.value} for **.")
    if right is not Right.PULL and rules.allow(whole, Right.PULL, name):
        return Denied(
            f"{principal} may not {right.value} in {name}.", fix="Ask who runs the registry for the right."
        )
    return NameUnknown(f"{name} is not here, or {principal} may not see it.")


def _is_denied(refusal: RegistryError, request: Request) -> bool:
    """Whether somebody was told no. Who reads without a login, or with another token, is asked for it."""
    return not isinstance(refusal, Unauthorized) or (request.method not in _READING and not refusal.reason)


def _denied(
    refusal: RegistryError, principal: Principal, request: Request, origin: Origin, name: str | None
) -> Record:
    asked = redacted(f"{request.method} {request.scope['path']}")
    code = refusal.code.lower().replace("_", "-")
    return Record("denied", "denied", str(principal), origin, name or "", problems=(code,), asked=asked)


def _insufficient(principal: Principal) -> str:
    return "" if principal.scopes is None else "insufficient_scope"


def _challenged(row: Route, services: Services, request: Request, error: Unauthorized) -> Unauthorized:
    name = request.path_params.get("repository")
    error.challenge = services.challenges.ask(request.scope["path"], row.right, name, error.reason)
    return error


async def _failed(services: Services, request: Request, error: RegistryError) -> Response:
    """What a program is told, or a person's browser."""
    answer = await errors.on_registry_error(request, error)
    return pages.failed(pages.Asked(request, services), error, answer)


def _last(call: Call, error: RegistryError) -> Response | None:
    """What was answered last, where the store has failed and what makes it true was seen not long ago.

    Whoever comes next has it of the hot path; this is for those who came first, and waited.
    """
    scope = call.request.scope
    if not isinstance(error, StoreUnavailable) or scope["method"] not in _READING or scope["query_string"]:
        return None
    found = call.services.answers.last(scope["raw_path"], call.audience)
    if found is None:
        return None
    response = Response(found[1])
    response.raw_headers = found[0]
    return response


def _refuse_encoded(path: bytes) -> None:
    """Names need no percent-encoding but a digest's colon: what hides behind one could mean another name."""
    if b"%" in path.replace(b"%3A", b"").replace(b"%3a", b""):
        raise NameInvalid("the path is percent-encoded.", fix="Write names, tags and digests as they are.")
