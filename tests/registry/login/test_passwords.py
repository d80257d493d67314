import asyncio
import threading

import pytest

from registry.access import htpasswd
from registry.login.passwords import Passwords
from storage.errors import Busy
from tests.registry.guarded import HASH, PASSWORD


async def test_right_and_wrong() -> None:
    passwords = Passwords()
    assert await passwords.is_of(PASSWORD.encode(), HASH.encode())
    assert not await passwords.is_of(b"x", HASH.encode())
    await passwords.close()


async def test_no_more_wait_than_can(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(htpasswd, "is_of", lambda *_: gate.wait(10))
    passwords = Passwords(threads=1, waiting=2)
    looks = [asyncio.create_task(passwords.is_of(b"x", b"y")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.is_of(b"x", b"y")
    gate.set()
    assert await asyncio.gather(*looks) == [True] * 3
    assert await passwords.is_of(b"x", b"y")
    await passwords.close()
