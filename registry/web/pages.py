"""Pages: plain HTML out of templates in which every value is text, under a policy that runs nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response

from registry.api.call import MAX_PAGE, Call

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}


async def start(call: Call) -> Response:
    """`/`: what this is and how to push to it."""
    return render(call, "start.html")


async def repositories(call: Call) -> Response:
    """`/plugins/`: the repositories of the registry."""
    last, limit = call.page()
    page = await call.services.store.catalog(after=last, limit=min(limit or MAX_PAGE, MAX_PAGE))
    if wanted(call):
        return render(call, "repositories.html", repositories=page.names, more=page.more)
    return JSONResponse({"repositories": list(page.names)})


async def tags(call: Call) -> Response:
    """`/plugins/REPO`: the tags of a repository, signatures left out."""
    await call.repository.must_exist()
    last, limit = call.page()
    page = await call.repository.tags.page(after=last, limit=min(limit or MAX_PAGE, MAX_PAGE))
    names = [tag for tag in page.names if not tag.endswith(".sig")]
    if wanted(call):
        return render(call, "tags.html", repository=call.repository.name, tags=names, more=page.more)
    return JSONResponse({"repository": call.repository.name, "tags": names})


async def style(call: Call) -> Response:
    """`/style.css`: how the pages look."""
    del call
    return Response(_templates().get_template("style.css").render(), media_type="text/css", headers=_HEADERS)


def wanted(call: Call) -> bool:
    """Whether a person's browser asks, not a program."""
    return "text/html" in call.request.headers.get("accept", "")


def render(call: Call, template: str, **values: Any) -> Response:
    """A page; `host` is how the reader reached the registry."""
    host = call.services.host or call.request.headers.get("host", "")
    page = _templates().get_template(template).render(host=host, **values)
    return HTMLResponse(page, headers=_HEADERS)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("registry.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
