"""URLs that need no login: who gets them, what they are good for, and when they end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.access.capabilities import Capabilities
from registry.signing.keys import new_key
from tests.real import sidecargo
from tests.registry import guarded as guarding
from tests.registry.consumers.build import PLUGIN
from tests.registry.consumers.shapes import B
from tests.registry.guarded import ABSENT, PRIVATE, PUBLIC, SECRET, Guarded, basic, stranger
from tests.registry.talk import Answer

TAG, DIGEST = ":v1", f"@{B.digest}"
REFERENCES = pytest.mark.parametrize("reference", [TAG, DIGEST], ids=["tag", "digest"])
PULLER = basic("puller")
SOON = {"name": "soon", "secrets": ["sha256:" + "0" * 64], "expires": "2020-01-01"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = guarding.start(tmp_path_factory.mktemp("guarded"))
    yield guarded
    guarded.server.stop()


@pytest.fixture(autouse=True)
def _none_is_left(guarded: Guarded) -> Iterator[None]:
    yield
    for reference in (TAG, DIGEST):
        guarded.ask("DELETE", f"/plugins/{PRIVATE}{reference}/urls", basic("admin"))


def given(
    guarded: Guarded, reference: str = TAG, who: str = "puller", query: str = "", name: str = PRIVATE
) -> Answer:
    answer = guarded.ask("POST", f"/plugins/{name}{reference}/urls{query}", basic(who), b"")
    assert answer.status == 200, answer
    return answer


def path(guarded: Guarded, reference: str = TAG, query: str = "") -> str:
    return str(given(guarded, reference, query=query).json["path"])


def hits(guarded: Guarded) -> float:
    text = guarded.ask("GET", "/metrics", basic("admin")).body.decode()
    (found,) = re.findall(r'^sidecargo_hot_total\{outcome="hits"\} (\S+)$', text, re.MULTILINE)
    return float(found)


@REFERENCES
def test_whoever_may_pull_gets_one_and_whoever_has_it_downloads(guarded: Guarded, reference: str) -> None:
    answer = given(guarded, reference)
    said = answer.json
    assert answer["cache-control"] == "no-store"
    assert said["url"] == f"{guarded.server.url}{said['path']}"
    assert (said["by"], said["expires"]) == ("user:puller", None)
    assert re.fullmatch(
        rf"/plugins/{PRIVATE}{reference}/scu_{said['id']}_[\w-]{{43}}/plugin\.wasm", said["path"]
    )
    before = hits(guarded)
    for _ in range(3):
        module = guarded.ask("GET", said["path"])
        assert (module.status, module.body) == (200, PLUGIN)
        assert module["cache-control"].startswith("private, ")
        assert module["referrer-policy"] == "no-referrer"
    assert hits(guarded) - before == 2, "after the first time it is out of memory"
    head = guarded.ask("HEAD", said["path"])
    assert (head.status, head["content-length"]) == (200, str(len(PLUGIN)))
    assert guarded.ask("GET", said["path"], {"Range": "bytes=0-3"}).body == b"\0asm"


def test_who_asks_again_gets_the_same_and_others_their_own(guarded: Guarded) -> None:
    assert given(guarded).json == given(guarded).json
    assert given(guarded, who="pusher").json["path"] != given(guarded).json["path"]


@REFERENCES
def test_it_is_good_for_this_path_alone(guarded: Guarded, reference: str) -> None:
    plain, _, capability = path(guarded, reference).removesuffix("/plugin.wasm").rpartition("/")
    other = DIGEST if reference == TAG else TAG
    for elsewhere in (
        f"/plugins/{PRIVATE}{other}/{capability}/plugin.wasm",
        f"/plugins/{ABSENT}{reference}/{capability}/plugin.wasm",
        f"{plain}/{capability}",
        f"{plain}/{capability}/envoy.yaml",
        f"{plain}/{capability}x/plugin.wasm",
        f"{plain}/plugin.wasm",
        plain,
        f"/v2/{PRIVATE}/manifests/v1",
    ):
        assert guarded.ask("GET", elsewhere).status in (400, 401, 404), elsewhere
        assert PLUGIN not in guarded.ask("GET", elsewhere).body
    assert guarded.ask("POST", f"{plain}/urls", {"Authorization": f"Bearer {capability}"}).status == 401


def test_what_is_none_is_answered_as_without_it(guarded: Guarded) -> None:
    junk = "scu_" + "0" * 16 + "_" + "A" * 43
    revoked = path(guarded)
    guarded.ask("DELETE", f"/plugins/{PRIVATE}{TAG}/urls", basic("pusher"))
    of_another_key = Capabilities([new_key().private_pem]).write(PRIVATE, "v1", "0" * 16)
    for who in ({}, basic("idle"), basic("other")):
        plain = guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}/plugin.wasm", who).timeless
        for wrong in (junk, of_another_key, revoked.split("/")[-2]):
            asked = f"/plugins/{PRIVATE}{TAG}/{wrong}/plugin.wasm"
            for _ in range(2):
                assert guarded.ask("GET", asked, who).timeless == plain, wrong
        absent = guarded.ask("GET", f"/plugins/{ABSENT}{TAG}/{junk}/plugin.wasm", who)
        assert str(absent.timeless).replace(ABSENT, PRIVATE) == str(plain)
    before = hits(guarded)
    for _ in range(3):
        asked = f"/plugins/{PUBLIC}{TAG}/{junk}/plugin.wasm"
        assert guarded.ask("GET", asked).body == PLUGIN, "everybody may"
        assert guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}/{junk}/plugin.wasm", PULLER).body == PLUGIN
    assert hits(guarded) == before, "nobody fills the memory with what he makes up"
    assert guarded.ask("GET", path(guarded), stranger()).status == 401, (
        "who shows something wrong gets nothing"
    )


def test_they_are_revoked_one_by_one_and_at_once(guarded: Guarded) -> None:
    one, two = given(guarded).json, given(guarded, who="pusher").json
    for said in (one, two, one, two):
        assert guarded.ask("GET", said["path"]).status == 200
    where = f"/plugins/{PRIVATE}{TAG}/urls"
    answer = guarded.ask("DELETE", f"{where}/{one['id']}", basic("deploy", SECRET))
    assert [said["id"] for said in answer.json["urls"]] == [one["id"]]
    assert guarded.ask("GET", one["path"]).status == 401
    assert guarded.ask("GET", two["path"]).status == 200
    again = guarded.ask("DELETE", f"{where}/{one['id']}", basic("pusher"))
    assert (again.status, again.code) == (404, "MANIFEST_UNKNOWN")
    assert given(guarded).json["path"] != one["path"]
    assert guarded.ask("GET", one["path"]).status == 401
    assert len(guarded.ask("DELETE", where, basic("admin")).json["urls"]) == 2
    assert guarded.ask("GET", two["path"]).status == 401


def test_another_replica_knows_it_at_once(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(guarded.server.folder / "data")
    settings = guarded.server.folder / "settings.yaml"
    other = Guarded(sidecargo.start(tmp_path, settings=settings), guarded.users)
    try:
        url = path(guarded)
        for _ in range(2):
            assert other.ask("GET", url).body == PLUGIN
        guarded.ask("DELETE", f"/plugins/{PRIVATE}{TAG}/urls", basic("pusher"))
        assert other.ask("GET", url).status == 401
    finally:
        other.server.stop()


def test_one_that_ends_is_not_for_the_hot_path(guarded: Guarded) -> None:
    said = given(guarded, query="?expires=90d").json
    assert said["expires"] > said["since"]
    before = hits(guarded)
    for _ in range(3):
        assert guarded.ask("GET", said["path"]).body == PLUGIN
    assert hits(guarded) == before


@pytest.mark.parametrize("text", ["", "x", "0d", "90", "-1d", "1.5d", "1w", "100000d", "90d%20"])
def test_an_end_that_is_none(guarded: Guarded, text: str) -> None:
    answer = guarded.ask("POST", f"/plugins/{PRIVATE}{TAG}/urls?expires={text}", PULLER, b"")
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")


def test_who_looks_after_the_repository_sees_them_without_what_makes_them_urls(guarded: Guarded) -> None:
    said = given(guarded).json
    where = f"/plugins/{PRIVATE}{TAG}/urls"
    for who in ("pusher", "admin"):
        answer = guarded.ask("GET", where, basic(who))
        assert answer.json["urls"] == [{name: said[name] for name in ("id", "by", "since", "expires")}]
    assert guarded.ask("GET", where, PULLER).status == 403
    assert guarded.ask("DELETE", where, PULLER).status == 403
    assert guarded.ask("GET", said["path"]).status == 200


def test_what_everybody_may_pull_has_its_plain_url(guarded: Guarded) -> None:
    for fields in ({}, PULLER):
        answer = guarded.ask("POST", f"/plugins/{PUBLIC}{TAG}/urls", fields, b"")
        assert answer.json == {
            "url": f"{guarded.server.url}/plugins/{PUBLIC}{TAG}/plugin.wasm",
            "path": f"/plugins/{PUBLIC}{TAG}/plugin.wasm",
            "id": None,
        }


def test_there_is_none_of_what_is_not_there(guarded: Guarded) -> None:
    for reference in (":v2", "@sha256:" + "0" * 64):
        answer = guarded.ask("POST", f"/plugins/{PRIVATE}{reference}/urls", PULLER, b"")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


def test_the_log_and_the_store_have_no_secret(guarded: Guarded) -> None:
    url = path(guarded, DIGEST)
    secret = url.split("/")[-2].removeprefix("scu_")[17:]
    assert guarded.ask("GET", url).status == 200
    kept = [one.read_bytes() for one in (guarded.server.folder / "data" / "urls").rglob("*") if one.is_file()]
    assert kept and all(secret.encode() not in one for one in kept)
    assert secret not in guarded.server.process.said()


@pytest.mark.parametrize("kind", ["wasmplugin", "trafficextension", "envoyextensionpolicy", "envoy"])
def test_what_downloads_gets_one_to_apply(guarded: Guarded, kind: str) -> None:
    asked = f"/plugins/{PRIVATE}{TAG}/{kind}.yaml?by=http"
    answer = guarded.ask("GET", asked, PULLER)
    assert answer["cache-control"] == "private, no-store"
    (url,) = re.findall(r"http://\S+/plugin\.wasm", answer.body.decode())
    assert guarded.ask("GET", url.removeprefix(guarded.server.url)).body == PLUGIN
    assert guarded.ask("GET", asked, PULLER).timeless == answer.timeless
    assert f"sidecargo url {guarded.host}/{PRIVATE}@{B.digest} --revoke" in answer.body.decode()
    public = guarded.ask("GET", f"/plugins/{PUBLIC}{TAG}/{kind}.yaml?by=http")
    assert (public["cache-control"], b"scu_" in public.body) == ("no-cache", False)


def test_what_expires_is_in_the_report_of_who_looks_after_it(guarded: Guarded) -> None:
    near, late = (given(guarded, query=f"?expires={days}d").json for days in (29, 31))
    report = guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}", basic("pusher")).json
    assert [(one["kind"], one["name"]) for one in report["expiring"]] == [("url", near["id"])]
    assert report["expiring"][0]["expires"] == near["expires"] < late["expires"]
    assert guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}", PULLER).json["expiring"] == []
    page = guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}", {**basic("pusher"), "Accept": "text/html"})
    assert report["expiring"][0]["message"].encode() in page.body


def test_robots_that_pull_there_are_in_the_report(tmp_path: Path) -> None:
    rule = {"repositories": "team/**", "who": ["robot:soon"], "may": ["pull"]}
    rules = [{"repositories": names, "who": [who], "may": may.split()} for names, who, may in guarding.RULES]
    guarded = guarding.start(tmp_path, access={"robots": [SOON], "rules": [*rules, rule]})
    try:
        report = guarded.ask("GET", f"/plugins/{PRIVATE}{TAG}", basic("pusher")).json
        assert [(one["kind"], one["name"], one["message"]) for one in report["expiring"]] == [
            ("robot", "soon", "the robot soon expired on 2020-01-01 00:00 UTC")
        ]
    finally:
        guarded.server.stop()


def test_another_key_ends_them_all_and_one_before_it_none(tmp_path: Path) -> None:
    one, two = tmp_path / "one.key", tmp_path / "two.key"
    for key in (one, two):
        key.write_bytes(new_key().private_pem)
    (tmp_path / "served").mkdir()

    def start(*named: Path) -> Guarded:
        return guarding.start(tmp_path / "served", access={"urls": {"keys": [str(key) for key in named]}})

    guarded = start(one)
    url = path(guarded)
    guarded.server.stop()
    for named, status in (((two, one), 200), ((two,), 401), ((one,), 200)):
        guarded = start(*named)
        assert guarded.ask("GET", url).status == status
        guarded.server.stop()
