import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.manifest import DOCKER_LIST, DOCKER_MANIFEST, MEDIA_TYPES, OCI_INDEX, OCI_MANIFEST
from tests.real import sidecargo
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import (
    IN_TOTO,
    OCI_LAYER,
    PLUGIN,
    Shape,
    descriptor,
    image,
    index,
    layer,
    sha256,
)
from tests.registry.consumers.shapes import (
    AMD64,
    ARM64,
    ATTESTATION,
    BAD,
    GOOD,
    HOSTILE,
    RAW,
    SHAPES,
    UNKNOWN,
    A,
    B,
)
from tests.registry.talk import MISSING, Answer, Connection, Registry, fresh, leaving_nothing

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
C = image("C", [RAW], None)
LIMIT = 4 << 20


def unique(**more: Any) -> Shape:
    """A good image that no other test has pushed."""
    return image("unique", [GOOD], None, more={"annotations": {"nonce": os.urandom(8).hex()}, **more})


def path(registry: Registry, reference: str = "v1") -> str:
    return f"{registry.base}/manifests/{reference}"


def is_attached(shape: Shape) -> bool:
    """Whether a shape of the table passes by its content although no agent loads it."""
    return shape.name in ("attestation", "attestation only")


def is_taken(shape: Shape) -> bool:
    """Whether a shape is taken where the gate enforces: every child is judged at its own PUT."""
    return is_attached(shape) or (shape.code is None and all(map(is_taken, shape.children)))


class TestGet:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
    @pytest.mark.parametrize("by", ["tag", "digest"])
    @pytest.mark.parametrize("query", ["", "?ns=docker.io"])
    def test_a_manifest_and_its_headers(
        self, registry: Registry, method: str, shape: Shape, by: str, query: str
    ) -> None:
        assert registry.push(shape).status == 201
        reference = "v1" if by == "tag" else shape.digest
        answer = registry.ask(method, path(registry, reference) + query, {"Accept": shape.media_type})
        assert answer.status == 200
        assert answer["content-type"] == shape.media_type
        assert answer["content-length"] == str(len(shape.body))
        assert answer["docker-content-digest"] == shape.digest
        assert answer["etag"] == f'"{shape.digest}"'
        assert answer.body == (shape.body if method == "GET" else b"")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    @pytest.mark.parametrize(
        ("reference", "status", "code"),
        [
            pytest.param("v2", 404, "MANIFEST_UNKNOWN", id="no such tag"),
            pytest.param(MISSING, 404, "MANIFEST_UNKNOWN", id="no such digest"),
            pytest.param("sha512:" + "0" * 128, 404, "MANIFEST_UNKNOWN", id="no such sha512"),
            pytest.param("sha256:0", 400, "DIGEST_INVALID", id="no digest"),
            pytest.param(".v1", 400, "NAME_INVALID", id="a tag that begins with a dot"),
            pytest.param("t" * 129, 400, "NAME_INVALID", id="a tag of 129 letters"),
        ],
    )
    def test_what_is_not_here(
        self, registry: Registry, method: str, reference: str, status: int, code: str
    ) -> None:
        registry.push(B)
        answer = registry.ask(method, path(registry, reference))
        assert answer.status == status
        assert method == "HEAD" or answer.code == code

    def test_a_blob_is_no_manifest(self, registry: Registry) -> None:
        digest = registry.blob(B.body)
        assert registry.get(path(registry, digest)).code == "MANIFEST_UNKNOWN"
        registry.push(B)
        assert registry.get(f"{registry.other().base}/manifests/{B.digest}").status == 404

    def test_a_repository_that_is_not_here(self, registry: Registry) -> None:
        assert registry.get(path(registry)).code == "MANIFEST_UNKNOWN"


class TestPut:
    @pytest.mark.parametrize("by", ["tag", "digest"])
    def test_the_receipt(self, registry: Registry, by: str) -> None:
        reference = "v1" if by == "tag" else B.digest
        for _ in range(2):
            answer = registry.push(B, reference)
            assert (answer.status, answer.body, answer["content-length"]) == (201, b"", "0")
            assert answer["location"] == path(registry, B.digest)
            assert answer["docker-content-digest"] == B.digest
            assert not answer.all("oci-subject") + answer.all("oci-tag") + answer.all("warning")

    def test_the_subject_is_told(self, registry: Registry) -> None:
        shape = unique(subject=descriptor(OCI_MANIFEST, b"subject"))
        assert registry.push(shape)["oci-subject"] == sha256(b"subject")

    def test_tags_beside_a_digest(self, registry: Registry) -> None:
        registry.content(B)
        answer = registry.put(f"{B.digest}?tag=v1&tag=v2&tag=v1", B.body)
        assert (answer.status, answer.all("oci-tag")) == (201, ["v1", "v2"])
        for tag in ("v1", "v2"):
            assert registry.get(path(registry, tag))["docker-content-digest"] == B.digest

    @pytest.mark.parametrize(
        ("reference", "code"),
        [
            pytest.param("v1?tag=v2", "MANIFEST_INVALID", id="beside a tag"),
            pytest.param(f"{B.digest}?tag=", "NAME_INVALID", id="an empty one"),
            pytest.param(f"{B.digest}?tag=-v1", "NAME_INVALID", id="no tag"),
            pytest.param(f"{B.digest}?tag=a%2Fb", "NAME_INVALID", id="a slash"),
            pytest.param(
                f"{B.digest}?" + "&".join(f"tag=t{at}" for at in range(101)), "MANIFEST_INVALID", id="101"
            ),
        ],
    )
    def test_tags_that_cannot_be_set(self, registry: Registry, reference: str, code: str) -> None:
        registry.content(B)
        answer = registry.put(reference, B.body)
        assert (answer.status, answer.code) == (400, code)
        assert registry.get(f"{registry.base}/tags/list").status == 404

    @pytest.mark.parametrize("content_type", ["", f"{OCI_MANIFEST}; charset=utf-8", f" {OCI_MANIFEST} "])
    def test_its_own_type_is_enough(self, registry: Registry, content_type: str) -> None:
        registry.content(B)
        assert registry.put("v1", B.body, content_type).status == 201
        assert registry.get(path(registry))["content-type"] == OCI_MANIFEST

    def test_in_chunks(self, registry: Registry) -> None:
        registry.content(B)
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(B.body), B.body)
        assert registry.put("v1", body, fields={"Transfer-Encoding": "chunked"}).status == 201

    def test_a_tag_moves(self, registry: Registry) -> None:
        first, second = unique(), unique()
        for shape in (first, second, first):
            registry.push(shape)
            assert registry.get(path(registry)).body == shape.body
        for shape in (first, second):
            assert registry.get(path(registry, shape.digest)).body == shape.body

    def test_another_digest(self, registry: Registry) -> None:
        registry.content(B)
        answer = registry.put(MISSING, B.body)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert B.digest in answer.error["message"]

    def test_sha512_is_refused_where_the_gate_enforces(self, registry: Registry) -> None:
        registry.content(B)
        digest = f"sha512:{hashlib.sha512(B.body).hexdigest()}"
        answer = registry.put(digest, B.body)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        assert "sha256" in answer.error["message"]


class TestMissing:
    def test_each_is_listed(self, registry: Registry) -> None:
        layers = [descriptor(OCI_LAYER, b"layer %d" % at) for at in range(20)]
        body = json.dumps({**B.manifest, "layers": layers}).encode()
        answer = registry.put("v1", body)
        assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
        named = [B.manifest["config"]["digest"], *(entry["digest"] for entry in layers)]
        assert [row["digest"] for row in answer.error["detail"]] == named
        assert f"{named[0][:19]}," in answer.error["message"] and len(answer.error["message"]) <= 200

    def test_those_alone_that_are_missing(self, registry: Registry) -> None:
        config, packed = B.manifest["config"]["digest"], B.manifest["layers"][0]["digest"]
        registry.blob(B.blobs[config])
        assert registry.put("v1", B.body).error["detail"] == [{"digest": packed}]
        other = registry.other()
        other.blob(B.blobs[packed])
        assert registry.put("v1", B.body).error["detail"] == [{"digest": packed}], "another repository's"

    def test_children(self, registry: Registry) -> None:
        registry.push(B, B.digest)
        two = index("two", [(B, AMD64), (unique(), ARM64)], None)
        missing = two.manifest["manifests"][1]["digest"]
        answer = registry.put("v1", two.body, OCI_INDEX)
        assert (answer.status, answer.error["detail"]) == (404, [{"digest": missing}])

    def test_a_child_that_is_only_a_blob(self, registry: Registry) -> None:
        registry.blob(B.body)
        shape = index("of a blob", [(B, AMD64)], None)
        assert registry.put("v1", shape.body, OCI_INDEX).code == "MANIFEST_BLOB_UNKNOWN"

    def test_a_wrong_size(self, registry: Registry) -> None:
        registry.content(B)
        wrong = json.loads(B.body)
        wrong["layers"][0]["size"] += 1
        answer = registry.put("v1", json.dumps(wrong).encode())
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")

    def test_layers_that_live_elsewhere(self, registry: Registry) -> None:
        foreign = descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", b"elsewhere")
        shape = image("foreign", [GOOD], None)
        registry.content(shape)
        body = json.dumps({**shape.manifest, "layers": [foreign, *shape.manifest["layers"]]}).encode()
        assert registry.put("v1", body).status == 201


def changed(**fields: Any) -> bytes:
    """The good image with other fields."""
    document = {**B.manifest, **fields}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


_DEEP = b'{"annotations": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}"
MALFORMED = {
    "empty": b"",
    "no JSON": b"hello",
    "cut": B.body[:-1],
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "nested 10,000 deep": _DEEP,
    "lists 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "no number": b'{"schemaVersion": NaN}',
    "a number of 10,000 digits": b'{"schemaVersion": ' + b"2" * 10_000 + b"}",
    "UTF-16": B.body.decode().encode("utf-16"),
    "no UTF-8": B.body.replace(b"mediaType", b"media\xffType"),
    "a byte order mark": b"\xef\xbb\xbf" + B.body,
    "NUL": B.body + b"\0",
    "two documents": B.body + B.body,
    "a field twice": B.body[:-1] + b', "schemaVersion": 2}',
    "a field in another case": changed(Layers=[]),
    "layers and manifests": changed(manifests=[]),
    "schema 1": changed(schemaVersion=1),
    "schema 2 as text": changed(schemaVersion="2"),
    "no schema": changed(schemaVersion=None),
    "another type than was sent": changed(mediaType=DOCKER_MANIFEST),
    "an index that was sent as an image": BUILDX.body,
    "an unknown type": changed(mediaType="text/html"),
    "no config": changed(config=None),
    "no layers": changed(layers=None),
    "layers that are no list": changed(layers={}),
    "a layer that is no descriptor": changed(layers=[7]),
    "a layer without digest": changed(layers=[{"mediaType": OCI_LAYER, "size": 1}]),
    "a digest with a path": changed(
        layers=[{"mediaType": OCI_LAYER, "size": 1, "digest": "sha256:../../../../etc/passwd"}]
    ),
    "a negative size": changed(layers=[{"mediaType": OCI_LAYER, "size": -1, "digest": MISSING}]),
    "a size as text": changed(layers=[{"mediaType": OCI_LAYER, "size": "1", "digest": MISSING}]),
    "a size that is true": changed(layers=[{"mediaType": OCI_LAYER, "size": True, "digest": MISSING}]),
    "a size of 400 digits": changed(layers=[{"mediaType": OCI_LAYER, "size": 10**400, "digest": MISSING}]),
    "half a character": changed(annotations={"a": "\ud800"}),
    "half a character in a type": changed(
        layers=[{"mediaType": "text/\udfff", "size": 1, "digest": MISSING}]
    ),
    "annotations of numbers": changed(annotations={"a": 1}),
    "a subject that is none": changed(subject="sha256"),
}


class TestMalformed:
    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
    def test_it_is_refused_and_leaves_nothing(self, registry: Registry, store: Path, body: bytes) -> None:
        registry.content(B)
        with leaving_nothing(store):
            answer = registry.put("v1", body)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        assert len(answer.body) < 1000

    @pytest.mark.parametrize("sent", [kind for kind in MEDIA_TYPES if kind != OCI_MANIFEST])
    def test_sent_as_another_type(self, registry: Registry, sent: str) -> None:
        registry.content(B)
        answer = registry.put("v1", B.body, sent)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        assert sent in answer.error["message"]

    @pytest.mark.parametrize("chunks", [False, True], ids=["with its length", "in chunks"])
    def test_over_4_mib(self, registry: Registry, store: Path, chunks: bool) -> None:
        registry.content(B)

        def put(size: int) -> Answer:
            body, fields = B.body + b" " * (size - len(B.body)), {}
            if chunks:
                body, fields = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), {"Transfer-Encoding": "chunked"}
            return registry.put("v1", body, fields=fields)

        assert put(LIMIT).status == 201
        with leaving_nothing(store):
            answer = put(LIMIT + 1)
        assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")
        assert "limits.manifest" in answer.error["message"]

    def test_a_length_of_gigabytes_is_refused_at_once(self, registry: Registry) -> None:
        with Connection(registry.host) as connection:
            fields = {"Content-Type": OCI_MANIFEST, "Content-Length": str(1 << 40)}
            connection.send("PUT", path(registry), fields, b"{")
            assert connection.answer().status == 413


@pytest.mark.parametrize("shape", [*SHAPES, *HOSTILE], ids=str)
class TestGate:
    def test_what_loads_is_taken_and_what_does_not_is_told(
        self, registry: Registry, shape: Shape, store: Path
    ) -> None:
        registry.content(shape)
        with contextlib.nullcontext() if is_taken(shape) else leaving_nothing(store):
            answer = registry.put("v1", shape.body, shape.media_type)
        if is_taken(shape):
            assert answer.status == 201, answer
            return
        if not all(map(is_taken, shape.children)):
            assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
            return
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        (first, *_) = answer.error["detail"]
        assert first["code"] == shape.code
        said = answer.error["message"]
        assert said == f"{first['message']} {first['fix']}"
        assert first["fix"] and len(said) <= 200, len(said)
        assert said.isprintable()
        assert registry.get(path(registry)).status == 404


class TestIndexes:
    @pytest.mark.parametrize("called", [DOCKER_MANIFEST, OCI_INDEX, "text/plain"])
    def test_a_child_under_another_type(self, registry: Registry, called: str) -> None:
        # go-containerregistry goes by what the index says.
        registry.push(B, B.digest)
        body = json.dumps({**BUILDX.manifest, "manifests": [descriptor(called, B.body)]}).encode()
        answer = registry.put("v1", body, OCI_INDEX)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        assert called in answer.error["message"]

    def test_an_index_whose_child_was_refused_cannot_name_it(self, registry: Registry) -> None:
        shape = index("of a bad one", [(BAD, AMD64)], "no-plugin-wasm")
        answer = registry.push(shape)
        assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")

    def test_children_of_any_platform_are_judged_at_their_own_put(self, registry: Registry) -> None:
        registry.content(BAD)
        assert registry.put(BAD.digest, BAD.body).status == 400

    def test_an_attestation_beside_the_image(self, registry: Registry) -> None:
        assert registry.push(BUILDX).status == 201
        for digest, status in ((B.digest, 200), (ATTESTATION.digest, 200)):
            assert registry.get(path(registry, digest)).status == status

    def test_a_docker_list(self, registry: Registry) -> None:
        shape = index("list", [(A, AMD64)], None, DOCKER_LIST)
        assert registry.push(shape).status == 201
        assert registry.get(path(registry))["content-type"] == DOCKER_LIST

    def test_an_index_of_attachments_is_one(self, registry: Registry) -> None:
        # By it, tools without the referrers API list what they attached.
        attached = image("attached", [(IN_TOTO, b"{}")], None, more={"artifactType": IN_TOTO})
        shape = index("fallback", [(attached, None)], None)
        assert registry.push(shape, "sha256-" + "0" * 64).status == 201


class TestDelete:
    def test_a_tag_leaves_the_manifest(self, registry: Registry) -> None:
        registry.push(B)
        answer = registry.ask("DELETE", path(registry))
        assert (answer.status, answer.body) == (202, b"")
        assert registry.get(path(registry)).code == "MANIFEST_UNKNOWN"
        assert registry.get(path(registry, B.digest)).status == 200
        assert registry.ask("DELETE", path(registry)).status == 404

    def test_a_manifest_goes_with_its_tags(self, registry: Registry) -> None:
        for tag in ("v1", "v2"):
            registry.push(B, tag)
        other = unique()
        registry.push(other, "v3")
        assert registry.ask("DELETE", path(registry, B.digest)).status == 202
        for reference in ("v1", "v2", B.digest):
            assert registry.get(path(registry, reference)).code == "MANIFEST_UNKNOWN"
            assert registry.ask("DELETE", path(registry, reference)).status == 404
        assert registry.get(path(registry, "v3")).body == other.body
        assert registry.push(B).status == 201


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("modes")
    settings = folder / "modes.yaml"
    settings.write_text(
        "admission:\n"
        "  rules:\n"
        "  - {repositories: 'warn/**', mode: warn}\n"
        "  - {repositories: 'off/**', mode: off}\n"
        "  - {repositories: 'sparse/**', sparse: true}\n"
        "  - {repositories: 'loose/**', mode: off, sparse: true}\n"
    )
    server = sidecargo.start(folder, settings=settings)
    yield server
    server.stop()


def under(server: Sidecargo, folder: str) -> Registry:
    registry = fresh(server.host)
    return Registry(registry.host, f"{folder}/{registry.name}")


class TestModes:
    @pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.code], ids=str)
    def test_warn(self, modes: Sidecargo, shape: Shape) -> None:
        registry = under(modes, "warn")
        answer = registry.push(shape)
        assert answer.status == 201, answer
        assert registry.get(path(registry)).body == shape.body
        warnings = answer.all("warning")
        assert bool(warnings) is not is_attached(shape)
        assert all(re.fullmatch(r'299 - "[ !#-\[\]-~]+"', warning) for warning in warnings)
        assert not signed(registry, shape)

    @pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.code], ids=str)
    def test_off(self, modes: Sidecargo, shape: Shape) -> None:
        registry = under(modes, "off")
        answer = registry.push(shape)
        assert (answer.status, answer.all("warning")) == (201, [])
        assert registry.get(path(registry)).body == shape.body
        assert not signed(registry, shape)

    @pytest.mark.parametrize("folder", ["warn", "off", "sparse"])
    @pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
    def test_what_loads_is_signed_in_every_mode(self, modes: Sidecargo, folder: str, shape: Shape) -> None:
        registry = under(modes, folder)
        answer = registry.push(shape)
        assert (answer.status, answer.all("warning")) == (201, [])
        assert signed(registry, shape)

    @pytest.mark.parametrize("folder", ["warn", "off"])
    def test_sha512(self, modes: Sidecargo, folder: str) -> None:
        registry = under(modes, folder)
        registry.content(B)
        digest = f"sha512:{hashlib.sha512(B.body).hexdigest()}"
        answer = registry.put(f"{digest}?tag=v1", B.body)
        assert (answer.status, bool(answer.all("warning"))) == (201, folder == "warn")
        assert answer["location"] == path(registry, digest)
        assert registry.get(path(registry))["docker-content-digest"] == digest
        assert registry.get(f"{registry.base}/tags/list").json["tags"] == ["v1"]

    def test_missing_content_is_refused_in_any_mode_but_sparse(self, modes: Sidecargo) -> None:
        for folder in ("warn", "off"):
            registry = under(modes, folder)
            assert registry.put("v1", B.body).code == "MANIFEST_BLOB_UNKNOWN"

    @pytest.mark.parametrize(("folder", "warns"), [("sparse", True), ("loose", False)])
    def test_sparse(self, modes: Sidecargo, folder: str, warns: bool) -> None:
        registry = under(modes, folder)
        for shape, tag in ((B, "image"), (BUILDX, "index")):
            answer = registry.put(tag, shape.body, shape.media_type)
            assert (answer.status, bool(answer.all("warning"))) == (201, warns)
            assert registry.get(path(registry, tag)).body == shape.body
            assert not signed(registry, shape)
        assert registry.push(B).status == 201
        assert signed(registry, B)

    def test_sparse_takes_nothing_that_is_there_and_bad(self, modes: Sidecargo) -> None:
        registry = under(modes, "sparse")
        assert registry.push(BAD).code == "MANIFEST_INVALID"

    def test_malformed_is_refused_in_any_mode(self, modes: Sidecargo) -> None:
        for folder in ("warn", "off", "loose"):
            registry = under(modes, folder)
            assert registry.put("v1", MALFORMED["layers and manifests"]).code == "MANIFEST_INVALID"


def signed(registry: Registry, shape: Shape) -> bool:
    """Whether cosign's tag is there for a shape."""
    return registry.get(path(registry, f"{shape.digest.replace(':', '-')}.sig")).status == 200


def test_a_limit_of_one_s_own(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("limits: {manifest: 1KiB}\n")
    registry = fresh(serve(settings=settings).host)
    assert registry.push(B).status == 201
    answer: Answer = registry.put("v1", B.body + b" " * 1024)
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")


def test_the_fixture_is_a_plugin(registry: Registry) -> None:
    registry.push(image("plugin", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN)))], None))
    assert registry.get(f"/plugins/{registry.name}:v1/plugin.wasm").body == PLUGIN
