"""`Foresight`: what is known of a layer before its manifest, and that it is never of another layer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import BinaryIO

import pytest

from registry.consumers.istio import Form, Layer
from registry.publish import foresight as foresight_module
from registry.publish.foresight import Foresight
from registry.publish.inspect import Looked, inspect_module
from storage.digest import Digest
from storage.manifest import Descriptor
from tests.registry.consumers.build import PLUGIN, layer
from tests.registry.publish.test_examiner import spool
from tests.registry.wasm.binary import custom

PACKED = layer(("plugin.wasm", PLUGIN))
EMPTY = layer(("readme", b"no plugin"))


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def watched(foresight: Foresight, data: bytes, size: int = 1000) -> bytes:
    return b"".join([piece async for piece in foresight.watching(pieces(data, size))])


def asked(digest: Digest, form: Form = Form.TAR_GZIP) -> Layer:
    return Layer(Descriptor("", digest, 1), form)


@pytest.mark.parametrize(
    ("data", "form"), [(PACKED, Form.TAR_GZIP), (PLUGIN, Form.RAW)], ids=["tar+gzip", "raw"]
)
@pytest.mark.parametrize("size", [1, 1000], ids=["byte by byte", "at once"])
async def test_a_layer_with_a_plugin_is_foreseen_once(data: bytes, form: Form, size: int) -> None:
    foresight = Foresight(spool)
    digest = Digest.of(data)
    assert await watched(foresight, data, size) == data
    found = await foresight.looked(asked(digest, form))
    assert found is not None
    with found.module as module:
        module.seek(0)
        assert module.read() == PLUGIN
    assert found.findings.verdicts == inspect_module(PLUGIN).verdicts
    assert await foresight.looked(asked(digest, form)) is None


@pytest.mark.parametrize(
    ("data", "digest", "form"),
    [
        pytest.param(PACKED, Digest.of(PACKED), Form.RAW, id="asked for in another form"),
        pytest.param(EMPTY, Digest.of(EMPTY), Form.TAR_GZIP, id="without a plugin"),
        pytest.param(b"{}", Digest.of(b"{}"), Form.TAR_GZIP, id="a configuration"),
        pytest.param(b"\x1f", Digest.of(b"\x1f"), Form.TAR_GZIP, id="half a sign"),
        pytest.param(b"", Digest.of(b""), Form.TAR_GZIP, id="nothing"),
        pytest.param(PACKED[:-40], Digest.of(PACKED[:-40]), Form.TAR_GZIP, id="cut short"),
    ],
)
async def test_what_is_not_foreseen(data: bytes, digest: Digest, form: Form) -> None:
    foresight = Foresight(spool)
    assert await watched(foresight, data) == data
    assert await foresight.looked(asked(digest, form)) is None


async def test_a_large_layer_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MAX_PACKED", len(PACKED) - 1)
    foresight = Foresight(spool)
    await watched(foresight, PACKED)
    assert await foresight.looked(asked(Digest.of(PACKED))) is None


async def test_a_layer_that_inflates_to_much_is_left_to_its_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MAX_MODULE", len(PLUGIN) - 1)
    foresight = Foresight(spool)
    await watched(foresight, PACKED)
    assert await foresight.looked(asked(Digest.of(PACKED))) is None


async def test_no_room_to_look_ahead() -> None:
    def full() -> BinaryIO:
        raise OSError(28, "No space left on device")

    foresight = Foresight(full)
    assert await watched(foresight, PACKED) == PACKED
    assert await foresight.looked(asked(Digest.of(PACKED))) is None


class Spools:
    """Temporary files, and whether they were closed."""

    def __init__(self) -> None:
        self.opened: list[BinaryIO] = []

    def __call__(self) -> BinaryIO:
        self.opened.append(spool())
        return self.opened[-1]


async def test_few_layers_are_kept_and_the_others_closed() -> None:
    spools = Spools()
    foresight = Foresight(spools)
    layers = [layer(("plugin.wasm", PLUGIN + custom(str(number)))) for number in range(10)]
    for data in layers:
        await watched(foresight, data)
        await settled()
    found = [await foresight.looked(asked(Digest.of(data))) for data in layers]
    kept = [number for number, looked in enumerate(found) if looked]
    assert kept == list(range(10 - foresight_module.MOST, 10))
    await settled()
    assert [file.closed for file in spools.opened].count(False) == foresight_module.MOST
    _close(found)


async def test_a_layer_whose_manifest_does_not_come_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "SECONDS", 0.0)
    spools = Spools()
    foresight = Foresight(spools)
    await watched(foresight, PACKED)
    await settled()
    assert await foresight.looked(asked(Digest.of(PACKED))) is None
    assert [file.closed for file in spools.opened] == [True]


async def test_the_manifest_whose_push_is_given_up_leaves_nothing_open() -> None:
    spools = Spools()
    foresight = Foresight(spools)
    await watched(foresight, PACKED)
    asking = asyncio.create_task(foresight.looked(asked(Digest.of(PACKED))))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await settled()
    assert [file.closed for file in spools.opened] == [True]


async def settled() -> None:
    """All that was begun has ended, and what it left has been told."""
    for _ in range(20):
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others)
        await asyncio.sleep(0.005)
    gc.collect()


def _close(found: list[Looked | None]) -> None:
    for looked in found:
        if looked:
            looked.module.close()


async def test_what_comes_at_once_is_not_all_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is work for a thread, and its bytes are held until then."""
    begun: list[Digest] = []
    looking = asyncio.Event()

    async def waiting(digest: Digest, data: bytes) -> None:
        begun.append(digest)
        await looking.wait()

    foresight = Foresight(spool)
    monkeypatch.setattr(foresight, "_look_in_thread", waiting)
    layers = [layer(("plugin.wasm", PLUGIN + custom(str(number)))) for number in range(20)]
    await asyncio.gather(*(watched(foresight, data) for data in layers))
    await asyncio.sleep(0)
    assert len(begun) == foresight_module.MOST
    looking.set()
    await settled()
    await watched(foresight, PACKED)
    await settled()
    assert begun[-1] == Digest.of(PACKED)


async def test_bytes_that_are_held_for_all_have_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MAX_HELD", 2 * len(PACKED))
    foresight = Foresight(spool)
    slow = [foresight.watching(pieces(PACKED + bytes(9), len(PACKED))) for _ in range(3)]
    for source in slow:
        await anext(source)
    assert foresight._held <= foresight_module.MAX_HELD
    for source in slow:
        await source.aclose()
    assert foresight._held == 0
    await watched(foresight, PACKED)
    found = await foresight.looked(asked(Digest.of(PACKED)))
    assert found is not None
    found.module.close()
