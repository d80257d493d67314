from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from registry.keyring import signing_key, write_new
from registry.publish.signatures import Signer
from registry.signing.ring import KeyRing
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_MANIFEST, Descriptor, parse
from storage.store import Store
from tests.registry.commands import Ran, Runner


def test_a_new_key_is_its_owners_alone_and_its_public_half_is_printed(
    sidecargo: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "signing.pem"
    ran = sidecargo("keys", "new", path)
    assert (ran.code, ran.err) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    private = load_pem_private_key(path.read_bytes(), None)
    public = load_pem_public_key(ran.out.encode())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP256R1)
    assert private.public_key() == public


def test_a_file_is_never_overwritten(sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    path.write_text("mine")
    ran = sidecargo("keys", "new", path)
    assert (ran.code, ran.out, path.read_text()) == (2, "", "mine")
    assert ran.err.startswith(f"error: {path} exists. Choose another name")


def test_a_folder_that_is_not_there(sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("keys", "new", tmp_path / "none" / "signing.pem")
    assert (ran.code, ran.out) == (2, "")
    assert "No such file or directory. Give a path" in ran.err


def ids(ran: Ran) -> list[str]:
    assert ran.code == 0, ran
    return [key["id"] for key in json.loads(ran.out)["keys"]]


def content(folder: Path) -> Path:
    """A storage folder of its own with a key and a signed manifest."""

    async def made() -> None:
        store = Store(DiskDriver(folder), upload_limit=1 << 20)
        await store.open()
        repository = store.repository("team/wasm")
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": Descriptor("a/b", Digest.of(b"{}"), 2).to_json(),
                "layers": [],
            }
        ).encode()
        signed = Descriptor(OCI_MANIFEST, Digest.of(body), len(body))
        await repository.put(parse(body, OCI_MANIFEST), body, signed.digest)
        await Signer(KeyRing.of(signing_key([], folder)), "here").sign(repository, signed)

    asyncio.run(made())
    return folder


def test_those_that_count_are_listed(sidecargo: Runner, tmp_path: Path) -> None:
    new, old = write_new(tmp_path / "new.key"), write_new(tmp_path / "old.key")
    (tmp_path / "old.pub").write_bytes(old.public_pem)
    settings = tmp_path / "s.yaml"
    settings.write_text(f"signing: {{keys: [{tmp_path}/new.key, {tmp_path}/old.pub]}}\n")
    assert ids(sidecargo("keys", "list", "--config", settings, "--json")) == [new.key_id, old.key_id]
    first, second = sidecargo("keys", "list", "--config", settings).out.splitlines()
    assert re.fullmatch(rf"signs   {new.key_id}  since 20\d\d-\S+Z", first)
    assert second.startswith(f"signed  {old.key_id}")


def test_none_is_made_by_listing(sidecargo: Runner, tmp_path: Path) -> None:
    for words in (("keys", "list"), ("keys", "rotate")):
        ran = sidecargo(*words, "--storage", tmp_path / "none")
        assert (ran.code, ran.out) == (2, "")
        assert "there is no key in" in ran.err
    assert not (tmp_path / "none").exists()


def test_a_key_that_cannot_be_read(sidecargo: Runner, tmp_path: Path) -> None:
    settings = tmp_path / "s.yaml"
    settings.write_text(f"signing: {{keys: [{tmp_path}/none.key]}}\n")
    for words in (("keys", "list"), ("keys", "rotate")):
        ran = sidecargo(*words, "--config", settings)
        assert (ran.code, ran.out) == (2, "")
        assert "none.key cannot be read" in ran.err


def test_a_new_key_is_in_the_audit(sidecargo: Runner, tmp_path: Path) -> None:
    folder, audit, settings = content(tmp_path / "data"), tmp_path / "audit.jsonl", tmp_path / "s.yaml"
    settings.write_text(f"audit: {{file: {audit}}}\nstorage: {{url: {folder}}}\n")
    assert sidecargo("keys", "rotate", "--config", settings).code == 0
    assert sidecargo("keys", "rotate", "--resume", "--config", settings).code == 0
    (record,) = (json.loads(line) for line in audit.read_text().splitlines())
    signs, _ = ids(sidecargo("keys", "list", "--config", settings, "--json"))
    assert (record["event"], record["verdict"], record["what"]) == ("key", "made", signs)


def test_the_one_beside_the_content_is_rotated(sidecargo: Runner, tmp_path: Path) -> None:
    folder = content(tmp_path / "data")
    (old,) = ids(sidecargo("keys", "list", "--storage", folder, "--json"))
    ran = sidecargo("keys", "rotate", "--storage", folder)
    assert ran.code == 0, ran
    new, still = ids(sidecargo("keys", "list", "--storage", folder, "--json"))
    assert still == old
    assert ran.out.splitlines() == [
        f"signs   {new}",
        f"signed  {old}",
        "1 repositories, 1 signed manifests, 1 of them signed anew",
        "  restart the servers, then: sidecargo keys rotate --resume",
    ]
    ran = sidecargo("keys", "rotate", "--resume", "--storage", folder, "--json")
    assert json.loads(ran.out) == {
        "ok": True,
        "key": new,
        "was": None,
        "repositories": 1,
        "seen": 1,
        "anew": 0,
        "unreadable": 0,
    }
    assert ids(sidecargo("keys", "list", "--storage", folder, "--json")) == [new, old]
    assert "PRIVATE" not in ran.out + ran.err


def test_named_ones_are_rotated_by_the_settings(sidecargo: Runner, tmp_path: Path) -> None:
    folder = content(tmp_path / "data")
    old, settings = folder / "private" / "signing.key", tmp_path / "s.yaml"
    settings.write_text(f"storage: {{url: {folder}}}\nsigning: {{keys: [{old}]}}\n")
    ran = sidecargo("keys", "rotate", "--config", settings)
    assert (ran.code, ran.out) == (2, "")
    assert f"Write signing: {{keys: [new.key, {old}]}}" in ran.err
    new = write_new(tmp_path / "new.key")
    settings.write_text(f"storage: {{url: {folder}}}\nsigning: {{keys: [{tmp_path}/new.key, {old}]}}\n")
    ran = sidecargo("keys", "rotate", "--config", settings, "--json")
    said = json.loads(ran.out)
    assert (said["key"], said["was"], said["anew"]) == (new.key_id, None, 1)
    assert old.exists()


def test_a_new_key_in_a_file_is_in_the_audit_that_the_settings_name(
    sidecargo: Runner, tmp_path: Path
) -> None:
    audit, settings = tmp_path / "audit.jsonl", tmp_path / "s.yaml"
    settings.write_text(f"audit: {{file: {audit}}}\n")
    ran = sidecargo("keys", "new", tmp_path / "new.pem", "--config", settings)
    assert (ran.code, ran.err) == (0, "")
    (record,) = (json.loads(line) for line in audit.read_text().splitlines())
    assert (record["event"], record["verdict"]) == ("key", "made")
    assert record["who"].startswith("local:")
    public = load_pem_public_key(ran.out.encode())
    assert (
        record["what"]
        == hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    )
    assert sidecargo("keys", "new", tmp_path / "new.pem", "--config", settings).code == 2
    assert len(audit.read_text().splitlines()) == 1, "what was not made is not recorded"
