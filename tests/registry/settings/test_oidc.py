"""The part `access.oidc` of the settings: what it means, and what is said of what is wrong in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from registry.access.principal import Principal
from registry.access.rights import Right
from registry.settings import SettingsInvalid, load
from registry.settings.show import MASK, as_data, as_yaml

URL = "https://token.actions.githubusercontent.com"
ONE = {"issuer": URL, "audience": "sidecargo"}


def written(folder: Path, *entries: Any, **more: Any) -> Any:
    path = folder / "s.yaml"
    path.write_text(json.dumps({"access": {"oidc": entries, **more}}))
    return load(path, use_environment=False)


def test_the_least(tmp_path: Path) -> None:
    access = written(tmp_path, ONE).settings.access
    (issuer,) = (one.known for one in access.oidc)
    assert access.is_used
    assert (issuer.name, issuer.url, issuer.audience) == (URL.removeprefix("https://"), URL, "sidecargo")
    assert (issuer.algorithms, issuer.required) == (("RS256", "ES256"), ())
    assert (str(issuer.naming.user), issuer.naming.groups) == ("{sub}", ())
    assert access.personal.lifetime.days == 30


def test_all_of_it(tmp_path: Path) -> None:
    said = ONE | {
        "name": "github",
        "claims": {"user": "{actor}", "group": "repo:{repository}"},
        "require": {"repository_owner": "octo", "ref": ["refs/heads/*"]},
        "algorithms": ["PS256"],
        "keys": "/etc/keys.json",
        "client_id": "me",
        "client_secret": "hunter2",
        "scopes": ["groups"],
    }
    loaded = written(
        tmp_path, said, tokens={"enabled": True}, personal={"revoked": ["0" * 16, "oidc:github/x"]}
    )
    (one,) = loaded.settings.access.oidc
    assert (one.known.name, [*map(str, one.known.naming.groups)]) == ("github", ["repo:{repository}"])
    assert [(r.path, r.patterns) for r in one.known.required] == [
        ("repository_owner", ("octo",)),
        ("ref", ("refs/heads/*",)),
    ]
    assert one.scopes == ("openid", "groups")
    assert "hunter2" not in as_yaml(loaded) + repr(loaded)
    shown = as_data(loaded)["settings"]["access"]["oidc"][0]
    assert (shown["client_secret"], shown["require"]["ref"]) == (MASK, ["refs/heads/*"])
    path = tmp_path / "again.yaml"
    path.write_text(as_yaml(loaded))
    assert load(path, use_environment=False).settings.access.oidc[0].known == one.known


def test_when_what_follows_from_claims_changes_so_does_the_proof(tmp_path: Path) -> None:
    entries = [
        ONE,
        ONE | {"claims": {"user": "{actor}"}},
        ONE | {"claims": {"group": "a"}},
        ONE | {"require": {"a": "b"}},
        ONE | {"require": {"a": ["b", "c"]}},
        ONE | {"issuer": URL + "/"},
    ]
    proofs = [written(tmp_path, entry).settings.access.oidc[0].known.proof for entry in entries]
    assert len(set(proofs)) == len(proofs)
    renewed = written(tmp_path, ONE | {"algorithms": ["PS256"], "keys": "x"}).settings.access.oidc[0]
    assert renewed.known.proof == proofs[0]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"audience": "x"}, "is missing"),
        ({"issuer": URL}, "it needs audience, whom its tokens must be for, or client_id"),
        (ONE | {"issuer": "http://issuer.example"}, "is not by https"),
        (ONE | {"issuer": "issuer.example"}, "is not a URL"),
        (ONE | {"issuer": "https://me:hunter2@issuer.example"}, "is not a URL"),
        (ONE | {"issuer": "https://issuer.example/?a=b"}, "has more than a path"),
        (ONE | {"issuer": "https://issuer.example:x/"}, "is not a URL"),
        (ONE | {"name": "A b"}, "is no name of an issuer"),
        (ONE | {"claims": {"group": "{a}{b}"}}, "nothing between them"),
        (ONE | {"claims": {"user": "{}"}}, "braces without a claim"),
        (ONE | {"claims": {"team": "x"}}, "unknown key; allowed: user, group"),
        (ONE | {"require": {"a": []}}, "is empty"),
        (ONE | {"require": "a"}, "not a mapping"),
        (ONE | {"algorithms": ["HS256"]}, "'HS256' is no algorithm that is taken"),
        (ONE | {"algorithms": ["none"]}, "'none' is no algorithm that is taken"),
        (ONE | {"algorithms": []}, "is empty"),
        (ONE | {"keys": "http://issuer.example/keys"}, "is not by https"),
        (ONE | {"hosts": ["https://x"]}, "'https://x' is no host"),
        (ONE | {"client_secret": "hunter2"}, "client_secret needs a client_id"),
        (ONE | {"client_id": "me", "client_secret": ["hunter2"]}, "not text"),
        (ONE | {"client_id": "me", "scopes": ["a b"]}, "'a b' is no scope"),
        (ONE | {"client_id": "me"}, "set access.tokens.enabled"),
        (ONE | {"issuer": "https://[::1]/"}, "it needs a name"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_with_it(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        written(tmp_path, entry)
    assert said in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (ONE | {"name": "other"}, f"two have the issuer {URL}; give each keys of its own"),
        (ONE | {"name": "other", "keys": f"{URL}/keys"}, f"two have the issuer {URL}"),
        ({"issuer": f"{URL}/b", "audience": "x"}, "two have the name token.actions.githubusercontent.com"),
    ],
)
def test_issuers_are_told_apart(tmp_path: Path, other: Any, said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        written(tmp_path, ONE, other)


def test_two_of_one_issuer_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    one, other = (ONE | {"name": name, "keys": f"{URL}/{name}"} for name in ("a", "b"))
    assert [entry.known.name for entry in written(tmp_path, one, other).settings.access.oidc] == ["a", "b"]
    with pytest.raises(SettingsInvalid, match=f"two have the issuer {URL}"):
        written(tmp_path, one, other | {"keys": one["keys"]})


@pytest.mark.parametrize("revoked", ["x", "user:alice", "oidc:x", "0" * 15])
def test_what_is_no_token_is_not_revoked(tmp_path: Path, revoked: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"write its id|is nobody"):
        written(tmp_path, ONE, personal={"revoked": [revoked]})


def test_the_example_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
    (example,) = (one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "oidc:" in one)
    (tmp_path / "s.yaml").write_text(example)
    access = load(tmp_path / "s.yaml", use_environment=False).settings.access
    assert [one.known.name for one in access.oidc] == ["github", "gitlab", "cluster", "sso"]
    groups = frozenset({"repo:my-org/app"})
    assert access.rights.allow(Principal("oidc:github/x", "", groups), Right.PUSH, "my-org/app/auth")
    pod = Principal("oidc:cluster/system:serviceaccount:istio-system:gateway", "")
    assert access.rights.allow(pod, Right.PULL, "a/b") and not access.rights.allow(pod, Right.PUSH, "a/b")
