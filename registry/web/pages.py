"""Pages: plain HTML out of templates in which every value is text, under a policy that runs nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response

from registry.api.call import MAX_PAGE, Call
from registry.releases import ENVOYS
from storage.driver import Page

_COSIGN = re.compile(r"sha256-[0-9a-f]{64}\.(?:sig|att|sbom)")
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}


async def start(call: Call) -> Response:
    """`/`: what this is and how to push to it."""
    return render(call, "start.html")


async def repositories(call: Call) -> Response:
    """`/plugins/`: the repositories of the registry."""
    page, following = await _page(call, call.services.store.catalog)
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


def wanted(call: Call) -> bool:
    """Whether a person's browser asks, not a program."""
    return "text/html" in call.request.headers.get("accept", "")


def render(call: Call, template: str, **values: Any) -> Response:
    """A page; its `url` and `host` are how the registry is reached."""
    known = {"url": url(call), "host": host(call), "releases": ENVOYS}
    page = _templates().get_template(template).render(known, **values)
    return HTMLResponse(page, headers=_HEADERS)


def url(call: Call) -> str:
    """How the registry is reached: as the settings say, else as the request does."""
    return call.services.public_url or f"http://{call.request.headers.get('host', '')}"


def host(call: Call) -> str:
    """The registry's `HOST[:PORT]`, as references to its images have it."""
    return url(call).partition("://")[2]


def document(said: dict[str, Any], following: str = "") -> Response:
    """For a program, what a page says; `following` is the path of the next part, if there is one."""
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return JSONResponse(said, headers={"Vary": "Accept", **link})


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
    return Environment(
        loader=PackageLoader("registry.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
