from __future__ import annotations

from storage.digest import Digest
from storage.fsck.linked import Linked

ONE, TWO, THREE = Digest.of(b"1"), Digest.of(b"2", "sha512"), Digest.of(b"3")


def test_a_set_of_digests() -> None:
    with Linked() as linked:
        assert ONE.hex not in linked
        for _ in range(2):
            linked.add([ONE.hex, TWO.hex])
        assert [digest.hex in linked for digest in (ONE, TWO, THREE)] == [True, True, False]


def test_two_do_not_meet() -> None:
    with Linked() as linked, Linked() as other:
        linked.add([ONE.hex])
        assert ONE.hex not in other
