"""A server that asks for signatures, in this process: one robot may push, everybody may pull."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from registry import app as composition
from registry import storages
from registry.access.robots import hashed
from registry.settings import Settings
from registry.workers import listen
from tests.registry.guarded import SECRET, basic
from tests.registry.publish.looks import InThread
from tests.registry.talk import Registry

NAME = "pusher"
_ACCESS = {
    "robots": [{"name": NAME, "secrets": [hashed(SECRET.encode())]}],
    "rules": [
        {"repositories": "**", "who": [f"robot:{NAME}"], "may": ["pull", "push", "delete", "admin"]},
        {"repositories": "**", "who": ["anonymous"], "may": ["pull"]},
    ],
}


def pusher(host: str, name: str) -> Registry:
    """A repository as the robot has it."""
    return Registry(host, name, basic(NAME, SECRET))


def puller(registry: Registry) -> Registry:
    """A repository as everybody has it."""
    return Registry(registry.host, registry.name)


@contextmanager
def verifying(folder: Path, keys: list[Path], repositories: str = "prod/**", **more: Any) -> Iterator[str]:
    """Run it on `folder`; its host. `more` are other settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "Inspectors", InThread)
        (listener,) = listen("127.0.0.1", 0, 1)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        rule = {"repositories": repositories, "keys": [str(key) for key in keys]}
        settings = Settings(
            **{
                "storage": {"url": str(folder / "data")},
                "server": {"public_url": f"http://{host}"},
                "access": _ACCESS,
                "verification": [rule],
                **more,
            }
        )
        asyncio.run(storages.prepared(settings))
        wired = composition.wire(settings)
        server = uvicorn.Server(
            uvicorn.Config(wired.app, http=wired.protocol, log_config=None, lifespan="on")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "it does not start"
                thread.join(0.01)
            yield host
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "it does not stop"
