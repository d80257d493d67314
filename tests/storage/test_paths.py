from __future__ import annotations

import inspect
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import names, paths
from storage.digest import Digest

DIGEST = Digest.of(b"one")
OTHER = Digest.of(b"two", "sha512")

KEYS = {
    "catalog": paths.catalog("a/b"),
    "blob_folders": paths.blob_folders("sha256")[int(DIGEST.hex[:2], 16)],
    "blob": paths.blob(DIGEST),
    "upload": paths.upload("a/b", "sha256-0123"),
    "refusals": paths.refusals("a/b"),
    "refusal": paths.refusal("a/b", "v1"),
    "urls": paths.urls("a/b"),
    "quota": paths.quota("0123456789abcdef"),
    "url": paths.url("a/b", "v1"),
    "pulls": paths.pulls("a/b", str(DIGEST)),
    "blob_link": paths.blob_link("a/b", DIGEST),
    "unlinked": paths.unlinked("a/b", DIGEST),
    "manifests": paths.manifests("a/b", "sha256"),
    "manifest": paths.manifest("a/b", DIGEST),
    "tags": paths.tags("a/b"),
    "tag": paths.tag("a/b", "v1"),
    "referrers": paths.referrers("a/b", DIGEST),
    "referrer": paths.referrer("a/b", DIGEST, OTHER),
    "parents": paths.parents("a/b", DIGEST),
    "parent": paths.parent("a/b", DIGEST, OTHER),
    "derived": paths.derived("a/b", DIGEST),
    "repository_folder": paths.repository_folder("a/b", "tags"),
    "trash": paths.trash(paths.tag("a/b", "v1")),
    "damaged": paths.damaged(paths.tag("a/b", "v1")),
}
FOLDERS = (
    "blob_folders",
    "manifests",
    "tags",
    "referrers",
    "parents",
    "refusals",
    "urls",
    "repository_folder",
)
REPOSITORIES = ["a", "a/b", "a/tags", "a/tags/b", "a/blobs", "a-b", "a.b", "a_b", "a/manifests/v1"]

COMPONENT = r"[a-z0-9]{1,3}(?:(?:\.|_|__|-{1,2})[a-z0-9]{1,2}){0,2}"
NAMES = st.from_regex(rf"{COMPONENT}(?:/{COMPONENT}){{0,3}}", fullmatch=True)


def drawn() -> dict[str, re.Pattern[str]]:
    """The keys of the drawing, each as a pattern of what it stands for."""
    found = {}
    for own, key in re.findall(r"^ {4}( {4})?((?:<[^>]*>|[^\s<])+)", paths.__doc__ or "", re.MULTILINE):
        whole = f"repositories/<repository>/{key}" if own else key
        any_depth = {"<repository>"} if whole.startswith("repositories/") else {"<key>"}
        parts = re.split(r"(<[^>]*>)", whole)
        found[whole] = re.compile(
            "".join(
                re.escape(part) if part[:1] != "<" else "(?!damaged/).+" if part in any_depth else "[^/]+"
                for part in parts
            )
        )
    del found["repositories/<repository>/"]
    return found


def test_the_drawing_has_every_key_once() -> None:
    objects = [key for name, key in KEYS.items() if name not in FOLDERS] + [
        paths.FORMAT,
        paths.COLLECTED,
        paths.CHECKED,
        paths.ANNOUNCED,
    ]
    shown = drawn()
    met = {key: [line for line, pattern in shown.items() if pattern.fullmatch(key)] for key in objects}
    assert {key: len(lines) for key, lines in met.items()} == dict.fromkeys(objects, 1)
    assert {line for lines in met.values() for line in lines} == set(shown)


def test_every_builder_is_in_the_table_above() -> None:
    builders = {
        name
        for name, found in inspect.getmembers(paths, inspect.isfunction)
        if found.__module__ == paths.__name__ and not name.startswith("_")
    }
    assert builders == {*KEYS, "catalog_name", "catalog_repository", "owned", "beside", "pulled", "trashed"}


def test_the_keys_are_as_written_here() -> None:
    """A change here is a change of the format of every store."""
    one, two = DIGEST.hex, OTHER.hex
    assert {
        "catalog": "catalog/a.b",
        "blob_folders": f"blobs/sha256/{one[:2]}",
        "blob": f"blobs/sha256/{one[:2]}/{one}",
        "upload": "uploads/sha256-0123.c14cddc033f64b9d",
        "refusals": "refusals/a.b",
        "refusal": "refusals/a.b/v1",
        "urls": "urls/a.b",
        "url": "urls/a.b/v1",
        "quota": "quotas/0123456789abcdef",
        "pulls": f"pulls/a.b/sha256:{one}",
        "blob_link": f"repositories/a/b/_blobs/sha256/{one}",
        "unlinked": f"repositories/a/b/_unlinked/sha256/{one}",
        "manifests": "repositories/a/b/_manifests/sha256",
        "manifest": f"repositories/a/b/_manifests/sha256/{one}",
        "tags": "repositories/a/b/_tags",
        "tag": "repositories/a/b/_tags/v1",
        "referrers": f"repositories/a/b/_referrers/sha256/{one}",
        "referrer": f"repositories/a/b/_referrers/sha256/{one}/sha512:{two}",
        "parents": f"repositories/a/b/_parents/sha256/{one}",
        "parent": f"repositories/a/b/_parents/sha256/{one}/sha512:{two}",
        "derived": f"repositories/a/b/_derived/sha256/{one}",
        "repository_folder": "repositories/a/b/_tags",
        "trash": "trash/repositories/a/b/_tags/v1",
        "damaged": "trash/damaged/repositories/a/b/_tags/v1",
    } == KEYS


def test_no_key_is_another_or_a_folder_of_another() -> None:
    keys = [paths.FORMAT, paths.COLLECTED, *(paths.blob(digest) for digest in (DIGEST, OTHER))]
    for repository, digest in itertools.product(REPOSITORIES, (DIGEST, OTHER)):
        keys += [
            paths.blob_link(repository, digest),
            paths.unlinked(repository, digest),
            paths.manifest(repository, digest),
            paths.referrer(repository, digest, DIGEST),
            paths.referrer(repository, digest, OTHER),
            paths.derived(repository, digest),
        ]
    for repository in REPOSITORIES:
        keys += [paths.catalog(repository), paths.upload(repository, "sha256-0123")]
        keys += [paths.refusal(repository, name) for name in ("v1", "latest", str(DIGEST))]
        keys += [paths.tag(repository, name) for name in ("v1", "latest", "sha256", "_tags")]
    keys += [paths.trash(key) for key in keys]
    assert len(set(keys)) == len(keys)
    folders = {"/".join(key.split("/")[:at]) for key in keys for at in range(1, key.count("/") + 1)}
    assert not folders & set(keys)


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_what_a_repositorys_key_is_made_of(repository: str) -> None:
    owned = [
        (paths.blob_link(repository, DIGEST), "blobs", f"sha256/{DIGEST.hex}"),
        (paths.unlinked(repository, OTHER), "unlinked", f"sha512/{OTHER.hex}"),
        (paths.tag(repository, "_tags"), "tags", "_tags"),
        (paths.referrer(repository, DIGEST, OTHER), "referrers", f"sha256/{DIGEST.hex}/{OTHER}"),
    ]
    for key, folder, name in owned:
        assert paths.owned(key) == paths.Owned(repository, folder, name)
        assert key == f"{paths.repository_folder(repository, folder)}/{name}"
        assert paths.trashed(paths.trash(key)) == key
        assert paths.owned(paths.trash(key)) is None
    for other in (paths.catalog(repository), paths.refusal(repository, "v1"), paths.blob(DIGEST)):
        assert paths.owned(other) is None
        assert paths.pulled(other) is None
    assert paths.pulled(paths.pulls(repository, str(OTHER))) == (repository, str(OTHER))


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_are_what_a_driver_takes(key: str) -> None:
    assert all(part not in ("", ".", "..") and len(part) <= 255 for part in key.split("/"))


def test_the_longest_names_fit_into_a_file_name() -> None:
    assert len(paths.catalog_name("a" * names.MAX_REPOSITORY)) <= 255
    assert len(paths.upload("a" * names.MAX_REPOSITORY, "sha512-" + "0" * 32).rpartition("/")[2]) <= 255


@given(st.lists(NAMES, min_size=2, max_size=8))
@settings(max_examples=40)
def test_names_in_the_catalog_keep_their_order(repositories: list[str]) -> None:
    for name in repositories:
        names.repository(name)
        assert "/" not in paths.catalog_name(name)
        assert paths.catalog_repository(paths.catalog_name(name)) == name
    assert sorted(repositories, key=paths.catalog_name) == sorted(repositories)


@given(NAMES, NAMES)
@settings(max_examples=40)
def test_an_upload_of_another_repository_is_another_key(one: str, two: str) -> None:
    assert (paths.upload(one, "sha256-0") == paths.upload(two, "sha256-0")) == (one == two)
