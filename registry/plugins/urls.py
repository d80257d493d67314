"""`/plugins/REPO:TAG/urls`: URLs of a module that need no login, for what downloads without one."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response

from registry.access.rights import Right
from registry.api.call import Call
from registry.audit.record import Record
from registry.plugins import module
from registry.plugins.history import spoken
from registry.web import pages
from storage.digest import Digest
from storage.errors import ManifestUnknown, NameUnknown, ParameterInvalid
from storage.urls import Url

_HEADERS = {"Cache-Control": "no-store"}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([hd])")
_SECONDS = {"h": 3600, "d": 86400}


async def give(call: Call) -> Response:
    """A URL of the module that the path names, for `?expires=` or for ever.

    It is the plain one where everybody may pull. Raises ManifestUnknown where there is no module, NameUnknown
    where no such URLs are given, ParameterInvalid, Denied for one too many.
    """
    seconds = _expires(call.query("expires"))
    await module.find(call)
    found = await given(call, call.reference(), seconds)
    capability = written(call, call.reference(), found)
    joint = "@" if isinstance(call.reference(), Digest) else ":"
    between = f"/{capability}" if capability else ""
    path = f"/plugins/{call.repository.name}{joint}{call.reference()}{between}/plugin.wasm"
    told_of = {"url": f"{pages.url(call)}{path}", "path": path}
    return JSONResponse(told_of | (told(found) if found else {"id": None}), headers=_HEADERS)


async def listed(call: Call) -> Response:
    """The URLs that were given out of a tag or a digest, without what makes them ones."""
    urls = await call.services.pulls.urls(call.repository.name).of(call.reference())
    return JSONResponse(_document(call, urls), headers=_HEADERS)


async def revoke(call: Call) -> Response:
    """End the URL of the id in the path, or all of a tag or a digest; raises ManifestUnknown for none."""
    url_id = call.request.path_params.get("url")
    gone = await call.services.store.urls(call.repository.name).revoke(call.reference(), url_id)
    if not gone and url_id is not None:
        raise ManifestUnknown(
            f"{call.repository.name} has no URL {url_id[:40]!r} of {call.reference()}.",
            fix="GET its urls for those there are.",
        )
    for url in gone:
        _note(call, call.reference(), "revoked", url)
    return JSONResponse(_document(call, gone), headers=_HEADERS)


async def given(call: Call, reference: str | Digest, seconds: float | None = None) -> Url | None:
    """A URL of a tag or a digest for who asks, who may pull it; None where everybody may.

    Raises NameUnknown where none are given, Denied for one too many.
    """
    name = call.repository.name
    if call.services.rules.all_may(Right.PULL, name):
        return None
    if not call.services.capabilities.writes:
        raise NameUnknown(
            f"{name} is not for everybody, and this registry has no key for URLs that need no login.",
            fix="Set access.urls.keys, or pull by oci with a pull secret.",
        )
    now = time.time()
    ends = None if seconds is None else now + seconds
    urls = call.services.store.urls(name)
    made = partial(_note, call, reference, "made")
    return await urls.give(reference, by=call.principal.name, now=now, ends=ends, made=made)


def written(call: Call, reference: str | Digest, url: Url | None) -> str:
    """The part of the path that makes a URL one which needs no login; "" for none."""
    if url is None:
        return ""
    return call.services.capabilities.write(call.repository.name, str(reference), url.id)


def told(url: Url) -> dict[str, Any]:
    """A URL as JSON, without what makes it one."""
    return {"id": url.id, "by": url.by, "since": spoken(url.since), "expires": spoken(url.ends)}


def _note(call: Call, reference: str | Digest, verdict: str, url: Url) -> None:
    who, name, said = str(call.principal), call.repository.name, str(reference)
    call.services.audit(Record("url", verdict, who, call.origin, name, said, what=url.id))


def _document(call: Call, urls: Sequence[Url]) -> dict[str, Any]:
    reference = str(call.reference())
    return {"repository": call.repository.name, "reference": reference, "urls": [told(url) for url in urls]}


def _expires(text: str | None) -> float | None:
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ParameterInvalid(f"expires={text[:40]!r} is no time.", fix="Write 90d, or 12h.")
    return float(int(found[1]) * _SECONDS[found[2]])
