"""Who pulled a plugin last, as its report tells it to who may push there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import paths
from tests.registry import guarded as guarding
from tests.registry.consumers.shapes import B
from tests.registry.guarded import PRIVATE, PUBLIC, SECRET, Guarded, basic

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path)
    yield guarded
    guarded.server.stop()


def pulls(guarded: Guarded, name: str = PRIVATE, who: str = "pusher", reference: str = ":v1") -> Any:
    return guarded.ask("GET", f"/plugins/{name}{reference}", basic(who)).json["pulls"]


def by(agent: str, who: dict[str, str]) -> dict[str, str]:
    return {"User-Agent": agent, **who}


def test_the_report_has_who_pulled_last_and_with_what(guarded: Guarded) -> None:
    assert pulls(guarded) == []
    manifest, robot = f"/v2/{PRIVATE}/manifests", basic("deploy", SECRET)
    given = guarded.ask("POST", f"/plugins/{PRIVATE}:v1/urls", basic("puller"), b"").json
    for _ in range(3):  # the first answer comes the long way, the others from memory
        guarded.ask("GET", f"{manifest}/v1", by("docker/29", basic("puller")))
        guarded.ask("GET", f"{manifest}/{B.digest}", by("istio", robot))
        guarded.ask("GET", f"/plugins/{PRIVATE}:v1/plugin.wasm", by(HOSTILE, basic("puller")))
        guarded.ask("GET", given["path"], by("Envoy", {}))
        # None of these is a pull.
        guarded.ask("HEAD", f"{manifest}/v1", by("head", basic("puller")))
        guarded.ask("GET", f"/v2/{PRIVATE}/blobs/{B.manifest['layers'][0]['digest']}", by("blob", robot))
        guarded.ask("GET", f"{manifest}/v1", by("denied", basic("other")))
        guarded.ask("GET", f"{manifest}/v9", by("absent", basic("puller")))
    found = pulls(guarded)
    expected = {
        (B.digest, "user:puller", "docker/29"),
        (B.digest, "robot:deploy", "istio"),
        (B.digest, "user:puller", HOSTILE),
        (B.digest, f"url:{given['id']}", "Envoy"),
    }
    assert {(one["digest"], one["by"], one["agent"]) for one in found} == expected
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    again = pulls(guarded, who="admin", reference=f"@{B.digest}")
    assert {(one["digest"], one["by"], one["agent"]) for one in again} == expected
    page = guarded.ask("GET", f"/plugins/{PRIVATE}:v1", {"Accept": "text/html", **basic("pusher")})
    assert b"docker/29" in page.body and HOSTILE.encode() not in page.body
    # Kept when the server ends, by whatever process serves next.
    guarded.server.stop()
    kept = guarded.server.folder / "data" / paths.pulls(PRIVATE, B.digest)
    assert b"docker/29" in kept.read_bytes()
    assert SECRET.encode() not in kept.read_bytes() and b"scu_" not in kept.read_bytes()


def test_who_may_only_pull_is_told_nothing(guarded: Guarded) -> None:
    guarded.ask("GET", f"/v2/{PUBLIC}/manifests/v1", by("crane", {}))
    assert pulls(guarded, PUBLIC, "puller") is None
    assert [(one["by"], one["agent"]) for one in pulls(guarded, PUBLIC, "admin")] == [("anonymous", "crane")]
    page = guarded.ask("GET", f"/plugins/{PUBLIC}:v1", {"Accept": "text/html"})
    assert page.status == 200 and b"Who pulled" not in page.body
