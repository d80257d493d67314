"""`Inspectors`: the server's side, with the processes that it starts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from registry.consumers.istio import Form
from registry.publish import inspectors as inspectors_module
from registry.publish.inspectors import MOST, Inspectors
from registry.publish.look import IN_MEMORY, look
from storage.errors import CheckFailed, StoreFull, StoreUnavailable
from tests.registry.consumers.build import PLUGIN, layer, sized
from tests.registry.publish.looks import spool
from tests.registry.wasm.binary import custom

PACKED = layer(("plugin.wasm", PLUGIN))


@contextlib.asynccontextmanager
async def closing(made: Inspectors) -> AsyncIterator[Inspectors]:
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(params=[False, True], ids=["now", "ahead"])
async def inspectors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Inspectors]:
    async with closing(Inspectors(tmp_path, ahead=request.param)) as made:
        yield made


@pytest.fixture
async def now(tmp_path: Path) -> AsyncIterator[Inspectors]:
    async with closing(Inspectors(tmp_path)) as made:
        yield made


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
        yield b""


def processes() -> dict[int, bytes]:
    """The inspectors that this process has, by their ids: their arguments."""
    found = {}
    for child in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (child / "stat").read_text().rpartition(")")[2].split()[1]
            arguments = (child / "cmdline").read_bytes()
            if int(parent) == os.getpid() and b"registry.publish.inspector" in arguments:
                found[int(child.name)] = arguments
    return found


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize(
    ("form", "data"),
    [
        pytest.param(Form.TAR_GZIP, PACKED, id="a plugin"),
        pytest.param(Form.RAW, PLUGIN, id="a raw one"),
        pytest.param(Form.TAR_GZIP, layer(("a", b"")), id="no plugin"),
        pytest.param(
            Form.TAR_GZIP, layer(("plugin.wasm", PLUGIN), ("after", os.urandom(1 << 20))), id="more"
        ),
        pytest.param(Form.RAW, sized(IN_MEMORY + 1), id="more than is held in memory"),
    ],
)
async def test_the_answer_is_that_of_this_process(inspectors: Inspectors, form: Form, data: bytes) -> None:
    with spool() as into:
        expected = look(form, [data], into, of=2)
    for _ in range(2):
        assert await inspectors(form, pieces(data, 100_000), of=2) == expected
    assert len(processes()) == 1


async def test_a_limit_is_kept(now: Inspectors) -> None:
    found = await now(Form.TAR_GZIP, pieces(layer(("a", bytes(10_000)), ("plugin.wasm", PLUGIN))), limit=5000)
    assert [problem.code for problem in found.verdicts[0].problems] == ["layer-too-large"]


async def test_as_many_processes_as_layers_at_a_time(now: Inspectors) -> None:
    assert processes() == {}, "none before there is a layer"
    layers = [layer(("plugin.wasm", PLUGIN + custom(str(number)))) for number in range(3 * MOST)]
    found = await asyncio.gather(*(now(Form.TAR_GZIP, pieces(data)) for data in layers))
    assert len({looked.facts.sha256 for looked in found if looked.facts}) == len(layers)
    assert len(processes()) == MOST
    await now.close()
    assert processes() == {}


async def test_one_that_was_killed_is_replaced(now: Inspectors) -> None:
    await now(Form.TAR_GZIP, pieces(PACKED))
    (killed,) = processes()
    os.kill(killed, signal.SIGKILL)
    stat = Path("/proc") / str(killed) / "stat"
    await until(lambda: stat.read_text().rpartition(")")[2].startswith(" Z"))
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts
    assert len(processes()) == 1 and killed not in processes()


async def test_one_that_is_killed_at_work_is_no_verdict(now: Inspectors) -> None:
    await now(Form.TAR_GZIP, pieces(PACKED))
    (killed,) = processes()

    async def killing() -> AsyncIterator[bytes]:
        yield PACKED[:100]
        os.kill(killed, signal.SIGKILL)
        yield PACKED[100:]

    with pytest.raises(CheckFailed) as failed:
        await now(Form.TAR_GZIP, killing())
    assert failed.value.fix
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts


async def test_what_the_source_raises_is_raised_and_forgotten(inspectors: Inspectors) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PACKED[:100]
        raise ValueError("gone")

    for _ in range(2 * MOST):
        with pytest.raises(ValueError, match="gone"):
            await inspectors(Form.TAR_GZIP, broken())
    assert (await inspectors(Form.TAR_GZIP, pieces(PACKED))).facts
    assert len(processes()) <= MOST


async def waiting() -> AsyncIterator[bytes]:
    """A layer whose rest does not come."""
    yield PACKED[:100]
    await asyncio.sleep(60)


async def test_who_is_cancelled_leaves_room_for_others(now: Inspectors) -> None:
    stuck = [asyncio.create_task(now(Form.TAR_GZIP, waiting())) for _ in range(MOST)]
    waits = asyncio.create_task(now(Form.TAR_GZIP, pieces(PACKED)))
    await until(lambda: len(processes()) == MOST)
    assert not waits.done()
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert (await waits).facts
    assert len(processes()) <= MOST


async def test_one_that_does_not_answer_is_ended(now: Inspectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspectors_module, "_FORGETS_SECONDS", 0.05)
    await now(Form.TAR_GZIP, pieces(PACKED))
    (stopped,) = processes()
    os.kill(stopped, signal.SIGSTOP)
    task = asyncio.create_task(now(Form.TAR_GZIP, waiting()))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts
    await until(lambda: stopped not in processes())


async def test_no_folder_for_its_files(tmp_path: Path) -> None:
    async with closing(Inspectors(tmp_path / "none")) as made:
        with pytest.raises(StoreUnavailable):
            await made(Form.RAW, pieces(sized(IN_MEMORY + 1), 1 << 20))


async def test_no_room_for_its_files(small_disk: Path) -> None:
    async with closing(Inspectors(small_disk)) as made:
        with pytest.raises(StoreFull):
            await made(Form.RAW, pieces(sized(IN_MEMORY + 1), 1 << 20))
        assert (await made(Form.TAR_GZIP, pieces(PACKED))).facts


async def test_it_gets_nothing_of_our_environment(now: Inspectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECARGO_SECRET", "told to nobody")
    await now(Form.TAR_GZIP, pieces(PACKED))
    (pid,) = processes()
    assert b"SECRET" not in (Path("/proc") / str(pid) / "environ").read_bytes()


@pytest.mark.parametrize("is_ahead", [False, True])
async def test_nobody_waits_for_one_that_looks_ahead(tmp_path: Path, is_ahead: bool) -> None:
    async with closing(Inspectors(tmp_path, ahead=is_ahead)) as made:
        await made(Form.TAR_GZIP, pieces(PACKED))
        (pid,) = processes()
        assert os.sched_getscheduler(pid) == (os.SCHED_IDLE if is_ahead else os.SCHED_OTHER)


async def test_one_that_dies_with_pieces_unread_keeps_nobody_waiting(now: Inspectors) -> None:
    for _ in range(2 * MOST):
        await now(Form.TAR_GZIP, pieces(PACKED))
        pid = next(iter(processes()))

        async def killing(pid: int = pid) -> AsyncIterator[bytes]:
            os.kill(pid, signal.SIGSTOP)
            yield PACKED[:100]
            await asyncio.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
            yield PACKED[100:]

        with pytest.raises(CheckFailed):
            await now(Form.TAR_GZIP, killing())
    async with asyncio.timeout(10):
        assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts


async def test_one_that_does_not_answer_in_time(now: Inspectors, monkeypatch: pytest.MonkeyPatch) -> None:
    await now(Form.TAR_GZIP, pieces(PACKED))
    monkeypatch.setattr(inspectors_module, "_ANSWERS_SECONDS", 0.05)
    (pid,) = processes()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(CheckFailed):
        await now(Form.TAR_GZIP, pieces(PACKED))
    monkeypatch.undo()
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts
    assert pid not in processes()


async def test_who_is_cancelled_when_all_was_sent(now: Inspectors) -> None:
    await now(Form.TAR_GZIP, pieces(PACKED))
    for _ in range(5):
        (pid,) = processes()
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(now(Form.TAR_GZIP, pieces(PACKED)))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda pid=pid: pid not in processes())  # type: ignore[misc]
        assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts


async def test_no_process_is_to_be_had(now: Inspectors, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(inspectors_module.subprocess, "Popen", none)
    for _ in range(2 * MOST):
        with pytest.raises(CheckFailed, match="temporarily unavailable"):
            await now(Form.TAR_GZIP, pieces(PACKED))
    monkeypatch.undo()
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts


async def test_the_source_is_closed(now: Inspectors) -> None:
    closed = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield PACKED[:100]
            yield PACKED[100:]
        finally:
            closed.append(True)

    await now(Form.TAR_GZIP, pieces(PACKED))
    (pid,) = processes()
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(CheckFailed):
        await now(Form.TAR_GZIP, source())
    assert closed == [True]


async def test_modules_of_the_working_directory_are_not_taken(
    now: Inspectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken')\n")
    monkeypatch.chdir(tmp_path)
    assert (await now(Form.TAR_GZIP, pieces(PACKED))).facts
