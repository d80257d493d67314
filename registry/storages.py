"""From settings to the place that keeps content: a folder, or a bucket with a memory in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.settings import Settings
from storage import paths
from storage.disk import DiskDriver
from storage.driver import Driver, Locates, ObjectMissing, Opens, Peek
from storage.errors import StoreUnavailable
from storage.quota.accounted import Accounted
from storage.quota.quotas import Quotas
from storage.remembered import Remembered
from storage.store import Store

if TYPE_CHECKING:
    from storage.s3.client import S3Options
    from storage.s3.driver import S3Driver


_log = logging.getLogger("sidecargo")


@dataclass(frozen=True, slots=True)
class Place:
    """Where content is: its driver, what pulls read by, what the hot path looks at, a folder for spools.

    `folder` is where it lies, if that is on disk; `remembered` is the memory in front of it, if it has one;
    `locates` tells where clients fetch large content themselves, if they are to, `opens` gives it as open
    files. `driver` keeps the books of `quotas`, where there are any.
    `close` when it is not needed any more.
    """

    driver: Driver
    pulls: Driver
    peek: Peek
    temp: Path
    close: Callable[[], Awaitable[None]]
    folder: Path | None = None
    remembered: Remembered | None = None
    locates: Locates | None = None
    opens: Opens | None = None
    quotas: Quotas | None = None


def opened(settings: Settings, made: Collection[str] = ()) -> Place:
    """The place that these settings name; on disk it is made, with the folders `made`. Raises StoreError."""
    if settings.storage.in_s3:
        return _with_quotas(_bucket(settings), settings)
    folder = _folder(settings)
    disk = DiskDriver(folder, made)
    return _with_quotas(
        Place(disk, disk, disk, folder / "temp", _nothing, folder=folder, opens=disk), settings
    )


async def prepared(settings: Settings) -> Path | None:
    """Make the place one of this release, and sure that it can be used; the folder, if it is one.

    Raises StoreError.
    """
    place = opened(settings, paths.blob_folders("sha256"))
    try:
        if settings.storage.in_s3:
            await _try_out(settings)
        found = await Store(place.driver, upload_limit=settings.limits.upload).open()
    finally:
        await place.close()
    if not found.is_settled:
        _log.warning(
            "the store has content of format %d and is served so, beside older releases; "
            "when none of them serves it any more, run sidecargo migrate",
            found.former or found.number,
        )
    return place.folder


@contextlib.asynccontextmanager
async def existing(settings: Settings) -> AsyncIterator[Place]:
    """The place where there is content already: nothing is made. Raises StoreUnavailable, FormatUnknown."""
    _must_have_begun(settings)
    place = opened(settings)
    try:
        try:
            await place.driver.stat(paths.FORMAT)
        except ObjectMissing:
            raise _no_storage(settings.storage.url) from None
        await Store(place.driver, upload_limit=settings.limits.upload).open()
        yield place
    finally:
        await place.close()


def folder(settings: Settings) -> Path | None:
    """The folder that content is kept in; None for a bucket."""
    return None if settings.storage.in_s3 else _folder(settings)


def _folder(settings: Settings) -> Path:
    return Path(settings.storage.url).resolve()


def _must_have_begun(settings: Settings) -> None:
    """Of a folder it is seen before it is opened, which would make it."""
    if not settings.storage.in_s3 and not (_folder(settings) / paths.FORMAT).is_file():
        raise _no_storage(str(_folder(settings)))


def _bucket(settings: Settings) -> Place:
    s3 = _driver(settings)
    stale = settings.storage.cache.stale_if_error.total_seconds()
    remembered = Remembered(s3, stale_if_error=stale)
    temp = Path(tempfile.mkdtemp(prefix="sidecargo-"))

    async def close() -> None:
        await remembered.close()
        await asyncio.to_thread(s3.close)
        await asyncio.to_thread(shutil.rmtree, temp, ignore_errors=True)

    # What writes asks the store, each time: only pulls may be answered by what was seen a moment ago.
    return Place(
        remembered.asking,
        remembered,
        remembered,
        temp,
        close,
        remembered=remembered,
        locates=s3 if settings.storage.redirect == "presigned" else None,
    )


def _with_quotas(place: Place, settings: Settings) -> Place:
    """The same place; what has no quota costs nothing more."""
    if not (rules := settings.limits.quotas):
        return place
    quotas = Quotas(place.driver, rules)

    async def close() -> None:
        await quotas.close()
        await place.close()

    return replace(place, driver=Accounted(place.driver, quotas), quotas=quotas, close=close)


async def _try_out(settings: Settings) -> None:
    from storage.s3.probe import probe  # noqa: PLC0415

    s3 = _driver(settings)
    try:
        await probe(s3)
    finally:
        s3.close()


def _driver(settings: Settings) -> S3Driver:
    # Here: boto3 is much to load, and a store on disk needs none of it.
    from storage.s3.driver import S3Driver  # noqa: PLC0415

    return S3Driver(_options(settings))


def _options(settings: Settings) -> S3Options:
    from storage.s3.client import S3Options  # noqa: PLC0415

    said = settings.storage.s3
    bucket, _, prefix = settings.storage.url.removeprefix("s3://").partition("/")
    return S3Options(
        bucket,
        f"{prefix}/" if prefix else "",
        path_style=said.path_style,
        encryption=said.encryption,
        kms_key=said.kms_key,
        storage_class=said.storage_class,
    )


def _no_storage(shown: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{shown} is no storage of a registry.",
        fix="Name what is served: --storage DIR or s3://BUCKET/PREFIX.",
    )


async def _nothing() -> None:
    pass
