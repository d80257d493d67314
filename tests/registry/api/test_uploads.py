import hashlib
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import sha256
from tests.registry.talk import (
    MISSING,
    Answer,
    Connection,
    Registry,
    eventually,
    files,
    fresh,
    leaving_nothing,
)

DATA = bytes(range(256)) * 4
DIGEST = sha256(DATA)
SHA512 = f"sha512:{hashlib.sha512(DATA).hexdigest()}"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def append(registry: Registry, path: str, data: bytes, content_range: str = "") -> Answer:
    fields = {"Content-Range": content_range} if content_range else {}
    return registry.ask("PATCH", path, fields, data)


def finish(registry: Registry, path: str, digest: str = DIGEST, data: bytes = b"") -> Answer:
    return registry.ask("PUT", f"{path}?digest={digest}", body=data)


def whole(registry: Registry, digest: str = DIGEST) -> bytes:
    answer = registry.get(f"{registry.base}/blobs/{digest}")
    assert answer.status == 200, answer
    return answer.body


class TestStart:
    def test_an_empty_session(self, registry: Registry) -> None:
        answer = registry.ask("POST", f"{registry.base}/blobs/uploads/", body=b"")
        assert (answer.status, answer["range"], answer["content-length"]) == (202, "0-0", "0")
        # Path-absolute, and the whole state in the path: zb drops a query.
        assert re.fullmatch(rf"{registry.base}/blobs/uploads/[^/?]+", answer["location"])
        assert answer["location"].endswith(answer["docker-upload-uuid"])

    def test_without_a_length(self, registry: Registry) -> None:
        assert registry.ask("POST", f"{registry.base}/blobs/uploads/").status == 202

    def test_whole_in_one_request(self, registry: Registry) -> None:
        answer = registry.ask("POST", f"{registry.base}/blobs/uploads/?digest={DIGEST}", body=DATA)
        assert answer.status == 201
        assert answer["location"] == f"{registry.base}/blobs/{DIGEST}"
        assert answer["docker-content-digest"] == DIGEST
        assert whole(registry) == DATA

    def test_whole_in_chunks(self, registry: Registry) -> None:
        fields = {"Transfer-Encoding": "chunked"}
        path = f"{registry.base}/blobs/uploads/?digest={DIGEST}"
        assert registry.ask("POST", path, fields, chunked(DATA[:7], DATA[7:])).status == 201
        assert whole(registry) == DATA

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_the_algorithm_may_be_said(self, registry: Registry, algorithm: str) -> None:
        path = f"{registry.base}/blobs/uploads/?digest-algorithm={algorithm}"
        assert registry.ask("POST", path, body=b"").status == 202

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param("digest-algorithm=md5", id="an unknown algorithm"),
            pytest.param("digest=sha256:0", id="a digest that is none"),
            pytest.param(f"digest={MISSING}", id="another digest"),
            pytest.param("mount=latest", id="a mount of no digest"),
        ],
    )
    def test_what_cannot_be_begun(self, registry: Registry, store: Path, query: str) -> None:
        with leaving_nothing(store):
            answer = registry.ask("POST", f"{registry.base}/blobs/uploads/?{query}", body=DATA)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


class TestMount:
    def test_from_a_repository(self, registry: Registry) -> None:
        source = registry.other()
        source.blob(DATA)
        answer = registry.ask(
            "POST", f"{registry.base}/blobs/uploads/?mount={DIGEST}&from={source.name}", body=b""
        )
        assert (answer.status, answer["location"]) == (201, f"{registry.base}/blobs/{DIGEST}")
        assert answer["docker-content-digest"] == DIGEST
        assert whole(registry) == DATA

    def test_from_wherever_it_is(self, registry: Registry) -> None:
        # regclient's first try; allowed as long as everybody may pull everything.
        registry.other().blob(DATA)
        answer = registry.ask("POST", f"{registry.base}/blobs/uploads/?mount={DIGEST}", body=b"")
        assert answer.status == 201
        assert whole(registry) == DATA

    @pytest.mark.parametrize(
        "source", ["", "&from=not/here", "&from={other}"], ids=["nowhere", "no repository", "not its blob"]
    )
    def test_a_refused_mount_is_an_upload(self, registry: Registry, source: str) -> None:
        data = os.urandom(100)
        query = f"mount={sha256(data)}" + source.format(other=registry.other().name)
        if "{other}" in source:
            registry.other().blob(data)
        answer = registry.ask("POST", f"{registry.base}/blobs/uploads/?{query}", body=b"")
        assert (answer.status, answer["range"]) == (202, "0-0")
        assert finish(registry, answer["location"], sha256(data), data).status == 201

    @pytest.mark.parametrize("name", ["../x", "A", "a//b", "a" * 300])
    def test_from_no_name(self, registry: Registry, name: str) -> None:
        path = f"{registry.base}/blobs/uploads/?mount={DIGEST}&from={name}"
        answer = registry.ask("POST", path, body=b"")
        assert (answer.status, answer.code) == (400, "NAME_INVALID")


class TestChunks:
    def test_as_docker_sends_them(self, registry: Registry) -> None:
        """Chunked, without Content-Length and Content-Range; the reply has Location and `0-N`."""
        path = registry.begin()
        fields = {"Transfer-Encoding": "chunked"}
        answer = registry.ask("PATCH", path, fields, chunked(DATA[:500], DATA[500:1000]))
        assert (answer.status, answer["range"], answer["location"]) == (202, "0-999", path)
        answer = registry.ask("PATCH", path, fields, chunked(DATA[1000:]))
        assert (answer.status, answer["range"]) == (202, "0-1023")
        assert finish(registry, path).status == 201
        head = registry.ask("HEAD", f"{registry.base}/blobs/{DIGEST}")
        assert (head.status, head["content-length"]) == (200, "1024")

    @pytest.mark.parametrize("form", ["{}-{}", "bytes {}-{}/1024", "bytes={}-{}", "bytes {}-{}/*"])
    def test_with_their_place(self, registry: Registry, form: str) -> None:
        path = registry.begin()
        for start in (0, 512):
            answer = append(registry, path, DATA[start : start + 512], form.format(start, start + 511))
            assert (answer.status, answer["range"]) == (202, f"0-{start + 511}")
        assert finish(registry, path).status == 201
        assert whole(registry) == DATA

    def test_the_last_one_with_the_end(self, registry: Registry) -> None:
        path = registry.begin()
        append(registry, path, DATA[:100])
        assert finish(registry, path, data=DATA[100:]).status == 201
        assert whole(registry) == DATA

    @pytest.mark.parametrize(
        ("place", "size"),
        [
            pytest.param("512-611", 100, id="a gap"),
            pytest.param("0-99", 100, id="again"),
            pytest.param("50-149", 100, id="overlapping"),
        ],
    )
    def test_out_of_order(self, registry: Registry, place: str, size: int) -> None:
        """416 with the true range, and the session tells it too: regclient goes on from there."""
        path = registry.begin()
        append(registry, path, DATA[:100])
        for _ in range(2):
            answer = append(registry, path, DATA[:size], place)
            assert (answer.status, answer["range"], answer.code) == (416, "0-99", "BLOB_UPLOAD_INVALID")
            assert answer.error["detail"] == {"offset": 100}
            status = registry.get(path)
            assert (status.status, status["range"], status["location"]) == (204, "0-99", path)
        assert append(registry, path, DATA[100:], "100-1023").status == 202
        assert finish(registry, path).status == 201

    def test_out_of_order_at_the_end(self, registry: Registry) -> None:
        path = registry.begin()
        append(registry, path, DATA[:100])
        answer = registry.ask("PUT", f"{path}?digest={DIGEST}", {"Content-Range": "512-1023"}, DATA[512:])
        assert (answer.status, answer["range"]) == (416, "0-99")
        assert registry.get(path)["range"] == "0-99"

    def test_the_first_one_out_of_order(self, registry: Registry) -> None:
        path = registry.begin()
        answer = append(registry, path, DATA[512:], "512-1023")
        assert (answer.status, answer["range"]) == (416, "0-0")
        assert registry.get(path)["range"] == "0-0"

    @pytest.mark.parametrize(
        ("place", "code"),
        [
            pytest.param("9-0", "BLOB_UPLOAD_INVALID", id="ends before it begins"),
            pytest.param("a-b", "BLOB_UPLOAD_INVALID", id="letters"),
            pytest.param("0", "BLOB_UPLOAD_INVALID", id="one number"),
            pytest.param("0-" + "9" * 400, "BLOB_UPLOAD_INVALID", id="400 digits"),
            pytest.param("0-1023", "SIZE_INVALID", id="another length"),
        ],
    )
    def test_a_place_that_makes_no_sense(self, registry: Registry, place: str, code: str) -> None:
        path = registry.begin()
        answer = append(registry, path, DATA[:100], place)
        assert (answer.status, answer.code) == (400, code)
        assert registry.get(path)["range"] == "0-0"

    def test_a_chunked_body_shorter_than_its_place(self, registry: Registry) -> None:
        path = registry.begin()
        fields = {"Transfer-Encoding": "chunked", "Content-Range": "0-1023"}
        answer = registry.ask("PATCH", path, fields, chunked(DATA[:100]))
        assert (answer.status, answer.code) == (400, "SIZE_INVALID")

    def test_a_client_that_goes_away_may_go_on(self, registry: Registry) -> None:
        data = os.urandom(4 << 20)
        path = registry.begin()
        with Connection(registry.host) as connection:
            connection.send("PATCH", path, {"Content-Length": str(len(data))}, data[: 3 << 20])
            eventually(lambda: registry.get(path)["range"] != "0-0")
        answers: list[Answer] = []

        def goes_on() -> bool:
            # The server may still be about to notice.
            begin = int(registry.get(path)["range"].partition("-")[2]) + 1
            answers.append(append(registry, path, data[begin:], f"{begin}-{len(data) - 1}"))
            return answers[-1].status == 202

        eventually(goes_on)
        assert {answer.status for answer in answers} <= {202, 416}
        assert finish(registry, path, sha256(data)).status == 201
        assert whole(registry, sha256(data)) == data


class TestFinish:
    def test_whole_after_an_empty_session(self, registry: Registry) -> None:
        path = registry.begin()
        answer = finish(registry, path, data=DATA)
        assert (answer.status, answer["location"]) == (201, f"{registry.base}/blobs/{DIGEST}")
        assert answer["docker-content-digest"] == DIGEST
        assert registry.get(path).status == 404

    def test_a_session_of_one_algorithm_ends_with_another(self, registry: Registry) -> None:
        path = registry.begin()
        append(registry, path, DATA)
        assert finish(registry, path, SHA512).status == 201

    @pytest.mark.parametrize("sent", ["in the PATCH", "in the PUT", "in both"])
    def test_another_digest(self, registry: Registry, store: Path, sent: str) -> None:
        path = registry.begin()
        first, last = {"in the PATCH": (DATA, b""), "in the PUT": (b"", DATA)}.get(
            sent, (DATA[:100], DATA[100:])
        )
        if first:
            append(registry, path, first)
        answer = finish(registry, path, MISSING, last)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert DIGEST in answer.error["message"]
        registry.ask("DELETE", path)
        assert not [
            found for found in files(store) if path.rpartition("/")[2] in found or "00000000" in found
        ]
        assert registry.get(f"{registry.base}/blobs/{MISSING}").status == 404

    @pytest.mark.parametrize("digest", ["", "sha256:xyz", "md5:0"])
    def test_a_digest_that_is_none(self, registry: Registry, digest: str) -> None:
        path = registry.begin()
        append(registry, path, DATA)
        answer = finish(registry, path, digest)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        # A slip of the pen does not cost the bytes.
        assert finish(registry, path).status == 201

    def test_without_a_digest(self, registry: Registry) -> None:
        path = registry.begin()
        answer = registry.ask("PUT", path, body=b"")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert "?digest=" in answer.error["message"]

    def test_a_body_that_ends_early(self, registry: Registry, store: Path) -> None:
        data = os.urandom(1000)
        path = registry.begin()
        with Connection(registry.host) as connection:
            connection.send("PUT", f"{path}?digest={sha256(data)}", {"Content-Length": "1000"}, data[:-1])
        registry.ask("DELETE", path)
        assert registry.get(f"{registry.base}/blobs/{sha256(data)}").status == 404


class TestCancel:
    def test_it_is_gone(self, registry: Registry, store: Path) -> None:
        with leaving_nothing(store):
            path = registry.begin()
            append(registry, path, DATA)
            answer = registry.ask("DELETE", path)
        assert (answer.status, answer.body) == (204, b"")
        assert registry.ask("DELETE", path).code == "BLOB_UPLOAD_UNKNOWN"


class TestUnknown:
    @pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
    @pytest.mark.parametrize(
        "upload",
        [
            pytest.param(f"sha256-{uuid.uuid4().hex}", id="well-formed"),
            pytest.param("x", id="not one of ours"),
            pytest.param("x" * 3000, id="3000 letters"),
            pytest.param("..", id="up"),
            pytest.param("sha256-" + "0" * 31 + "*", id="a star"),
        ],
    )
    def test_an_upload_that_is_not_here(self, registry: Registry, method: str, upload: str) -> None:
        answer = registry.ask(method, f"{registry.base}/blobs/uploads/{upload}?digest={DIGEST}", body=DATA)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert len(answer.body) < 400

    @pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
    def test_another_repository_s(self, registry: Registry, method: str) -> None:
        path = registry.begin()
        foreign = path.replace(registry.name, registry.other().name)
        answer = registry.ask(method, f"{foreign}?digest={DIGEST}", body=DATA)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert registry.get(path)["range"] == "0-0"


def test_204_has_no_length(registry: Registry) -> None:
    # RFC 9110, 8.6.
    path = registry.begin()
    assert registry.get(path).all("content-length") == []
    assert registry.ask("DELETE", path).all("content-length") == []


@pytest.fixture
def small(serve: Callable[..., Sidecargo], tmp_path: Path) -> tuple[Registry, Path]:
    """A registry that takes uploads of 1 MiB, and its store."""
    settings = tmp_path / "small.yaml"
    settings.write_text("limits: {upload: 1MiB}\n")
    server = serve(settings=settings)
    return fresh(server.host), server.folder / "data"


def test_what_is_larger_than_the_limit(small: tuple[Registry, Path]) -> None:
    registry, store = small
    exact, over = os.urandom(1 << 20), os.urandom((1 << 20) + 1)
    in_one = f"{registry.base}/blobs/uploads/?digest={sha256(over)}"
    with leaving_nothing(store):
        refused = [
            registry.ask("POST", in_one, body=over),
            registry.ask("POST", in_one, {"Transfer-Encoding": "chunked"}, chunked(over)),
        ]
        for body, fields in ((over, {}), (chunked(over), {"Transfer-Encoding": "chunked"})):
            path = registry.begin()
            refused.append(registry.ask("PATCH", path, fields, body))
            registry.ask("DELETE", path)
        path = registry.begin()
        assert registry.ask("PATCH", path, body=exact).status == 202
        refused.append(registry.ask("PATCH", path, body=b"1"))
        registry.ask("DELETE", path)
    assert [(answer.status, answer.code) for answer in refused] == [(413, "SIZE_INVALID")] * 5
    assert registry.blob(exact)
