"""The release of the format before, as it read and wrote a store: to be run beside this one.

It knew format 1 only: a manifest's bytes were a blob, its record alone under `_manifests/`; a tag was its
record; whatever it read as a record had to be one, with nothing after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from storage import paths
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectExists, ObjectMissing


class Refused(Exception):
    """What that release answered instead: 404 or 503."""


class Former:
    """Its store, opened; raises Refused where it does not know the format."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open(self) -> None:
        with contextlib.suppress(ObjectExists):
            await self._driver.create(paths.FORMAT, b'{"format":1}')
            return
        if json.loads(await self._driver.get(paths.FORMAT)).get("format") != 1:
            raise Refused("format")

    async def push(self, name: str, body: bytes, blobs: Sequence[bytes] = (), *tags: str) -> Digest:
        """A client's push: blobs, then the manifest, then its tags."""
        for blob in blobs:
            await self.put_blob(name, blob)
        document, digest = json.loads(body), Digest.of(body)
        descriptor = {"mediaType": document["mediaType"], "digest": str(digest), "size": len(body)}
        for named in (document["config"], *document["layers"]):
            if await self.blob_size(name, Digest.parse(named["digest"])) != named["size"]:
                raise Refused("MANIFEST_BLOB_UNKNOWN")
        refer = self._refer(name, document, descriptor)
        await asyncio.gather(self._driver.put(paths.blob(digest), body), self._enter(name), refer)
        await self._link(name, digest, descriptor)
        for tag in tags:
            await self._driver.put(paths.tag(name, tag), _written(descriptor))
            if not await self._has(paths.manifest(name, digest)):
                await self._link(name, digest, descriptor)
        return digest

    async def put_blob(self, name: str, blob: bytes) -> None:
        digest, record = Digest.of(blob), _written({"size": len(blob)})
        await self._driver.put(paths.blob(digest), blob)
        key = paths.blob_link(name, digest)
        try:
            await self._driver.create(key, record)
        except ObjectExists:
            if await self._driver.get(key) != record:
                await self._driver.put(key, record)

    async def blob_size(self, name: str, digest: Digest) -> int | None:
        with contextlib.suppress(Refused):
            return int((await self._record(paths.blob_link(name, digest)))["size"])
        return None

    async def pull_blob(self, name: str, digest: Digest) -> bytes:
        await self._record(paths.blob_link(name, digest))
        with contextlib.suppress(ObjectMissing):
            return await self._driver.get(paths.blob(digest))
        raise Refused("503")

    async def pull(self, name: str, reference: str | Digest) -> bytes:
        """A manifest by tag or digest."""
        digest = reference
        if isinstance(digest, str):
            digest = Digest.parse((await self._record(paths.tag(name, digest)))["digest"])
        await self._record(paths.manifest(name, digest))
        with contextlib.suppress(ObjectMissing):
            body = await self._driver.get(paths.blob(digest))
            if Digest.of(body) == digest:
                return body
        raise Refused("503")

    async def delete(self, name: str, digest: Digest) -> None:
        """A manifest, and the tags that name it."""
        document = json.loads(await self.pull(name, digest))
        await self._forget(name, digest)
        await self._driver.delete(paths.manifest(name, digest))
        await self._forget(name, digest)
        if subject := document.get("subject"):
            await self._driver.delete(paths.referrer(name, Digest.parse(subject["digest"]), digest))

    async def untag(self, name: str, tag: str) -> None:
        if not await self._driver.delete(paths.tag(name, tag)):
            raise Refused("404")

    async def tags(self, name: str) -> list[str]:
        return list((await self._driver.children(paths.tags(name))).names)

    async def referrers(self, name: str, subject: Digest) -> list[str]:
        folder = paths.referrers(name, subject)
        rows = [await self._record(f"{folder}/{one}") for one in (await self._driver.children(folder)).names]
        return [
            row["digest"]
            for row in rows
            if await self._has(paths.manifest(name, Digest.parse(row["digest"])))
        ]

    async def _forget(self, name: str, digest: Digest) -> None:
        for tag in await self.tags(name):
            key = paths.tag(name, tag)
            with contextlib.suppress(ObjectMissing, ObjectChanged):
                held = await self._driver.get(key)
                if (await self._record(key))["digest"] == str(digest):
                    await self._driver.delete(key, expected=held)

    async def _enter(self, name: str) -> None:
        with contextlib.suppress(ObjectExists):
            await self._driver.create(paths.catalog(name), b"")

    async def _refer(self, name: str, document: dict[str, Any], descriptor: dict[str, Any]) -> None:
        if subject := document.get("subject"):
            kind = document.get("artifactType") or document["config"]["mediaType"]
            row = paths.referrer(name, Digest.parse(subject["digest"]), Digest.parse(descriptor["digest"]))
            await self._driver.put(row, _written(descriptor | {"artifactType": kind}))

    async def _link(self, name: str, digest: Digest, descriptor: dict[str, Any]) -> None:
        with contextlib.suppress(ObjectExists):
            await self._driver.create(paths.manifest(name, digest), _written(descriptor))

    async def _record(self, key: str) -> dict[str, Any]:
        try:
            found = json.loads(await self._driver.get(key))
        except ObjectMissing:
            raise Refused("404") from None
        except ValueError:
            raise Refused("503") from None
        assert isinstance(found, dict)
        return found

    async def _has(self, key: str) -> bool:
        with contextlib.suppress(ObjectMissing):
            await self._driver.stat(key)
            return True
        return False


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
