"""The choke point: every request passes here, on its way from a route to its resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from registry.access.principal import Principal
from registry.api import errors
from registry.api.call import Call, Services
from registry.routes import Route
from storage.errors import Denied, NameInvalid, RegistryError, StoreUnavailable

_READING = ("GET", "HEAD")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


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
        try:
            response = await row.resource(_admitted(row, services, request))
        except RegistryError as error:
            response = _last(services, request, error) or await errors.on_registry_error(request, error)
        except ClientDisconnect as error:
            response = await errors.on_disconnect(request, error)
        except Exception:
            count(500).inc()
            raise
        count(response.status_code).inc()
        return response

    return endpoint


def _admitted(row: Route, services: Services, request: Request) -> Call:
    """The request as a call; raises NameInvalid, or Denied where the principal lacks the right."""
    _refuse_encoded(request.scope["raw_path"])
    principal = Principal("", _address(request))
    name = request.path_params.get("repository")
    # A HEAD may name what another server has removed within the second: a manifest's PUT looks again.
    store = services.pulls if request.method in _READING else services.store
    repository = store.repository(name) if name is not None else None
    if not services.rules.allow(principal, row.right, name):
        raise Denied(
            f"without access rules, {row.right.value} is allowed from the registry's own machine only.",
            fix="Send the request from there.",
        )
    return Call(request, services, principal, repository)


def _last(services: Services, request: Request, error: RegistryError) -> Response | None:
    """What was answered last, where the store has failed and what makes it true was seen not long ago.

    Whoever comes next has it of the hot path; this is for those who came first, and waited.
    """
    scope = request.scope
    if not isinstance(error, StoreUnavailable) or scope["method"] not in _READING or scope["query_string"]:
        return None
    found = services.answers.last(scope["raw_path"])
    if found is None:
        return None
    response = Response(found[1])
    response.raw_headers = found[0]
    return response


def _address(request: Request) -> str:
    """Where the request comes from; "" where a proxy on the way says that it is not the connection's peer."""
    if any(name in request.headers for name in _FORWARDED) or request.client is None:
        return ""
    return request.client.host


def _refuse_encoded(path: bytes) -> None:
    """Names need no percent-encoding but a digest's colon: what hides behind one could mean another name."""
    if b"%" in path.replace(b"%3A", b"").replace(b"%3a", b""):
        raise NameInvalid("the path is percent-encoded.", fix="Write names, tags and digests as they are.")
