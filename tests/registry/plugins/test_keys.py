import base64
import hashlib
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from registry.plugins.keys import told
from registry.signing.keys import new_key
from registry.signing.ring import Published
from tests.registry.talk import Registry


def test_the_key_that_signs(registry: Registry) -> None:
    answer = registry.get("/keys/cosign.pub")
    assert (answer.status, answer["content-type"].partition(";")[0]) == (200, "application/x-pem-file")
    assert answer.body.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    key = load_pem_public_key(answer.body)
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    assert b"PRIVATE" not in answer.body


def test_all_that_count(registry: Registry) -> None:
    answer = registry.get("/keys/")
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    (key,) = answer.json["keys"]
    pem = registry.get("/keys/cosign.pub").body
    der = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(der)
    assert key["id"] == digest.hexdigest()
    assert key["hint"] == base64.b64encode(digest.digest()).decode()
    assert (key["signs"], key["pem"]) == (True, pem.decode())
    assert datetime.fromisoformat(key["since"]) <= datetime.now(UTC)


def test_a_page_for_people(registry: Registry) -> None:
    answer = registry.get("/keys/", {"Accept": "text/html"})
    assert answer["content-type"].startswith("text/html")
    assert b"BEGIN PUBLIC KEY" in answer.body and b"PRIVATE" not in answer.body
    assert registry.get("/keys/").json["keys"][0]["id"].encode() in answer.body


def test_one_that_signed_before_and_one_without_a_date() -> None:
    published = Published(new_key().public)
    said = told(published, signs=False)
    assert (said["id"], said["signs"], said["since"]) == (published.key.key_id, False, None)
