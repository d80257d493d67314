"""What the audit has of requests: who was told no, who could not log in, what was pushed and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.registry import guarded
from tests.registry.consumers.build import sha256
from tests.registry.consumers.shapes import B
from tests.registry.guarded import HASH, PASSWORD, PRIVATE, PUBLIC, SECRET, Guarded, basic, stranger
from tests.registry.talk import Answer

CLIENT = "203.0.113.9"


@dataclass(frozen=True, slots=True)
class Audited:
    """A server with rules behind a trusted proxy, and its audit."""

    guarded: Guarded
    file: Path

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[Answer, list[dict[str, Any]]]:
        """An answer, and what it has added, without the time; of each its origin is right."""
        before = len(self.records())
        through = {"X-Forwarded-For": f"10.0.0.9, {CLIENT}", "X-Request-Id": f"r{before}"}
        answer = self.guarded.ask(method, path, {**through, **(fields or {})}, body)
        said = self.records()[before:]
        for one in said:
            assert (one.pop("address"), one.pop("request")) == (CLIENT, f"r{before}")
            assert one.pop("time").endswith("Z")
        return answer, said


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    file = folder / "audit.jsonl"
    server = guarded.start(
        folder,
        "--workers",
        "2",
        server={"trusted_proxies": ["127.0.0.1"]},
        audit={"file": str(file)},
        tags={"immutable": [{"repositories": PUBLIC, "tags": ["v*"]}]},
    )
    yield Audited(server, file)
    server.server.stop()


def test_the_key_that_signs_is_recorded_at_each_start(audited: Audited) -> None:
    (first, *others) = audited.records()
    key = json.loads(audited.guarded.ask("GET", "/keys/").body)["keys"][0]["id"]
    assert {name: first[name] for name in ("event", "verdict", "who", "what")} == {
        "event": "key",
        "verdict": "signs",
        "who": "server",
        "what": key,
    }
    assert all(other["event"] != "key" for other in others)


def test_a_push_and_its_end(audited: Audited) -> None:
    fields = {"Content-Type": B.media_type, **basic("pusher")}
    answer, said = audited.ask("PUT", f"/v2/{PRIVATE}/manifests/v2", fields, B.body)
    assert answer.status == 201
    common = {"event": "push", "who": "user:pusher", "repository": PRIVATE}
    taken = {"verdict": "accepted", "reference": "v2", "digest": B.digest, "pin": B.digest}
    assert said == [common | taken]
    answer, said = audited.ask("PUT", f"/v2/{PRIVATE}/manifests/v2", fields, b"{}")
    assert answer.status == 400
    (one,) = said
    assert one.items() >= (common | {"verdict": "refused", "problems": ["manifest-invalid"]}).items()


def test_deletions(audited: Audited) -> None:
    admin = basic("admin")
    common = {"event": "delete", "who": "user:admin"}
    audited.ask("PUT", f"/v2/{PRIVATE}/manifests/gone", {"Content-Type": B.media_type, **admin}, B.body)
    answer, said = audited.ask("DELETE", f"/v2/{PRIVATE}/manifests/gone", admin)
    assert answer.status == 202
    assert said == [common | {"verdict": "done", "repository": PRIVATE, "reference": "gone"}]
    answer, said = audited.ask("DELETE", f"/v2/{PUBLIC}/manifests/v1", admin)
    assert answer.status == 403
    held = {"verdict": "refused", "repository": PUBLIC, "reference": "v1", "problems": ["tag-immutable"]}
    assert said == [common | held]
    data = b"nobody needs it"
    digest = audited.guarded.ask("POST", f"/v2/{PRIVATE}/blobs/uploads/?digest={sha256(data)}", admin, data)[
        "docker-content-digest"
    ]
    _, said = audited.ask("DELETE", f"/v2/{PRIVATE}/blobs/{digest}", admin)
    assert said == [common | {"verdict": "done", "repository": PRIVATE, "digest": digest, "what": "blob"}]
    _, said = audited.ask("DELETE", f"/v2/{PRIVATE}/manifests/never", admin)
    assert said == []


@pytest.mark.parametrize(
    ("method", "path", "who", "code"),
    [
        ("PUT", f"/v2/{PRIVATE}/manifests/v1", "puller", "denied"),
        ("GET", f"/v2/{PRIVATE}/manifests/v1", "idle", "name-unknown"),
        ("GET", f"/v2/{PRIVATE}/tags/list", "other", "name-unknown"),
        ("POST", f"/v2/{PRIVATE}/blobs/uploads/", "", "unauthorized"),
        ("GET", "/metrics", "pusher", "denied"),
    ],
)
def test_who_is_told_no_is_recorded(audited: Audited, method: str, path: str, who: str, code: str) -> None:
    answer, said = audited.ask(method, path, basic(who) if who else None)
    assert answer.status in (401, 403, 404)
    (one,) = said
    repository = {"repository": PRIVATE} if PRIVATE in path else {}
    assert one == repository | {
        "event": "denied",
        "verdict": "denied",
        "who": f"user:{who}" if who else "anonymous",
        "problems": [code],
        "asked": f"{method} {path}",
    }


def test_who_is_only_asked_to_log_in_is_not(audited: Audited) -> None:
    """Every client begins so."""
    for path in ("/v2/", f"/v2/{PRIVATE}/manifests/v1", "/metrics"):
        answer, said = audited.ask("GET", path)
        assert (answer.status, said) == (401, [])
    assert audited.ask("GET", f"/v2/{PUBLIC}/manifests/v1")[1] == []


def test_a_login_that_failed(audited: Audited) -> None:
    for shown, problem in ((stranger(), "wrong"), (basic("gone", SECRET), "expired")):
        answer, said = audited.ask("GET", "/v2/", shown)
        assert answer.status == 401
        (one,) = said
        assert one.pop("who") in ("gone", *(f"stranger{number}" for number in range(100)))
        assert one == {"event": "login", "verdict": "failed", "problems": [problem]}


def test_the_id_of_a_request_is_answered_where_something_was_done_or_refused(audited: Audited) -> None:
    asked = {"X-Request-Id": "mine", **basic("admin")}
    ask = audited.guarded.ask
    assert ask("PUT", f"/v2/{PRIVATE}/manifests/v1", asked, b"{}")["x-request-id"] == "mine"
    assert ask("GET", f"/v2/{PRIVATE}/manifests/v9", asked)["x-request-id"] == "mine"
    assert ask("GET", f"/v2/{PRIVATE}/manifests/v9", basic("admin"))["x-request-id"] not in ("", "mine")
    # As the hot path gives it, it is the same for all.
    assert ask("GET", f"/v2/{PRIVATE}/manifests/v1", asked).get("x-request-id") is None


def test_no_secret_is_in_it(audited: Audited) -> None:
    audited.ask("GET", "/v2/", stranger("hunter2-hunter2"))
    audited.ask("GET", "/v2/", basic("hunter2 in the wrong field"))
    audited.ask("PUT", f"/v2/{PRIVATE}/manifests/v1?token=hunter2", basic("puller"))
    said = audited.file.read_text()
    shown = [basic("deploy", SECRET), basic("puller"), basic("admin")]
    secrets = ["hunter2", PASSWORD, SECRET, HASH, *(one["Authorization"][6:] for one in shown)]
    assert not [secret for secret in secrets if secret in said]


def test_urls_that_need_no_login_without_what_makes_them_ones(audited: Audited) -> None:
    for reference in ("v1", B.digest):
        joint = "@" if ":" in reference else ":"
        path = f"/plugins/{PRIVATE}{joint}{reference}"
        answer, said = audited.ask("POST", f"{path}/urls", basic("puller"), b"")
        made = answer.json
        common = {"event": "url", "repository": PRIVATE, "reference": reference, "what": made["id"]}
        assert said == [common | {"verdict": "made", "who": "user:puller"}]
        assert audited.ask("POST", f"{path}/urls", basic("puller"), b"")[1] == [], "it is the same one"
        answer, said = audited.ask("DELETE", f"{path}/urls/{made['id']}", basic("pusher"))
        assert answer.status == 200
        assert said == [common | {"verdict": "revoked", "who": "user:pusher"}]
        assert audited.ask("DELETE", f"{path}/urls/{made['id']}", basic("pusher"))[1] == []
        _, (denied,) = audited.ask("GET", made["path"], basic("other"))
        assert denied["asked"] == f"GET {path}/scu_{made['id']}_…/plugin.wasm"
        assert made["path"].split("/")[-2] not in audited.file.read_text()


def test_urls_in_what_is_to_be_applied(audited: Audited) -> None:
    path = f"/plugins/{PRIVATE}:v1/envoy.yaml"
    answer, said = audited.ask("GET", path, {**basic("puller"), "Host": "plugins.example.com"})
    assert answer.status == 200, answer
    assert [(one["verdict"], one["reference"]) for one in said] == [("made", B.digest)]
    assert audited.ask("GET", path, {**basic("puller"), "Host": "plugins.example.com"})[1] == []
