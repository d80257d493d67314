from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import bcrypt
import pytest

from registry.access import htpasswd
from registry.access.principal import Principal
from registry.access.robots import Robot, hashed
from registry.access.seal import Seal
from registry.access.slowness import FREE, LONGEST
from registry.audit.record import Origin, Record
from registry.login import door as door_module
from registry.login.audiences import Audiences
from registry.login.door import REMEMBERED_SECONDS, Door
from registry.login.passwords import Passwords
from registry.login.userfile import UserFile
from storage.errors import Busy, Unauthorized
from tests.registry.guarded import HASH, PASSWORD

HERE = "192.0.2.1"
SECRET = "scr_" + "s" * 43


def basic(name: str, secret: str = PASSWORD) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{secret}".encode())


class Counting(Passwords):
    """Counts what is looked at, and against which hash."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at: list[bytes] = []

    async def is_of(self, password: bytes, kept: bytes) -> bool:
        self.looked_at.append(kept)
        return await super().is_of(password, kept)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Entrance:
    """A door with alice and carol in a file, a robot, and what it looks at."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "users"
        self.file.write_text(f"alice:{HASH}\ncarol:{HASH}\n")
        self.passwords, self.clock = Counting(), Clock()
        self.audiences = Audiences(Seal())
        robots = (
            Robot("deploy", (hashed(SECRET.encode()),)),
            Robot("old", (hashed(SECRET.encode()),), date(1970, 1, 1)),
        )
        self.records: list[Record] = []
        self.door = Door(
            UserFile(self.file, robots),
            self.audiences,
            audit=self.records.append,
            passwords=self.passwords,
            clock=self.clock,
        )

    async def enter(self, *shown: bytes, address: str = HERE) -> Principal:
        return await self.door.enter(shown, Origin(address, "r1"))

    async def refused(self, *shown: bytes, address: str = HERE) -> str:
        with pytest.raises(Unauthorized) as refusal:
            await self.enter(*shown, address=address)
        return refusal.value.message


@pytest.fixture
async def entrance(tmp_path: Path) -> AsyncIterator[Entrance]:
    entrance = Entrance(tmp_path)
    yield entrance
    await entrance.door.close()


async def test_who_shows_nothing_is_anonymous(entrance: Entrance) -> None:
    assert await entrance.enter() == Principal("", HERE)
    assert await entrance.enter(basic("", "")) == Principal("", HERE), "as clients without a password say it"
    assert entrance.passwords.looked_at == []


async def test_users_and_robots(entrance: Entrance) -> None:
    alice = await entrance.enter(basic("alice"))
    assert (alice.name, alice.address, alice.scopes) == ("user:alice", HERE, None)
    robot = await entrance.enter(basic("deploy", SECRET))
    assert robot.name == "robot:deploy"
    assert len(entrance.passwords.looked_at) == 1, "a robot's secret needs no slow hash"


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ((basic("alice", "wrong"),), "the name or the password is wrong."),
        ((basic("mallory"),), "the name or the password is wrong."),
        ((basic("deploy"),), "the name or the password is wrong."),
        ((basic("alice", SECRET),), "the name or the password is wrong."),
        ((basic("deploy", hashed(SECRET.encode())),), "the name or the password is wrong."),
        ((basic("", "x"),), "the name or the password is wrong."),
        ((basic("old", SECRET),), "the robot old expired on 1970-01-01."),
        ((b"Basic x",), "the Authorization header cannot be read."),
        ((b"",), "the Authorization header cannot be read."),
        ((basic("alice"), basic("alice")), "the Authorization header cannot be read."),
        ((b"Bearer x.y.z",), "the token is not good any more."),
    ],
)
async def test_what_is_not_right(entrance: Entrance, shown: tuple[bytes, ...], message: str) -> None:
    assert await entrance.refused(*shown) == message
    assert entrance.audiences.identify(entrance.audiences.seal(shown[0])) is None


@pytest.mark.parametrize("secret", ["wrong", "", "x" * 500], ids=["wrong", "empty", "long"])
async def test_an_unknown_name_takes_as_long_as_a_wrong_password(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    work: list[int] = []
    check = bcrypt.checkpw

    def checked(password: bytes, kept: bytes) -> bool:
        found = check(password, kept)  # raises at once for what is no hash: that is no work
        work.append(htpasswd.cost_of(kept))
        return found

    monkeypatch.setattr(bcrypt, "checkpw", checked)
    for name in ("alice", "mallory", "deploy", "old", "no name"):
        await entrance.refused(basic(name, secret))
        assert work == [4], f"{name} takes one hash of the same cost"
        work.clear()


async def test_a_right_password_is_looked_at_once_for_all(entrance: Entrance) -> None:
    everybody = await asyncio.gather(*(entrance.enter(basic("alice"), address=str(at)) for at in range(50)))
    assert {one.name for one in everybody} == {"user:alice"}
    assert [one.address for one in everybody] == [str(at) for at in range(50)]
    await entrance.enter(basic("alice"))
    assert len(entrance.passwords.looked_at) == 1
    entrance.clock.now += REMEMBERED_SECONDS
    await entrance.enter(basic("alice"))
    assert len(entrance.passwords.looked_at) == 2


async def test_whose_line_has_gone_is_out_at_once(entrance: Entrance) -> None:
    await entrance.enter(basic("alice"))
    entrance.file.write_text(f"carol:{HASH}\n")
    await entrance.refused(basic("alice"))
    await entrance.enter(basic("carol"))
    entrance.file.write_text(f"alice:{htpasswd.hashed(b'another')}\n")
    await entrance.refused(basic("alice"))
    assert (await entrance.enter(basic("alice", "another"))).name == "user:alice"


async def test_wrong_passwords_are_slowed_and_right_ones_that_are_remembered_never(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    await entrance.enter(basic("alice"))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(door_module, "time", SimpleNamespace(monotonic=lambda: 0.0, time=time.time))
    for at in range(FREE + int(LONGEST)):
        await entrance.refused(basic("alice", f"wrong {at}"))
    assert waits[:FREE] == [0.0] * FREE
    assert waits[FREE:] == sorted(waits[FREE:]) and 0 < waits[FREE] < waits[-1] <= LONGEST
    with pytest.raises(Busy):
        await entrance.enter(basic("alice", "wrong"))
    looked_at = len(entrance.passwords.looked_at)
    assert (await entrance.enter(basic("alice"))).name == "user:alice"
    assert len(entrance.passwords.looked_at) == looked_at
    await entrance.refused(basic("alice", "wrong"), address="192.0.2.2")
    await entrance.refused(basic("carol", "wrong"))
    assert (await entrance.enter(basic("deploy", SECRET))).name == "robot:deploy"


async def test_a_mesh_with_a_secret_that_was_replaced_takes_nobody_s_turn(entrance: Entrance) -> None:
    for name in ("deploy", "alice", "mallory"):
        for _ in range(100):
            message = await entrance.refused(basic(name, "scr_" + "o" * 43))
            assert message == "the name or the password is wrong."
    assert entrance.passwords.looked_at == []
    assert (await entrance.enter(basic("alice"))).name == "user:alice"


async def test_a_login_that_failed_is_recorded_with_name_and_origin_and_no_secret(entrance: Entrance) -> None:
    await entrance.refused(basic("alice", "hunter2"))
    await entrance.refused(basic("x\nlogin failed: name=hunter2", "hunter2"))
    await entrance.refused(basic("old", SECRET))
    failed = partial(Record, "login", "failed", origin=Origin(HERE, "r1"))
    assert entrance.records == [
        failed(who="alice", problems=("wrong",)),
        failed(who="?", problems=("wrong",)),
        failed(who="old", problems=("expired",)),
    ]
    held = repr(entrance.records)
    assert "hunter2" not in held and SECRET not in held


async def test_nothing_that_is_remembered_is_a_credential(entrance: Entrance) -> None:
    await entrance.enter(basic("alice"))
    await entrance.enter(basic("deploy", SECRET))
    held = repr([entrance.door._right._held, entrance.audiences._known])
    assert "alice" in held
    assert PASSWORD not in held and SECRET not in held and basic("alice").decode() not in held


async def test_where_nobody_is_known_nothing_is_looked_at(tmp_path: Path) -> None:
    door = Door(UserFile(None), Audiences(Seal()), is_open=True)
    assert await door.enter([b"Basic x", b"y"], Origin(HERE)) == Principal("", HERE)
    await door.close()
