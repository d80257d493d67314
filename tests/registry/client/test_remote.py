from __future__ import annotations

import io
import itertools
import json

import pytest

from registry.client.credentials import Credential
from registry.client.remote import MAX_MANIFEST, Remote
from registry.client.transport import RemoteError
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.registry.client.scripted import Asked, Said, scripted
from tests.registry.commands import PASSWORD, USER

NAMES = (f"acme/plugin-{number}" for number in itertools.count())
CONTENT = bytes(range(256)) * 5000
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))
SECRET = Credential("alice", "s3cret")


def _nobody(host: str) -> Credential | None:
    return None


def _manifest(config: Descriptor, *layers: Descriptor) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json()}
    return json.dumps(document | {"layers": [layer.to_json() for layer in layers]}).encode()


def _push(remote: Remote, repository: str) -> Digest:
    remote.put_blob(repository, BLOB.digest, BLOB.size, io.BytesIO(CONTENT))
    return remote.put_manifest(repository, "v1", _manifest(BLOB, BLOB), OCI_MANIFEST).digest


def _here(host: str) -> Credential | None:
    return Credential(USER, PASSWORD)


@pytest.mark.parametrize("plain_http", [False, True], ids=["found out", "said"])
def test_in_and_out(distribution: str, plain_http: bool) -> None:
    repository = next(NAMES)
    with Remote(distribution, plain_http=plain_http, find=_nobody) as remote:
        assert not remote.has_blob(repository, BLOB.digest)
        digest = _push(remote, repository)
        assert remote.has_blob(repository, BLOB.digest)
        by_tag = remote.manifest(repository, "v1")
        assert by_tag == remote.manifest(repository, digest)
        assert (by_tag.body, by_tag.digest, by_tag.media_type) == (
            _manifest(BLOB, BLOB),
            digest,
            OCI_MANIFEST,
        )
        assert b"".join(remote.blob(repository, BLOB)) == CONTENT
        assert _push(remote, repository) == digest, "again, with nothing to upload"


def test_what_a_registry_refuses_is_said_in_its_words(distribution: str) -> None:
    repository = next(NAMES)
    with Remote(distribution, find=_nobody) as remote:
        with pytest.raises(
            RemoteError, match=rf"{repository}:v1: 404 MANIFEST_UNKNOWN: manifest unknown"
        ) as caught:
            remote.manifest(repository, "v1")
        assert caught.value.status == 404
        with pytest.raises(RemoteError, match=r"404 BLOB_UNKNOWN: blob unknown"):
            list(remote.blob(repository, BLOB))
        with pytest.raises(RemoteError, match=r"v1 is refused: 400 MANIFEST_BLOB_UNKNOWN"):
            remote.put_manifest(repository, "v1", _manifest(BLOB), OCI_MANIFEST)
        with pytest.raises(RemoteError, match=r"does not take the blob .*: 400 DIGEST_INVALID"):
            remote.put_blob(repository, Digest.of(b"other"), 3, io.BytesIO(b"abc"))


def test_with_a_password(guarded: str) -> None:
    with Remote(guarded, find=_here) as remote:
        repository = next(NAMES)
        digest = _push(remote, repository)
        assert remote.manifest(repository, "v1").digest == digest


@pytest.mark.parametrize("credential", [None, Credential("alice", "wrong")], ids=["none", "wrong"])
def test_without_the_right_password(guarded: str, credential: Credential | None) -> None:
    with Remote(guarded, find=lambda host: credential) as remote:
        with pytest.raises(RemoteError, match=r"401 UNAUTHORIZED: .* Log in with docker login\.") as caught:
            remote.manifest(next(NAMES), "v1")
        assert caught.value.status == 401
        with pytest.raises(RemoteError, match="401"):
            _push(remote, next(NAMES))


def _refused(status: int, message: str) -> Said:
    return Said(status, json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode())


def test_a_credential_never_follows_a_redirect_elsewhere() -> None:
    with scripted(lambda asked: Said(body=CONTENT)) as elsewhere:

        def script(asked: Asked) -> Said:
            if not asked.authorization:
                return Said(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            # Another port is another origin.
            return Said(307, headers={"Location": f"http://{elsewhere.host}/blob"})

        with scripted(script) as registry, Remote(registry.host, find=lambda host: SECRET) as remote:
            assert b"".join(remote.blob("a", BLOB)) == CONTENT
            assert registry.asked[-1].authorization == SECRET.basic
    assert [asked.authorization for asked in elsewhere.asked] == [None]


def test_a_challenge_from_elsewhere_is_not_answered() -> None:
    challenge = Said(401, headers={"WWW-Authenticate": 'Basic realm="give it to me"'})
    with (
        scripted(lambda asked: challenge) as elsewhere,
        scripted(lambda asked: Said(307, headers={"Location": f"http://{elsewhere.host}/"})) as registry,
        Remote(registry.host, find=lambda host: SECRET) as remote,
        pytest.raises(RemoteError, match="401"),
    ):
        list(remote.blob("a", BLOB))
    assert {asked.authorization for asked in elsewhere.asked + registry.asked} == {None}


def test_a_credential_never_goes_to_an_upload_elsewhere() -> None:
    with scripted(lambda asked: Said(201)) as elsewhere:

        def script(asked: Asked) -> Said:
            if not asked.authorization:
                return Said(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            if asked.method == "HEAD":
                return Said(404)
            return Said(202, headers={"Location": f"http://{elsewhere.host}/upload?state=1"})

        with scripted(script) as registry, Remote(registry.host, find=lambda host: SECRET) as remote:
            remote.put_blob("a", BLOB.digest, BLOB.size, io.BytesIO(CONTENT))
    (put,) = elsewhere.asked
    assert (put.method, put.authorization, put.body) == ("PUT", None, CONTENT)
    assert put.path == f"/upload?state=1&digest=sha256%3A{BLOB.digest.hex}"


def test_only_a_registry_that_asks_gets_a_credential() -> None:
    with (
        scripted(lambda asked: Said(404)) as registry,
        Remote(registry.host, find=lambda host: SECRET) as remote,
    ):
        assert not remote.has_blob("a", BLOB.digest)
    assert {asked.authorization for asked in registry.asked} == {None}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}], ids=["", "when it says"])
def test_what_passes_is_tried_again(status: int, headers: dict[str, str]) -> None:
    answers = iter([Said(status, headers=headers)] * 2)
    with (
        scripted(lambda asked: next(answers, Said(body=CONTENT))) as registry,
        Remote(registry.host, find=_nobody) as remote,
    ):
        assert b"".join(remote.blob("a", BLOB)) == CONTENT
    assert len(registry.asked) == 3


def test_an_upload_that_is_tried_again_is_whole() -> None:
    bodies: list[bytes] = []

    def script(asked: Asked) -> Said:
        if asked.method == "HEAD":
            return Said(404)
        if asked.method == "POST":
            return Said(202, headers={"Location": "/upload"})
        bodies.append(asked.body)
        first = len(bodies) == 1
        # A token that ran out in between is asked for again, with the body from its start.
        if first:
            return Said(503, headers={"Retry-After": "0"})
        return Said(201) if asked.authorization else Said(401, headers={"WWW-Authenticate": "Basic"})

    with scripted(script) as registry, Remote(registry.host, find=lambda host: SECRET) as remote:
        remote.put_blob("a", BLOB.digest, BLOB.size, io.BytesIO(CONTENT))
    assert bodies == [CONTENT] * 3


# what a registry sends for a blob, what is said
LIES = [
    pytest.param(Said(body=CONTENT[:-1]), "not what its digest and size say", id="too short"),
    pytest.param(Said(body=CONTENT + b"!"), "more than the 1280000 bytes", id="too long"),
    pytest.param(Said(body=CONTENT[:-1] + b"!"), "not what its digest and size say", id="other content"),
    pytest.param(Said(body=CONTENT[:9], announced=len(CONTENT)), "broke off", id="cut off"),
    pytest.param(Said(body=bytes(len(CONTENT))), "not what its digest and size say", id="zeroes"),
]


@pytest.mark.parametrize(("said", "message"), LIES)
def test_a_blob_that_is_not_what_it_should_be(said: Said, message: str) -> None:
    with (
        scripted(lambda asked: said) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=message),
    ):
        list(remote.blob("a", BLOB))


@pytest.mark.parametrize(
    ("target", "said", "message"),
    [
        (Digest.of(b"x"), Said(body=b"y"), "the manifest hashes to"),
        (
            "v1",
            Said(body=b"y", headers={"Docker-Content-Digest": str(Digest.of(b"x"))}),
            "the manifest hashes to",
        ),
        ("v1", Said(body=bytes(MAX_MANIFEST + 1)), "more than the 4194304 bytes"),
    ],
    ids=["by digest", "by tag", "too large"],
)
def test_a_manifest_that_is_not_what_it_should_be(target: str | Digest, said: Said, message: str) -> None:
    with (
        scripted(lambda asked: said) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=message),
    ):
        remote.manifest("a", target)


def test_a_registry_that_stores_something_else_is_said() -> None:
    other = Said(201, headers={"Docker-Content-Digest": str(Digest.of(b"x"))})
    with (
        scripted(lambda asked: other) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match="the registry stored"),
    ):
        remote.put_manifest("a", "v1", b"y", OCI_MANIFEST)


def test_warnings_are_handed_on_without_control_characters() -> None:
    said = Said(201, headers={"Warning": '299 - "not signed\x1b[2J"'})
    with scripted(lambda asked: said) as registry, Remote(registry.host, find=_nobody) as remote:
        assert remote.put_manifest("a", "v1", b"y", OCI_MANIFEST).warnings == ('299 - "not signed?[2J"',)


def test_a_message_is_printed_without_control_characters() -> None:
    with (
        scripted(lambda asked: _refused(403, "no\x1b]0;owned\x07 way\nerror: all is well")) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=r"403 DENIED: no\?\]0;owned\? way error: all is well$"),
    ):
        remote.manifest("a", "v1")


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b"[]", b'{"errors":5}', b'{"errors":[5]}', b"[" * 10**5]
)
def test_a_page_of_somebody_else_is_not_shown(body: bytes) -> None:
    with (
        scripted(lambda asked: Said(404, body)) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=r"a:v1: 404 Look for a mistake in the name\.$"),
    ):
        remote.manifest("a", "v1")


def test_nobody_there() -> None:
    with (
        Remote("127.0.0.1:1", find=_nobody) as remote,
        pytest.raises(RemoteError, match=r"127\.0\.0\.1:1 cannot be reached: .*refused"),
    ):
        remote.manifest("a", "v1")


@pytest.mark.parametrize("plain_http", [False, True], ids=["found out", "said"])
def test_how_it_is_spoken_to(distribution: str, plain_http: bool) -> None:
    with Remote(distribution, plain_http=plain_http, find=_nobody) as remote:
        assert remote.origin == f"http://{distribution}"
    with Remote("registry.example.com", find=_nobody) as remote:
        assert remote.origin == "https://registry.example.com"


def test_a_blob_is_mounted_from_another_repository(distribution: str) -> None:
    source, repository = next(NAMES), next(NAMES)
    with Remote(distribution, find=_nobody) as remote:
        assert not remote.mount_blob(repository, BLOB.digest, source), "it is nowhere yet"
        _push(remote, source)
        assert not remote.has_blob(repository, BLOB.digest)
        assert remote.mount_blob(repository, BLOB.digest, source)
        assert remote.has_blob(repository, BLOB.digest)


@pytest.mark.parametrize(
    ("said", "methods"),
    [
        (Said(202, headers={"Location": "/v2/b/blobs/uploads/1"}), ["POST", "DELETE"]),
        (Said(202), ["POST"]),
        (Said(403), ["POST"]),
        (Said(404), ["POST"]),
    ],
    ids=["an upload instead", "without a Location", "denied", "unknown"],
)
def test_a_mount_that_is_not_made_leaves_nothing(said: Said, methods: list[str]) -> None:
    with (
        scripted(lambda asked: said if asked.method == "POST" else Said(204)) as registry,
        Remote(registry.host, plain_http=True, find=_nobody) as remote,
    ):
        assert not remote.mount_blob("b", BLOB.digest, "a")
    assert [asked.method for asked in registry.asked] == methods
    assert registry.asked[-1].path in (
        "/v2/b/blobs/uploads/1",
        f"/v2/b/blobs/uploads/?mount=sha256%3A{BLOB.digest.hex}&from=a",
    )


def test_a_mount_that_fails() -> None:
    with (
        scripted(lambda asked: Said(501)) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=r"does not mount the blob sha256:.*: 501"),
    ):
        remote.mount_blob("b", BLOB.digest, "a")


@pytest.mark.parametrize("headers", [{"OCI-Subject": str(BLOB.digest)}, {}], ids=["noted", "not noted"])
def test_whether_a_subject_was_noted(headers: dict[str, str]) -> None:
    said = Said(201, headers=headers)
    with scripted(lambda asked: said) as registry, Remote(registry.host, find=_nobody) as remote:
        assert remote.put_manifest("a", "v1", b"y", OCI_MANIFEST).as_referrer is bool(headers)


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ("", ""),
        ('</v2/a/referrers/x?n=1>; rel="next"', "/v2/a/referrers/x?n=1"),
        ("<?page=2>; rel=next", "?page=2"),
        ('<?page=2>; rel="prev"', ""),
        ("<?a>; rel=nexter", ""),
    ],
)
def test_pages_of_referrers(link: str, following: str) -> None:
    said = Said(body=b"{}", headers={"Link": link} if link else {})
    with scripted(lambda asked: said) as registry, Remote(registry.host, find=_nobody) as remote:
        fetched, found = remote.referrers_page("a", BLOB.digest)
        assert fetched is not None
        assert (fetched.body, found) == (b"{}", following)
        remote.referrers_page("a", BLOB.digest, "/v2/a/else?n=1")
    assert registry.asked[-1].path == "/v2/a/else?n=1"


def test_a_page_elsewhere_is_asked_for_without_the_credential() -> None:
    with scripted(lambda asked: Said(401, headers={"WWW-Authenticate": "Basic"})) as elsewhere:

        def script(asked: Asked) -> Said:
            return (
                Said(body=b"{}") if asked.authorization else Said(401, headers={"WWW-Authenticate": "Basic"})
            )

        with scripted(script) as registry, Remote(registry.host, find=lambda host: SECRET) as remote:
            remote.referrers_page("a", BLOB.digest)
            with pytest.raises(RemoteError, match="401"):
                remote.referrers_page("a", BLOB.digest, f"http://{elsewhere.host}/x")
    assert {asked.authorization for asked in elsewhere.asked} == {None}


@pytest.mark.parametrize("status", [400, 404, 405, 406])
def test_no_api_for_referrers(status: int) -> None:
    with scripted(lambda asked: Said(status)) as registry, Remote(registry.host, find=_nobody) as remote:
        assert remote.referrers_page("a", BLOB.digest) == (None, "")


@pytest.mark.parametrize("status", [401, 403, 501])
def test_referrers_that_are_refused(status: int) -> None:
    with (
        scripted(lambda asked: Said(status)) as registry,
        Remote(registry.host, find=_nobody) as remote,
        pytest.raises(RemoteError, match=str(status)),
    ):
        remote.referrers_page("a", BLOB.digest)


def test_docker_hub_answers_under_another_name() -> None:
    asked: list[str] = []
    remote = Remote("docker.io", find=asked.append)
    assert (
        remote._url("alpine", "manifests/v1") == "https://registry-1.docker.io/v2/library/alpine/manifests/v1"
    )
    assert remote._url("a/b", "manifests/v1") == "https://registry-1.docker.io/v2/a/b/manifests/v1"
    remote._login.answer(["Basic"], "", "https://registry-1.docker.io")
    assert asked == ["index.docker.io"]
