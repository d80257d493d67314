"""Copying content between repositories as it is: every byte stays, and is checked on its way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from registry.client.remote import Fetched, Remote, Stored
from registry.client.transport import RemoteError
from registry.console.failure import Failure, Refusal
from storage import manifest as manifests
from storage.digest import Digest
from storage.errors import ManifestInvalid
from storage.manifest import Descriptor, Manifest


@dataclass(frozen=True, slots=True)
class Place:
    """A repository in a registry."""

    remote: Remote
    repository: str

    def __str__(self) -> str:
        return f"{self.remote.host}/{self.repository}"


@contextmanager
def taking() -> Iterator[None]:
    """What the destination does not take is a refusal: it could be read, and the answer is no."""
    try:
        yield
    except RemoteError as error:
        raise Refusal(error.message) from None


def read(fetched: Fetched, name: str) -> Manifest:
    """A manifest as a value; raises Failure."""
    try:
        return manifests.parse(fetched.body, fetched.media_type)
    except ManifestInvalid as error:
        raise Failure(f"{name}@{fetched.digest}: {error.message}", error.fix) from None


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies from one repository to another.

    Everything raises RemoteError or Failure for what cannot be read, Refusal for what is not taken.
    """

    source: Place
    destination: Place

    def blobs(self, entries: Iterable[Descriptor], advance: Callable[[int], object]) -> None:
        """Copy blobs that are not there; `advance` is told the bytes that are done."""
        done: set[Digest] = set()
        for entry in entries:
            if entry.digest not in done:
                done.add(entry.digest)
                self._blob(entry, advance)

    def manifest(self, fetched: Fetched, target: str | Digest) -> Stored:
        """Copy a manifest whose blobs are there, under a tag or its digest."""
        with taking():
            return self.destination.remote.put_manifest(
                self.destination.repository, target, fetched.body, fetched.media_type
            )

    def _blob(self, entry: Descriptor, advance: Callable[[int], object]) -> None:
        to, repository = self.destination.remote, self.destination.repository
        with taking():
            if to.has_blob(repository, entry.digest) or self._mounted(entry.digest):
                advance(entry.size)
                return
        with tempfile.TemporaryFile() as file:
            for piece in self.source.remote.blob(self.source.repository, entry):
                file.write(piece)
                advance(len(piece))
            file.seek(0)
            with taking():
                to.put_blob(repository, entry.digest, entry.size, cast(BinaryIO, file))

    def _mounted(self, digest: Digest) -> bool:
        if self.source.remote.host != self.destination.remote.host:
            return False
        return self.destination.remote.mount_blob(self.destination.repository, digest, self.source.repository)
