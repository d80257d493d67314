"""`Foresight`: what is known of a layer before its manifest, and that it is never of another layer."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator

import pytest

from registry.consumers.istio import LIMIT, Form, Layer
from registry.publish import foresight as foresight_module
from registry.publish.bare import inspect_module
from registry.publish.foresight import Foresight
from registry.publish.inspect import Looked
from storage.digest import Digest
from storage.errors import CheckFailed, StoreFull
from storage.manifest import Descriptor
from tests.registry.consumers.build import PLUGIN, info, layer, renumbered, squeezed, tar
from tests.registry.publish.looks import InThread
from tests.registry.wasm.binary import custom

PACKED = layer(("plugin.wasm", PLUGIN))
EMPTY = layer(("readme", b"no plugin"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "PATIENCE", 60)


class Slow(InThread):
    """Looks into nothing before it may; counts who has come."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.given_up = 0

    async def __call__(
        self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = LIMIT
    ) -> Looked:
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().__call__(form, pieces, of=of, limit=limit)


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def watched(foresight: Foresight, data: bytes, size: int = 1000) -> bytes:
    return b"".join([piece async for piece in foresight.watching(pieces(data, size))])


def asked(digest: Digest, form: Form = Form.TAR_GZIP) -> Layer:
    return Layer(Descriptor("", digest, 1), form)


async def settled() -> None:
    """All that was begun has ended."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize(
    ("data", "form"), [(PACKED, Form.TAR_GZIP), (PLUGIN, Form.RAW)], ids=["tar+gzip", "raw"]
)
@pytest.mark.parametrize("size", [1, 1000], ids=["byte by byte", "at once"])
async def test_a_layer_with_a_plugin_is_foreseen_once(data: bytes, form: Form, size: int) -> None:
    foresight = Foresight(InThread())
    digest = Digest.of(data)
    assert await watched(foresight, data, size) == data
    found = await foresight.looked(asked(digest, form))
    expected = inspect_module(PLUGIN)
    assert found is not None and (found.verdicts, found.facts) == (expected.verdicts, expected.facts)
    assert await foresight.looked(asked(digest, form)) is None


@pytest.mark.parametrize(
    ("data", "digest", "form"),
    [
        pytest.param(PACKED, Digest.of(PACKED), Form.RAW, id="asked for in another form"),
        pytest.param(PACKED, Digest.of(PACKED, "sha512"), Form.TAR_GZIP, id="asked for by another digest"),
        pytest.param(EMPTY, Digest.of(EMPTY), Form.TAR_GZIP, id="without a plugin"),
        pytest.param(b"{}", Digest.of(b"{}"), Form.TAR_GZIP, id="a configuration"),
        pytest.param(b"\x1f", Digest.of(b"\x1f"), Form.TAR_GZIP, id="half a sign"),
        pytest.param(b"", Digest.of(b""), Form.TAR_GZIP, id="nothing"),
        pytest.param(PACKED[:-40], Digest.of(PACKED[:-40]), Form.TAR_GZIP, id="cut short"),
    ],
)
async def test_what_is_not_foreseen(data: bytes, digest: Digest, form: Form) -> None:
    foresight = Foresight(InThread())
    assert await watched(foresight, data) == data
    assert await foresight.looked(asked(digest, form)) is None
    await settled()


async def test_it_is_looked_into_while_it_comes() -> None:
    look = InThread()
    source = Foresight(look).watching(pieces(PACKED, 100))
    await anext(source)
    await asyncio.sleep(0)
    assert look.asked == 1
    await source.aclose()
    await settled()


async def test_a_large_layer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MAX_PACKED", len(PACKED) - 1)
    foresight = Foresight(InThread())
    assert await watched(foresight, PACKED, 100) == PACKED
    assert await foresight.looked(asked(Digest.of(PACKED))) is None
    await settled()


async def test_a_layer_that_inflates_to_much_is_left_to_its_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MAX_MODULE", len(PLUGIN) - 1)
    foresight = Foresight(InThread())
    await watched(foresight, PACKED)
    assert await foresight.looked(asked(Digest.of(PACKED))) is None


@pytest.mark.parametrize("error", [CheckFailed("it ended."), StoreFull("no room.")], ids=repr)
async def test_what_cannot_be_looked_into_is_left_to_its_manifest(error: Exception) -> None:
    class Failing(InThread):
        async def __call__(
            self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = LIMIT
        ) -> Looked:
            raise error

    foresight = Foresight(Failing())
    assert await watched(foresight, PACKED) == PACKED
    assert await foresight.looked(asked(Digest.of(PACKED))) is None


@pytest.mark.parametrize("claims", [100 << 20, 300 << 20], ids=["of what an agent reads", "more"])
async def test_a_layer_with_an_entry_that_is_too_large_for_us_is_left_to_its_manifest(claims: int) -> None:
    link = renumbered(tar(info("link", tarfile.SYMTYPE))[:512], 0, size=b"%011o" % claims)
    data = squeezed(link + tar(("plugin.wasm", PLUGIN)))
    foresight = Foresight(InThread())
    await watched(foresight, data)
    assert await foresight.looked(asked(Digest.of(data))) is None


async def test_few_findings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "MOST", 4)
    foresight = Foresight(InThread())
    layers = [layer(("plugin.wasm", PLUGIN + custom(str(number)))) for number in range(10)]
    for data in layers:
        await watched(foresight, data)
        await settled()
    found = [await foresight.looked(asked(Digest.of(data))) for data in layers]
    assert [number for number, looked in enumerate(found) if looked] == [6, 7, 8, 9]


async def test_findings_are_kept_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "SECONDS", 0.0)
    foresight = Foresight(InThread())
    await watched(foresight, PACKED)
    await asyncio.sleep(0.01)
    assert await foresight.looked(asked(Digest.of(PACKED))) is None
    await settled()


async def test_a_manifest_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight_module, "PATIENCE", 0.01)
    look = Slow()
    foresight = Foresight(look)
    await watched(foresight, PACKED)
    assert await foresight.looked(asked(Digest.of(PACKED))) is None
    await settled()
    assert look.given_up == 1


async def test_an_upload_that_ends_early_is_given_up() -> None:
    look = Slow()
    foresight = Foresight(look)

    async def broken() -> AsyncIterator[bytes]:
        yield PACKED
        raise ConnectionError

    with pytest.raises(ConnectionError):
        async for _ in foresight.watching(broken()):
            await asyncio.sleep(0)
    await settled()
    assert look.given_up == 1


async def test_what_comes_at_once_is_not_all_looked_into() -> None:
    """Each is work for a process, and its bytes are held until then."""
    look = Slow()
    foresight = Foresight(look)
    layers = [layer(("plugin.wasm", PLUGIN + custom(str(number)))) for number in range(20)]
    await asyncio.gather(*(watched(foresight, data) for data in layers))
    look.may.set()
    await settled()
    assert look.asked == foresight_module.AT_ONCE
    await watched(foresight, PACKED)
    await settled()
    assert look.asked == foresight_module.AT_ONCE + 1
