from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.registry.commands import Runner


def test_show_prints_what_is_in_force(
    sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("server: {port: 1}\n")
    monkeypatch.setenv("SIDECARGO_SERVER__WORKERS", "3")
    ran = sidecargo("config", "show", "--config", path)
    assert (ran.code, ran.err) == (0, "")
    assert yaml.safe_load(ran.out)["server"] == {
        "host": "127.0.0.1",
        "port": 1,
        "workers": 3,
        "public_url": None,
        "trusted_proxies": [],
        "tls": {"certificate": None, "key": None},
    }
    as_json = json.loads(sidecargo("config", "show", "--json", "--config", path).out)
    given = {"host": "127.0.0.1", "port": 1, "workers": 3}
    assert as_json["settings"]["server"] == given | {"trusted_proxies": [], "tls": {}}
    assert as_json["origins"]["server.workers"] == "SIDECARGO_SERVER__WORKERS"


def test_show_of_wrong_settings_says_each_in_a_line(
    sidecargo: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "x")
    monkeypatch.setenv("SIDECARGO_SERVER__WORKERS", "x")
    ran = sidecargo("config", "show")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: SIDECARGO_SERVER__PORT: server.port: 'x' is not a whole number\n"
        "error: SIDECARGO_SERVER__WORKERS: server.workers: 'x' is not a whole number\n"
    )


def test_check_of_a_right_file(sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "not looked at")
    path = tmp_path / "s.yaml"
    path.write_text("server: {port: 1}\n")
    ran = sidecargo("config", "check", path)
    assert (ran.code, ran.out, ran.err) == (0, f"{path}: ok\n", "")
    assert json.loads(sidecargo("config", "check", "--json", path).out) == {"ok": True, "problems": []}


def test_check_of_a_wrong_file(sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("server:\n  prot: 1\n")
    ran = sidecargo("config", "check", path)
    message = "unknown key; allowed: host, port, workers, public_url, trusted_proxies, tls"
    assert (ran.code, ran.out, ran.err) == (1, "", f"error: {path}:2: server.prot: {message}\n")
    ran = sidecargo("config", "check", "--json", path)
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "ok": False,
        "problems": [{"where": f"{path}:2", "key": "server.prot", "message": message}],
    }


@pytest.mark.parametrize("command", [["check"], ["show", "--config"]])
def test_a_file_that_cannot_be_read(command: list[str], sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("config", *command, tmp_path / "none.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path}/none.yaml: No such file or directory. Give ")
