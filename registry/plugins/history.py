"""`/plugins/REPO:TAG/history`: what a tag names and named, since and until when, and who wanted it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from registry.api.call import Call
from registry.web import pages
from storage.tags import History


async def get(call: Call) -> Response:
    """The history of the tag that the path names: JSON, or a page for a browser; raises ManifestUnknown."""
    tag = str(call.reference())
    said = document(call.repository.name, tag, await call.history(tag))
    if pages.wanted(call):
        return pages.render(call, "history.html", history=said)
    return pages.document(said)


def document(repository: str, tag: str, history: History) -> dict[str, Any]:
    """A history as JSON; null where something is not known."""
    return {
        "repository": repository,
        "tag": tag,
        "digest": str(history.named.digest),
        "since": spoken(history.since),
        "by": history.by or None,
        "former": former(history),
    }


def former(history: History) -> list[dict[str, Any]]:
    """What a tag named before, newest first, as JSON."""
    return [
        {
            "digest": str(one.descriptor.digest),
            "since": spoken(one.since),
            "until": spoken(one.until),
            "by": one.by or None,
        }
        for one in history.former
    ]


def spoken(seconds: float | None) -> str | None:
    """A time as it is written (RFC 3339)."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
