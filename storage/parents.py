"""Which indexes name a manifest of a repository: the edge from an index to its child, turned round.

A hint only: whoever follows it looks into the index. It is written where somebody asks for it; garbage
collection takes a row whose index has gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from storage import paths
from storage.digest import Digest
from storage.driver import Driver
from storage.together import together

MOST = 64
"""How many indexes of a child are told."""


class Parents:
    """Edges from manifests to the indexes that name them."""

    def __init__(self, driver: Driver, repository: str) -> None:
        self._driver = driver
        self._repository = repository

    async def note(self, index: Digest, children: Iterable[Digest]) -> None:
        """Note that an index names these. Again is fine."""
        keys = [paths.parent(self._repository, child, index) for child in dict.fromkeys(children)]
        await together(*(self._driver.put(key, b"") for key in keys))

    async def of(self, child: Digest) -> list[Digest]:
        """The indexes that are noted of a child."""
        page = await self._driver.children(paths.parents(self._repository, child), limit=MOST)
        return [Digest.parse(name) for name in page.names]
