from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.registry.talk import Registry


def test_the_key_that_signs(registry: Registry) -> None:
    answer = registry.get("/keys/cosign.pub")
    assert (answer.status, answer["content-type"].partition(";")[0]) == (200, "application/x-pem-file")
    assert answer.body.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    key = load_pem_public_key(answer.body)
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    assert b"PRIVATE" not in answer.body
