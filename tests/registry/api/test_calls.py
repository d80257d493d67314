"""What listings cost over HTTP in a store in S3, in calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from registry.access.principal import Principal
from registry.access.rules import Rules
from registry.api import catalog, tags
from registry.api.call import Call
from storage import paths
from storage.digest import Digest
from storage.errors import NameUnknown
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.s3.client import S3Options
from storage.s3.driver import S3Driver
from storage.store import Store
from tests.real.seaweed import Bucket
from tests.storage.s3.faults import Wire
from tests.storage.streams import outcome

pytestmark = pytest.mark.real

NAMES = [f"team/r{at:03}" for at in range(250)]
TAGS = [f"v{at:03}" for at in range(250)]
RECORD = json.dumps(Descriptor(OCI_MANIFEST, Digest.of(b""), 0).to_json()).encode()


def asked(store: Store, query: str, name: str | None = None) -> Call:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "headers": [],
        "query_string": query.encode(),
    }
    services = cast(Any, SimpleNamespace(pulls=store, rules=Rules()))
    return Call(Request(scope), services, cast(Principal, None), store.repository(name) if name else None)


@pytest.fixture
async def filled(bucket: Bucket, s3_driver: Callable[[S3Options], S3Driver]) -> tuple[Store, Wire]:
    """A store with NAMES, of which the first has TAGS and the second none."""
    driver = s3_driver(S3Options(bucket.name, bucket.prefix))
    await driver.put_in_order([{paths.catalog(name): b"" for name in NAMES}])
    await driver.put_in_order([{paths.tag(NAMES[0], tag): RECORD for tag in TAGS}])
    return Store(driver, upload_limit=1), Wire(driver)


async def test_a_page_of_the_catalog(filled: tuple[Store, Wire]) -> None:
    store, wire = filled
    for query, found in (("n=100", NAMES[:100]), (f"n=100&last={NAMES[99]}", NAMES[100:200])):
        answer = await catalog.get(asked(store, query))
        assert json.loads(bytes(answer.body))["repositories"] == found
        assert wire.calls == ["ListObjectsV2"]
        wire.forget()


@pytest.mark.parametrize(
    ("query", "name", "found", "calls"),
    [
        ("n=100", NAMES[0], TAGS[:100], "ListObjectsV2"),
        ("n=100&last=v099", NAMES[0], TAGS[100:200], "ListObjectsV2"),
        ("", NAMES[0], TAGS, "ListObjectsV2"),
        ("last=w", NAMES[0], [], "ListObjectsV2 HeadObject"),
        ("n=0", NAMES[0], [], "HeadObject"),
        ("", NAMES[1], [], "ListObjectsV2 HeadObject"),
    ],
)
async def test_a_page_of_tags(
    filled: tuple[Store, Wire], query: str, name: str, found: list[str], calls: str
) -> None:
    store, wire = filled
    answer = await tags.get(asked(store, query, name))
    assert json.loads(bytes(answer.body)) == {"name": name, "tags": found}
    assert " ".join(wire.calls) == calls


async def test_tags_of_a_repository_that_is_not_here(filled: tuple[Store, Wire]) -> None:
    store, wire = filled
    assert await outcome(tags.get(asked(store, "", "team/none"))) is NameUnknown
    assert wire.calls == ["ListObjectsV2", "HeadObject"]
