from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from registry.consumers.istio import Form
from registry.publish.here import Here
from registry.publish.look import look
from tests.registry.publish.looks import spool
from tests.registry.publish.test_look import LAYERS


@pytest.mark.parametrize(("form", "data", "module"), LAYERS)
async def test_here_it_is_the_same(form: Form, data: bytes, module: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 100):
            yield data[at : at + 100]

    with spool() as into, spool() as other:
        into.write(b"what was there before" * 1000)
        assert await Here(into, spool)(form, pieces()) == look(form, [data], other)
        into.seek(0)
        assert into.read() == module
