"""Pages: plain HTML out of templates in which every value is text, under a policy that runs nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from registry.api.call import MAX_PAGE, Call, Services
from registry.releases import ENVOYS
from registry.verdict import PLACEHOLDER
from storage.driver import Page
from storage.errors import RegistryError

if TYPE_CHECKING:
    from jinja2 import Environment

_COSIGN = re.compile(r"sha256-[0-9a-f]{64}\.(?:sig|att|sbom)")
_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)
_UNKNOWN_HOST = PLACEHOLDER.partition("/")[0]
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}

_FOR_PROGRAMS = ("/v2", "/token")
_KEPT = {"www-authenticate", "retry-after"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is no call: it was refused before."""

    request: Request
    services: Services


async def start(call: Call) -> Response:
    """`/`: what this is and how to push to it."""
    return render(call, "start.html")


async def repositories(call: Call) -> Response:
    """`/plugins/`: the repositories of the registry."""
    page, following = await _page(call, call.visible)
    if wanted(call):
        return render(call, "repositories.html", repositories=page.names, following=following)
    return document({"repositories": list(page.names)}, following)


async def tags(call: Call) -> Response:
    """`/plugins/REPO`: the tags of a repository, cosign's left out."""
    await call.repository.must_exist()
    page, following = await _page(call, call.repository.tags.page)
    name, names = call.repository.name, [tag for tag in page.names if not _COSIGN.fullmatch(tag)]
    if wanted(call):
        return render(call, "tags.html", repository=name, tags=names, following=following)
    return document({"repository": name, "tags": names}, following)


async def style(call: Call) -> Response:
    """`/style.css`: how the pages look."""
    del call
    return Response(_templates().get_template("style.css").render(), media_type="text/css", headers=_HEADERS)


def failed(asked: Call | Asked, error: RegistryError, answer: Response) -> Response:
    """For a person's browser, what an answer says that is an error; for a program that answer."""
    if not wanted(asked) or asked.request.scope["path"].startswith(_FOR_PROGRAMS):
        return answer
    page = render(asked, "failed.html", status=answer.status_code, said=error)
    page.status_code = answer.status_code
    page.headers.update({name: value for name, value in answer.headers.items() if name in _KEPT})
    return page


def wanted(call: Call | Asked) -> bool:
    """Whether a person's browser asks, not a program: HTML is wanted, and before JSON (RFC 9110, 12.5.1)."""
    html = json = (0.0, 0)
    for at, said in enumerate(call.request.headers.get("accept", "").lower().split(",")):
        kind, *parameters = (part.strip() for part in said.split(";"))
        if kind == "text/html":
            html = max(html, (_quality(parameters), -at))
        elif kind == "application/json":
            json = max(json, (_quality(parameters), -at))
    return html[0] > 0 and html > json


def render(call: Call | Asked, template: str, **values: Any) -> Response:
    """A page; its `url` and `host` are how the registry is reached."""
    known = {"url": url(call), "host": host(call), "releases": ENVOYS}
    signs_in = bool(call.services.door.federation.sign_in)
    page = _templates().get_template(template).render(known, signs_in=signs_in, **values)
    return HTMLResponse(page, headers=_HEADERS)


def url(call: Call | Asked) -> str:
    """How the registry is reached; where nobody said it, with a word to be replaced."""
    return known_url(call) or f"http://{_UNKNOWN_HOST}"


def known_url(call: Call | Asked) -> str:
    """How the registry is reached: as the settings say, else as the request does; "" for what is no host."""
    if call.services.public_url:
        return call.services.public_url
    host = call.request.headers.get("host", "")
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 1) not in range(1, 1 << 16):
        return ""
    return f"{call.request.scope['scheme']}://{host}"


def host(call: Call | Asked) -> str:
    """The registry's `HOST[:PORT]`, as references to its images have it."""
    return url(call).partition("://")[2]


def document(said: dict[str, Any], following: str = "") -> Response:
    """For a program, what a page says; `following` is the path of the next part, if there is one."""
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return JSONResponse(said, headers={"Vary": "Accept", **link})


def _quality(parameters: Sequence[str]) -> float:
    """The weight of a media type; what cannot be read is no wish."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0


async def _page(call: Call, listing: Callable[..., Awaitable[Page]]) -> tuple[Page, str]:
    """The part of a listing that is asked for, and the path of the next one ("": there is none)."""
    last, n = call.page()
    if n == 0:
        return Page((), more=False), ""
    limit = min(n or MAX_PAGE, MAX_PAGE)
    page = await listing(after=last, limit=limit)
    return page, call.next_path(page.names[-1], limit) if page.more else ""


@cache
def _templates() -> Environment:
    # Here: a server that shows nobody a page needs none of it.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("registry.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
