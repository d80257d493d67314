"""PUT and DELETE of manifests where a tag is immutable, or the request says what must be so before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real import sidecargo
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import Shape, image
from tests.registry.consumers.shapes import GOOD
from tests.registry.talk import MISSING, Answer, Registry, fresh, leaving_nothing

SETTINGS = """\
tags:
  immutable:
    - {repositories: "t/*", tags: ["v*"]}
    - {repositories: "**", tags: ["*"]}
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A server of two processes with immutable tags."""
    folder = tmp_path_factory.mktemp("held")
    (folder / "settings.yaml").write_text(SETTINGS)
    server = sidecargo.start(folder, "--workers", "2", settings=folder / "settings.yaml")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def registry(held: Sidecargo) -> Registry:
    return fresh(held.host)


def unique() -> Shape:
    """An image that no other test has pushed."""
    return image("unique", [GOOD], None, more={"annotations": {"nonce": os.urandom(8).hex()}})


def named(registry: Registry, tag: str = "v1") -> str | None:
    return registry.ask("HEAD", f"{registry.base}/manifests/{tag}").get("docker-content-digest")


def put(registry: Registry, shape: Shape, reference: str = "latest", **fields: str) -> Answer:
    """PUT a manifest whose parts are here; `if_match` is the field `If-Match`."""
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return registry.put(reference, shape.body, shape.media_type, given)


class TestImmutable:
    def test_the_same_again_is_fine_and_another_leaves_nothing(
        self, registry: Registry, held: Sidecargo
    ) -> None:
        first, second = unique(), unique()
        for _ in range(2):
            assert registry.push(first).status == 201
        registry.content(second)
        for reference in ("v1", f"{second.digest}?tag=new&tag=v1"):
            with leaving_nothing(held.folder / "data"):
                answer = put(registry, second, reference)
            assert (answer.status, answer.code) == (403, "DENIED")
            assert first.digest in answer.error["message"]
            assert "Push under a new tag." in answer.error["message"]
            assert answer.error["detail"][0]["code"] == "tag-immutable"
        assert (named(registry), named(registry, "new")) == (first.digest, None)
        last = registry.get(f"/plugins/{registry.name}:v1").json["last_refused"]
        assert (last["digest"], last["code"], last["is_last"]) == (second.digest, "DENIED", True)
        assert [problem["code"] for problem in last["problems"]] == ["tag-immutable"]

    def test_other_tags_move(self, registry: Registry) -> None:
        for shape in (unique(), unique()):
            assert registry.push(shape, "latest").status == 201
            assert named(registry, "latest") == shape.digest

    def test_what_is_attached_is_exempt(self, held: Sidecargo) -> None:
        """Where every tag is immutable, a plugin is signed all the same, and signatures may be added."""
        registry = Registry(held.host, f"{fresh(held.host).name}/below")
        shape = unique()
        assert registry.push(shape).status == 201
        signature = f"{shape.digest.replace(':', '-')}.sig"
        signed = registry.get(f"{registry.base}/manifests/{signature}")
        assert signed.status == 200
        registry.content(other := unique())
        assert put(registry, other, signature).status == 201
        assert put(registry, other, "v1").status == 403

    def test_it_is_not_deleted(self, registry: Registry) -> None:
        shape = unique()
        registry.content(shape)
        for tag in ("v1", "latest"):
            assert put(registry, shape, tag).status == 201
        for reference in ("v1", shape.digest):
            answer = registry.ask("DELETE", f"{registry.base}/manifests/{reference}")
            assert (answer.status, answer.code) == (403, "DENIED")
            assert "tags.immutable" in answer.error["message"]
        assert (named(registry), named(registry, "latest")) == (shape.digest, shape.digest)
        assert registry.ask("DELETE", f"{registry.base}/manifests/latest").status == 202
        assert registry.ask("DELETE", f"{registry.base}/manifests/v9").status == 404

    def test_one_of_many_at_once(self, registry: Registry) -> None:
        """Whichever process takes it, and whether or not others are seen in time."""
        shapes = [unique() for _ in range(8)]
        registry.content(shapes[0])  # the parts of all
        with ThreadPoolExecutor(len(shapes)) as threads:
            found = list(threads.map(lambda shape: put(registry, shape, "v1"), shapes))
        winners = [shape for shape, answer in zip(shapes, found, strict=True) if answer.status == 201]
        assert [named(registry)] == [shape.digest for shape in winners]
        assert sorted(answer.status for answer in found) == [201] + [403] * 7
        assert put(registry, winners[0], "v1").status == 201


class TestConditions:
    def test_of_what_a_tag_names(self, registry: Registry) -> None:
        first, second = unique(), unique()
        registry.content(first)
        absent = put(registry, first, if_match="*")
        assert (absent.status, absent.code) == (412, "DENIED")
        assert "is not there" in absent.error["message"]
        assert put(registry, first, if_none_match="*").status == 201
        etag = registry.get(f"{registry.base}/manifests/latest")["etag"]
        assert etag == f'"{first.digest}"'
        for fields in (
            {"if_none_match": "*"},
            {"if_none_match": etag},
            {"if_none_match": f"W/{etag}"},
            {"if_none_match": f'"x", {etag}'},
            {"if_match": f'"{MISSING}"'},
            {"if_match": f"W/{etag}"},
            {"if_match": etag, "if_none_match": "*"},
        ):
            answer = put(registry, second, **fields)
            assert (answer.status, answer.code) == (412, "DENIED"), fields
            assert first.digest in answer.error["message"]
            assert answer.error["detail"][0]["digest"] == first.digest
            assert named(registry, "latest") == first.digest
        assert registry.get(f"{registry.base}/manifests/{second.digest}").status == 404
        assert put(registry, second, if_match=f'"{MISSING}", {etag}').status == 201
        assert put(registry, first, if_match="*", if_none_match=etag).status == 201
        assert put(registry, second, if_none_match=f'"{MISSING}"').status == 201
        assert named(registry, "latest") == second.digest

    def test_an_immutable_tag_is_told_first(self, registry: Registry) -> None:
        """A condition counts only where the answer would be a success without it (RFC 9110, 13.2.1)."""
        first, second = unique(), unique()
        registry.push(first)
        assert put(registry, second, "v1", if_match=f'"{first.digest}"').status == 403
        assert put(registry, second, "v1", if_none_match="*").status == 403
        assert put(registry, first, "v1", if_none_match="*").status == 412
        assert put(registry, first, "v1", if_match=f'"{first.digest}"').status == 201

    def test_by_digest_they_are_of_the_manifest(self, registry: Registry) -> None:
        shape = unique()
        registry.content(shape)
        for fields, status in (
            ({"if_match": "*"}, 412),
            ({"if_none_match": "*"}, 201),
            ({"if_none_match": "*"}, 412),
            ({"if_match": f'"{shape.digest}"'}, 201),
        ):
            assert put(registry, shape, shape.digest, **fields).status == status, fields

    @pytest.mark.parametrize("value", [MISSING, "", "sha256", '"a" "b"', '*, "a"'])
    @pytest.mark.parametrize("name", ["if_match", "if_none_match"])
    def test_what_cannot_be_read_is_refused(self, registry: Registry, name: str, value: str) -> None:
        """To go on as if nothing were asked would change what was to be kept."""
        shape = unique()
        registry.content(shape)
        answer = put(registry, shape, **{name: value})
        assert (answer.status, answer.code) == (400, "UNSUPPORTED")
        assert "quotes" in answer.error["message"]
        assert named(registry, "latest") is None

    def test_two_fields_are_one_list(self, registry: Registry) -> None:
        shape = unique()
        registry.push(shape, "latest")
        both = f'"{MISSING}"\r\nIf-Match: "{shape.digest}"'
        assert put(registry, shape, if_match=both).status == 201

    def test_one_of_many_with_the_same_condition(self, registry: Registry) -> None:
        first = unique()
        registry.push(first, "latest")
        shapes = [unique() for _ in range(8)]
        etag = f'"{first.digest}"'
        with ThreadPoolExecutor(len(shapes)) as threads:
            found = list(threads.map(lambda shape: put(registry, shape, if_match=etag), shapes))
        assert sorted(answer.status for answer in found) == [201] + [412] * 7


def test_after_the_settings_have_changed_it_moves(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS)
    store = f"{tmp_path / 'store'}"
    registry = fresh(serve("--storage", store, settings=settings).host)
    shapes = unique(), unique()
    assert [registry.push(shape).status for shape in shapes] == [201, 403]
    registry = Registry(serve("--storage", store).host, registry.name)
    assert registry.push(shapes[1]).status == 201
