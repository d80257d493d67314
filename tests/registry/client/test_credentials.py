from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from registry.client.credentials import Credential, find
from registry.console.failure import Failure

AUTH = base64.b64encode(b"alice:se:cret").decode()
ALICE = Credential("alice", "se:cret")


def _config(folder: Path, document: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def _helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "vault") -> None:
    """A credential helper that is first in the PATH."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("server", "entry", "expected"),
    [
        ("r.example", {"auth": AUTH}, ALICE),
        ("r.example/", {"auth": AUTH}, ALICE),
        ("https://r.example/v2/", {"auth": AUTH}, ALICE),
        ("r.example", {"username": "alice", "password": "se:cret"}, ALICE),
        ("r.example", {"identitytoken": "t"}, Credential(identity_token="t")),
        ("r.example", {"registrytoken": "t"}, Credential(registry_token="t")),
        ("r.example", {}, None),
        ("r.example:443", {"auth": AUTH}, None),
        ("other.example", {"auth": AUTH}, None),
        ("r.example.com", {"auth": AUTH}, None),
    ],
)
def test_what_docker_login_wrote_is_found(
    server: str, entry: dict[str, str], expected: Credential | None, tmp_path: Path
) -> None:
    assert find("r.example", _config(tmp_path, {"auths": {server: entry}})) == expected


@pytest.mark.parametrize(
    "document", [{}, [], {"auths": None}, {"auths": {"r.example": 5}}, {"credHelpers": []}]
)
def test_a_file_that_says_nothing(document: object, tmp_path: Path) -> None:
    assert find("r.example", _config(tmp_path, document)) is None


def test_no_file_is_nobody_logged_in(tmp_path: Path) -> None:
    assert find("r.example", tmp_path / "none") is None


@pytest.mark.parametrize("document", ["{", {"auths": {"r.example": {"auth": "%%%"}}}])
def test_a_broken_file_is_said(document: object, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"config\.json .*docker login"):
        find("r.example", _config(tmp_path, document))


@pytest.mark.parametrize("config", [{"credsStore": "vault"}, {"credHelpers": {"r.example": "vault"}}])
def test_a_helper_is_asked_for_the_server(
    config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """read server; printf '{"Username":"%s","Secret":"%s"}' "$1" "$server\""""
    _helper(tmp_path, monkeypatch, script)
    assert find("r.example", _config(tmp_path, config)) == Credential("get", "r.example")


def test_a_helper_may_give_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _helper(tmp_path, monkeypatch, """echo '{"Username":"<token>","Secret":"t"}'""")
    assert find("r.example", _config(tmp_path, {"credsStore": "vault"})) == Credential(identity_token="t")


def test_the_helper_of_a_host_beats_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _helper(tmp_path, monkeypatch, "echo wrong; exit 1")
    _helper(tmp_path, monkeypatch, """echo '{"Username":"a","Secret":"b"}'""", name="mine")
    config = {"credsStore": "vault", "credHelpers": {"r.example": "mine"}}
    assert find("r.example", _config(tmp_path, config)) == Credential("a", "b")


def test_the_helper_of_another_host_is_not_asked(tmp_path: Path) -> None:
    config = {"credHelpers": {"other.example": "not-installed"}, "auths": {"r.example": {"auth": AUTH}}}
    assert find("r.example", _config(tmp_path, config)) == ALICE


def test_a_helper_without_a_credential_is_nobody_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    assert find("r.example", _config(tmp_path, {"credsStore": "vault"})) is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the vault is sealed; exit 1", "docker-credential-vault failed: the vault is sealed"),
        ("exit 3", "exit code 3"),
        ("echo hello", "did not answer with a credential"),
        ("echo '{}'", "did not answer with a credential"),
    ],
)
def test_a_helper_that_fails_is_said(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _helper(tmp_path, monkeypatch, script)
    with pytest.raises(Failure, match=said):
        find("r.example", _config(tmp_path, {"credsStore": "vault"}))


@pytest.mark.parametrize(
    ("name", "said"), [("none", "is not installed"), ("../evil", "is no name of"), ("a b", "is no name of")]
)
def test_a_helper_that_cannot_be_run_is_said(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=said):
        find("r.example", _config(tmp_path, {"credsStore": name}))


def test_secrets_show_in_no_repr() -> None:
    assert "s3cret" not in repr(Credential("alice", "s3cret", "s3cret", "s3cret"))


def test_basic() -> None:
    assert ALICE.basic == f"Basic {AUTH}"
    assert Credential(identity_token="t").basic == ""
