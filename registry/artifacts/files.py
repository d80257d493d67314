"""Named files of a folder or of a tar archive, in one form."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, cast

from registry.console.failure import Failure


class Files(Protocol):
    """Where the files of a stored image are."""

    @property
    def name(self) -> str:
        """How it is shown to the user."""

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def open(self, name: str) -> BinaryIO:
        """A file for reading; Failure when it is not there."""


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.path / name).is_file()

    def open(self, name: str) -> BinaryIO:
        """A file for reading; Failure when it is not there."""
        try:
            return (self.path / name).open("rb")
        except OSError as error:
            raise Failure(f"{self.path / name}: {error.strerror}.") from None


class Archive:
    """The files in a tar archive, plain or gzip; links inside it are followed."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        try:
            self._tar = tarfile.open(fileobj=file, mode="r:*")  # noqa: SIM115 - closed by __exit__
            self._members = {member.name.removeprefix("./"): member for member in self._tar}
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Failure(f"{name} is not a readable tar archive: {error}.") from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def has(self, name: str) -> bool:
        """Whether there is an entry of that name."""
        return name in self._members

    def open(self, name: str) -> BinaryIO:
        """A file for reading; Failure when it is not there."""
        member = self._members.get(name)
        try:
            found = self._tar.extractfile(member) if member else None
        except (tarfile.TarError, KeyError, RecursionError):
            found = None
        if found is None:
            raise Failure(f"{self.name} has no file {name}.", "Save the image anew.")
        return cast(BinaryIO, found)
