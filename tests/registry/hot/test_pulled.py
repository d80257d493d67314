from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from registry.hot import pulled as pulling
from registry.hot.pulled import Pulled, what
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.pulls import AGENT, Pull, Pulls
from storage.store import Store
from tests.storage.unsteady import Unsteady

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(DiskDriver(tmp_path), upload_limit=1)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_is_noted_is_kept_once(store: Store) -> None:
    pulled = Pulled()
    at = int(time.time())
    pulled.note(what("team/a", ONE), "robot:deploy group:x limited repository:y", b"docker/29", now() - 100)
    pulled.note(what("team/a", ONE), "everybody", b"", now())
    pulled.note(what("team/a", ONE, "0123"), "everybody", b"Envoy", now() - 50)
    pulled.note(what("team/b", TWO), "user:alice", b"crane", now())
    there = pulled.of("team/a", ONE)
    await pulled.keep(store)
    assert len(pulled) == 0 and pulled.of("team/a", ONE) == ()
    kept = await store.pulls("team/a").of(ONE)
    assert [(pull.by, pull.agent) for pull in kept] == [
        ("", ""),
        ("url:0123", "Envoy"),
        ("robot:deploy", "docker/29"),
    ]
    for pull, past, shown in zip(kept, (0, 50, 100), there, strict=True):
        assert -2 <= pull.at - (at - past) <= 60
        assert abs(shown.at - pull.at) <= 1
    assert [pull.by for pull in await store.pulls("team/b").of(TWO)] == ["user:alice"]


async def test_nothing_is_written_while_nothing_was_pulled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Pulls, "note")
    await Pulled().keep(store)


async def test_what_fails_stays_noted(tmp_path: Path) -> None:
    unsteady = Unsteady(DiskDriver(tmp_path))
    store, pulled = Store(unsteady.driver, upload_limit=1), Pulled()
    pulled.note(what("team/a", ONE), "everybody", b"", now())
    unsteady.down = True
    with pytest.raises(StoreUnavailable):
        await pulled.keep(store)
    assert len(pulled) == 1
    unsteady.down = False
    await pulled.keep(store)
    assert len(await store.pulls("team/a").of(ONE)) == 1
    assert len(pulled) == 0


async def test_who_pulls_again_while_it_is_kept_stays_noted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled, note = Pulled(), Pulls.note

    async def late(self: Pulls, digest: Digest, pulls: object) -> None:
        await note(self, digest, pulls)  # type: ignore[arg-type]
        pulled.note(what("team/a", ONE), "everybody", b"", now() + 1)

    monkeypatch.setattr(Pulls, "note", late)
    pulled.note(what("team/a", ONE), "everybody", b"", now())
    await pulled.keep(store)
    assert len(pulled) == 1


async def test_many_are_kept_by_and_by(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_MOST_AT_ONCE", 2)
    pulled = Pulled()
    for data in (b"1", b"2", b"3"):
        pulled.note(what("team/a", Digest.of(data)), "everybody", b"", now())
    await pulled.keep(store)
    assert len(pulled) == 1
    await pulled.keep(store)
    assert len(pulled) == 0
    assert [len(await store.pulls("team/a").of(Digest.of(data))) for data in (b"1", b"2", b"3")] == [1, 1, 1]


async def test_beyond_its_bound_agents_are_not_told_apart_and_then_nobody_new_is_noted() -> None:
    pulled = Pulled(most=3)
    for number in range(10):
        pulled.note(what("team/a", ONE), "everybody", b"agent/%d" % number, now())
    assert {pull.agent for pull in pulled.of("team/a", ONE)} == {"agent/0", "agent/1", "agent/2", ""}
    for number in range(10):
        pulled.note(what("team/a", ONE), f"user:{number}", b"x", now() + 1)
    assert len(pulled) == 6
    pulled.note(what("team/a", ONE), "everybody", b"agent/1", now() + 5)
    assert pulled.of("team/a", ONE)[0].agent == "agent/1", "who is noted is noted again"


async def test_an_agent_is_text_of_bounded_length() -> None:
    pulled = Pulled()
    pulled.note(what("team/a", ONE), "everybody", b"<b>\x1b[31m\t\xff\n" + b"x" * 1000, now())
    ((by, agent, _),) = [(pull.by, pull.agent, pull.at) for pull in pulled.of("team/a", ONE)]
    assert by == "" and len(agent) == AGENT
    assert agent.startswith("<b>?[31m?\u00ff?xxx")


async def test_names_that_begin_alike_are_others() -> None:
    pulled = Pulled()
    pulled.note(what("team/a", ONE), "everybody", b"", now())
    for repository in ("team", "team/", "team/ab", "a"):
        assert pulled.of(repository, ONE) == ()
    assert isinstance(pulled.of("team/a", ONE)[0], Pull)
