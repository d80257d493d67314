"""Tags and repositories over HTTP against a model, while another process changes them in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.store import Store
from tests.real.sidecargo import Sidecargo
from tests.registry.api.test_tags import following
from tests.registry.talk import Connection

ONE = Descriptor(OCI_MANIFEST, Digest.of(b"1"), 1)
TAGS = st.from_regex(r"[ab0_V][ab0._-]{0,3}", fullmatch=True)
SEGMENTS = st.from_regex(r"[ab0]{1,2}([-._][ab0]{1,2})?", fullmatch=True)
REPOSITORIES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
SIZES = st.one_of(st.none(), st.integers(0, 6))


class Model(RuleBasedStateMachine):
    """What comes and goes in a store, and what the servers over it list."""

    connection: Connection
    driver: DiskDriver

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.repositories = {"model"}
        asyncio.run(self._clear())

    async def _clear(self) -> None:
        for folder in (paths.tags("model"), paths.CATALOG):
            for name in (await self.driver.children(folder)).names:
                await self.driver.delete(f"{folder}/{name}")
        await self.driver.put(paths.catalog("model"), b"")

    @rule(name=TAGS)
    def tag(self, name: str) -> None:
        asyncio.run(Store(self.driver, upload_limit=1).repository("model").tags.put(name, ONE))
        self.tags.add(name)

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def untag(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        answer = self.connection.ask("DELETE", f"/v2/model/manifests/{name}")
        assert answer.status == 202
        self.tags.remove(name)

    @rule(name=REPOSITORIES)
    def enter(self, name: str) -> None:
        asyncio.run(self.driver.put(paths.catalog(name), b""))
        self.repositories.add(name)

    @precondition(lambda self: len(self.repositories) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.repositories - {"model"})))
        asyncio.run(self.driver.delete(paths.catalog(name)))
        self.repositories.remove(name)

    @rule(n=SIZES, last=st.one_of(st.none(), TAGS))
    def list_tags(self, n: int | None, last: str | None) -> None:
        self._page("/v2/model/tags/list", "tags", self.tags, n, last)

    @rule(n=SIZES, last=st.one_of(st.none(), REPOSITORIES))
    def list_repositories(self, n: int | None, last: str | None) -> None:
        self._page("/v2/_catalog", "repositories", self.repositories, n, last)

    @rule(n=st.integers(1, 6))
    def walk(self, n: int) -> None:
        for path, field, wanted in (
            ("/v2/model/tags/list", "tags", self.tags),
            ("/v2/_catalog", "repositories", self.repositories),
        ):
            found: list[str] = []
            page = f"{path}?n={n}"
            while page:
                answer = self.connection.ask("GET", page)
                found += answer.json[field]
                page = following(answer, f"{path}?")
            assert found == sorted(wanted)

    def _page(self, path: str, field: str, wanted: set[str], n: int | None, last: str | None) -> None:
        words = [f"n={n}"] if n is not None else []
        words += [f"last={quote(last, safe='')}"] if last is not None else []
        answer = self.connection.ask("GET", f"{path}?{'&'.join(words)}")
        after = sorted(name for name in wanted if name > (last or ""))
        assert (answer.status, answer.json[field]) == (200, after[: len(after) if n is None else n])
        more = n is not None and 0 < n < len(after)
        assert bool(answer.all("link")) == more


@pytest.mark.slow
def test_model(serve: Callable[..., Sidecargo], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve("--workers", "2")
    with Connection(server.host) as connection:
        monkeypatch.setattr(Model, "connection", connection, raising=False)
        monkeypatch.setattr(Model, "driver", DiskDriver(server.folder / "data"), raising=False)
        Model.TestCase.settings = settings(max_examples=20, stateful_step_count=25)
        Model.TestCase().runTest()
