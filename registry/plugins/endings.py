"""What expires and concerns a plugin: its capability URLs, the robots that pull it, the certificate."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from registry.access import expiry
from registry.access.expiry import Ending
from registry.access.principal import ROBOT, Principal
from registry.access.rights import Right
from registry.api.call import Call
from registry.plugins.history import spoken
from storage.digest import Digest
from storage.errors import StoreUnavailable


async def near(call: Call, image: Digest | None) -> list[dict[str, Any]]:
    """What ends within 30 days or is over, the nearest first, as JSON; for who may push or administer there.

    Of the URLs those of what the path names and of the `image` in it; of a damaged list of them nothing is
    known.
    """
    if not (call.may(Right.PUSH) or call.may(Right.ADMIN)):
        return []
    now = time.time()
    found = [*call.services.certificates(), *_robots(call), *await _urls(call, image)]
    return [
        {"kind": one.kind, "name": one.name, "expires": spoken(one.at), "message": one.told(now)}
        for one in sorted(found, key=lambda one: one.at)
        if one.is_near(now)
    ]


def _robots(call: Call) -> Iterator[Ending]:
    """The robots that may pull there."""
    rules = call.services.rules
    for ending in expiry.of_robots(call.services.door.robots) if rules.given else ():
        if rules.allow(Principal(f"{ROBOT}{ending.name}", ""), Right.PULL, call.repository.name):
            yield ending


async def _urls(call: Call, image: Digest | None) -> list[Ending]:
    references = dict.fromkeys([str(call.reference()), *([str(image)] if image else [])])
    urls = call.services.pulls.urls(call.repository.name)
    with contextlib.suppress(StoreUnavailable):
        found = await asyncio.gather(*map(urls.of, references))
        return [Ending(expiry.URL, url.id, url.ends) for one in found for url in one if url.ends is not None]
    return []
