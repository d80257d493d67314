from __future__ import annotations

import pytest

from storage import paths
from storage.digest import Digest
from storage.fsck import keys
from storage.fsck.keys import Bytes, DerivedFrom, Entry, Link, ManifestAt, Other, Row, Tag

ONE, TWO = Digest.of(b"1"), Digest.of(b"2", "sha512")

PLACES = [
    (paths.blob(ONE), Bytes(ONE)),
    (paths.blob(TWO), Bytes(TWO)),
    (paths.blob_link("a/b", ONE), Link("a/b", ONE)),
    (paths.unlinked("a/b", TWO), Link("a/b", TWO, ends=True)),
    (paths.manifest("a", TWO), ManifestAt("a", TWO)),
    (paths.tag("a/b", "v1.0_x-Y"), Tag("a/b", "v1.0_x-Y")),
    (paths.referrer("a/b-c", ONE, TWO), Row("a/b-c", ONE, TWO)),
    (paths.parent("a/b-c", ONE, TWO), Other()),
    (paths.derived("a", ONE), DerivedFrom("a", ONE)),
    (paths.catalog("a-b/c.d/e__f"), Entry("a-b/c.d/e__f")),
    (paths.upload("a", "sha256-" + "0" * 32), Other()),
    (paths.refusal("a/b", "v1"), Other()),
    (paths.refusal("a/b", str(ONE)), Other()),
    (paths.FORMAT, Other()),
    (paths.COLLECTED, Other()),
    (paths.url("a/b", "v1"), Other()),
    (paths.url("a/b", str(ONE)), Other()),
    (paths.pulls("a/b-c", str(TWO)), Other()),
    (paths.CHECKED, Other()),
    (paths.ANNOUNCED, Other()),
    (paths.quota("0123456789abcdef"), Other()),
]

STRAYS = [
    "",
    "x",
    "x/y",
    "format/x",
    "blobs",
    "blobs/sha256",
    f"blobs/sha256/{ONE.hex}",
    f"blobs/sha256/00/{ONE.hex}",
    f"blobs/sha256/{ONE.hex[:2]}/{ONE.hex[:-1]}",
    f"blobs/sha256/{ONE.hex[:2]}/{ONE.hex.upper()}",
    f"blobs/sha512/{ONE.hex[:2]}/{ONE.hex}",
    f"blobs/md5/{ONE.hex[:2]}/{ONE.hex}",
    f"blobs/sha256/{ONE.hex[:2]}/{ONE.hex}/x",
    "catalog/",
    "catalog/A",
    "catalog/a/b",
    "catalog/a-b",
    "uploads/x",
    f"uploads/sha256-{'0' * 32}",
    "refusals/a",
    "refusals/a/",
    "refusals/a/v1/x",
    "urls/a",
    "urls/a/v1/x",
    "quotas/team-a",
    "quotas/0123456789abcdef/x",
    "urls/A/v1",
    "pulls/a",
    "pulls/a/v1",
    f"pulls/a/{ONE}/x",
    f"pulls/A/{ONE}",
    f"pulls/a-b/{ONE}",
    "repositories/a",
    "repositories/a/b",
    f"repositories/a/_blobs/{ONE.hex}",
    f"repositories/a/_blobs/sha256/{ONE.hex}.tmp",
    f"repositories/A/_blobs/sha256/{ONE.hex}",
    f"repositories//_blobs/sha256/{ONE.hex}",
    f"repositories/a/_other/sha256/{ONE.hex}",
    "repositories/a/_tags/",
    "repositories/a/_tags/.hidden",
    "repositories/a/_tags/v1/x",
    f"repositories/a/_referrers/sha256/{ONE.hex}/{ONE.hex}",
    f"repositories/a/_referrers/sha256/{ONE.hex}",
    f"repositories/a/_parents/sha256/{ONE.hex}",
    f"others/a/_blobs/sha256/{ONE.hex}",
]


@pytest.mark.parametrize(("key", "place"), PLACES, ids=[key[:40] for key, _ in PLACES])
def test_what_builders_make_is_read_back(key: str, place: keys.Place) -> None:
    assert keys.read(key) == place


@pytest.mark.parametrize("key", STRAYS, ids=lambda key: key[:60] or "nothing")
def test_what_no_builder_makes_is_no_place(key: str) -> None:
    assert keys.read(key) is None
