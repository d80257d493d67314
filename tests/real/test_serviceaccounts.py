"""Workloads of a real Kubernetes that show their ServiceAccount's token, and what a registry makes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.real import images, istio, kube
from tests.real.kube import DISCOVERY, IN_CLUSTER, KEYS, Cluster, over, signed_again
from tests.real.test_logins import Client
from tests.real.tools import require
from tests.registry import guarded as guarding
from tests.registry.guarded import Guarded, basic
from tests.registry.talk import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

AUDIENCE = "sidecargo"
GATEWAY, WAYPOINT, JOB = ("istio-system", "gateway"), ("istio-system", "waypoint"), ("ci", "job")
OWN = ("registry", "sidecargo")
NAMES = ("gateway/x", "mesh/x", "ci/x", "elsewhere/x")
RULES = [
    {"repositories": "**", "who": ["user:admin"], "may": ["pull", "push"]},
    {
        "repositories": "gateway/**",
        "who": ["oidc:cluster/system:serviceaccount:istio-system:gateway"],
        "may": ["pull"],
    },
    {"repositories": "mesh/**", "who": ["group:ns:istio-system"], "may": ["pull"]},
    {"repositories": "ci/**", "who": ["group:ns:ci"], "may": ["pull", "push"]},
    {
        "repositories": "elsewhere/**",
        "who": ["oidc:other/system:serviceaccount:istio-system:gateway"],
        "may": ["pull"],
    },
]
_versions = count(1)


def mounted(folder: Path, token: str) -> Path:
    """Write a token as kubelet does, in a new folder to which a link is turned; the file's path stays."""
    version = f"..{next(_versions)}"
    (folder / version).mkdir(parents=True)
    (folder / version / "token").write_text(token)
    (folder / "..turned").symlink_to(version)
    (folder / "..turned").replace(folder / "..data")
    path = folder / "token"
    if not path.is_symlink():
        path.symlink_to("..data/token")
    return path


@contextmanager
def running(folder: Path, **key: Any) -> Iterator[Cluster]:
    """A cluster with the workloads, and with the registry's own ServiceAccount."""
    cluster = kube.start(folder / "api", **key)
    try:
        for one in (GATEWAY, WAYPOINT, JOB, OWN):
            cluster.account(*one)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One that is called as all are called, so that its keys must be said to be elsewhere."""
    with running(tmp_path_factory.mktemp("cluster"), issuer=IN_CLUSTER) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One that is found by its own URL, and signs with another kind of key."""
    key = ec.generate_private_key(ec.SECP256R1())
    with running(tmp_path_factory.mktemp("other"), key=key) as running_cluster:
        yield running_cluster


def entry(cluster: Cluster, name: str, token: Path | None, **more: Any) -> dict[str, Any]:
    """A cluster in the settings, as docs/access.md has it."""
    shown = {"token": str(token)} if token else {}
    claims = {"group": "ns:{kubernetes.io.namespace}"}
    known = {"name": name, "issuer": cluster.issuer, "audience": AUDIENCE, "ca": str(cluster.ca)}
    return known | shown | {"claims": claims} | more


@contextmanager
def registry(folder: Path, *issuers: Mapping[str, Any], tokens: bool, **server: Any) -> Iterator[Guarded]:
    """A registry that knows these clusters, and holds a plugin under each of NAMES."""
    access = {"tokens": {"enabled": tokens}, "oidc": issuers, "rules": RULES}
    guarded = guarding.start(folder, access=access, server=server, audit={"file": "audit"})
    try:
        for name in NAMES:
            assert guarded.push(name, basic("admin")).status == 201
        yield guarded
    finally:
        guarded.server.stop()


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, other: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    here = mounted(folder / "here", cluster.token(*OWN))
    there = mounted(folder / "there", other.token(*OWN))
    known = (
        entry(cluster, "cluster", here, keys=cluster.url + KEYS),
        entry(other, "other", there, require={"kubernetes.io.namespace": "istio-*"}),
    )
    with registry(folder, *known, tokens=True) as running_registry:
        yield running_registry


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def seen(guarded: Guarded, shown: Mapping[str, str]) -> set[str]:
    """The repositories whose manifest is given; the others are not said to be there."""
    statuses = {name: guarded.ask("GET", f"/v2/{name}/manifests/v1", shown).status for name in NAMES}
    assert set(statuses.values()) <= {200, 404}, statuses
    return {name for name, status in statuses.items() if status == 200}


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody was told whose token is not taken, and what the audit has of it."""

    status: int
    message: str
    who: str
    problems: list[str]


def refused(guarded: Guarded, token: str) -> Told:
    """Told to one who shows a token that is not taken; a password or a Bearer makes no difference."""
    answers = [
        guarded.ask("GET", "/v2/mesh/x/manifests/v1", shown) for shown in (basic("any", token), bearer(token))
    ]
    assert answers[0].status == answers[1].status and answers[0].error == answers[1].error
    audit = (guarded.server.folder / "audit").read_text()
    assert token not in audit + guarded.server.process.said(1000)
    last = json.loads(audit.splitlines()[-1])
    assert (last["event"], last["verdict"]) == ("login", "failed")
    return Told(answers[0].status, answers[0].error["message"], last["who"], last["problems"])


def test_what_a_cluster_says(cluster: Cluster, other: Cluster) -> None:
    """What the settings for it follow from."""
    for path in (DISCOVERY, KEYS):
        assert cluster.ask("GET", path, bearer=None).status == 403, "it tells nobody whom it does not know"
        assert cluster.ask("GET", path, bearer=cluster.token(*OWN)).status == 200
        assert cluster.ask("GET", path, bearer=cluster.token(*OWN, AUDIENCE)).status == 401
    said = {one.issuer: json.loads(one.ask("GET", DISCOVERY).body) for one in (cluster, other)}
    assert said[IN_CLUSTER]["issuer"] == IN_CLUSTER
    assert said[IN_CLUSTER]["jwks_uri"] == cluster.url + KEYS, "on another host than the issuer"
    assert said[other.url]["jwks_uri"] == other.url + KEYS
    pod = cluster.pod(*GATEWAY)
    claims = kube.claims_of(cluster.token(*GATEWAY, AUDIENCE, bound=pod))
    assert claims["sub"] == "system:serviceaccount:istio-system:gateway"
    assert claims["aud"] == [AUDIENCE]
    assert claims["kubernetes.io"]["namespace"] == "istio-system"
    assert claims["kubernetes.io"]["pod"] == {"name": pod["name"], "uid": pod["uid"]}


def test_each_may_what_the_rules_give(cluster: Cluster, guarded: Guarded) -> None:
    gives = {GATEWAY: {"gateway/x", "mesh/x"}, WAYPOINT: {"mesh/x"}, JOB: {"ci/x"}, OWN: set()}
    for account, names in gives.items():
        token = cluster.token(*account, AUDIENCE)
        assert seen(guarded, basic("any", token)) == names
        assert seen(guarded, bearer(token)) == names
    job, gateway = (basic("any", cluster.token(*one, AUDIENCE)) for one in (JOB, GATEWAY))
    assert guarded.push("ci/y", job).status == 201
    upload = "/v2/mesh/x/blobs/uploads/"
    assert guarded.ask("POST", upload, gateway).status == 403
    assert guarded.ask("POST", upload, job).status == 404
    history = guarded.ask("GET", "/plugins/ci/y:v1/history", job)
    assert history.json["by"] == "oidc:cluster/system:serviceaccount:ci:job"


def test_one_of_the_same_name_elsewhere_is_another(other: Cluster, guarded: Guarded) -> None:
    assert seen(guarded, bearer(other.token(*GATEWAY, AUDIENCE))) == {"elsewhere/x", "mesh/x"}
    told = refused(guarded, other.token(*JOB, AUDIENCE))
    assert (told.status, told.who, told.problems) == (401, "oidc:other", ["required"])


def test_clusters_that_are_called_the_same(cluster: Cluster, other: Cluster, tmp_path: Path) -> None:
    """As most are: whose key it is says which one."""
    known = [
        entry(one, name, mounted(tmp_path / name, one.token(*OWN)), keys=one.url + KEYS)
        for one, name in ((cluster, "cluster"), (other, "other"))
    ]
    with registry(tmp_path, *(one | {"issuer": IN_CLUSTER} for one in known), tokens=True) as guarded:
        here = cluster.token(*GATEWAY, AUDIENCE)
        there = signed_again(other.token(*GATEWAY, AUDIENCE), other.key, iss=IN_CLUSTER)
        assert seen(guarded, bearer(here)) == {"gateway/x", "mesh/x"}
        assert seen(guarded, bearer(there)) == {"elsewhere/x", "mesh/x"}


def test_what_is_not_taken(cluster: Cluster, other: Cluster, guarded: Guarded) -> None:
    good = cluster.token(*GATEWAY, AUDIENCE)
    theirs = other.token(*GATEWAY, AUDIENCE)
    cases = {
        cluster.token(*GATEWAY, "vault"): ("audience", f"is not for the audience {AUDIENCE}"),
        # What is mounted in every pod is for the API server.
        cluster.token(*GATEWAY): ("audience", f"is not for the audience {AUDIENCE}"),
        over(good, cluster.key): ("expired", "is over"),
        # Another cluster that is called the same, as most are.
        signed_again(theirs, other.key, iss=IN_CLUSTER): ("key", "a key that its issuer does not have"),
        signed_again(good, rsa.generate_private_key(65537, 2048)): ("signature", "signature is wrong"),
        good[:-8] + "AAAAAAAA": ("signature", "signature is wrong"),
    }
    for token, (problem, message) in cases.items():
        told = refused(guarded, token)
        assert (told.status, told.who, told.problems) == (401, "oidc:cluster", [problem])
        assert message in told.message
    assert "gateway/x" in seen(guarded, bearer(good))


def test_a_token_outlives_its_holder(cluster: Cluster, guarded: Guarded) -> None:
    """Only the API server itself knows that somebody is gone."""
    cluster.account("ci", "gone")
    token = cluster.token("ci", "gone", AUDIENCE)
    cluster.delete("/api/v1/namespaces/ci/serviceaccounts/gone")
    assert seen(guarded, bearer(token)) == {"ci/x"}


def test_crane_and_skopeo(cluster: Cluster, guarded: Guarded, tmp_path: Path) -> None:
    host, plain = guarded.host, "--tls-verify=false"
    job, gateway = (cluster.token(*one, AUDIENCE) for one in (JOB, GATEWAY))
    images.layout(tmp_path / "layout", images.layer("plugin.wasm", require("plugin").read_bytes()))
    crane = Client(tmp_path / "home", "crane")
    crane.works("auth", "login", host, "-u", "job", "--password-stdin", text=job)
    crane.works("push", tmp_path / "layout", f"{host}/ci/crane:v1")
    assert "NAME_UNKNOWN" in crane.fails("manifest", f"{host}/mesh/x:v1").said
    skopeo = Client(tmp_path / "other home", "skopeo")
    skopeo.works("login", plain, "-u", "gateway", "--password-stdin", host, text=gateway)
    skopeo.works("inspect", plain, "--raw", f"docker://{host}/mesh/x:v1")
    skopeo.fails("inspect", plain, "--raw", f"docker://{host}/ci/crane:v1")
    wrong = cluster.token(*JOB)
    crane.works("auth", "login", host, "-u", "job", "--password-stdin", text=wrong)
    assert f"not for the audience {AUDIENCE}" in crane.fails("manifest", f"{host}/ci/crane:v1").said


def test_istio_agent(cluster: Cluster, tmp_path: Path) -> None:
    """The realm's host must be a DNS name; the registry is reached by the URL of the module."""
    own = mounted(tmp_path / "own", cluster.token(*OWN))
    known = entry(cluster, "cluster", own, keys=cluster.url + KEYS)
    with registry(tmp_path, known, tokens=False, public_url="http://plugins.example.com") as guarded:
        module, secret = f"oci://{guarded.host}/gateway/x:v1", tmp_path / "config.json"
        for account, fetched in ((GATEWAY, True), (WAYPOINT, False)):
            token = cluster.token(*account, AUDIENCE)
            auth = base64.b64encode(f"any:{token}".encode()).decode()
            secret.write_text(json.dumps({"auths": {guarded.host: {"auth": auth}}}))
            got = istio.fetch(module, tmp_path / account[1], pull_secret=secret)
            assert bool(got.sha256) is fetched, got


def test_the_token_of_the_registry_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    pod = cluster.pod(*OWN)
    token = cluster.token(*OWN, bound=pod)
    cluster.delete(f"/api/v1/namespaces/{OWN[0]}/pods/{pod['name']}")
    eventually(lambda: cluster.ask("GET", KEYS, bearer=token).status == 401)
    known = entry(cluster, "cluster", mounted(tmp_path / "own", token), keys=cluster.url + KEYS)
    with registry(tmp_path, known, tokens=True) as guarded:
        path, shown = "/v2/mesh/x/manifests/v1", bearer(cluster.token(*GATEWAY, AUDIENCE))
        silent = guarded.ask("GET", path, shown)
        assert silent.status == 503 and "does not answer" in silent.error["message"]
        assert f"{KEYS} answered 401" in guarded.server.process.said()
        assert guarded.ask("GET", path, basic("admin")).status == 200
        mounted(tmp_path / "own", cluster.token(*OWN))
        # It is asked again after 10 seconds at the earliest.
        eventually(lambda: guarded.ask("GET", path, shown).status == 200, seconds=60)
