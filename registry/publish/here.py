"""Looking into layers in this process, beside its loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from registry.consumers import istio
from registry.consumers.istio import Form
from registry.publish.inspect import Looked

# What the agent inflates at most takes no more than this when it is packed.
_ENOUGH = istio.LIMIT + (4 << 20)


class Here:
    """Looks into layers in a thread of this process (an `inspect.Look`).

    The module is written to `into`, a real file; `spool` opens another one for the packed layer.
    """

    def __init__(self, into: BinaryIO, spool: Callable[[], BinaryIO]) -> None:
        self._into = into
        self._spool = spool

    async def __call__(
        self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = istio.LIMIT
    ) -> Looked:
        """See `inspect.Look`."""
        with self._spool() as packed:
            async for piece in pieces:
                await asyncio.to_thread(packed.write, piece)
                if packed.tell() > _ENOUGH:
                    break
            for file in (packed, self._into):
                file.seek(0)
            self._into.truncate()
            return await asyncio.to_thread(self._look, form, packed, of, limit)

    def _look(self, form: Form, packed: BinaryIO, of: int, limit: int) -> Looked:
        # Here: it is much to load, and a server leaves most of that to its inspectors.
        from registry.publish.look import look  # noqa: PLC0415

        return look(form, packed, self._into, of=of, limit=limit)
