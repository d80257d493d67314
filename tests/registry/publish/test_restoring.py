from __future__ import annotations

import pytest

from registry.publish.restoring import Restored, restore
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import ManifestUnknown, PreconditionFailed, TagImmutable
from storage.repositories import Repository
from storage.store import Store
from tests.storage.content import image, put
from tests.storage.streams import outcome

ONE, TWO = image(annotations={"number": "1"}), image(annotations={"number": "2"})
FIRST, SECOND = Digest.of(ONE), Digest.of(TWO)


@pytest.fixture
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """One whose tag v1 named the first, and names the second."""
    repository = Store(DiskDriver(tmp_path_factory.mktemp("store")), upload_limit=1).repository("team/a")
    for body in (ONE, TWO):
        await put(repository, body, "v1")
    return repository


async def test_a_tag_goes_back_and_forth(repository: Repository) -> None:
    for named, was in ((FIRST, SECOND), (SECOND, FIRST)):
        done = await restore(repository, "v1", by="alice")
        assert (done.named.digest, done.was) == (named, was)
        assert (await repository.tags.resolve("v1"))[0].digest == named
    history = await repository.tags.history("v1")
    assert (history.by, len(history.former)) == ("alice", 3)


async def test_to_any_digest_of_the_repository(repository: Repository) -> None:
    third = await put(repository, image(annotations={"number": "3"}))
    assert await restore(repository, "v1", third.digest) == Restored(third.descriptor, SECOND)
    assert await restore(repository, "v1", third.digest) == Restored(third.descriptor, third.digest)


@pytest.mark.parametrize(
    ("tag", "digest", "said"),
    [
        ("v2", None, "sidecargo gc --restore team/a:v2"),
        ("v2", FIRST, "sidecargo gc --restore team/a:v2"),
        ("v1", Digest.of(b""), f"sidecargo gc --restore team/a@{Digest.of(b'')}"),
        ("new", None, "sidecargo tags restore team/a:new sha256:"),
    ],
)
async def test_what_is_not_there_is_told_with_the_way_back(
    repository: Repository, tag: str, digest: Digest | None, said: str
) -> None:
    await put(repository, ONE, "new")
    with pytest.raises(ManifestUnknown) as raised:
        await restore(repository, tag, digest)
    assert said in raised.value.fix
    assert (await repository.tags.page()).names == ("new", "v1")


async def test_what_was_deleted_does_not_come_back(repository: Repository) -> None:
    await repository.delete(FIRST)
    with pytest.raises(ManifestUnknown) as raised:
        await restore(repository, "v1")
    assert f"gc --restore team/a@{FIRST}" in raised.value.fix
    assert (await repository.tags.resolve("v1"))[0].digest == SECOND


async def test_an_immutable_tag_stays(repository: Repository) -> None:
    assert await outcome(restore(repository, "v1", immutable=("v*",))) is TagImmutable
    assert (await repository.tags.resolve("v1"))[0].digest == SECOND
    assert (await restore(repository, "v1", SECOND, immutable=("v*",))).was == SECOND


async def test_who_moves_it_at_the_same_time_wins(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it named before was read of another state."""
    get = repository.get

    async def late(reference: str | Digest) -> object:
        await put(repository, image(annotations={"number": "3"}), "v1")
        return await get(reference)

    monkeypatch.setattr(repository, "get", late)
    with pytest.raises(PreconditionFailed) as raised:
        await restore(repository, "v1")
    assert "sidecargo tags history team/a:v1" in raised.value.fix
