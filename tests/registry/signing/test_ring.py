from __future__ import annotations

from registry.signing.keys import new_key
from registry.signing.ring import KeyRing


def test_the_key_that_signs_comes_first() -> None:
    new, old = new_key(), new_key()
    ring = KeyRing.of(new, old.public)
    assert ring.signing is new
    assert [key.key_id for key in ring] == [new.key_id, old.key_id]
    assert all(one.since is None for one in ring.published)
    assert new.private_pem.splitlines()[1].decode() not in repr(ring)
