from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from registry.artifacts.files import Folder
from registry.artifacts.send import copy, send
from registry.artifacts.sources import LayoutSource, RemoteSource
from registry.artifacts.wrap import wrapped
from registry.client.reference import Reference
from registry.client.remote import Remote
from registry.client.transport import RemoteError
from registry.console.failure import Failure, Refusal
from storage.digest import Digest
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout
from tests.registry.client.scripted import Asked, Said, scripted

MODULE = b"\0asm\x01\0\0\0"
REFUSED = json.dumps({"errors": [{"code": "DENIED", "message": "not you"}]}).encode()


def _empty(asked: Asked) -> Said:
    """A registry that has nothing and takes everything."""
    if asked.method == "HEAD":
        return Said(404)
    return Said(202, headers={"Location": "/upload"}) if asked.method == "POST" else Said(201)


def test_blobs_come_before_the_manifest() -> None:
    with (
        scripted(_empty) as registry,
        wrapped(io.BytesIO(MODULE), len(MODULE)) as image,
        Remote(registry.host) as remote,
    ):
        stored = send(image, Reference.parse(f"{registry.host}/a:v1"), remote)
    assert stored.digest == image.digest
    puts = [one for one in registry.asked if one.method == "PUT"]
    assert [Digest.of(one.body) for one in puts] == [image.layer.digest, image.config_digest, image.digest]
    assert puts[-1].path == "/v2/a/manifests/v1"


def test_a_copy_has_every_byte(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(MODULE))
    folder = Folder(made.names(image).to(tmp_path))
    with scripted(_empty) as registry, Remote(registry.host) as remote:
        stored = copy(image, LayoutSource(folder), Reference.parse(f"{registry.host}/a:v1"), remote)
    assert stored.digest == image.digest
    sent = {str(Digest.of(one.body)) for one in registry.asked if one.method == "PUT"}
    assert sent == {f"sha256:{name.rpartition('/')[2]}" for name in made.files if name.startswith("blobs/")}


def test_what_is_there_is_not_even_read(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(MODULE))
    folder = made.names(image).to(tmp_path)
    for path in (folder / "blobs" / "sha256").iterdir():
        if path.name != image.digest.hex:
            path.unlink()
    with (
        scripted(lambda asked: Said(200 if asked.method == "HEAD" else 201)) as registry,
        Remote(registry.host) as remote,
    ):
        copy(image, LayoutSource(Folder(folder)), Reference.parse(f"{registry.host}/a:v1"), remote)
    assert [one.method for one in registry.asked if one.method != "GET"] == ["HEAD", "HEAD", "PUT"]


@pytest.mark.parametrize("refused", ["POST", "PUT"])
def test_a_registry_that_says_no(refused: str) -> None:
    def script(asked: Asked) -> Said:
        return Said(403, REFUSED) if asked.method == refused else _empty(asked)

    with (
        scripted(script) as registry,
        wrapped(io.BytesIO(MODULE), len(MODULE)) as image,
        Remote(registry.host) as remote,
        pytest.raises(Refusal, match="DENIED: not you"),
    ):
        send(image, Reference.parse(f"{registry.host}/a:v1"), remote)


def test_a_registry_that_cannot_be_read_is_no_refusal(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(MODULE))
    bodies = {f"/v2/from/manifests/{image.digest}": made.files[f"blobs/sha256/{image.digest.hex}"]}

    def script(asked: Asked) -> Said:
        if asked.path.startswith("/v2/from/"):
            return Said(200, bodies[asked.path]) if asked.path in bodies else Said(403, REFUSED)
        return _empty(asked)

    with scripted(script) as registry, Remote(registry.host) as remote:
        source = RemoteSource(remote, "from")
        with pytest.raises(RemoteError, match="DENIED: not you") as raised:
            copy(image, source, Reference.parse(f"{registry.host}/a:v1"), remote)
    assert raised.value.exit_code == 2


def test_a_source_that_breaks(tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(MODULE))
    folder = made.names(image).to(tmp_path)
    for path in (folder / "blobs" / "sha256").iterdir():
        if path.name != image.digest.hex:
            path.write_bytes(b"other")
    with (
        scripted(_empty) as registry,
        Remote(registry.host) as remote,
        pytest.raises(Failure, match="not what its digest"),
    ):
        copy(image, LayoutSource(Folder(folder)), Reference.parse(f"{registry.host}/a:v1"), remote)
    assert all(one.method != "PUT" for one in registry.asked)
