import pytest

from registry.access.rights import Right
from registry.client import challenge
from registry.login.challenges import Challenges

URL = "https://plugins.example.com"


@pytest.mark.parametrize(
    ("path", "right", "name", "said"),
    [
        ("/v2/", Right.OPEN, None, {}),
        ("/v2/a/manifests/v1", Right.PULL, "a", {"scope": "repository:a:pull"}),
        ("/v2/a/blobs/uploads/", Right.PUSH, "a", {"scope": "repository:a:pull,push"}),
        ("/v2/a/manifests/v1", Right.DELETE, "a", {"scope": "repository:a:delete"}),
        ("/v2/_catalog", Right.PULL, None, {"scope": "registry:catalog:*"}),
    ],
)
def test_clients_of_the_registry_are_sent_for_a_token(
    path: str, right: Right, name: str | None, said: dict[str, str]
) -> None:
    asked = Challenges(URL, "plugins.example.com").ask(path, right, name)
    (read,) = challenge.read([asked])
    assert read.scheme == "bearer"
    assert read.parameters == {"realm": f"{URL}/token", "service": "plugins.example.com", **said}


def test_what_is_wrong_with_a_token_is_said() -> None:
    asked = Challenges(URL, "s").ask("/v2/a/tags/list", Right.PULL, "a", "insufficient_scope")
    assert asked.endswith(',error="insufficient_scope"')


@pytest.mark.parametrize(
    ("service", "path"), [("", "/v2/a/manifests/v1"), ("s", "/plugins/"), ("s", "/metrics"), ("s", "/token")]
)
def test_else_for_a_password_with_a_realm_that_istio_takes(service: str, path: str) -> None:
    assert Challenges(URL, service).ask(path, Right.PULL, "a") == f'Basic realm="{URL}"'
