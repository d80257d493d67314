"""An answer that is a part of a file, which the server sends by itself (ASGI's extension Zero Copy Send)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import FileIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry.hot.sending import ZERO_COPY


def is_offered(scope: Scope) -> bool:
    """Whether the server can."""
    return ZERO_COPY in scope.get("extensions", ())


class FileResponse(Response):
    """The bytes `start` to `end` (exclusive) of an open file, which is closed then.

    Raises `cut` where the file ends before them.
    """

    def __init__(
        self, file: FileIO, start: int, end: int, status: int, headers: Mapping[str, str], cut: Exception
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._file, self._start, self._end = file, start, end
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            part = {"file": self._file.fileno(), "offset": self._start, "count": self._end - self._start}
            await send({"type": ZERO_COPY, **part})
        except EOFError:
            raise self._cut from None
        finally:
            await asyncio.to_thread(self._file.close)
