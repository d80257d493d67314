from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry.api import zerocopy
from registry.api.zerocopy import FileResponse
from registry.hot.sending import ZERO_COPY
from storage.errors import StoreUnavailable

CUT = StoreUnavailable("it is cut.", fix="Push it again.")


def test_it_is_for_servers_that_offer_it() -> None:
    assert zerocopy.is_offered({"extensions": {ZERO_COPY: {}}})
    assert not zerocopy.is_offered({"extensions": {}})
    assert not zerocopy.is_offered({})


@pytest.mark.parametrize("ends", [False, True], ids=["whole", "cut"])
async def test_a_part_is_sent_by_the_file_which_is_closed_then(tmp_path: Path, ends: bool) -> None:
    (tmp_path / "file").write_bytes(b"content")
    file = (tmp_path / "file").open("rb", buffering=0)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if ends and message["type"] == ZERO_COPY:
            assert not file.closed
            raise EOFError

    async def receive() -> Any:
        raise AssertionError

    answer = FileResponse(file, 2, 5, 206, {"Content-Length": "3"}, CUT)
    number = file.fileno()
    if ends:
        with pytest.raises(StoreUnavailable, match="it is cut"):
            await answer({}, receive, send)
    else:
        await answer({}, receive, send)
    assert file.closed
    assert sent == [
        {"type": "http.response.start", "status": 206, "headers": [(b"content-length", b"3")]},
        {"type": ZERO_COPY, "file": number, "offset": 2, "count": 3},
    ]
