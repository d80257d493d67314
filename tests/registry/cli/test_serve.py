from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from registry.cli.serve import is_exposed
from registry.settings import Settings
from tests.registry.commands import Runner


@pytest.fixture(name="served")
def _served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the server would be started with."""
    served: list[Settings] = []

    class App(ModuleType):
        @staticmethod
        def serve(settings: Settings) -> int:
            served.append(settings)
            return 0

    monkeypatch.setitem(sys.modules, "registry.app", App("registry.app"))
    return served


def test_flags_become_settings(
    served: list[Settings], sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("server: {port: 1, workers: 1}\nstorage: {url: ./other}\n")
    monkeypatch.setenv("SIDECARGO_SERVER__WORKERS", "2")
    flags = [
        "--port",
        "5001",
        "--host",
        "::1",
        "--storage",
        "/srv/x",
        "--workers",
        "3",
        "--signing-key",
        "k.pem",
    ]
    assert sidecargo("serve", "--config", path).code == 0
    assert sidecargo("serve", "--config", path, *flags).code == 0
    before, after = served
    assert (before.server.port, before.server.workers, before.storage.url) == (1, 2, "./other")
    assert (after.server.port, after.server.host, after.server.workers) == (5001, "::1", 3)
    assert (after.storage.url, after.signing.keys) == ("/srv/x", ("k.pem",))


@pytest.mark.parametrize(
    ("host", "exposed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("::ffff:10.0.0.1", True),
        ("10.0.0.1", True),
        ("169.254.1.1", True),
        ("plugins.example.com", True),
        ("127.1", True),
    ],
)
def test_what_others_can_reach(host: str, exposed: bool) -> None:
    assert is_exposed(host) is exposed


def test_an_open_address_needs_a_word(served: list[Settings], sidecargo: Runner) -> None:
    ran = sidecargo("serve", "--host", "0.0.0.0")
    assert (ran.code, served) == (2, [])
    assert ran.err.startswith("error: 0.0.0.0 can be reached from other machines")
    assert "--allow-anonymous-push" in ran.err
    assert sidecargo("serve", "--host", "0.0.0.0", "--allow-anonymous-push").code == 0
    assert [settings.server.host for settings in served] == ["0.0.0.0"]


def test_an_open_address_with_rules_needs_none(
    served: list[Settings], sidecargo: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("access: {htpasswd: users}\n")
    ran = sidecargo("serve", "--host", "0.0.0.0", "--config", path)
    assert (ran.code, served) == (2, []), "who is known is no rule"
    assert "Set access.rules" in ran.err
    path.write_text('access: {rules: [{repositories: "**", who: ["user:alice"], may: [pull]}]}\n')
    assert sidecargo("serve", "--host", "0.0.0.0", "--config", path).code == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], "--port: server.port: 70000 is too large; it is 65535 at most"),
        (
            ["--storage", "s3://"],
            "--storage: storage.url: 's3://' is no place in S3; write s3://BUCKET or s3://BUCKET/PREFIX",
        ),
        (["--config", "/none.yaml"], "/none.yaml: No such file or directory."),
    ],
)
def test_wrong_settings_start_nothing(
    flags: list[str], said: str, served: list[Settings], sidecargo: Runner
) -> None:
    ran = sidecargo("serve", *flags)
    assert (ran.code, served) == (2, [])
    assert ran.err.startswith(f"error: {said}")
