from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from registry.access.robots import hashed
from registry.client.credentials import Credential
from registry.client.login import Login
from registry.client.transport import Transport
from tests.real.sidecargo import Sidecargo
from tests.registry import guarded as guarding
from tests.registry.consumers.shapes import B
from tests.registry.guarded import PASSWORD, PRIVATE, PUBLIC, SECRET, Guarded, basic, stranger
from tests.registry.talk import Answer, Connection, Registry, eventually, holding

MANIFEST = f"/v2/{PRIVATE}/manifests/v1"
PULL = f"repository:{PRIVATE}:pull"
PUSH = f"repository:{PRIVATE}:pull,push"
PUBLIC_PULL = f"repository:{PUBLIC}:pull"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"), access={"tokens": {"enabled": True}})
    yield guarded
    guarded.server.stop()


def asked(guarded: Guarded, fields: dict[str, str], *scopes: str, **more: str) -> Answer:
    query = urlencode([("service", guarded.host), *more.items(), *(("scope", one) for one in scopes)])
    return guarded.ask("GET", f"/token?{query}", fields)


def token(guarded: Guarded, fields: dict[str, str], *scopes: str) -> dict[str, str]:
    """The field that shows a new token."""
    answer = asked(guarded, fields, *scopes)
    assert answer.status == 200, answer
    return {"Authorization": f"Bearer {answer.json['token']}"}


def posted(guarded: Guarded, **form: str) -> Answer:
    return guarded.ask("POST", "/token", FORM, urlencode({"service": guarded.host, **form}).encode())


def test_a_token_is_asked_for_with_its_scope(guarded: Guarded) -> None:
    root = f'Bearer realm="http://{guarded.host}/token",service="{guarded.host}"'
    assert guarded.ask("GET", "/v2/")["www-authenticate"] == root
    assert guarded.ask("GET", MANIFEST)["www-authenticate"] == f'{root},scope="{PULL}"'
    assert guarded.ask("PUT", MANIFEST, body=b"{}")["www-authenticate"] == f'{root},scope="{PUSH}"'
    assert (
        guarded.ask("GET", f"/plugins/{PRIVATE}")["www-authenticate"]
        == f'Basic realm="http://{guarded.host}"'
    )


def test_an_answer_has_what_clients_read(guarded: Guarded) -> None:
    answer = asked(guarded, basic("pusher"), PUSH, account="pusher", client_id="docker")
    assert answer["cache-control"] == "no-store"
    said = answer.json
    assert said["token"] == said["access_token"]
    assert (said["expires_in"], said["scope"]) == (300, PUSH)
    assert said["issued_at"].endswith("Z") and "refresh_token" not in said


def test_exactly_what_the_rules_give_is_granted(guarded: Guarded) -> None:
    for who, scopes, granted in (
        ("puller", [PUSH], PULL),
        ("puller", [PUSH, PUBLIC_PULL, "repository:secret/y:*"], f"{PUBLIC_PULL} {PULL}"),
        ("idle", [PUSH], ""),
        ("admin", [f"repository:{PRIVATE}:*"], f"repository:{PRIVATE}:pull,push,delete"),
        ("other", ["registry:catalog:*"], "registry:catalog:*"),
        ("admin", ["repository:../x:pull x"], ""),
    ):  # fmt: skip
        assert asked(guarded, basic(who), *scopes).json["scope"] == granted, who
    assert asked(guarded, {}, PULL, f"{PUBLIC_PULL},push").json["scope"] == PUBLIC_PULL


def test_a_token_is_for_its_scope_alone(guarded: Guarded) -> None:
    pull = token(guarded, basic("admin"), PULL)
    for _ in range(3):
        assert guarded.ask("GET", MANIFEST, pull).body == B.body
        assert guarded.ask("HEAD", MANIFEST, pull).status == 200
        assert guarded.ask("GET", f"/plugins/{PRIVATE}:v1/plugin.wasm", pull).status == 200
        assert guarded.ask("GET", f"/v2/{PUBLIC}/manifests/v1", pull).status == 200, "as everybody"
        for method, path in (
            ("PUT", MANIFEST), ("DELETE", MANIFEST), ("GET", "/v2/other/z/tags/list"),
            ("POST", f"/v2/{PRIVATE}/blobs/uploads/"),
        ):  # fmt: skip
            answer = guarded.ask(method, path, pull, None if method == "GET" else b"{}")
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), (method, path, answer)
            assert 'error="insufficient_scope"' in answer["www-authenticate"]
    assert guarded.ask("GET", "/v2/", pull).status == 200


def test_what_the_rules_do_not_give_no_token_brings(guarded: Guarded) -> None:
    puller = token(guarded, basic("puller"), PUSH)
    assert guarded.ask("GET", MANIFEST, puller).status == 200
    answer = guarded.ask("PUT", MANIFEST, puller, b"{}")
    assert (answer.status, answer.code) == (403, "DENIED"), "a new token would not help"
    idle = token(guarded, basic("idle"), PULL)
    assert (answer := guarded.ask("GET", MANIFEST, idle)).code == "NAME_UNKNOWN", answer


def test_a_mount_takes_a_scope_for_its_source_too(guarded: Guarded) -> None:
    """What its holder may pull is none of a token that was not asked for it."""
    layer = B.manifest["layers"][0]["digest"]
    for source, scopes, status in (
        (PRIVATE, [], 202), (PRIVATE, ["registry:catalog:*"], 202), (PRIVATE, [PULL], 201), (PUBLIC, [], 201),
    ):  # fmt: skip
        name = f"other/of-{len(scopes)}-{status}-{source.replace('/', '-')}"
        shown = token(guarded, basic("admin"), f"repository:{name}:pull,push", *scopes)
        uploads = f"/v2/{name}/blobs/uploads/?mount={layer}&from={source}"
        assert guarded.ask("POST", uploads, shown, b"").status == status, (source, scopes)
        there = guarded.ask("HEAD", f"/v2/{name}/blobs/{layer}", shown).status
        assert there == (200 if status == 201 else 404)


def test_a_listing_takes_its_scope(guarded: Guarded) -> None:
    listing = token(guarded, basic("puller"), "registry:catalog:*")
    assert guarded.ask("GET", "/v2/_catalog", listing).json == {"repositories": [PUBLIC, PRIVATE]}
    assert guarded.ask("GET", MANIFEST, listing).status == 401
    other = token(guarded, basic("puller"), PULL)
    assert guarded.ask("GET", "/v2/_catalog", other).json == {"repositories": [PUBLIC]}, "as everybody"


def test_everybody_gets_a_token_for_what_everybody_may_do(guarded: Guarded) -> None:
    anybody = token(guarded, {}, PUBLIC_PULL)
    for _ in range(2):
        assert guarded.ask("GET", f"/v2/{PUBLIC}/manifests/v1", anybody).body == B.body
    assert guarded.ask("GET", "/v2/", anybody).status == 200
    answer = guarded.ask("GET", MANIFEST, anybody)
    assert answer.status == 401 and "insufficient_scope" in answer["www-authenticate"]


def test_passwords_go_on_to_be_taken(guarded: Guarded) -> None:
    assert guarded.ask("GET", MANIFEST, basic("puller")).status == 200
    assert guarded.ask("GET", "/v2/", basic("puller")).status == 200


def test_wrong_logins_get_none(guarded: Guarded) -> None:
    for fields in (stranger(), basic("gone", SECRET), token(guarded, basic("admin"), PULL)):
        answer = asked(guarded, fields, PULL)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    for form in (
        {"grant_type": "password", "username": "nobody", "password": "x"},
        {"grant_type": "password"},
        {"grant_type": "refresh_token", "refresh_token": "x"},
        {"grant_type": "refresh_token", "refresh_token": asked(guarded, basic("admin"), PULL).json["token"]},
    ):
        answer = posted(guarded, **form)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), form


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, b"grant_type=password"),
        ({"Content-Type": "application/json"}, b"{}"),
        (FORM, b""),
        (FORM, b"grant_type=authorization_code"),
        (FORM, b"grant_type=password&service=elsewhere"),
        (FORM, b"a=1&" * 500),
        (FORM, b"\xff"),
        (FORM, b"a" * 70_000),
    ],
)
def test_forms_that_are_none(guarded: Guarded, fields: dict[str, str], body: bytes) -> None:
    answer = guarded.ask("POST", "/token", fields, body)
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")


def test_another_service(guarded: Guarded) -> None:
    answer = guarded.ask("GET", "/token?service=elsewhere", basic("admin"))
    assert answer.status == 400 and guarded.host in answer.error["message"]


def test_by_a_form(guarded: Guarded) -> None:
    form = {"grant_type": "password", "username": "puller", "password": PASSWORD, "client_id": "x"}
    first = posted(guarded, **form, scope=f"{PUSH} registry:catalog:*", access_type="offline").json
    assert first["scope"] == f"registry:catalog:* {PULL}"
    refresh = first["refresh_token"]
    second = posted(guarded, grant_type="refresh_token", refresh_token=refresh, scope=PULL).json
    assert second["refresh_token"] == refresh
    shown = {"Authorization": f"Bearer {second['access_token']}"}
    assert guarded.ask("GET", MANIFEST, shown).status == 200
    assert guarded.ask("GET", MANIFEST, {"Authorization": f"Bearer {refresh}"}).status == 401


@pytest.mark.parametrize(
    "credential",
    [Credential("puller", PASSWORD), Credential("deploy", SECRET)],
    ids=["a user", "a robot"],
)
def test_our_own_client_logs_in(guarded: Guarded, credential: Credential) -> None:
    login = Login(guarded.host, Transport(), lambda: credential)
    challenge = guarded.ask("GET", MANIFEST)["www-authenticate"]
    assert login.answer([challenge], PULL, f"http://{guarded.host}")
    assert guarded.ask("GET", MANIFEST, {"Authorization": login.header(PULL)}).status == 200


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Guarded]]:
    started: list[Guarded] = []

    def start(lifetime: str = "5m") -> Guarded:
        tokens = {"lifetime": lifetime, "enabled": True}
        started.append(guarding.start(tmp_path, access={"tokens": tokens}))
        return started[-1]

    yield start
    for one in started:
        one.server.stop()


def test_who_is_removed_has_no_token_any_more(own: Callable[..., Guarded]) -> None:
    guarded = own()
    shown = token(guarded, basic("puller"), PULL)
    refresh = asked(guarded, basic("puller"), PULL, offline_token="true").json["refresh_token"]
    robot = token(guarded, basic("deploy", SECRET), PULL)
    assert guarded.ask("GET", MANIFEST, shown).status == 200
    kept = guarded.users.read_text().splitlines(keepends=True)
    guarded.users.write_text("".join(line for line in kept if not line.startswith("puller:")))
    eventually(lambda: guarded.ask("GET", MANIFEST, shown).status == 401)
    assert posted(guarded, grant_type="refresh_token", refresh_token=refresh, scope=PULL).status == 401
    guarded.users.write_text("".join(kept).replace("puller:$2b$04$a", "puller:$2b$04$b"))
    assert guarded.ask("GET", MANIFEST, shown).status == 401, "another password"
    assert guarded.ask("GET", MANIFEST, robot).status == 200


def test_an_upload_under_way_may_finish_and_nothing_else(own: Callable[..., Guarded]) -> None:
    guarded = own("1s")
    shown = token(guarded, basic("pusher"), PUSH)
    uploads = f"/v2/{PRIVATE}/blobs/uploads/"
    early, late, left = (guarded.ask("POST", uploads, shown, b"")["location"] for _ in range(3))
    data = b"x" * 200_000
    with Connection(guarded.host) as connection:
        length = {"Content-Length": str(len(data))}
        connection.send("PATCH", early, {**shown, **length}, data[:150_000])
        # A token is taken for some seconds after its end: clocks differ.
        eventually(lambda: guarded.ask("GET", MANIFEST, shown).status == 401, 30)
        connection.socket.sendall(data[150_000:])
        assert connection.answer().status == 202, "it ended in the middle of this body"
    assert guarded.ask("PATCH", late, shown, data).status == 202
    for path in (early, late):
        answer = guarded.ask("PUT", f"{path}?digest={hashed(data)}", shown, b"")
        assert answer.status == 201, answer
    assert guarded.ask("POST", uploads, shown, b"").status == 401
    assert guarded.ask("GET", f"/v2/{PRIVATE}/blobs/{hashed(data)}", shown).status == 401
    assert guarded.ask("PATCH", left, shown, data).status == 202
    guarded.users.write_text(guarded.users.read_text().replace("pusher:", "# "))
    eventually(lambda: guarded.ask("GET", left, shown).status == 401, 5)
    assert guarded.ask("PUT", f"{left}?digest={hashed(data)}", shown, b"").status == 401, "who is removed"


def test_without_tokens_there_are_none(serve: Callable[..., Sidecargo]) -> None:
    registry = Registry(serve().host, "")
    assert registry.get("/token").code == "NAME_UNKNOWN"
    assert registry.ask("POST", "/token", FORM, b"").code == "NAME_UNKNOWN"


def test_the_key_is_made_once_and_is_its_owner_s_alone(own: Callable[..., Guarded]) -> None:
    key = own().server.folder / "data" / "private" / "tokens.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes() != (key.parent / "signing.key").read_bytes()


def test_no_token_is_in_a_log_or_in_the_store(guarded: Guarded) -> None:
    form = {"grant_type": "password", "username": "puller", "password": PASSWORD, "scope": PULL}
    got = posted(guarded, **form, access_type="offline").json
    given = (got["access_token"], got["refresh_token"])
    for one in given:
        shown = {"Authorization": f"Bearer {one}"}
        for method, path in (("GET", MANIFEST), ("PUT", MANIFEST), ("DELETE", f"{MANIFEST}?token={one}")):
            guarded.ask(method, path, shown, b"{}")
        guarded.ask("GET", f"/v2/{PRIVATE}/tags/list?token={one}", basic("any", one))
        guarded.ask("GET", MANIFEST, {"Authorization": f"Bearer {one[:-4]}AAAA"})
    posted(guarded, grant_type="refresh_token", refresh_token=given[1], scope=PULL)
    posted(guarded, grant_type="refresh_token", refresh_token=f"{given[1]}x")
    posted(guarded, grant_type="password", username="hunter2 in the wrong field", password="hunter2-hunter2")
    said = guarded.server.process.said(100_000)
    assert '"event": "denied"' in said and '"event": "login"' in said
    # A part of a token would do: its end is what nobody can make.
    secrets = [PASSWORD, SECRET, "hunter2", *(one[-60:-10] for one in given)]
    assert not [secret for secret in secrets if secret in said]
    assert holding(guarded.server.folder / "data", secrets) == []
