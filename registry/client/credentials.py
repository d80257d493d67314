"""The user's docker credentials: `config.json`, and the helpers that it names.

The file's form and the order of its parts: docker/cli, cli/config (credHelpers, credsStore,
auths); the helpers' protocol: docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.console.failure import Failure

_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found"


@dataclass(frozen=True, slots=True)
class Credential:
    """What the user logged in with: a name and a password, or a token of one of two kinds."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header, empty without a name."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def find(host: str, folder: Path | None = None) -> Credential | None:
    """The credential for a registry, or None when the user is not logged in there.

    `folder` holds `config.json`; by default it is $DOCKER_CONFIG, else ~/.docker. Raises Failure for
    a file or a helper that does not work.
    """
    path = (folder or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")) / "config.json"
    config = _read(path)
    helper = next(
        (str(name) for server, name in _mapping(config, "credHelpers").items() if _host(server) == host),
        str(config.get("credsStore") or ""),
    )
    entries = [
        (server, entry) for server, entry in _mapping(config, "auths").items() if _host(server) == host
    ]
    if helper:
        for server in dict.fromkeys((host, *(server for server, _ in entries))):
            if found := _ask(helper, server):
                return found
    return next((found for _, entry in entries if (found := _from_entry(entry, path))), None)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise Failure(
            f"{path} cannot be read: {error}.", "Mend it, or log in anew with docker login."
        ) from None
    return config if isinstance(config, dict) else {}


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _host(server: str) -> str:
    """`https://index.docker.io/v1/` and `registry.example.com` alike become a host."""
    return server.partition("://")[2].partition("/")[0] if "://" in server else server.partition("/")[0]


def _from_entry(entry: Any, path: Path) -> Credential | None:
    if not isinstance(entry, dict):
        return None
    said = {
        key: str(entry.get(key) or "") for key in ("username", "password", "identitytoken", "registrytoken")
    }
    if entry.get("auth"):
        try:
            decoded = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, ValueError):
            raise Failure(
                f"{path} has an auth that is not base64.", "Log in anew with docker login."
            ) from None
        said["username"], _, said["password"] = decoded.rstrip("\0").partition(":")
    found = Credential(said["username"], said["password"], said["identitytoken"], said["registrytoken"])
    return found if found != Credential() else None


def _ask(helper: str, server: str) -> Credential | None:
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise Failure(f"{helper!r} in docker's config.json is no name of a credential helper.")
    try:
        ran = subprocess.run(  # noqa: S603 - the program that the user's own docker runs
            [program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        raise Failure(
            f"{program} is not installed, and docker's config.json asks for it.",
            "Install it, or remove it there and log in with docker login.",
        ) from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{program} did not answer within {_HELPER_SECONDS} s.") from None
    if ran.returncode != 0:
        said = (ran.stdout + ran.stderr).decode(errors="replace").strip()
        if _NOT_FOUND in said:
            return None
        raise Failure(f"{program} failed: {said[:300] or f'exit code {ran.returncode}'}.")
    try:
        answer = json.loads(ran.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{program} did not answer with a credential.") from None
    # The helpers' sign for a token that is exchanged, not sent.
    return Credential(identity_token=secret) if username == "<token>" else Credential(username, secret)
