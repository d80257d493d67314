from itertools import combinations

from registry.access.principal import Principal
from registry.access.scopes import parse
from registry.access.seal import Seal
from registry.hot.cache import EVERYBODY
from registry.login import audiences
from registry.login.audiences import SECONDS, Audiences

ALICE = Principal("user:alice", "192.0.2.1")


def token(text: str, name: str = "user:alice") -> Principal:
    return Principal(name, "", scopes=parse([text]))


def test_two_of_one_audience_may_see_the_same() -> None:
    different = [
        ALICE,
        Principal("user:bob", ""),
        Principal("user:alice", "", frozenset({"ci"})),
        Principal("user:alice", "", frozenset({"ci", "dev"})),
        Principal("user:alice", "", frozenset({"limited"})),
        token(""),
        token("repository:a:pull"),
        token("repository:a:pull,push"),
        token("repository:b:pull"),
        token("repository:a:pull repository:b:pull"),
        token("repository:a:pull", "user:bob"),
        Principal("", ""),
    ]
    for one, other in combinations(different, 2):
        assert audiences.of(one) != audiences.of(other)
    assert audiences.of(ALICE) == audiences.of(Principal("user:alice", "192.0.2.2", proof="x"))
    assert audiences.of(Principal("", "")) == audiences.of(token("repository:a:pull", "")) == EVERYBODY


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_credential_is_known_for_a_moment() -> None:
    clock = Clock()
    known = Audiences(Seal(), clock)
    sealed = known.seal(b"Basic x")
    assert known.identify(None) == EVERYBODY
    assert known.identify(sealed) is None
    known.admit(sealed, ALICE)
    assert known.identify(sealed) == "user:alice"
    clock.now = SECONDS
    assert known.identify(sealed) is None
    known.admit(sealed, ALICE, 0.5)
    clock.now += 0.5
    assert known.identify(sealed) is None
    known.admit(sealed, ALICE, -1)
    assert known.identify(sealed) is None


def test_it_is_bounded() -> None:
    known = Audiences(Seal(), entries=10)
    for at in range(100):
        known.admit(b"%d" % at, ALICE)
    assert len(known) == 10
    assert known.identify(b"99") and not known.identify(b"1")
