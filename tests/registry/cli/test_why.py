from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.client.scripted import Asked, Said, scripted
from tests.registry.commands import Runner, log_in
from tests.registry.consumers.build import Shape
from tests.registry.consumers.shapes import BAD, B
from tests.registry.talk import Registry, fresh


@pytest.fixture
def registry(server: Sidecargo) -> Registry:
    return fresh(server.host)


def named(registry: Registry, tag: str = "v1") -> str:
    return f"{registry.host}/{registry.name}:{tag}"


def test_why_it_was_refused(registry: Registry, sidecargo: Runner) -> None:
    refused = registry.push(BAD)
    (problem,) = refused.error["detail"]
    for reference in (named(registry), f"{registry.host}/{registry.name}@{BAD.digest}"):
        ran = sidecargo("why", reference)
        assert (ran.code, ran.err) == (1, "")
        assert f"The last push of {reference} was refused." in ran.out
        for words in (BAD.digest, problem["message"], problem["fix"]):
            assert words in ran.out


def test_it_was_accepted(registry: Registry, sidecargo: Runner) -> None:
    registry.push(B)
    ran = sidecargo("why", named(registry))
    assert (ran.code, ran.err) == (0, "")
    assert f"{named(registry)} is accepted: {B.digest}" in ran.out
    assert "istio  loads" in ran.out
    assert "refused" not in ran.out


@pytest.mark.parametrize(
    ("pushes", "code", "words"),
    [
        ((B, BAD), 1, "The last push of"),
        ((BAD, B), 0, "An earlier push of"),
        ((B, BAD, B), 0, "An earlier push of"),
    ],
    ids=["refused last", "accepted last", "accepted again"],
)
def test_the_last_push_counts(
    registry: Registry, sidecargo: Runner, pushes: tuple[Shape, ...], code: int, words: str
) -> None:
    for shape in pushes:
        registry.push(shape)
    ran = sidecargo("why", named(registry))
    assert ran.code == code
    assert "is accepted" in ran.out
    assert f"{words} {named(registry)} was refused" in ran.out


def test_an_image_that_was_refused_by_digest(
    registry: Registry, server: Sidecargo, sidecargo: Runner
) -> None:
    registry.content(BAD)
    registry.put(BAD.digest, BAD.body)
    ran = sidecargo("why", named(registry))
    assert ran.code == 1
    assert "by digest" in ran.out and "no plugin" not in ran.err
    # Beside a tag that is there it may have belonged to another push.
    registry.push(B, "v2")
    tag = server.folder / "data" / "repositories" / registry.name / "_tags" / "v2"
    os.utime(tag, (tag.stat().st_mtime - 1,) * 2)
    registry.put(BAD.digest, BAD.body)
    ran = sidecargo("why", named(registry, "v2"))
    assert ran.code == 0
    assert "is accepted" in ran.out and "by digest" in ran.out


def test_a_warning_is_no_refusal(serve: Callable[..., Sidecargo], sidecargo: Runner, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn}\n")
    registry = fresh(serve(settings=settings).host)
    registry.push(BAD)
    ran = sidecargo("why", named(registry))
    assert ran.code == 0
    assert "does not load" in ran.out and "was taken with a warning" in ran.out


def test_for_programs(registry: Registry, sidecargo: Runner) -> None:
    registry.push(BAD)
    ran = sidecargo("why", "--json", named(registry))
    assert ran.code == 1
    assert json.loads(ran.out) == registry.get(f"/plugins/{registry.name}:v1").json


def test_nothing_is_known(registry: Registry, sidecargo: Runner) -> None:
    ran = sidecargo("why", named(registry))
    assert (ran.code, ran.out) == (2, "")
    assert "has no tag 'v1'" in ran.err and "No refused push" in ran.err


OTHERS: dict[str, Said] = {
    "plain text": Said(404, b"404 page not found"),
    "another's errors": Said(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'),
    "no errors": Said(404, b'{"errors": []}'),
    "a page": Said(200, b"<html>"),
    "other JSON": Said(200, b'{"name": "x"}'),
    "a list": Said(200, b"[1]"),
    "a number": Said(200, b"7"),
    "nested": Said(200, b"[" * 100_000),
}


@pytest.mark.parametrize("said", OTHERS.values(), ids=OTHERS)
def test_another_registry(sidecargo: Runner, said: Said) -> None:
    with scripted(lambda asked: said) as other:
        ran = sidecargo("why", f"{other.host}/acme/x:v1")
    assert (ran.code, ran.out) == (2, "")
    assert f"sidecargo check {other.host}/acme/x:v1" in ran.err


def test_a_real_one_of_another_make(distribution: str, sidecargo: Runner) -> None:
    ran = sidecargo("why", f"{distribution}/acme/x:v1")
    assert ran.code == 2
    assert f"sidecargo check {distribution}/acme/x:v1" in ran.err


def test_it_asks_as_the_user(sidecargo: Runner, tmp_path: Path) -> None:
    report = {"state": "accepted", "digest": "sha256:x", "consumers": {}, "last_refused": None}

    def script(asked: Asked) -> Said:
        if asked.authorization is None:
            return Said(401, b"{}", {"WWW-Authenticate": 'Basic realm="here"'})
        assert asked.path in ("/plugins/acme/x:v1", "/v2/")
        return Said(200, json.dumps(report).encode())

    with scripted(script) as other:
        ran = sidecargo("why", f"{other.host}/acme/x:v1")
        assert ran.code == 2 and "401" in ran.err
        log_in(tmp_path / "docker", other.host)
        assert sidecargo("why", f"{other.host}/acme/x:v1").code == 0


def test_what_a_registry_says_is_printed_safely(sidecargo: Runner) -> None:
    evil = "\x1b[2J\nerror: \u202e"
    last: dict[str, Any] = dict.fromkeys(("reference", "digest", "at"), evil)
    last |= {"is_last": True, "direct": True, "warned": False}
    last["problems"] = [{"code": evil, "message": evil, "fix": evil, "envoys": [evil]}]
    report = {"state": "accepted", "digest": evil, "last_refused": last}
    report["consumers"] = {evil: {"ok": False, "problems": last["problems"]}}
    with scripted(lambda asked: Said(200, json.dumps(report).encode())) as other:
        ran = sidecargo("why", f"{other.host}/acme/x:v1")
        assert sidecargo("why", "--json", f"{other.host}/acme/x:v1").code == 1
    assert ran.code == 1
    assert "\x1b" not in ran.out and "\u202e" not in ran.out
    assert not [line for line in ran.out.splitlines() if line.startswith("error")]


def test_it_is_held_back(sidecargo: Runner) -> None:
    report = {"state": "accepted", "digest": "sha256:0", "consumers": {}, "last_refused": None}
    problem = {"code": "not-signed", "message": "it has no signature.", "fix": "Sign it: cosign sign …"}
    held = report | {"verification": {"ok": False, "key": None, "problem": problem}}
    signed = report | {"verification": {"ok": True, "key": "k", "problem": None}}
    for said, is_told in ((held, True), (signed, False), (report, False)):
        body = json.dumps(said).encode()
        with scripted(lambda asked, body=body: Said(200, body)) as other:
            ran = sidecargo("why", f"{other.host}/acme/x:v1")
        assert (ran.code, "It is held back" in ran.out) == (0, is_told)
        assert ("fix:     Sign it: cosign sign" in ran.out) is is_told


@pytest.mark.parametrize("broken", [{}, {"ok": True}, {"ok": False, "problems": [{}]}, 7])
def test_a_report_that_is_broken(sidecargo: Runner, broken: object) -> None:
    report = {"state": "accepted", "digest": "x", "consumers": {"istio": broken}, "last_refused": None}
    with scripted(lambda asked: Said(200, json.dumps(report).encode())) as other:
        ran = sidecargo("why", f"{other.host}/acme/x:v1")
    assert (ran.code, ran.out) == (2, "")
    assert "of another form" in ran.err


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("acme/x:v1", "names no registry"),
        ("localhost:1/acme/x", "neither a tag"),
        ("127.0.0.1:1/a:v1", "reached"),
    ],
)
def test_wrong_usage(sidecargo: Runner, reference: str, said: str) -> None:
    ran = sidecargo("why", reference)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
