from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.real.web import get
from tests.registry import guarded as guarding
from tests.registry.commands import Runner, log_in
from tests.registry.consumers.build import PLUGIN
from tests.registry.consumers.shapes import B
from tests.registry.guarded import PASSWORD, PRIVATE, PUBLIC, Guarded


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path_factory.mktemp("ours"))
    yield guarded
    guarded.server.stop()


@pytest.fixture
def image(ours: Guarded, tmp_path: Path) -> str:
    """A private one, and who runs commands may push it."""
    log_in(tmp_path / "docker", ours.host, "pusher", PASSWORD)
    return f"{ours.host}/{PRIVATE}"


@pytest.mark.parametrize("reference", [":v1", f"@{B.digest}"], ids=["tag", "digest"])
def test_what_is_printed_is_the_url_alone(image: str, reference: str, sidecargo: Runner) -> None:
    ran = sidecargo("url", f"{image}{reference}")
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    url = ran.out.strip()
    assert get(url).body == PLUGIN
    assert sidecargo("url", f"{image}{reference}").out == ran.out
    said = json.loads(sidecargo("url", f"{image}{reference}", "--json").out)
    assert (said["url"], said["by"], said["expires"]) == (url, "user:pusher", None)
    assert ran.err == (
        "note: whoever has this URL may download the plugin; to end it: "
        f"sidecargo url {image}{reference} --revoke --id {said['id']}\n"
    )


def test_they_are_listed_and_revoked(image: str, sidecargo: Runner) -> None:
    reference = f"{image}:v1"
    sidecargo("url", reference, "--revoke")
    url = sidecargo("url", reference).out.strip()
    sidecargo("url", reference, "--expires", "12h")
    listed = json.loads(sidecargo("url", reference, "--list", "--json").out)["urls"]
    assert [one["expires"] is None for one in listed] == [True, False]
    lines = sidecargo("url", reference, "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == [one["id"] for one in listed]
    assert lines[0].endswith("for ever") and lines[1].endswith(f"until {listed[1]['expires']}")
    one = sidecargo("url", reference, "--revoke", "--id", listed[0]["id"])
    assert (one.code, one.out.split()[:2]) == (0, ["revoked", listed[0]["id"]])
    assert get(url).status == 401
    assert listed[1]["id"] in sidecargo("url", reference, "--revoke").out
    none = sidecargo("url", reference, "--revoke", "--id", listed[0]["id"])
    assert (none.code, "has no URL" in none.err) == (2, True)


def test_what_is_for_everybody(ours: Guarded, sidecargo: Runner) -> None:
    ran = sidecargo("url", f"{ours.host}/{PUBLIC}:v1")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{ours.server.url}/plugins/{PUBLIC}:v1/plugin.wasm\n"
    assert json.loads(sidecargo("url", f"{ours.host}/{PUBLIC}:v1", "--json").out) == {
        "url": ran.out.strip(),
        "id": None,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--list", "--expires", "90d"), "exclude each other"),
        (("--revoke", "--expires", "90d"), "exclude each other"),
        (("--id", "x"), "--id is for --revoke"),
        (("--list", "--id", "x"), "--id is for --revoke"),
        (("--expires", "soon"), "is no time. Write 90d, or 12h."),
    ],
)
def test_wrong_usage(image: str, words: tuple[str, ...], said: str, sidecargo: Runner) -> None:
    ran = sidecargo("url", f"{image}:v1", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and said in ran.err


def test_who_is_not_logged_in(ours: Guarded, sidecargo: Runner) -> None:
    ran = sidecargo("url", f"{ours.host}/{PRIVATE}:v1")
    assert (ran.code, ran.out) == (2, "")
    assert "docker login" in ran.err


@pytest.mark.parametrize("kind", ["wasmplugin", "trafficextension", "envoyextensionpolicy", "envoy"])
def test_yaml_has_one_where_it_needs_one(image: str, kind: str, ours: Guarded, sidecargo: Runner) -> None:
    ran = sidecargo("yaml", kind, f"{image}:v1", "--by", "http")
    assert (ran.code, ran.err) == (0, "")
    assert yaml.safe_load(ran.out)
    page = guarding.basic("pusher")
    answer = ours.ask("GET", f"/plugins/{PRIVATE}:v1/{kind}.yaml?by=http", page)
    assert answer.body.decode() == ran.out
    public = sidecargo("yaml", kind, f"{ours.host}/{PUBLIC}:v1", "--by", "http")
    assert (public.code, "scu_" in public.out, "scu_" in ran.out) == (0, False, True)
