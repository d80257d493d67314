import pytest

from registry.access.slowness import FREE, LONGEST, Slowness


def tries(slow: Slowness, count: int, name: str = "alice", address: str = "192.0.2.1") -> list[float | None]:
    return [slow.wait(name, address, 100.0) for _ in range(count)]


def test_the_first_tries_wait_for_nothing_then_each_longer_until_one_is_sent_away() -> None:
    slow = Slowness()
    assert tries(slow, FREE) == [0.0] * FREE
    assert tries(slow, int(LONGEST)) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert tries(slow, 3) == [None] * 3
    assert slow.wait("alice", "192.0.2.1", 101.0) == 5.0, "who is sent away loses nothing by it"
    assert slow.wait("alice", "192.0.2.1", 200.0) == 0.0


def test_by_name_and_address_together() -> None:
    slow = Slowness()
    tries(slow, 20)
    assert tries(slow, 1, name="bob") == [0.0]
    assert tries(slow, 1, address="192.0.2.2") == [0.0]
    slow.forgive("bob", "192.0.2.1")
    assert tries(slow, 1) == [None]
    slow.forgive("alice", "192.0.2.1")
    assert tries(slow, 1) == [0.0]


@pytest.mark.parametrize(
    ("address", "same"),
    [("2001:db8::1", True), ("2001:db8:0:0:ffff::1", True), ("2001:db8:0:1::1", False), ("", False)],
)
def test_of_ipv6_a_network_is_one_address(address: str, same: bool) -> None:
    slow = Slowness()
    tries(slow, 20, address="2001:db8::2")
    assert (tries(slow, 1, address=address) == [None]) is same


def test_what_is_mapped_is_ipv4() -> None:
    slow = Slowness()
    tries(slow, 20, address="::ffff:192.0.2.1")
    assert tries(slow, 1, address="::ffff:192.0.2.2") == [0.0]


def test_the_table_is_bounded() -> None:
    slow = Slowness(entries=100)
    for at in range(1000):
        tries(slow, 1, name=str(at))
    assert len(slow) == 100
