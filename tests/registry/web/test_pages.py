import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from registry.web import pages as web
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, image, index, layer
from tests.registry.consumers.shapes import AMD64, ATTESTATION, BAD, UNKNOWN, B
from tests.registry.talk import Answer, Registry, fresh
from tests.registry.wasm.binary import custom

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[str] = []
        self.text = ""
        assert answer.status == 200, answer
        self.source = answer.body.decode()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.elements.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name == "href" and value]

    def named(self, name: str) -> list[str | None]:
        """The values of an attribute."""
        return [value for found, value in self.attributes if found == name]

    @property
    def title(self) -> str:
        match = re.search("<title>(.*)</title>", self.source)
        assert match
        return match[1]

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(registry: Registry) -> list[str]:
    return ["/", "/plugins", "/plugins/", f"/plugins/{registry.name}", f"/plugins/{registry.name}:v1"]


def every_page(registry: Registry) -> list[str]:
    """All pages there are: of what was accepted, refused, and refused later."""
    registry.push(BUILDX, "index")
    registry.push(B)
    registry.push(BAD)
    registry.push(BAD, "bad")
    return [*pages(registry), *(f"/plugins/{registry.name}:{tag}" for tag in ("index", "bad"))]


def test_pages_run_nothing_and_tell_nobody(registry: Registry) -> None:
    for path in every_page(registry):
        answer = registry.get(path, HTML)
        assert (answer.status, answer["content-type"]) == (200, "text/html; charset=utf-8"), path
        policy = {rule.partition(" ")[0] for rule in answer["content-security-policy"].split("; ")}
        assert {"default-src", "style-src", "base-uri", "form-action", "frame-ancestors"} <= policy
        assert "unsafe" not in answer["content-security-policy"]
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["vary"] == "Accept"
        page = Page(answer)
        assert not {"script", "style", "iframe", "img", "form", "object"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
        assert dict(page.attributes)["lang"] == "en"
        assert page.tags.count("h1") == 1


def test_every_link_leads_somewhere(registry: Registry) -> None:
    for path in every_page(registry):
        page = Page(registry.get(path, HTML))
        for link in page.links:
            if link.startswith("#"):
                assert link[1:] in page.named("id"), link
            else:
                assert link.startswith("/"), link
                assert registry.get(link).status == 200, link


def test_pages_can_be_read_without_eyes(registry: Registry) -> None:
    """Landmarks, headings in order, tables with captions and scopes; what scrolls has focus and a name."""
    titles = []
    for path in every_page(registry):
        page = Page(registry.get(path, HTML))
        for landmark in ("header", "nav", "main", "title", "h1"):
            assert page.tags.count(landmark) == 1, (path, landmark)
        titles.append(page.title)
        levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1, path
        assert all(after <= before + 1 for before, after in pairwise(levels)), (path, levels)
        assert page.tags.count("caption") == page.tags.count("table"), path
        for tag, attributes in page.elements:
            if tag == "th":
                assert attributes.get("scope") in ("col", "row"), path
            if tag == "pre":
                assert attributes.get("tabindex") == "0", path
            if attributes.get("class") == "scroll":
                assert attributes.get("tabindex") == "0" and attributes["aria-label"], path
            if tag in ("p", "td") and attributes.get("class") in ("yes", "no"):
                continue
            assert "tabindex" not in attributes or attributes["tabindex"] == "0", path
        ids = page.named("id")
        assert len(set(ids)) == len(ids), path
        # What is right and wrong is said in words, too.
        assert not re.search(r"[✓✗]", page.text), path
    assert len(set(titles)) == len(titles) - 1, titles  # two paths lead to the list of repositories


def test_programs_get_json(registry: Registry) -> None:
    registry.push(B)
    for accept in ("", "*/*", "application/json"):
        fields = {"Accept": accept} if accept else {}
        for path in pages(registry)[1:]:
            answer = registry.get(path, fields)
            assert answer["content-type"] == "application/json"
            assert answer["vary"] == "Accept"
    assert registry.name in registry.get("/plugins/").json["repositories"]
    assert registry.get(f"/plugins/{registry.name}").json == {"repository": registry.name, "tags": ["v1"]}


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/html, application/json", True),
        ("application/json;q=0, text/html;q=0.001", True),
        ("text/html;q=0", False),
        ("text/html; Q=0.000, */*", False),
        ("application/json, text/html", False),
        ("text/html;q=0.9, application/json", False),
        ("text/html;q=0.5, application/json;q=0.5", True),
        ("text/html;q=no", False),
        ("text/htmlx", False),
        ("*/*", False),
        (";,;q=,=;,", False),
    ],
)
def test_who_gets_a_page(registry: Registry, accept: str, is_page: bool) -> None:
    registry.push(B)
    for path in pages(registry)[1:]:
        answer = registry.get(path, {"Accept": accept})
        assert answer["content-type"].startswith("text/html" if is_page else "application/json")


@pytest.mark.parametrize("host", ["host:99999", "host:65536", "host:0", "", "a b", "a/b"])
def test_what_is_no_host_is_not_written_down(registry: Registry, host: str) -> None:
    registry.push(B)
    for path in pages(registry):
        for fields in ({}, HTML):
            answer = registry.get(path, {**fields, "Host": host})
            assert answer.status == 200
            assert not host or host not in answer.body.decode()
    assert "docker push HOST/team/wasm:v1" in registry.get("/", {**HTML, "Host": host}).body.decode()


def test_the_style(registry: Registry) -> None:
    answer = registry.get("/style.css")
    assert (answer.status, answer["content-type"]) == (200, "text/css; charset=utf-8")
    assert answer["x-content-type-options"] == "nosniff"


def test_cosign_s_tags_are_left_out_and_no_others(registry: Registry) -> None:
    registry.push(B)
    cosign = [f"sha256-{'0' * 64}.{end}" for end in ("sig", "att", "sbom")]
    mine = ["v1", "v1.sig", f"sha256-{'0' * 63}.sig", f"sha256-{'0' * 64}"]
    for tag in (*cosign, *mine):
        assert registry.put(tag, B.body).status == 201
    assert registry.get(f"/plugins/{registry.name}").json["tags"] == sorted(mine)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
def test_pages_of_tags(registry: Registry, n: int) -> None:
    tags = [f"v{at}" for at in range(5)]
    for tag in tags:
        registry.push(B, tag)
    for fields in ({}, HTML):
        path, found = f"/plugins/{registry.name}?n={n}", []
        while path:
            answer = registry.get(path, fields)
            if fields:
                page = Page(answer)
                found += [link.rpartition(":")[2] for link in page.links if ":" in link]
                path = next((link for link in page.links if "last=" in link), "")
            else:
                found += answer.json["tags"]
                link = answer.get("link")
                path = link[1:].partition(">")[0] if link else ""
        assert found == tags
    assert registry.get(f"/plugins/{registry.name}?n=0").json["tags"] == []
    assert registry.get(f"/plugins/{registry.name}?n=x").code == "PAGINATION_NUMBER_INVALID"


def test_pages_of_repositories(registry: Registry) -> None:
    for _ in range(3):
        registry.other().push(B)
    everything = registry.get("/plugins/").json["repositories"]
    for fields in ({}, HTML):
        path, found = "/plugins/?n=2", []
        while path:
            answer = registry.get(path, fields)
            if fields:
                page = Page(answer)
                named = [link for link in page.links if link.startswith("/plugins/") and "?" not in link]
                found += [link.removeprefix("/plugins/") for link in named if link != "/plugins/"]
                path = next((link for link in page.links if "last=" in link), "")
            else:
                found += answer.json["repositories"]
                link = answer.get("link")
                path = link[1:].partition(">")[0] if link else ""
        assert found == everything


def test_a_repository_that_is_not_here(registry: Registry) -> None:
    answer = registry.get(f"/plugins/{registry.name}")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_what_was_refused_is_text(registry: Registry) -> None:
    shapes = [
        image("type", [(f"text/{EVIL}", b"x")], None),
        image("entry", [(OCI_LAYER, layer((EVIL.replace("/", ""), b"x")))], None),
    ]
    for at, shape in enumerate(shapes):
        assert registry.push(shape, f"v{at}").status == 400, shape
        for reference in (f":v{at}", f"@{shape.digest}"):
            page = Page(registry.get(f"/plugins/{registry.name}{reference}", HTML))
            assert not {"script", "img"} & set(page.tags)
            assert "onerror" not in dict(page.attributes)
    for junk in (b"<script>alert(1)</script>", b'{"mediaType": "<script>alert(1)</script>"}', b"\xff\xfe"):
        assert registry.put("junk", junk).status == 400
        page = Page(registry.get(f"/plugins/{registry.name}:junk", HTML))
        assert "script" not in page.tags
    assert "<script>" in Page(registry.get(f"/plugins/{registry.name}:v0", HTML)).text


def test_what_people_write_is_text(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn}\n")
    registry = fresh(serve(settings=settings).host)
    shapes = [
        image("type", [(f"text/{EVIL}", b"x")], None, more={"annotations": {EVIL: EVIL}}),
        image("entry", [(OCI_LAYER, layer((EVIL.replace("/", ""), b"x")))], None),
        image("section", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom(EVIL, EVIL.encode()))))], None),
        image("platform", [(OCI_LAYER, b"x")], None, more={"artifactType": EVIL}),
    ]
    for at, shape in enumerate(shapes):
        assert registry.push(shape, f"v{at}").status == 201, shape
        answer = registry.get(f"/plugins/{registry.name}:v{at}", HTML)
        page = Page(answer)
        assert not {"script", "img"} & set(page.tags)
        assert "onerror" not in dict(page.attributes)
        assert json.loads(registry.get(f"/plugins/{registry.name}:v{at}").body)["repository"]
    shown = Page(registry.get(f"/plugins/{registry.name}:v0", HTML)).text
    assert "<script>" in shown


def test_no_template_writes_a_value_as_it_is() -> None:
    """Also where no test has a hostile value: all of it is text, and there is no script or style to be in."""
    environment = web._templates()
    assert environment.autoescape is True
    templates = environment.list_templates()
    assert len(templates) > 10
    for name in templates:
        source, _, _ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]
        raw = re.search(r"\|\s*safe\b|autoescape|<(script|style)\b|\s(on\w+|style)=", source)
        assert raw is None, (name, raw)
        # A value of an attribute is within its quotes, or it could be more than one.
        assert not re.search(r"\s[a-z-]+=\{\{", source), name


@pytest.mark.parametrize(
    "path",
    ["/plugins/<script>", "/plugins/a:<b>", '/plugins/"onload="x', "/plugins/?last=<script>&n=1", "/<b>"],
)
def test_hostile_paths_are_not_echoed_as_html(registry: Registry, path: str) -> None:
    registry.push(B)
    answer = registry.get(path, HTML)
    if answer["content-type"].startswith("text/html"):
        assert "<script" not in answer.body.decode()
    else:
        assert answer["content-type"] == "application/json"


@pytest.mark.parametrize("host", ['"><script>alert(1)</script>', "evil.example", "[", "a b"])
def test_a_host_is_text(registry: Registry, host: str) -> None:
    registry.push(B)
    for path in (*pages(registry), f"/plugins/{registry.name}?n=1", f"{registry.base}/tags/list?n=1"):
        answer = registry.get(path, {**HTML, "Host": host})
        assert answer.status in (200, 400), (path, answer)
        assert b"<script" not in answer.body


def test_the_start_page_names_the_registry_as_it_was_reached(registry: Registry) -> None:
    text = Page(registry.get("/", HTML)).text
    assert f"docker push {registry.host}/team/wasm:v1" in text
    assert f"--key http://{registry.host}/keys/cosign.pub" in text
    assert "--allow-http-registry" in text
    registry.push(B)
    text = Page(registry.get(f"/plugins/{registry.name}", HTML)).text
    assert f"docker push {registry.host}/{registry.name}:TAG" in text
    text = Page(registry.get(f"/plugins/{registry.name}:v1", HTML)).text
    assert f"sidecargo yaml wasmplugin {registry.host}/{registry.name}:v1" in text
    text = Page(registry.get(f"/plugins/{registry.name}@{B.digest}", HTML)).text
    assert f"sidecargo yaml envoy {registry.host}/{registry.name}@{B.digest}" in text


def test_the_start_page_names_the_registry_as_the_settings_do(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("server: {public_url: https://plugins.example.com}\n")
    registry = fresh(serve(settings=settings).host)
    registry.push(B)
    text = Page(registry.get("/", {**HTML, "Host": "evil.example"})).text
    assert "docker push plugins.example.com/team/wasm:v1" in text
    assert "--key https://plugins.example.com/keys/cosign.pub" in text
    assert not re.search("evil|http://|allow-http", text)
    report = Page(registry.get(f"/plugins/{registry.name}:v1", {**HTML, "Host": "evil.example"})).text
    assert f"oci://plugins.example.com/{registry.name}@{B.digest}" in report


@pytest.mark.parametrize(
    ("path", "status", "message", "fix"),
    [
        ("/plugins/none/here", 404, "there is no repository none/here.", ""),
        ("/plugins/team/<b>", 400, "", ""),
        ("/login", 404, "nobody signs in here by a browser.", "Log in with docker login."),
    ],
    ids=["no repository", "no name", "no page"],
)
def test_what_fails_is_a_page_for_people_and_json_for_programs(
    registry: Registry, path: str, status: int, message: str, fix: str
) -> None:
    answer = registry.get(path, HTML)
    assert (answer.status, answer["content-type"]) == (status, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer["content-security-policy"]
    assert message in answer.body.decode() and fix in answer.body.decode()
    assert b"<b>" not in answer.body
    assert len(answer.all("x-request-id")) == 1
    told = registry.get(path, {"Accept": "*/*"})
    assert (told.status, told["content-type"]) == (status, "application/json")


@pytest.mark.parametrize("path", ["/v2/none/here/tags/list", "/token"])
def test_what_programs_ask_for_is_never_a_page(registry: Registry, path: str) -> None:
    answer = registry.get(path, HTML)
    assert (answer.status, answer["content-type"]) == (404, "application/json")
