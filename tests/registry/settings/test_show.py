from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from registry.settings import load
from registry.settings.show import MASK, as_data, as_yaml, plain

FILE = """\
server: {host: "::1", public_url: https://plugins.example.com}
storage: {url: /srv/x y, cache: {memory: 1GiB}}
admission:
  mode: off
  rules: [{repositories: "**", mode: warn}, {repositories: a/*, sparse: true}]
signing: {keys: [a.pem, "b: c.pem"]}
timeouts: {head: 1h30m}
access:
  htpasswd: users
  robots: [{name: deploy, secrets: [%s], expires: 2027-06-01}]
  rules: [{repositories: a/**, who: ["robot:deploy", anonymous], may: [pull, push]}]
""" % ("sha256:" + "0" * 64)


@pytest.mark.parametrize("text", ["", FILE])
def test_what_is_shown_is_a_settings_file_of_the_same_meaning(text: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(text)
    shown = load(first)
    second.write_text(as_yaml(shown))
    assert load(second).settings == shown.settings
    assert yaml.safe_load(as_yaml(shown)) == _nulls(as_data(shown)["settings"])


def test_every_value_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "1")
    lines = [line.strip() for line in as_yaml(load(path)).splitlines()]
    assert f"host: ::1  # {path}:1" in lines
    assert "port: 1  # SIDECARGO_SERVER__PORT" in lines
    assert "workers: 1  # default" in lines
    assert f"mode: 'off'  # {path}:4" in lines
    assert as_data(load(path))["origins"]["admission.mode"] == f"{path}:4"


def test_secrets_are_masked() -> None:
    class Login(BaseModel):
        password: SecretStr
        url: str

    shown = plain(Login(password=SecretStr("hunter2"), url="https://me:hunter2@example.com"))
    assert shown == {"password": MASK, "url": "https://***@example.com"}


def _nulls(settings: dict[str, Any]) -> dict[str, Any]:
    """The YAML has keys without a value too."""
    nothing = {"encryption": None, "kms_key": None, "storage_class": None}
    storage = settings["storage"] | {"s3": settings["storage"]["s3"] | nothing}
    signing = {"passphrase": None} | settings["signing"]
    tls = {"certificate": None, "key": None} | settings["server"]["tls"]
    server = {"public_url": None} | settings["server"] | {"tls": tls}
    tokens = {"key": None} | settings["access"]["tokens"]
    access = {"htpasswd": None} | settings["access"] | {"tokens": tokens}
    return settings | {"access": access, "server": server, "storage": storage, "signing": signing}
