"""The section `access`: what it means, and what is said of what is wrong in it."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from registry.access.principal import Principal
from registry.access.rights import Right
from registry.access.robots import Robot
from registry.settings import SettingsInvalid, load

PAGE = Path(__file__).parents[3] / "docs" / "access.md"
HASH = "sha256:" + "0" * 64
RULE = {"repositories": "**", "who": ["user:alice"], "may": ["pull"]}


def loaded(folder: Path, access: object) -> Any:
    path = folder / "s.yaml"
    path.write_text(json.dumps({"access": access}))
    return load(path, use_environment=False).settings.access


def test_the_example_of_the_page(tmp_path: Path) -> None:
    (example, *_) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "s.yaml"
    path.write_text(example)
    access = load(path, use_environment=False).settings.access
    rules = access.rights
    ci, mesh = Principal("robot:ci", ""), Principal("robot:mesh", "")
    assert rules.allow(ci, Right.PUSH, "team-a/auth") and not rules.allow(ci, Right.PUSH, "public/x")
    assert rules.allow(mesh, Right.PULL, "team-b/x") and not rules.allow(mesh, Right.PUSH, "team-a/auth")
    assert rules.all_may(Right.PULL, "public/x") and not rules.all_may(Right.PULL, "team-a/auth")
    assert rules.allow(Principal("user:root", ""), Right.ADMIN, None)
    assert access.known_robots[0].expires == date(2027, 6, 1)


def test_what_is_written_is_what_counts(tmp_path: Path) -> None:
    robot = {"name": "deploy", "secrets": [HASH], "expires": "2027-06-01"}
    access = loaded(tmp_path, {"rules": [RULE], "robots": [robot], "tokens": {"key": "k.pem"}})
    assert access.known_robots == (Robot("deploy", (HASH,), date(2027, 6, 1)),)
    assert access.tokens.is_on and access.tokens.lifetime.total_seconds() == 300
    assert access.rights.given


@pytest.mark.parametrize("access", [{}, {"tokens": {"lifetime": "1m"}}, {"robots": []}])
def test_nothing_of_it_is_used(tmp_path: Path, access: object) -> None:
    assert not loaded(tmp_path, access).is_used


@pytest.mark.parametrize(
    "access", [{"rules": [RULE]}, {"htpasswd": "u"}, {"tokens": {"enabled": True}}, {"tokens": {"key": "k"}}]
)
def test_something_of_it_is_used(tmp_path: Path, access: object) -> None:
    assert loaded(tmp_path, access).is_used


def robot(**more: object) -> dict[str, object]:
    return {"robots": [{"name": "deploy", "secrets": [HASH], **more}]}


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ({"rules": [{**RULE, "who": ["alice"]}]}, "'alice' is nobody; write user:NAME"),
        ({"rules": [{**RULE, "who": []}]}, "is empty"),
        ({"rules": [{**RULE, "may": []}]}, "is empty"),
        ({"rules": [{**RULE, "may": ["write"]}]}, "'write' is no right; allowed: pull, push, delete, admin"),
        ({"rules": [{**RULE, "may": ["open"]}]}, "'open' is no right"),
        ({"rules": [{**RULE, "may": [["pull"]]}]}, "is no right"),
        ({"rules": [{**RULE, "repositories": "a**"}]}, "'a**' is not a pattern"),
        ({"rules": [{**RULE, "deny": True}]}, "unknown key"),
        ({"htpasswd": ""}, "is no file"),
        (robot(name="a:b"), "'a:b' is no name"),
        (robot(secrets=["hunter2"]), "no hash of a secret; `sidecargo users add --robot NAME` makes both"),
        (robot(secrets="hunter2"), "not a list"),
        (robot(secrets=[]), "is empty"),
        (robot(secrets=[["hunter2"]]), "no hash of a secret"),
        (robot(secrets=[HASH] * 3), "3 secrets are too many; a robot has 2 at most"),
        (robot(expires="tomorrow"), "'tomorrow' is no day; write it as in 2027-06-01"),
        (robot(expires="2027-13-01"), "2027-13-01"),
        (robot(expires=20270601), "20270601 is no day"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_with_it(tmp_path: Path, access: object, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        loaded(tmp_path, access)
    assert said in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
