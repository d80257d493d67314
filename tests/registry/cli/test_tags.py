"""`tags` over a real folder: what a server has stored, looked at and moved beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.commands import Runner
from tests.registry.consumers.build import index
from tests.registry.consumers.shapes import AMD64, A, B
from tests.registry.talk import MISSING, Registry, fresh

INDEX = index("index", [(B, AMD64)], None)


@pytest.fixture
def registry(server: Sidecargo) -> Registry:
    registry = fresh(server.host)
    for shape in (INDEX, A):
        assert registry.push(shape).status == 201
    return registry


@pytest.fixture
def storage(server: Sidecargo) -> tuple[str, Path]:
    return "--storage", server.folder / "data"


@pytest.fixture
def settings(server: Sidecargo, tmp_path: Path) -> Path:
    """A file for that storage, in which v1 is immutable."""
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"storage: {{url: {server.folder / 'data'}}}\nserver: {{public_url: 'https://plugins.example.com'}}\n"
        "tags: {immutable: [{repositories: '**', tags: ['v*']}]}\n"
    )
    return path


def named(registry: Registry) -> str:
    return registry.ask("HEAD", f"{registry.base}/manifests/v1")["docker-content-digest"]


def test_list(registry: Registry, sidecargo: Runner, storage: tuple[str, Path]) -> None:
    registry.put("latest", A.body, A.media_type)
    ran = sidecargo("tags", "list", registry.name, *storage)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[:3] for line in ran.out.splitlines()] == [
        ["latest", A.digest, "since"],
        ["v1", A.digest, "since"],
    ]
    found = json.loads(sidecargo("tags", "list", registry.name, *storage, "--json").out)
    assert found["repository"] == registry.name
    assert [(row["tag"], row["digest"], row["by"]) for row in found["tags"]] == [
        ("latest", A.digest, None),
        ("v1", A.digest, None),
    ]


def test_history(registry: Registry, sidecargo: Runner, storage: tuple[str, Path]) -> None:
    ran = sidecargo("tags", "history", f"{registry.name}:v1", *storage)
    now, until = ran.out.splitlines()
    assert now.startswith(f"now    {A.digest}  since ")
    assert until.startswith("until  ") and f"  {INDEX.digest}  since " in until
    found = json.loads(sidecargo("tags", "history", f"{registry.name}:v1", *storage, "--json").out)
    assert found == registry.get(f"/plugins/{registry.name}:v1/history").json


def test_restore_says_what_really_rolls_back(
    registry: Registry, sidecargo: Runner, storage: tuple[str, Path]
) -> None:
    """Of an index the digest of its image, which agents compare."""
    ran = sidecargo("tags", "restore", f"{registry.name}:v1", *storage)
    assert (ran.code, ran.err) == (0, "")
    assert named(registry) == INDEX.digest
    said = ran.out
    assert f"{registry.name}:v1 names {INDEX.digest} again; until now it named {A.digest}." in said
    assert "Running sidecars will not notice" in said
    command = said.splitlines()[-1].strip()
    patch = json.loads(command.partition("-p '")[2].removesuffix("'"))
    assert command.startswith("kubectl patch wasmplugin NAME -n NAMESPACE --type merge -p '")
    assert patch == {"spec": {"url": f"oci://HOST/{registry.name}@{B.digest}", "sha256": None}}
    history = registry.get(f"/plugins/{registry.name}:v1/history").json
    assert history["by"].endswith("(sidecargo tags)")
    assert [former["digest"] for former in history["former"]] == [A.digest, INDEX.digest]
    again = sidecargo("tags", "restore", f"{registry.name}:v1", INDEX.digest, *storage, "--json")
    found = json.loads(again.out)
    assert (found["digest"], found["was"], found["image"]) == (INDEX.digest, INDEX.digest, B.digest)
    assert found["patch"] == command


def test_an_immutable_tag_needs_force(registry: Registry, sidecargo: Runner, settings: Path) -> None:
    words = ("tags", "restore", f"{registry.name}:v1", "--config", settings)
    ran = sidecargo(*words)
    assert (ran.code, ran.out) == (1, "")
    assert f"the tag v1 is immutable: it names {A.digest}" in ran.err and "--force" in ran.err
    assert named(registry) == A.digest
    ran = sidecargo(*words, "--force")
    assert ran.code == 0
    assert f"oci://plugins.example.com/{registry.name}@{B.digest}" in ran.out
    assert named(registry) == INDEX.digest


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "{}/none"], 1, "there is no repository {}/none."),
        (["list", "A"], 2, "'A' is not a repository name. Write REPO or REPO:TAG without the host"),
        (["history", "{}:v9"], 1, "{} has no tag 'v9'."),
        (["history", "{}"], 2, "'{}' is no REPO:TAG. Write it without the host, as in team/wasm:v1."),
        (["history", "{}@" + MISSING], 2, "'{}@" + MISSING + "' is no REPO:TAG."),
        (["history", "localhost:5000/{}:v1"], 2, "'localhost:5000/{}' is not a repository name."),
        (["restore", "{}:v1", "sha256:1"], 2, "'sha256:1': sha256 takes 64"),
        (["restore", "{}:v9"], 1, "{} has no tag 'v9'. If it was collected: sidecargo gc --restore {}:v9"),
        (["restore", "{}:v1", MISSING], 1, "{} has no manifest " + MISSING + " any more. If it was"),
    ],
)
def test_what_is_not_there_and_wrong_usage(
    registry: Registry,
    sidecargo: Runner,
    storage: tuple[str, Path],
    words: list[str],
    code: int,
    said: str,
) -> None:
    ran = sidecargo("tags", *(word.replace("{}", registry.name) for word in words), *storage)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"error: {said.replace('{}', registry.name)}")


def test_where_nothing_is(sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("tags", "list", "team/wasm", "--storage", tmp_path / "none")
    assert ran.code == 2
    assert "is no storage of a registry" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_moved_back_is_in_the_audit(
    registry: Registry, sidecargo: Runner, settings: Path, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    settings.write_text(f"{settings.read_text()}audit: {{file: {audit}}}\n")
    ran = sidecargo("tags", "restore", f"{registry.name}:v1", "--config", settings)
    assert ran.code == 1, "it is immutable"
    assert not audit.exists()
    ran = sidecargo("tags", "restore", f"{registry.name}:v1", "--force", "--config", settings)
    assert ran.code == 0, ran
    record = json.loads(audit.read_text())
    assert record.pop("who").startswith("local:") and record.pop("time")
    assert record == {
        "event": "tag",
        "verdict": "restored",
        "repository": registry.name,
        "reference": "v1",
        "digest": INDEX.digest,
        "replaced": [f"v1@{A.digest}"],
    }
