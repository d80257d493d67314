"""A server that asks for signatures, in this process, where a test says who may push.

There who may not push is whose request has come by way of a proxy: his address is not known.
"""

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
from registry.access.principal import Principal
from registry.access.rights import Right
from registry.access.rules import Rules
from registry.settings import Settings, values
from registry.workers import listen
from tests.registry.publish.looks import InThread

PULLER = {"X-Forwarded-For": "192.0.2.1"}


_allow = Rules.allow


def _allowed(rules: Rules, principal: Principal, right: Right, repository: str | None) -> bool:
    is_pusher = right is not Right.PUSH or bool(principal.address)
    return is_pusher and _allow(rules, principal, right, repository)


@contextmanager
def verifying(folder: Path, keys: list[Path], repositories: str = "prod/**", **more: Any) -> Iterator[str]:
    """Run it on `folder`; its host. `more` are other settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rules, "allow", _allowed)
        patch.setattr(values, "everybody_may_push", lambda _: False)
        patch.setattr(composition, "Inspectors", InThread)
        (listener,) = listen("127.0.0.1", 0, 1)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        rule = {"repositories": repositories, "keys": [str(key) for key in keys]}
        settings = Settings(
            **{
                "storage": {"url": str(folder / "data")},
                "server": {"public_url": f"http://{host}"},
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
