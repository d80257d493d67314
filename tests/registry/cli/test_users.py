from __future__ import annotations

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from registry.access import htpasswd, robots
from registry.cli import users
from tests.registry.commands import Runner


def typed(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))


def test_a_user_is_added_changed_and_removed(
    sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users"
    for password in ("first", "second"):
        typed(monkeypatch, password)
        ran = sidecargo("users", "add", "alice", "--password-stdin", "--file", file)
        assert (ran.code, ran.out, ran.err) == (0, "", "user:alice may log in.\n")
        kept = htpasswd.parse(file.read_text()).hashes["alice"]
        assert htpasswd.is_of(password.encode(), kept)
        assert password not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["users"]
    ran = sidecargo("users", "remove", "alice", "--file", file)
    assert (ran.code, ran.err, file.read_text()) == (0, "user:alice is gone.\n", "")
    ran = sidecargo("users", "remove", "alice", "--file", file)
    assert (ran.code, ran.err.split(".")[0]) == (2, f"error: user:alice is not there in {file}")


def test_a_robot_s_secret_is_shown_once_and_two_live(sidecargo: Runner, tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# ours\n")
    file.chmod(0o640)
    secrets = []
    for _ in range(3):
        ran = sidecargo("users", "add", "--robot", "deploy", "--file", file)
        assert ran.code == 0, ran
        secrets.append(ran.out.strip())
        assert secrets[-1] not in ran.err
    (robot,) = htpasswd.parse(file.read_text()).robots
    assert robot.hashes == tuple(robots.hashed(secret.encode()) for secret in secrets[1:])
    assert not any(secret in file.read_text() for secret in secrets)
    assert file.stat().st_mode & 0o777 == 0o640
    assert sidecargo("users", "remove", "--robot", "deploy", "--old", "--file", file).code == 0
    (robot,) = htpasswd.parse(file.read_text()).robots
    assert robot.hashes == (robots.hashed(secrets[2].encode()),)
    assert sidecargo("users", "remove", "--robot", "deploy", "--old", "--file", file).code == 2
    assert sidecargo("users", "remove", "--robot", "deploy", "--file", file).code == 0
    assert file.read_text() == "# ours\n"


def test_the_secret_that_agents_pull_with(sidecargo: Runner, tmp_path: Path) -> None:
    file = tmp_path / "users"
    ran = sidecargo(
        "users", "add", "--robot", "deploy", "--format", "k8s-secret", "--host", "plugins.example.com",
        "--namespace", "mesh", "--file", file,
    )  # fmt: skip
    secret = yaml.safe_load(ran.out)
    assert secret["metadata"] == {"name": "deploy-pull", "namespace": "mesh"}
    entry = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]["plugins.example.com"]
    (robot,) = htpasswd.parse(file.read_text()).robots
    assert robot.proof(entry["password"].encode())


def test_without_a_file_a_robot_is_for_the_settings(sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("users", "add", "--robot", "deploy")
    (row,) = yaml.safe_load(ran.err.splitlines()[1])["access"]["robots"]
    assert row == {"name": "deploy", "secrets": [robots.hashed(ran.out.strip().encode())]}
    settings = tmp_path / "s.yaml"
    settings.write_text(ran.err.splitlines()[1].strip())
    ran = sidecargo("users", "list", "--config", settings)
    assert (ran.code, ran.out) == (0, "robot:deploy  secrets 1\n")


def test_who_may_log_in(sidecargo: Runner, tmp_path: Path) -> None:
    file, settings = tmp_path / "users", tmp_path / "s.yaml"
    secret = robots.hashed(b"x")
    file.write_text(f"alice:{htpasswd.hashed(b'x')}\nci:{secret}\nhunter2\n")
    robot = {"name": "deploy", "secrets": [secret], "expires": "2027-06-01"}
    settings.write_text(json.dumps({"access": {"htpasswd": str(file), "robots": [robot]}}))
    ran = sidecargo("users", "list", "--config", settings)
    assert ran.code == 1
    assert ran.out == "user:alice\nrobot:ci  secrets 1\nrobot:deploy  secrets 1  expires 2027-06-01\n"
    assert "line 3: no name" in ran.err and "hunter2" not in ran.err
    said = json.loads(sidecargo("users", "list", "--json", "--config", settings).out)
    assert said["users"][2] == {"who": "robot:deploy", "secrets": 1, "expires": "2027-06-01"}
    assert len(said["problems"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "a:b", "--file", "users"], "'a:b' is no name."),
        (["add", "alice"], "there is no users' file."),
        (["remove", "alice"], "there is no users' file."),
        (["remove", "alice", "--old", "--file", "users"], "--old is about a robot's secrets."),
        (["add", "alice", "--format", "k8s-secret", "--file", "users"], "users have none."),
        (["add", "--robot", "x", "--format", "k8s-secret", "--file", "users"], "where agents pull from"),
        (
            ["add", "--robot", "A", "--format", "k8s-secret", "--host", "h", "--file", "users"],
            "'A-pull' is no name of a Secret.",
        ),
        (
            ["add", "--robot", "a", "--format", "k8s-secret", "--host", "h", "--namespace", "_"],
            "'_' is no namespace.",
        ),
        (["add", "--robot", "a", "--file", "none/users"], "none: No such file or directory."),
        (["list", "--file", "users"], "users: No such file or directory."),
    ],
)
def test_what_cannot_be(
    sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = sidecargo("users", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "an empty password"), ("x" * 73, "72 bytes"), ("scr_" + "a" * 43, "a robot's secret")],
)
def test_passwords_that_are_none(
    sidecargo: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, said: str
) -> None:
    typed(monkeypatch, password)
    ran = sidecargo("users", "add", "alice", "--password-stdin", "--file", tmp_path / "users")
    assert ran.code == 2 and said in ran.err


def test_nobody_s_change_is_lost_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "users", tmp_path / "link"
    file.write_text("")
    link.symlink_to(file)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: users._change(link, lambda text: f"{text}{at}\n"), range(100)))
    assert sorted(map(int, file.read_text().split())) == list(range(100))
    assert link.is_symlink()


def test_what_is_changed_is_in_the_audit(sidecargo: Runner, tmp_path: Path) -> None:
    file, audit, settings = tmp_path / "users", tmp_path / "audit.jsonl", tmp_path / "s.yaml"
    settings.write_text(f"audit: {{file: {audit}}}\naccess: {{htpasswd: {file}}}\n")
    secrets = [sidecargo("users", "add", "--robot", "ci", "--config", settings).out.strip() for _ in range(2)]
    sidecargo("users", "remove", "--robot", "ci", "--old", "--config", settings)
    sidecargo("users", "remove", "--robot", "ci", "--config", settings)
    assert sidecargo("users", "remove", "--robot", "ci", "--config", settings).code == 2
    records = [json.loads(line) for line in audit.read_text().splitlines()]
    assert {record["who"].partition(":")[0] for record in records} == {"local"}
    assert [(record["event"], record["verdict"], record["what"]) for record in records] == [
        ("user", "added", "robot:ci"),
        ("user", "added", "robot:ci"),
        ("user", "older-removed", "robot:ci"),
        ("user", "removed", "robot:ci"),
    ]
    assert not [secret for secret in secrets if secret in audit.read_text()]
    settings.write_text(f"audit: {{file: {tmp_path}}}\naccess: {{htpasswd: {file}}}\n")
    ran = sidecargo("users", "add", "--robot", "ci", "--config", settings)
    assert (ran.code, ran.err.count(f"warning: audit.file {tmp_path} cannot be written")) == (0, 1)
