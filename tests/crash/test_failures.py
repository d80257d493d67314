"""The file system fails at every call of every step of a story, one after another; then it is well again."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from registry.keyring import signing_key
from registry.signing import keys
from tests.crash import calls, story
from tests.crash.calls import Call
from tests.crash.served import Reply, Served, serve
from tests.crash.story import PULLS, STORY, A, Facts, Step
from tests.registry.consumers.build import CONFIG, sha256

WRITING = ("open", "write", "fsync", "mkdir", "link", "rename", "replace")
"""Calls for which there may be no room."""

UNNOTICED = {"rmdir": "", "fchmod": "", "open": "goes", "read": "goes"}
"""Calls that may fail untold, and in which steps: what cannot be read can be deleted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How calls of these names fail: with this error; without one, a write takes half of its data."""

    name: str
    number: int
    status: int
    calls: tuple[str, ...] = ()

    def meets(self, call: Call) -> bool:
        """Whether a call may fail so."""
        return not self.calls or call.name in self.calls

    def __str__(self) -> str:
        return self.name


FAULTS = (
    Fault("EIO", errno.EIO, 503),
    Fault("ENOSPC", errno.ENOSPC, 507, WRITING),
    Fault("EDQUOT", errno.EDQUOT, 507, ("write", "fsync")),
    Fault("a short write", 0, 0, ("write",)),
    Fault("a short write, then ENOSPC", errno.ENOSPC, 507, ("write",)),
)


@dataclass
class Failing:
    """Lets one call fail, the one after `healthy` that the fault meets; an `Around` of `calls.seen`."""

    fault: Fault
    healthy: int
    met: list[Call] = field(default_factory=list)
    failed: Call | None = None

    def __call__(self, call: Call, do: Callable[..., Any], /) -> Any:
        if self.failed and self._goes_on_with(call):
            raise OSError(self.fault.number, os.strerror(self.fault.number))
        if self.failed or not self.fault.meets(call):
            return do()
        self.met.append(call)
        if len(self.met) <= self.healthy:
            return do()
        self.failed = call
        if call.name == "write" and self.fault.name.startswith("a short write"):
            return do(call.data[: (len(call.data) + 1) // 2])
        raise OSError(self.fault.number, os.strerror(self.fault.number))

    def _goes_on_with(self, call: Call) -> bool:
        """Whether a call writes the rest of what was written in part."""
        is_next = call.name == "write" and self.failed is not None and call.path == self.failed.path
        return is_next and self.fault.name.endswith("ENOSPC") and self.fault.name.startswith("a short")


@dataclass(frozen=True, slots=True)
class Stage:
    """A store before a step, in a folder, and what is to be seen of it before and after that."""

    step: Step
    folder: Path
    before: Facts
    after: Facts


@dataclass(frozen=True, slots=True)
class Stages:
    """A story told without a fault."""

    all: dict[str, Stage]
    key: Path

    @property
    def public(self) -> bytes:
        return keys.load(self.key.read_bytes()).public_pem


@pytest.fixture(scope="module")
def stages(memory: Path) -> Stages:
    """The store before each step."""
    folder = memory / "stages"
    folder.mkdir()
    key = folder / "key"
    key.write_bytes(keys.new_key().private_pem)
    found = Stages({}, key)

    async def tell() -> None:
        served = await serve(folder / "store", key)
        before = await seen(folder / "store", found.public)
        for step in (*STORY, *PULLS):
            kept = folder / step.name.replace(":", "")
            shutil.copytree(folder / "store", kept)
            assert (await step.do(served)).ok, step
            after = await seen(folder / "store", found.public)
            found.all[step.name] = Stage(step, kept, before, after)
            before = after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        asyncio.run(tell())
    return found


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure would print its traceback."""
    monkeypatch.setattr("registry.api.errors._log.error", lambda *_, **__: None)
    monkeypatch.setattr(logging.getLogger("sidecargo"), "disabled", True)


async def seen(root: Path, key: bytes) -> Facts:
    return await story.facts(story.opened(root), key)


async def at_rest(root: Path) -> bool:
    """Whether nothing of a store is open when all has ended that a request has begun."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=20)
    return not [name for name in open_files() if name.startswith(str(root))]


def open_files() -> list[str]:
    """What this process has open."""
    return [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("step", STORY, ids=str)
async def test_a_push_or_a_delete(
    stages: Stages, in_memory: Path, monkeypatch: pytest.MonkeyPatch, step: Step, fault: Fault
) -> None:
    """It is refused with a clear 503 or 507, or is whole; what was there stays; the same again succeeds."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    stage, told = stages.all[step.name], 0
    for healthy in range(1000):
        root = in_memory / "store"
        shutil.copytree(stage.folder, root)
        served, failing = await serve(root, stages.key), Failing(fault, healthy)
        with calls.seen(root, failing):
            reply = await step.do(served)
            rested = await at_rest(root)
        if failing.failed is None:
            break
        where = f"{failing.failed}, call {healthy} of {step} → {reply}"
        assert rested, where
        assert not [*(root / "temp").iterdir()] or failing.failed.name == "unlink", where
        now = await seen(root, stages.public)
        if reply.ok:
            unnoticed = UNNOTICED.get(failing.failed.name)
            assert not fault.status or (unnoticed is not None and step.name.endswith(unnoticed)), where
            assert now == stage.after, where
        else:
            told += 1
            assert is_clear(reply, fault.status), where
            assert story.between(now, stage.before, stage.after) == [], where
            again = await step.do(served)
            assert again.ok or (again.status == 404 and step.name.endswith("goes")), (where, again)
            assert await seen(root, stages.public) == stage.after, where
        await story.opened(root).sweep(age=-10)
        assert [*(root / "temp").iterdir(), *root.glob("uploads/*")] == [], where
        shutil.rmtree(root)
    else:
        raise AssertionError("the step has no end")
    assert reply.ok and await seen(in_memory / "store", stages.public) == stage.after
    assert told > 0 or not fault.status or not failing.met


@pytest.mark.parametrize("step", PULLS, ids=str)
async def test_a_pull(stages: Stages, step: Step) -> None:
    """It is answered as ever, with a clear 503, or is cut short; never with other bytes."""
    stage = stages.all[step.name]
    answer = await step.do(await serve(stage.folder, stages.key))
    outcomes: Counter[str] = Counter()
    for healthy in range(1000):
        served, failing = await serve(stage.folder, stages.key), Failing(FAULTS[0], healthy)
        with calls.seen(stage.folder, failing):
            reply = await step.do(served)
            rested = await at_rest(stage.folder)
        if failing.failed is None:
            break
        where = f"{failing.failed}, call {healthy} of {step} → {reply}"
        outcomes["as ever" if reply.ok else "refused" if reply.whole else "cut short"] += 1
        assert rested, where
        if reply.ok:
            assert (reply.status, reply.body) == (answer.status, answer.body), where
        elif reply.whole:
            assert is_clear(reply, 503), where
        else:
            assert answer.body.startswith(reply.body) and len(reply.body) < len(answer.body), where
            assert reply.fields["content-length"] == str(len(answer.body)), where
        again = await step.do(served)
        assert (again.status, again.body, again.whole) == (answer.status, answer.body, True), where
    assert reply.body == answer.body
    assert outcomes["refused"]
    assert bool(outcomes["cut short"]) == (step.name == "a part of a blob"), outcomes


def is_clear(reply: Reply, status: int) -> bool:
    """Whether an answer says what is wrong, in the spec's form, and when to come again."""
    if (reply.status, reply.whole) != (status, True) or not reply.fields.get("retry-after"):
        return False
    (said,) = json.loads(reply.body or b'{"errors": [{"code": "UNAVAILABLE", "message": "a HEAD"}]}')[
        "errors"
    ]
    return bool(said["code"] == "UNAVAILABLE" and said["message"])


# A file system that really is full


async def test_a_full_disk(small_disk: Path) -> None:
    """Pushes are refused until there is room; what is there is served meanwhile."""
    resize = await asyncio.create_subprocess_exec("mount", "-o", "remount,size=4m", small_disk)
    assert await resize.wait() == 0
    root, filler = small_disk / "store", small_disk / "filler"
    served = await serve(root)
    key = signing_key([], root).public_pem
    assert (await pushes(served, "first")).ok
    before = await seen(root, key)
    statuses = set()
    for room in range(0, 100, 4):
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(bytes(max(0, free - room * 1024)))
        reply = await pushes(served, f"p{room}")
        statuses.add(reply.status)
        assert reply.ok or is_clear(reply, 507), reply
        now = await seen(root, key)
        assert before.items() <= now.items()
        assert not reply.ok or now["tag", A, f"p{room}"] == story.plugin(f"p{room}").digest
        pull = await served.ask("GET", f"/v2/{A}/manifests/first")
        assert pull.body == story.plugin("first").body
        filler.unlink()
        assert (await pushes(served, f"p{room}")).ok
    assert statuses == {507, 201}, "there was no room at first, and enough in the end"


async def pushes(served: Served, title: str) -> Reply:
    """Push an image by all that docker does; the first answer that is an error, or the last."""
    shape = story.plugin(title)
    for data in (CONFIG, story.layer_of(shape)):
        head = await served.ask("HEAD", f"/v2/{A}/blobs/{sha256(data)}")
        if not head.ok and not (reply := await served.chunked(A, data)).ok:
            return reply
    return await served.put(A, title, shape)
