"""A registry as a platform team runs it: TLS by an authority of its own, a private repository, robots that
only pull, and a name that agents know it by.

The name is in the /etc/hosts of who is to reach it (`apart.py`). Pushed, printed and given out is by our own
commands, as a person who may push.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from storage import paths
from tests.real import published, sidecargo
from tests.real.apart import apart, hosts
from tests.real.process import Finished, Word, environment, free_port, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.real.web import get
from tests.registry.certificates import Authority
from tests.registry.commands import log_in
from tests.registry.talk import eventually
from tests.registry.wasm.binary import custom

NAME = "plugins.example.com"
NAMES = {NAME: "127.0.0.1"}
"""For the /etc/hosts of who pulls."""
SECRET = "regcred"
"""What the Secrets are called that robots log in with."""
PULLING = ("--pull-secret", SECRET)
"""What makes `sidecargo yaml` name it."""
ROBOT, LEAVER, GONE = "mesh", "leaver", "gone"
"""Robots that may pull: one to stay, one whom tests dismiss, one that has expired."""

_PERSON, _PASSWORD = "alice", "open sesame"
_URL = re.compile(r"https://\S+/plugin\.wasm")
_CAPABILITY = re.compile(r"/(scu_[\w-]+)([\w-])/plugin\.wasm")


@dataclass(frozen=True, slots=True)
class Commands:
    """Our commands, as somebody runs them who works in `folder` and trusts an authority."""

    folder: Path
    trust: Path

    def __call__(self, *words: Word, text: str | None = None) -> Finished:
        view = Path(tempfile.mkdtemp(prefix="command-", dir=self.folder))
        command: list[Word] = [sys.executable, "-m", "registry", *words]
        env = environment(
            PYTHONPATH=str(ROOT), DOCKER_CONFIG=str(self.folder / "docker"), SSL_CERT_FILE=str(self.trust)
        )
        return succeed(
            *apart(command, hosts(view, NAMES), folder=view), env=env, folder=self.folder, text=text
        )


@dataclass(frozen=True, slots=True)
class Private:
    """A running registry; its robots' Secrets are for `namespace`, and `expired` is that of GONE."""

    server: Sidecargo
    host: str
    run: Commands
    namespace: str
    expired: str

    def push(self, repository: str, tag: str = "v1") -> str:
        """Push the plugin of `published.marking`, as another image for each tag; its reference."""
        module = self.server.folder / "plugin.wasm"
        module.write_bytes(published.marking() + custom("tag", tag.encode()))
        reference = f"{self.host}/{repository}:{tag}"
        self.run("push", module, reference)
        return reference

    def printed(self, kind: str, reference: str, *flags: str) -> str:
        """What `sidecargo yaml KIND REF FLAGS` prints."""
        return self.run("yaml", kind, reference, *flags).out

    def login(self, robot: str, *, known: bool = True) -> str:
        """The Secret of a robot with a new secret, which the registry knows or not."""
        return _login(self.run, self.host, self.namespace, robot, *(("--file", "users") if known else ())).out

    def dismiss(self, login: str) -> None:
        """Take the robot of a Secret away; nobody can log in with that any more."""
        shown = json.loads(base64.b64decode(yaml.safe_load(login)["data"][".dockerconfigjson"]))
        found = shown["auths"][self.host]

        def answered() -> int:
            fields = {"Authorization": f"Basic {found['auth']}"}
            return get(f"{self.server.url}/v2/", fields, trust=self.server.trust).status

        assert answered() == 200
        self.run("users", "remove", "--robot", found["username"], "--file", "users")
        eventually(lambda: answered() == 401)

    def revoke(self, url: str) -> None:
        """End a URL that needs no login."""
        self.run("url", self._reference(url), "--revoke")

    def ended(self, url: str) -> str:
        """Another URL of the same, whose time is over."""
        reference = self._reference(url)
        other = self.run("url", reference, "--expires", "1h").out.strip()  # none ends earlier
        repository, target = re.split("[:@]", reference.partition("/")[2], maxsplit=1)
        kept = self.server.folder / "data" / paths.url(repository, target)
        record = json.loads(kept.read_text())
        for one in record["urls"]:
            one["ends"] = one["ends"] and one["since"] - 1
        new = kept.with_name("new")
        new.write_text(json.dumps(record))
        new.replace(kept)
        return other

    def _reference(self, url: str) -> str:
        return f"{self.host}/{url.partition('/plugins/')[2].partition('/scu_')[0]}"


def start(folder: Path, authority: Authority, namespace: str, *, tokens: bool) -> Private:
    """Start one, whose clients are sent to it for a token, or log in with their secrets at each request."""
    run, port = Commands(folder, authority.root), free_port()
    host = f"{NAME}:{port}"
    files = authority.make(f"registry-{port}", also=[NAME])
    run("users", "add", _PERSON, "--password-stdin", "--file", "users", text=f"{_PASSWORD}\n")
    log_in(folder / "docker", host, _PERSON, _PASSWORD)
    expired = _login(run, host, namespace, GONE)
    (gone,) = re.findall(r"\[(\{.*\})\]", expired.err)  # what is to be written into the settings
    pulling = [f"robot:{robot}" for robot in (ROBOT, LEAVER, GONE)]
    written = {
        "server": {
            "public_url": f"https://{host}",
            "tls": {"certificate": str(files.certificate), "key": str(files.key)},
        },
        "access": {
            "htpasswd": str(folder / "users"),
            "tokens": {"enabled": tokens},
            "robots": [yaml.safe_load(gone) | {"expires": "2020-01-01"}],
            "rules": [
                {"repositories": "team/**", "who": [f"user:{_PERSON}"], "may": ["pull", "push"]},
                {"repositories": "team/**", "who": pulling, "may": ["pull"]},
            ],
        },
    }
    settings = folder / "settings.yaml"
    settings.write_text(json.dumps(written))
    server = sidecargo.start(folder, port=port, settings=settings, trust=authority.root)
    return Private(server, host, run, namespace, expired.out)


def _login(run: Commands, host: str, namespace: str, robot: str, *file: str) -> Finished:
    named = ("--secret-name", SECRET, "--namespace", namespace)
    return run("users", "add", "--robot", robot, "--format", "k8s-secret", "--host", host, *named, *file)


def url_of(document: str) -> str:
    """The URL of the module in a document that is printed."""
    (url,) = _URL.findall(document)
    return str(url)


def _left(private: Private) -> str:
    login = private.login(LEAVER)
    private.dismiss(login)
    return login


def _revoked(private: Private, url: str) -> str:
    private.revoke(url)
    return url


def _changed(_: Private, url: str) -> str:
    return _CAPABILITY.sub(lambda found: f"/{found[1]}{'B' if found[2] == 'A' else 'A'}/plugin.wasm", url)


def _bare(_: Private, url: str) -> str:
    return _CAPABILITY.sub("/plugin.wasm", url)


@dataclass(frozen=True, slots=True)
class Login:
    """How a Secret is made that nobody is let in with, and what the registry says to who shows it."""

    made: Callable[[Private], str]
    told: str


LOGINS: Mapping[str, Login] = {
    "wrong": Login(lambda private: private.login(ROBOT, known=False), "the name or the password is wrong"),
    "expired": Login(lambda private: private.expired, f"the robot {GONE} expired on 2020-01-01"),
    "revoked": Login(_left, "the name or the password is wrong"),
}
"""By what is the matter with them."""
NO_LOGIN = "UNAUTHORIZED: this needs a login"
"""What the registry says to who shows none."""
UNTRUSTED = "x509: certificate signed by unknown authority"
"""What who does not know its authority says of the registry."""
URLS: Mapping[str, Callable[[Private, str], str]] = {
    "wrong": _changed,
    "expired": Private.ended,
    "revoked": _revoked,
    "none": _bare,
}
"""What becomes of a URL that needs no login until nothing can be had by it."""
