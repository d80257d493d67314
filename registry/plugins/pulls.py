"""Who pulled a plugin last, as its report has it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from registry.access.principal import ANONYMOUS
from registry.access.rights import Right
from registry.api.call import Call
from registry.plugins.history import spoken
from storage.digest import Digest
from storage.errors import StoreUnavailable
from storage.pulls import Pull, merged

_SHOWN = 20


async def last(call: Call, *digests: Digest | None) -> list[dict[str, Any]] | None:
    """The last pulls of these manifests, the newest first, as JSON; None to who may not push there.

    What this process has not kept yet is among them; where the store does not answer, nothing else is.
    """
    if not (call.may(Right.PUSH) or call.may(Right.ADMIN)):
        return None
    asked = [digest for digest in dict.fromkeys(digests) if digest is not None]
    found = await asyncio.gather(*(_of(call, digest) for digest in asked))
    rows = [(pull, digest) for digest, pulls in zip(asked, found, strict=True) for pull in pulls]
    rows.sort(key=lambda row: -row[0].at)
    return [
        {"digest": str(digest), "by": pull.by or ANONYMOUS, "agent": pull.agent, "at": spoken(pull.at)}
        for pull, digest in rows[:_SHOWN]
    ]


async def _of(call: Call, digest: Digest) -> tuple[Pull, ...]:
    name = call.repository.name
    kept: tuple[Pull, ...] = ()
    with contextlib.suppress(StoreUnavailable):
        kept = await call.services.pulls.pulls(name).of(digest)
    return merged((*kept, *call.services.pulled.of(name, digest)))
