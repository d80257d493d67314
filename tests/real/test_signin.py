"""A person who signs in by a real browser with a real issuer, a job without one, and what clients do then."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.real import browser, images, sidecargo
from tests.real.browser import Browser
from tests.real.dockerd import Docker
from tests.real.process import Process, free_port
from tests.real.sidecargo import Sidecargo
from tests.real.test_logins import Client
from tests.real.test_pages import AXE
from tests.real.tools import ROOT, missing, require
from tests.real.web import answers, get, request

pytestmark = [pytest.mark.real, pytest.mark.slow]

ENTRY = {
    "name": "sso",
    "audience": "sidecargo",
    "client_id": "page",
    "client_secret": "secret of the page",
    "scopes": ["email", "groups"],
    "claims": {"group": "{groups}"},
}
RULES = [
    {"repositories": "team/**", "who": ["group:dev", "oidc:sso/job"], "may": ["pull", "push"]},
    {"repositories": "other/**", "who": ["group:ops"], "may": ["pull", "push"]},
]


@dataclass(frozen=True, slots=True)
class Place:
    """A registry, and the URL of who says who somebody is."""

    server: Sidecargo
    issuer: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, port = tmp_path_factory.mktemp("signin"), free_port()
    issuer = f"http://127.0.0.1:{free_port()}"
    back = f"http://127.0.0.1:{port}/login/callback"
    node = shutil.which("node") or missing("node is not here: it comes with npm")
    module = require("oidc-provider") / "lib" / "index.js"
    script = ROOT / "tests" / "real" / "oidc" / "provider.mjs"
    process = Process([node, script, module, issuer.rpartition(":")[2], back], log=folder / "provider.log")
    try:
        process.wait_until(lambda: answers(f"{issuer}/.well-known/openid-configuration"))
        access = {"tokens": {"enabled": True}, "oidc": [ENTRY | {"issuer": issuer}], "rules": RULES}
        settings = folder / "settings.yaml"
        settings.write_text(json.dumps({"access": access, "audit": {"file": "audit"}}))
        server = sidecargo.start(folder, port=port, settings=settings)
        try:
            yield Place(server, issuer)
        finally:
            server.stop()
    finally:
        process.stop()


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with browser.running(tmp_path) as running:
        yield running


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    images.layout(tmp_path / "layout", images.layer("plugin.wasm", require("plugin").read_bytes()))
    return tmp_path / "layout"


def sign_in(chromium: Browser, place: Place, name: str) -> str:
    """The text of the page on which somebody ends who signs in as that name."""
    chromium.open(f"{place.server.url}/login")
    accessible(chromium)
    chromium.run("document.querySelector('a[href^=\"/login?issuer\"]').click()")
    submit(chromium, f"document.querySelector('[name=login]').value = '{name}';"
                     "document.querySelector('[name=password]').value = 'any';")  # fmt: skip
    submit(chromium, "")
    chromium.wait_for(f"{POLL}(() => location.href.startsWith('{place.server.url}/login/callback'))")
    return str(chromium.run("return document.body.innerText"))


POLL = """
const done = arguments[arguments.length - 1];
((ready) => { const look = () => ready() ? done(true) : setTimeout(look, 50); look(); })"""


def submit(chromium: Browser, fill: str) -> None:
    """Fill in the page of the issuer, when it is there, and send it."""
    at = "document.readyState === 'complete' && document.querySelector('form [type=submit]')"
    chromium.wait_for(f"{POLL}(() => {at})")
    before = chromium.run("return location.href")
    chromium.run(f"{fill} document.querySelector('form [type=submit]').click()")
    chromium.wait_for(f"{POLL}(() => location.href !== {json.dumps(before)})")


def accessible(chromium: Browser) -> None:
    chromium.run((require("axe") / "axe.min.js").read_text())
    assert chromium.wait_for(AXE) == []


def token_in(page: str) -> str:
    (token,) = set(re.findall(r"scp_\S+", page))
    return token


def test_a_person(place: Place, chromium: Browser, layout: Path, tmp_path: Path) -> None:
    host = place.server.host
    page = sign_in(chromium, place, "alice")
    token = token_in(page)
    assert "oidc:sso/alice" in page and "dev" in page and "staff" not in page
    accessible(chromium)
    ours = [said["message"] for said in chromium.messages() if said["message"].startswith(place.server.url)]
    assert [message for message in ours if "favicon" not in message] == []
    chromium.open(f"{place.server.url}/login/callback")
    assert "scp_" not in chromium.run("return document.body.innerText"), "it is shown once"
    crane = Client(tmp_path / "home", "crane")
    crane.works("auth", "login", host, "-u", "oidc", "--password-stdin", text=token)
    crane.works("push", layout, f"{host}/team/crane:v1")
    assert "NAME_UNKNOWN" in crane.fails("push", layout, f"{host}/other/crane:v1").said
    skopeo = Client(tmp_path / "other home", "skopeo")
    plain = "--tls-verify=false"
    skopeo.works("login", plain, "-u", "whatever", "--password-stdin", host, text=token)
    skopeo.works("inspect", plain, "--raw", f"docker://{host}/team/crane:v1")
    history = get(f"{place.server.url}/plugins/team/crane:v1/history", {"Authorization": basic(token)})
    assert json.loads(history.body)["by"] == "oidc:sso/alice"
    said = (place.server.folder / "audit").read_text() + place.server.process.said()
    assert '"given"' in said and token not in said


def basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"any:{secret}".encode()).decode()


@pytest.fixture
def job(place: Place) -> str:
    """A token for a machine, as RFC 9068 has it, from the issuer by its own flow."""
    form = {"grant_type": "client_credentials", "resource": "urn:sidecargo"}
    credential = base64.b64encode(b"job:secret+of+the+job").decode()
    fields = {"Authorization": f"Basic {credential}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = request("POST", f"{place.issuer}/token", body=urlencode(form).encode(), headers=fields)
    assert answer.status == 200, answer
    return str(json.loads(answer.body)["access_token"])


def test_a_job(place: Place, job: str, layout: Path, tmp_path: Path) -> None:
    host = place.server.host
    crane = Client(tmp_path / "home", "crane")
    crane.works("auth", "login", host, "-u", "oidc", "--password-stdin", text=job)
    crane.works("push", layout, f"{host}/team/job:v1")
    assert "NAME_UNKNOWN" in crane.fails("push", layout, f"{host}/other/job:v1").said
    bearer = get(f"{place.server.url}/v2/team/job/manifests/v1", {"Authorization": f"Bearer {job}"})
    assert bearer.status == 200, bearer
    crane.works("auth", "login", host, "-u", "oidc", "--password-stdin", text=job[:-8] + "AAAAAAAA")
    assert "signature is wrong" in crane.fails("manifest", f"{host}/team/job:v1").said


def test_docker(place: Place, job: str, docker: Docker, tmp_path: Path) -> None:
    host = place.server.host
    (tmp_path / "plugin.wasm").write_bytes(require("plugin").read_bytes())
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY plugin.wasm ./plugin.wasm\n")
    for name in ("team/docker", "other/docker"):
        docker.succeed("build", "-t", f"{host}/{name}:v1", tmp_path)
    assert "signature is wrong" in docker("login", host, "-u", "oidc", "-p", job[:-8] + "AAAAAAAA").said
    docker.succeed("login", host, "-u", "oidc", "-p", job)
    docker.succeed("push", f"{host}/team/docker:v1")
    said = docker("push", f"{host}/other/docker:v1")
    assert said.code != 0 and "oidc:sso/job may not see it" in said.said, said.said
    docker.succeed("rmi", f"{host}/team/docker:v1")
    docker.succeed("pull", f"{host}/team/docker:v1")
    docker("logout", host)
