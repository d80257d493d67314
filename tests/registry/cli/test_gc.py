"""`gc` over a real folder, beside a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.store import Store
from tests.real.sidecargo import Sidecargo
from tests.registry.commands import Ran, Runner
from tests.storage.content import image, put
from tests.storage.gc.scene import aged, filled, older

RULE = "retention: [{repositories: 'team/*', keep: {last: 1, tags: ['v*']}}]\n"
LAYERS = (b"one", b"two", b"three")


def stored(folder: Path) -> list[Digest]:
    """A storage with images of team/wasm, tagged ci-0 to ci-2, the last one the newest, and a stray blob."""

    async def fill() -> list[Digest]:
        driver = DiskDriver(folder)
        store = Store(driver, upload_limit=1 << 30)
        await store.open()
        repository = store.repository("team/wasm")
        await filled(repository, *LAYERS, b"stray")
        digests = []
        for number, layer in enumerate(LAYERS):
            older(driver, 1)
            digests.append((await put(repository, image(layer), f"ci-{number}")).digest)
        older(driver, 2)
        return digests

    return asyncio.run(fill())


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    """Settings with a rule, for the storage beside them."""
    path = tmp_path / "settings.yaml"
    path.write_text(f"storage: {{url: {tmp_path / 'data'}}}\naudit: {{file: {tmp_path / 'audit'}}}\n{RULE}")
    return path


def test_without_a_rule_only_what_nobody_names_goes(sidecargo: Runner, tmp_path: Path) -> None:
    stored(tmp_path)
    ran = sidecargo("gc", "--storage", tmp_path)
    assert ran == Ran(
        0,
        "1 repositories: 0 tags, 0 manifests and 1 unused blobs went\n"
        "  bytes of 0 blobs that no repository has went: 0\n",
        "",
    )
    aged(DiskDriver(tmp_path), 2)
    ran = sidecargo("gc", "--storage", tmp_path, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["ok"], found["dry_run"]) == (0, True, False)
    assert (found["links"], found["contents"], found["content_bytes"]) == (0, 1, 5)
    aged(DiskDriver(tmp_path), 20)
    ran = sidecargo("gc", "--storage", tmp_path)
    assert "  purged from the trash after 14 days: 15 bytes of 2\n" in ran.out


def test_a_dry_run_names_all_that_would_go(sidecargo: Runner, tmp_path: Path, rule: Path) -> None:
    digests = stored(tmp_path / "data")
    ran = sidecargo("gc", "--dry-run", "--config", rule)
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert sorted(lines[:2]) == ["tag       team/wasm:ci-0", "tag       team/wasm:ci-1"]
    assert {line.split()[1] for line in lines[2:4]} == {f"team/wasm@{digest}" for digest in digests[:2]}
    assert f"unused    team/wasm@{Digest.of(b'stray')}" in lines
    assert f"bytes     {Digest.of(b'stray')}  5 bytes" in lines
    assert lines[-2:] == [
        "1 repositories: 2 tags, 2 manifests and 3 unused blobs would go",
        "  bytes of 3 blobs that no repository has would go: 11",
    ]
    ran = sidecargo("gc", "--dry-run", "--config", rule, "--json")
    found = json.loads(ran.out)
    assert (len(found["gone"]), found["tags"], found["manifests"], found["dry_run"]) == (10, 2, 2, True)
    assert {"kind": "tag", "repository": "team/wasm", "name": "ci-0", "size": 0} in found["gone"]
    assert sidecargo("gc", "--dry-run", "--storage", tmp_path / "data", "--json").out.startswith('{"gone": [')


def test_what_went_comes_back(sidecargo: Runner, tmp_path: Path, rule: Path) -> None:
    digests = stored(tmp_path / "data")
    assert "2 tags, 2 manifests" in sidecargo("gc", "--config", rule).out
    ran = sidecargo("gc", "--restore", "team/wasm:ci-0", "--config", rule)
    assert ran == Ran(0, f"manifest  team/wasm@{digests[0]}\ntag       team/wasm:ci-0\n", "")
    assert (
        sidecargo("gc", "--restore", f"team/wasm@{digests[0]}", "--config", rule).out == "nothing was away\n"
    )
    ran = sidecargo("gc", "--restore", "team/wasm", "--config", rule, "--json")
    assert json.loads(ran.out) == {
        "repository": "team/wasm",
        "ok": True,
        "manifests": [str(digests[1])],
        "tags": ["ci-1"],
        "missing": [],
    }
    ran = sidecargo("gc", "--restore", "team/wasm:ci-9", "--config", rule)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: the trash has no tag 'ci-9' of team/wasm.")
    records = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(one["event"], one["verdict"], one["digest"]) for one in records] == [
        ("delete", "undone", str(digest)) for digest in digests[:2]
    ]


def test_what_cannot_come_back_whole(sidecargo: Runner, tmp_path: Path, rule: Path) -> None:
    digests = stored(tmp_path / "data")
    for _ in range(3):
        sidecargo("gc", "--config", rule)
        older(DiskDriver(tmp_path / "data"), 2)
    (tmp_path / "data" / paths.trash(paths.blob(Digest.of(b"one")))).unlink()
    ran = sidecargo("gc", "--restore", f"team/wasm@{digests[0]}", "--config", rule)
    assert ran.code == 1
    assert f"missing   team/wasm@{Digest.of(b'one')}: nothing of it is left; push it again" in ran.out


def test_a_repository_that_cannot_be_read(sidecargo: Runner, tmp_path: Path) -> None:
    (digest, *_) = stored(tmp_path)
    path = tmp_path / paths.manifest("team/wasm", digest)
    path.write_bytes(path.read_bytes()[:-1])
    ran = sidecargo("gc", "--storage", tmp_path)
    assert (ran.code, ran.out.splitlines()[-1]) == (
        1,
        "  team/wasm: nothing went, for what it has cannot all be read; sidecargo fsck says what",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "{}/none"], "{}/none is no storage of a registry. Name what is served: "),
        (["--config", "{}/none.yaml"], "{}/none.yaml: No such file or directory."),
        (["--dry-run", "--restore", "a"], "--restore brings back; it does not go with --dry-run."),
        (["--restore", "localhost:5000/a"], "'5000/a' is not a tag."),
        (["--restore", "A"], "'A' is not a repository name. Write REPO, REPO:TAG or REPO@sha256:…"),
        (["--restore", "a@sha256:1"], "'sha256:1': sha256 takes 64"),
        (["--restore", ""], "'' is not a repository name."),
    ],
)
def test_wrong_usage(words: list[str], said: str, sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("gc", *(word.format(tmp_path) for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said.format(tmp_path)}")
    assert list(tmp_path.iterdir()) == [], "nothing is made where nothing is"


def test_beside_a_server(sidecargo: Runner, serve: object, tmp_path: Path, plugin: Path) -> None:
    server: Sidecargo = serve()  # type: ignore[operator]
    for number in range(3):
        assert sidecargo("push", plugin, f"{server.host}/team/wasm:v{number}").code == 0
    folder = server.folder / "data"
    aged(DiskDriver(folder), 2)
    ran = sidecargo("gc", "--storage", folder)
    assert (ran.code, "0 tags, 0 manifests and 0 unused blobs went" in ran.out) == (0, True)
    assert sidecargo("check", f"{server.host}/team/wasm:v1").code == 0
