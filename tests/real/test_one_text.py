"""A refusal says the same everywhere: docker push, `check`, `why`, the report and the page."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.real import images
from tests.real.dockerd import Docker
from tests.real.process import Finished, environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.real.web import get
from tests.registry.wasm import binary

pytestmark = [pytest.mark.real, pytest.mark.slow]

NO_ABI = binary.module(
    binary.types(binary.VOID), binary.functions(0), binary.exports(("_start", 0, 0)), binary.code(1)
)
CASES = {
    "no plugin.wasm": ("no-plugin-wasm", "FROM scratch\nCOPY main.wasm ./main.wasm\n", binary.plugin()),
    "a program": ("no-abi", "FROM scratch\nCOPY main.wasm ./plugin.wasm\n", NO_ABI),
    "a component": (
        "wasm-component",
        "FROM scratch\nCOPY main.wasm ./plugin.wasm\n",
        b"\0asm\x0d\0\x01\0" + b"\0" * 8,
    ),
}


class Text(HTMLParser):
    """The words of a page, white space made one."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._pieces: list[str] = []
        self.feed(page)
        self.words = " ".join("".join(self._pieces).split())

    def handle_data(self, data: str) -> None:
        self._pieces.append(data)


def sidecargo_cli(*words: str | Path) -> Finished:
    return run(
        sys.executable, "-m", "registry", *words, env=environment(PYTHONPATH=str(ROOT)), folder=Path("/")
    )


def test_an_index_whose_image_is_refused(sidecargo: Sidecargo, tmp_path: Path) -> None:
    """crane pushes the image by digest and stops there: the tag that its user typed was never seen."""
    images.layout(tmp_path / "layout", images.layer("readme.txt", b"no plugin"))
    image = f"{sidecargo.host}/one-text/index:v1"
    pushed = run(require("crane"), "push", "--index", "--insecure", tmp_path / "layout", image)
    assert pushed.code != 0 and "plugin.wasm not found" in pushed.said, pushed.said
    why = sidecargo_cli("why", image)
    assert why.code == 1, why.said
    assert "by digest" in why.out and "plugin.wasm not found" in why.out


@pytest.mark.parametrize(("code", "dockerfile", "module"), CASES.values(), ids=CASES)
def test_one_text(
    sidecargo: Sidecargo, docker: Docker, tmp_path: Path, code: str, dockerfile: str, module: bytes
) -> None:
    image = f"{sidecargo.host}/one-text/{code}:v1"
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "main.wasm").write_bytes(module)
    (tmp_path / "context" / "Dockerfile").write_text(dockerfile)
    docker.succeed("build", "--tag", image, tmp_path / "context")
    pushed = docker("push", image)
    assert pushed.code != 0

    path = f"{sidecargo.url}/plugins/one-text/{code}:v1"
    answer = get(path)
    assert answer.status == 200
    report = json.loads(answer.body)
    assert report["state"] == "refused"
    problem = report["last_refused"]["problems"][0]
    assert problem["code"] == code
    message, fix = problem["message"], problem["fix"]
    assert report["last_refused"]["message"] == f"{message} {fix}"

    # docker's own line, as its user reads it.
    assert f"{message} {fix}" in " ".join(pushed.said.split()), pushed.said

    why = sidecargo_cli("why", image)
    assert why.code == 1, why.said
    assert f"problem: {message}\n" in why.out and f"fix:     {fix}\n" in why.out

    docker.succeed("save", "--output", tmp_path / "saved.tar", image)
    for target in (
        tmp_path / "saved.tar",
        *([tmp_path / "context" / "main.wasm"] if code != "no-plugin-wasm" else []),
    ):
        check = sidecargo_cli("check", target)
        assert check.code == 1, check.said
        assert message in check.out and fix in check.out, check.out
        told = json.loads(sidecargo_cli("check", "--json", target).out)
        assert problem in told["consumers"]["istio"]["problems"]

    page = Text(get(path, {"Accept": "text/html"}).body.decode()).words
    assert message in page and f"Fix: {fix}" in page
    assert re.search(r"\brefused\b", page)
