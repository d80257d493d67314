"""What rules mean beyond the right of a route: uploads, mounts, listings, who did it, what a log says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.keyring import write_new
from tests.registry import guarded as guarding
from tests.registry.consumers.shapes import B
from tests.registry.guarded import (
    HASH,
    PASSWORD,
    PRIVATE,
    PUBLIC,
    SECRET,
    Guarded,
    basic,
    stranger,
)
from tests.registry.talk import Connection, holding, sha256

LAYER = B.manifest["layers"][0]["digest"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"))
    yield guarded
    guarded.server.stop()


def begun(guarded: Guarded, who: dict[str, str], name: str = PRIVATE) -> str:
    answer = guarded.ask("POST", f"/v2/{name}/blobs/uploads/", who, b"")
    assert answer.status == 202, answer
    return answer["location"]


def test_an_upload_is_its_owner_s(guarded: Guarded) -> None:
    path = begun(guarded, basic("pusher"))
    digest = sha256(b"abc")
    for who in (basic("admin"), basic("deploy", SECRET)):
        for method, rest in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest}"), ("DELETE", "")):
            answer = guarded.ask(method, path + rest, who, None if method == "GET" else b"abc")
            assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), (method, answer)
    assert guarded.ask("PATCH", path, basic("pusher"), b"abc")["range"] == "0-2"
    assert guarded.ask("PUT", f"{path}?digest={digest}", basic("pusher"), b"").status == 201


def test_an_upload_is_its_repository_s(guarded: Guarded) -> None:
    path = begun(guarded, basic("admin")).replace(PRIVATE, "other/z")
    assert guarded.ask("PATCH", path, basic("admin"), b"abc").code == "BLOB_UPLOAD_UNKNOWN"


@pytest.mark.parametrize(
    ("who", "source", "status"),
    [
        ("admin", PRIVATE, 201),
        ("other", PRIVATE, 202),
        ("other", "team/absent", 202),
        ("other", PUBLIC, 201),
        ("admin", None, 202),
        ("other", None, 202),
    ],
)
def test_a_mount_needs_the_right_to_pull_at_its_source(
    guarded: Guarded, who: str, source: str | None, status: int
) -> None:
    target = f"/v2/other/mount-{who}-{str(source).replace('/', '-').lower()}/blobs"
    query = f"?mount={LAYER}" + (f"&from={source}" if source else "")
    answer = guarded.ask("POST", f"{target}/uploads/{query}", basic(who), b"")
    assert answer.status == status
    there = guarded.ask("HEAD", f"{target}/{LAYER}", basic(who)).status
    assert there == (200 if status == 201 else 404)


def test_who_may_not_mount_learns_nothing(guarded: Guarded) -> None:
    """Whether it is there, is not, or the repository is none: one answer."""
    answers = set()
    for digest, source in ((LAYER, PRIVATE), (LAYER, "team/absent"), (sha256(b"none"), PRIVATE)):
        query = f"?mount={digest}&from={source}"
        answer = guarded.ask("POST", f"/v2/other/q/blobs/uploads/{query}", basic("other"), b"")
        answers.add((answer.status, answer.body, tuple(sorted(name for name, _ in answer.fields))))
    assert len(answers) == 1


@pytest.mark.parametrize("path", ["/v2/_catalog", "/plugins/", "/plugins"])
def test_listings_have_what_one_may_pull(guarded: Guarded, path: str) -> None:
    for who, listed in (
        (basic("admin"), [PUBLIC, PRIVATE]),
        (basic("puller"), [PUBLIC, PRIVATE]),
        (basic("idle"), [PUBLIC]),
        ({}, [PUBLIC]),
    ):
        assert listed == [
            name for name in guarded.ask("GET", path, who).json["repositories"] if "mount" not in name
        ]


def test_a_listing_s_pages_have_what_one_may_pull_and_name_nothing_else(guarded: Guarded) -> None:
    found = []
    path = "/v2/_catalog?n=1"
    for _ in range(2):
        answer = guarded.ask("GET", path, basic("puller"))
        found += answer.json["repositories"]
        path = (answer.get("link") or "").partition("<")[2].partition(">")[0]
        assert all(name in found for name in (path.rpartition("last=")[2].replace("%2F", "/"),) if name)
    assert found == [PUBLIC, PRIVATE]
    assert path == ""
    assert guarded.ask("GET", "/v2/_catalog?n=1", {}).get("link") is None


def test_it_is_known_who_pushed(guarded: Guarded) -> None:
    for at, (fields, who) in enumerate(
        ((basic("pusher"), "user:pusher"), (basic("deploy", SECRET), "robot:deploy"))
    ):
        assert guarded.push(f"team/by{at}", fields).status == 201
        assert guarded.ask("GET", f"/plugins/team/by{at}:v1/history", basic("puller")).json["by"] == who


def test_what_is_held_back_is_remembered_for_nobody_who_may_not_push(tmp_path: Path) -> None:
    write_new(tmp_path / "another.key")
    rule = {"repositories": "team/**", "keys": [str(tmp_path / "another.key")]}
    guarded = guarding.start(tmp_path, verification=[rule])
    try:
        for path in (f"/v2/{PRIVATE}/manifests/v1", f"/v2/{PRIVATE}/manifests/{B.digest}"):
            for _ in range(3):
                assert guarded.ask("GET", path, basic("pusher")).body == B.body
                assert guarded.ask("GET", path, basic("admin")).body == B.body
                for who in (basic("puller"), {}, basic("idle")):
                    assert guarded.ask("GET", path, who).status in (401, 404)
    finally:
        guarded.server.stop()


def test_what_is_for_some_is_kept_by_no_cache_on_the_way(guarded: Guarded) -> None:
    for name, whose in ((PRIVATE, "private"), (PUBLIC, "public")):
        path = f"/plugins/{name}@{B.digest}/plugin.wasm"
        for _ in range(2):
            answer = guarded.ask("GET", path, basic("admin"))
            assert answer["cache-control"] == f"{whose}, max-age=31536000, immutable"


def test_a_removed_user_is_out_of_what_is_remembered(guarded: Guarded) -> None:
    path = f"/v2/{PRIVATE}/manifests/v1"
    text = guarded.users.read_text()
    guarded.users.write_text(f"{text}late:{HASH}\n")
    answer = guarded.ask("GET", path, basic("late"))
    assert answer.code == "NAME_UNKNOWN"
    with Connection(guarded.host) as connection:
        for _ in range(3):
            assert connection.ask("GET", path, basic("puller")).status == 200
        guarded.users.write_text(text.replace("puller:", "# "))
        statuses = []
        while 401 not in statuses:
            statuses.append(connection.ask("GET", path, basic("puller")).status)
            assert len(statuses) < 1_000_000
        assert connection.ask("GET", path, basic("puller")).status == 401
        guarded.users.write_text(text)
        assert connection.ask("GET", path, basic("puller")).status == 200


def test_no_secret_is_in_a_log_or_in_the_store(guarded: Guarded) -> None:
    guarded.ask("GET", "/v2/", basic("deploy", SECRET))
    guarded.ask("GET", "/v2/", stranger("hunter2-hunter2"))
    guarded.ask("GET", "/v2/?password=x", basic("deploy", SECRET))
    said = guarded.server.process.said(100_000)
    assert '"event": "login", "verdict": "failed", "who": "stranger' in said
    shown = [basic("deploy", SECRET), basic("puller"), basic("admin")]
    secrets = [PASSWORD, SECRET, "hunter2", HASH, *(one["Authorization"][6:] for one in shown)]
    assert not [secret for secret in secrets if secret in said]
    assert holding(guarded.server.folder / "data", secrets) == []


@pytest.mark.parametrize(
    "lies",
    [
        {"Host": "evil.example"},
        {"Host": f"x/v2/{PUBLIC}/manifests/v1?"},
        {"X-Forwarded-Host": "evil.example", "X-Original-URL": "/v2/", "X-HTTP-Method-Override": "GET"},
        {"X-Forwarded-User": "admin", "Remote-User": "admin", "Cookie": "user=admin"},
    ],
)
def test_what_a_client_says_of_itself_changes_nothing(guarded: Guarded, lies: dict[str, str]) -> None:
    path = f"/v2/{PRIVATE}/manifests/v1"
    for fields in ({}, basic("idle")):
        honest = guarded.ask("GET", path, fields)
        assert honest.status in (401, 404)
        assert guarded.ask("GET", path, {**fields, **lies}).timeless == honest.timeless


def test_errors_say_what_to_do(guarded: Guarded) -> None:
    said = {
        who: guarded.ask("PUT", f"/v2/{PRIVATE}/manifests/v1", fields, b"{}").error["message"]
        for who, fields in (("", {}), ("puller", basic("puller")), ("idle", basic("idle")))
    }
    assert said == {
        "": "this needs a login. Log in with docker login.",
        "puller": f"user:puller may not push in {PRIVATE}. Ask who runs the registry for the right.",
        "idle": f"{PRIVATE} is not here, or user:idle may not see it.",
    }
    assert "Traceback" not in json.dumps(said)
