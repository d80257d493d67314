import pytest

from registry.access.rights import Principal, Right, allowed


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


FROM_AFAR = {
    Right.OPEN: True,
    Right.PULL: True,
    Right.PUSH: True,
    Right.DELETE: False,
    Right.ADMIN: False,
}


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("repository", ["acme/wasm", None])
def test_without_rules(right: Right, repository: str | None) -> None:
    assert allowed(Principal("", "127.0.0.1"), right, repository)
    assert allowed(Principal("", "192.0.2.7"), right, repository) is FROM_AFAR[right]
    assert allowed(Principal("", ""), right, repository) is FROM_AFAR[right]
