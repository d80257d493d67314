from __future__ import annotations

import re

from tests.real.tools import ROOT
from tests.registry.consumers.shapes import A, B
from tests.registry.talk import Registry

HTML = {"Accept": "text/html"}


def test_what_a_tag_named(registry: Registry) -> None:
    registry.push(A)
    assert registry.get(f"/plugins/{registry.name}:v1").json["history"] == []
    for _ in range(2):
        registry.push(B)
    found = registry.get(f"/plugins/{registry.name}:v1/history").json
    assert (found["repository"], found["tag"], found["digest"]) == (registry.name, "v1", B.digest)
    (former,) = found["former"]
    assert (former["digest"], former["until"]) == (A.digest, found["since"])
    assert former["since"] <= former["until"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["since"])
    assert (found["by"], former["by"]) == (None, None)
    page = (ROOT / "docs" / "tags.md").read_text()
    assert all(f"`{name}`" in page for name in (*former, "former"))
    report = registry.get(f"/plugins/{registry.name}:v1").json
    assert report["history"] == [former]
    assert registry.get(f"/plugins/{registry.name}@{B.digest}").json["history"] == []


def test_a_tag_that_never_moved(registry: Registry) -> None:
    registry.push(B)
    assert registry.get(f"/plugins/{registry.name}:v1/history").json["former"] == []
    page = registry.get(f"/plugins/{registry.name}:v1/history", HTML).body.decode()
    assert "It named nothing else" in page
    assert "This tag has moved" not in registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()


def test_the_pages(registry: Registry) -> None:
    for shape in (A, B):
        registry.push(shape)
    report = registry.get(f"/plugins/{registry.name}:v1", HTML)
    history = registry.get(f"/plugins/{registry.name}:v1/history", HTML)
    for answer in (report, history):
        assert (answer.status, answer["content-type"]) == (200, "text/html; charset=utf-8")
        assert f"/plugins/{registry.name}@{A.digest}" in answer.body.decode()
    assert f"/plugins/{registry.name}:v1/history" in report.body.decode()
    assert f"sidecargo tags restore {registry.name}:v1" in history.body.decode()


def test_what_is_not_here(registry: Registry) -> None:
    registry.push(B)
    answer = registry.get(f"/plugins/{registry.name}:v2/history")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert registry.get(f"/plugins/{registry.name}@{B.digest}/history").status == 404
