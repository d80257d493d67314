import pytest

from registry.access.principal import Principal, is_name, validated


@pytest.mark.parametrize(
    ("address", "local"),
    [
        pytest.param("127.0.0.1", True, id="loopback"),
        pytest.param("127.8.9.10", True, id="another loopback"),
        pytest.param("::1", True, id="loopback, IPv6"),
        pytest.param("::ffff:127.0.0.1", True, id="loopback, on a socket of both kinds"),
        pytest.param("::ffff:192.0.2.7", False, id="another machine, on a socket of both kinds"),
        pytest.param("192.0.2.7", False, id="another machine"),
        pytest.param("10.0.0.1", False, id="a private network"),
        pytest.param("0.0.0.0", False, id="no address"),
        pytest.param("fe80::1%eth0", False, id="link-local"),
        pytest.param("localhost", False, id="a name"),
        pytest.param("", False, id="unknown"),
        pytest.param("127.0.0.1.evil.example", False, id="a name that begins so"),
    ],
)
def test_local_is_this_machine(address: str, local: bool) -> None:
    assert Principal("", address).is_local is local


@pytest.mark.parametrize(
    "who",
    [
        "anonymous",
        "authenticated",
        "user:alice",
        "user:a@example.com",
        "robot:ci.deploy",
        "group:repo:acme/x",
        "oidc:github/repo:acme/x:ref:refs/heads/main",
        "oidc:cluster.example/system:serviceaccount:a:b",
    ],
)
def test_who_rules_may_name(who: str) -> None:
    assert validated(who) == who


@pytest.mark.parametrize(
    "who",
    ["", "alice", "user:", "user:a:b", "user:*", "robot:-x", "group:", "group:a b", "everybody", "Anonymous",
     "oidc:", "oidc:x", "oidc:x/", "oidc:/x", "oidc:X/y", "oidc:x/a b", "oidc:-x/y"],
)  # fmt: skip
def test_who_is_nobody(who: str) -> None:
    with pytest.raises(
        ValueError, match="user:NAME, robot:NAME, group:NAME, oidc:ISSUER/NAME, authenticated, or anonymous"
    ):
        validated(who)


@pytest.mark.parametrize("name", ["a", "alice", "a.b-c_d@e+f", "0", "a" * 128])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "-a", "a-", "a/b", "é", "a\nb", "a" * 129, "$a"])
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_what_rules_call_a_principal() -> None:
    assert Principal("", "").known_as == {"anonymous"}
    alice = Principal("user:alice", "", frozenset({"ci"}))
    assert alice.known_as == {"anonymous", "authenticated", "user:alice", "group:ci"}
    assert (str(alice), str(Principal("", ""))) == ("user:alice", "anonymous")
