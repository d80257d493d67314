from datetime import date

from registry.access.robots import Robot, hashed, is_hash, is_secret, new_secret


def test_a_secret_and_what_is_kept_of_it() -> None:
    secret, other = new_secret(), new_secret()
    assert secret != other
    assert secret.isascii() and len(secret) >= 43
    kept = hashed(secret.encode())
    assert is_hash(kept) and secret not in kept
    assert is_secret(secret.encode())
    for other_form in (b"", b"scr_", secret.encode()[:-1], secret.encode() + b"a", secret[4:].encode()):
        assert not is_secret(other_form)
    assert not is_hash(kept.upper()) and not is_hash(kept[:-1]) and not is_hash(secret)


def test_either_of_two_secrets_proves_it() -> None:
    old, new = new_secret().encode(), new_secret().encode()
    robot = Robot("deploy", (hashed(old), hashed(new)))
    assert robot.proof(old) == hashed(old)
    assert robot.proof(new) == hashed(new)
    assert robot.proof(b"") is None
    assert robot.proof(hashed(old).encode()) is None, "what is kept is no secret"


def test_when_it_ends() -> None:
    assert Robot("a", ()).ends is None
    assert Robot("a", (), date(1970, 1, 2)).ends == 86400
