from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry import issuers
from registry.settings import Settings
from storage.errors import StoreUnavailable

ONE = {"issuer": "https://issuer.example", "name": "one", "audience": "sidecargo"}


def federation(entry: dict[str, Any], environment: dict[str, str] | None = None) -> Any:
    access = Settings(access={"oidc": [ONE | entry], "tokens": {"enabled": True}}).access  # type: ignore[arg-type]
    return issuers.federation(access, environment or {})


def secret_of(entry: dict[str, Any], environment: dict[str, str] | None = None) -> str | None:
    (provider,) = federation({"client_id": "me"} | entry, environment).sign_in
    found: str | None = provider.client.secret
    return found


def test_where_the_secret_of_a_client_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    assert secret_of({}) is None
    assert secret_of({"client_secret": "hunter2"}) == "hunter2"
    assert secret_of({"client_secret": "env://ONE"}, {"ONE": "hunter2"}) == "hunter2"
    assert secret_of({"client_secret": f"file://{tmp_path}/secret"}) == "hunter2"
    assert federation({}).sign_in == [], "without a client nobody signs in"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"client_id": "me", "client_secret": "env://ONE"}, "of one is not there: the variable ONE"),
        ({"client_id": "me", "client_secret": "file:///none"}, "client_secret of one, /none, cannot be"),
        ({"ca": "/none"}, "the ca of one, /none, cannot be read"),
        ({"token": "/none"}, "the token of one, /none, cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_at_the_start(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(StoreUnavailable, match=said):
        federation(entry)
