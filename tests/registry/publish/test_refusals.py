from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from registry.publish import refusals
from registry.publish.push import Push, Receipt
from registry.publish.refusals import Refusal, find, from_record, noted, of, to_record
from registry.publish.tagging import refusal
from registry.verdict import Problem
from storage import records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    RegistryError,
    StoreFull,
    StoreUnavailable,
    TagImmutable,
)
from storage.refusals import MAX_BYTES, Kept
from storage.repositories import Repository
from storage.store import Store

BODY = b"{}"
DIGEST = Digest.of(BODY)
PROBLEM = Problem("no-plugin-wasm", "there is no plugin.wasm.", "COPY main.wasm ./plugin.wasm", ("1.36",))
OTHER = Problem("no-abi", "there is no ABI.", "Build it with an SDK.")
BY_GATE = ManifestInvalid(PROBLEM.message, fix=PROBLEM.fix, detail=[PROBLEM.to_json(), OTHER.to_json()])
BY_TAG = Push("v1", "", BODY)
BY_DIGEST = Push(DIGEST, "", BODY, ("v1", "v2"))
REFUSALS = {
    "by tag": Refusal("v1", DIGEST, "MANIFEST_INVALID", (PROBLEM, OTHER)),
    "by digest": Refusal(DIGEST, DIGEST, "MANIFEST_INVALID", (OTHER,)),
    "warned": Refusal("v1", Digest.of(b"", "sha512"), "", (OTHER,), warned=True),
    "no problems": Refusal("v1", DIGEST, "MANIFEST_INVALID", ()),
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Store(DiskDriver(tmp_path), upload_limit=1).repository("team/a")


async def failing(error: Exception) -> Receipt:
    raise error


async def taken(*problems: Problem) -> Receipt:
    return Receipt(DIGEST, None, (), tuple(map(str, problems)), problems)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_record_comes_back_as_it_was(refusal: Refusal) -> None:
    record = records.read(records.write(to_record(refusal)), "key")
    found = from_record(Kept(record, 7.5))
    assert found == Refusal(
        refusal.reference, refusal.digest, refusal.code, refusal.problems, refusal.warned, at=7.5
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"reference": "-"}, id="no reference"),
        pytest.param({"reference": 7}, id="a number for a reference"),
        pytest.param({"digest": "v1"}, id="no digest"),
        pytest.param({"problems": None}, id="no problems"),
        pytest.param({"problems": [{"code": "x"}]}, id="half a problem"),
    ],
)
def test_another_record_is_none(changes: dict[str, Any]) -> None:
    record = to_record(REFUSALS["by tag"])
    assert from_record(Kept(record | changes, 0)) is None
    for name in record:
        assert from_record(Kept({key: record[key] for key in record if key != name}, 0)) is None
    assert from_record(None) is None


@pytest.mark.parametrize("text", ["x" * 100_000, "\U0001f600" * 9000, "é\0" * 20_000, "\ud800" * 5000])
@pytest.mark.parametrize("count", [1, 3, 5000])
def test_what_is_too_much_is_left_out_the_first_problem_last(text: str, count: int) -> None:
    problems = tuple(Problem(f"code-{at}", text, text, ("1.36",) * 1000) for at in range(count))
    record = to_record(Refusal("v1", DIGEST, "MANIFEST_INVALID", problems))
    assert len(records.write(record)) <= MAX_BYTES
    assert record["problems"][0]["code"] == "code-0"
    assert text.startswith(record["problems"][0]["message"])


def test_even_a_code_may_be_too_much() -> None:
    problem = Problem("c" * 100_000, "message.", "fix.", ("1.36",) * 10_000)
    (kept,) = to_record(Refusal("v1", DIGEST, "MANIFEST_INVALID", (problem,)))["problems"]
    assert kept["message"] == "message." and len(kept["code"]) < 100


def test_all_problems_of_a_usual_refusal_are_kept() -> None:
    problems = tuple(Problem(f"code-{at}", "m" * 150, "f" * 90) for at in range(20))
    assert len(to_record(Refusal("v1", DIGEST, "MANIFEST_INVALID", problems))["problems"]) == 20


@pytest.mark.parametrize("push", [BY_TAG, BY_DIGEST], ids=["by tag", "by digest"])
async def test_what_the_gate_refuses_is_kept_and_raised(repository: Repository, push: Push) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        await noted(repository, push, failing(BY_GATE))
    assert raised.value is BY_GATE
    for reference in ("v1", DIGEST, *push.tags):
        found = await find(repository, reference)
        assert found is not None
        assert (found.reference, found.digest, found.warned) == (push.reference, DIGEST, False)
        assert found.problems == (PROBLEM, OTHER)
        # What the client was told, to the letter.
        assert found.message == str(BY_GATE)
        assert found.direct


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ManifestInvalid("it is no JSON.", fix="Send JSON."), "manifest-invalid"),
        (ManifestTooLarge("it is too large."), "manifest-invalid"),
        (ManifestInvalid("odd.", detail="text"), "manifest-invalid"),
        (ManifestInvalid("odd.", detail=[1, {"code": "x"}]), "manifest-invalid"),
        (ManifestBlobUnknown([str(DIGEST)]), "manifest-blob-unknown"),
    ],
)
async def test_what_has_no_problems_is_one(
    repository: Repository, error: ManifestInvalid | ManifestBlobUnknown, code: str
) -> None:
    refusal = of(BY_TAG, error)
    assert refusal.problems == (Problem(code, error.message, error.fix),)
    assert (refusal.message, refusal.code) == (str(error), error.code)
    with pytest.raises(type(error)):
        await noted(repository, BY_TAG, failing(error))
    found = await find(repository, "v1")
    assert found is not None and found.problems == refusal.problems


async def test_a_missing_image_that_was_refused_is_the_reason(repository: Repository) -> None:
    with pytest.raises(ManifestInvalid):
        await noted(repository, BY_DIGEST, failing(BY_GATE))
    index = Push("latest", "", b"[]")
    missing = ManifestBlobUnknown(["sha256:" + "0" * 64, str(DIGEST)])
    with pytest.raises(ManifestBlobUnknown) as raised:
        await noted(repository, index, failing(missing))
    found = await find(repository, "latest")
    assert found is not None
    assert [problem.code for problem in found.problems] == [
        "no-plugin-wasm",
        "no-abi",
        "manifest-blob-unknown",
    ]
    # The client is told what is to be mended, and which images it concerns.
    assert found.message == str(raised.value) == str(PROBLEM)
    assert (raised.value.detail, raised.value.missing) == (missing.detail, missing.missing)


async def test_a_missing_image_that_was_only_warned_of_is_no_reason(repository: Repository) -> None:
    await noted(repository, BY_DIGEST, taken(PROBLEM))
    missing = ManifestBlobUnknown([str(DIGEST)])
    with pytest.raises(ManifestBlobUnknown) as raised:
        await noted(repository, Push("latest", "", b"[]"), failing(missing))
    assert raised.value is missing


async def test_warnings_are_kept(repository: Repository) -> None:
    receipt = await noted(repository, BY_TAG, taken(PROBLEM, OTHER))
    assert receipt.digest == DIGEST
    found = await find(repository, "v1")
    assert found is not None and found.warned
    assert found.problems == (PROBLEM, OTHER), "with their codes, fixes and releases"


async def test_what_is_taken_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    await noted(repository, BY_TAG, taken())
    assert not (tmp_path / "refusals").exists()


@pytest.mark.parametrize(
    "error", [StoreUnavailable("away."), StoreFull("full."), DigestInvalid("other."), OSError(5, "x")]
)
async def test_what_the_gate_does_not_say_is_not_kept(
    repository: Repository, tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(type(error)):
        await noted(repository, BY_TAG, failing(error))
    assert not (tmp_path / "refusals").exists()


async def test_further_tags_have_a_limit(repository: Repository) -> None:
    push = Push(DIGEST, "", BODY, tuple(f"v{at}" for at in range(100)))
    with pytest.raises(ManifestInvalid):
        await noted(repository, push, failing(BY_GATE))
    found = [await repository.refusals.find(tag) for tag in push.tags]
    assert [record is not None for record in found] == [True] * 5 + [False] * 95


async def test_an_immutable_tag_is_told(repository: Repository) -> None:
    held = refusal("v1", Digest.of(b"another"))
    with pytest.raises(TagImmutable):
        await noted(repository, BY_TAG, failing(held))
    found = await find(repository, "v1")
    assert found is not None
    assert (found.code, found.message) == ("DENIED", str(held))
    assert [problem.code for problem in found.problems] == ["tag-immutable"]


async def test_of_an_unknown_tag_the_last_by_digest_is_told(repository: Repository) -> None:
    with pytest.raises(ManifestInvalid):
        await noted(repository, Push("v1", "", b"by tag"), failing(BY_GATE))
    assert await find(repository, "v9") is None
    with pytest.raises(ManifestInvalid):
        await noted(repository, Push(DIGEST, "", BODY), failing(BY_GATE))
    found = await find(repository, "v9")
    assert found is not None
    assert (found.direct, found.reference) == (False, DIGEST)
    assert await find(repository, Digest.of(b"another")) is None


@pytest.mark.parametrize("push", [BY_TAG, BY_DIGEST], ids=["by tag", "by digest"])
@pytest.mark.parametrize(
    "error", [StoreUnavailable("away."), StoreFull("full."), OSError(5, "io"), KeyError()]
)
async def test_a_store_that_fails_changes_nothing(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    push: Push,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(DiskDriver, "put", fail)
    caplog.set_level(logging.WARNING)
    with pytest.raises(RegistryError) as raised:
        await noted(repository, push, failing(BY_GATE))
    assert raised.value is BY_GATE
    assert (await noted(repository, push, taken(OTHER))).digest == DIGEST
    assert len(caplog.messages) == 2
    assert all("team/a" in message for message in caplog.messages)


async def test_a_detail_that_nobody_expected_changes_nothing(repository: Repository) -> None:
    odd = ManifestInvalid("odd.", detail=[{"code": "x", "message": "m", "fix": "f", "envoys": 7}])
    with pytest.raises(ManifestInvalid) as raised:
        await noted(repository, BY_TAG, failing(odd))
    assert raised.value is odd
    assert await find(repository, "v1") is None


async def test_a_store_that_hangs_changes_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(refusals, "_SECONDS", 0.01)
    monkeypatch.setattr(DiskDriver, "put", hang)
    with pytest.raises(ManifestInvalid):
        await asyncio.wait_for(noted(repository, BY_TAG, failing(BY_GATE)), 20)
