"""Fetching as the agents do, with their own code: istio-agent's (`istiofetch/main.go`) and Envoy Gateway's
(`gatewayfetch/main.go`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.real.apart import apart, hosts
from tests.real.process import Word, run
from tests.real.tools import require

ISTIO, ENVOY_GATEWAY = "istiofetch", "gatewayfetch"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one URL: the module's file and hash and the digest compared, or the error.

    `seconds` is how long one of many agents took.
    """

    url: str
    path: str = ""
    sha256: str = ""
    digest: str = ""
    error: str = ""
    seconds: float = 0.0


def fetch(
    url: str, folder: Path, *, checksum: str = "", pull_secret: Path | None = None, by: str = ISTIO
) -> Fetched:
    """Fetch one `oci://`, `http://` or `https://` URL into `folder`; `checksum` is the resource's sha256."""
    return fetch_all([(url, checksum)], folder, pull_secret=pull_secret, by=by)[0]


def fetch_all(
    wanted: Iterable[tuple[str, str]], folder: Path, *, pull_secret: Path | None = None, by: str = ISTIO
) -> list[Fetched]:
    """Fetch many (URL, checksum or "") one after another in one process of an agent's."""
    flags = ["-dir", folder] + (["-pull-secret", pull_secret] if pull_secret else [])
    lines = "".join(f"{url} {checksum}\n" for url, checksum in wanted)
    folder.mkdir(parents=True, exist_ok=True)
    done = run(require(by), *flags, "-", text=lines, seconds=600)
    assert done.code in (0, 1), done.said
    return [Fetched(**json.loads(line)) for line in done.out.splitlines()]


def fetch_by_many(
    agents: int, url: str, folder: Path, *, pull_secret: Path, seconds: int, names: Mapping[str, str]
) -> list[Fetched]:
    """Have as many of Istio's agents fetch a URL at the same moment, each of which has `seconds` for it.

    `names` are hosts that they know, and their addresses.
    """
    modules = folder / "modules"
    modules.mkdir(parents=True)
    command: list[Word] = [require(ISTIO), "-dir", modules, "-pull-secret", pull_secret]
    command += ["-agents", str(agents), "-timeout", f"{seconds}s", url]
    done = run(*apart(command, hosts(folder, names), folder=folder), seconds=600)
    assert done.code in (0, 1), done.said
    return [Fetched(**json.loads(line)) for line in done.out.splitlines()]
