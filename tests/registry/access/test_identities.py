from dataclasses import replace
from datetime import date

import pytest

from registry.access import htpasswd
from registry.access.identities import Identities, Identity, RobotExpired
from registry.access.robots import Robot, hashed
from tests.registry.access.test_htpasswd import HASH

KEPT = HASH.encode()
DAY = 86400
ROBOT = Robot("deploy", (hashed(b"one"), hashed(b"two")), date(1970, 1, 3))


def known(text: str = f"alice:{HASH}\ndeploy:{HASH}\nin-file:{hashed(b'x')}", *robots: Robot) -> Identities:
    return Identities(htpasswd.parse(text), robots or (ROBOT,))


def proven(identities: Identities, secret: bytes, name: str = "deploy") -> Identity:
    found = identities.robot(name, secret, 0)
    assert found
    return found


def test_robots_of_the_settings_and_of_the_file() -> None:
    assert proven(known(), b"one").name == "robot:deploy"
    assert proven(known(), b"x", "in-file").name == "robot:in-file"
    for name, secret in (("deploy", b"x"), ("in-file", b"one"), ("alice", b"one"), ("nobody", b"one")):
        assert known().robot(name, secret, 0) is None


def test_an_identity_is_good_as_long_as_what_proved_it_is_kept() -> None:
    one, two = proven(known(), b"one"), proven(known(), b"two")
    assert one != two
    rotated = known("", replace(ROBOT, hashes=ROBOT.hashes[1:]))
    assert not rotated.holds(one, 0)
    assert rotated.holds(two, 0)
    alice = known().user("alice", KEPT)
    assert alice.name == "user:alice"
    assert known().holds(alice, 0)
    assert not known("").holds(alice, 0)
    assert not known(f"alice:{HASH[:-1]}z").holds(alice, 0)
    assert not known().holds(replace(alice, name="user:deploy", proof=one.proof), 0)
    assert not known().holds(replace(alice, name="robot:deploy"), 0)


def test_a_robot_expires() -> None:
    one = proven(known(), b"one")
    assert known().holds(one, 2 * DAY - 1)
    assert not known().holds(one, 2 * DAY)
    with pytest.raises(RobotExpired):
        known().robot("deploy", b"one", 2 * DAY)
    assert known().robot("deploy", b"wrong", 2 * DAY) is None


def test_a_print_tells_nothing_of_a_hash() -> None:
    assert proven(known(), b"one").proof not in hashed(b"one")
    assert len(known().user("alice", KEPT).proof) == 24
