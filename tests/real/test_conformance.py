"""The official OCI conformance suite, with every optional part on: nothing fails, nothing is skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.real.process import environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require

pytestmark = [pytest.mark.real, pytest.mark.slow]

EVERYTHING = {
    "OCI_VERSION": "dev",
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_DATA_SPARSE": "true",
}
"""The newest rules, and what the suite leaves out unless it is told; all else is on by itself."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_case_passes(serve: Callable[..., Sidecargo], tmp_path: Path, workers: str) -> None:
    suite = require("conformance")
    server = serve("--workers", workers, settings=ROOT / "deploy" / "conformance.yaml")
    done = run(
        suite,
        env=environment(
            OCI_REGISTRY=server.host,
            OCI_TLS="disabled",
            OCI_RESULTS_DIR=str(tmp_path / "results"),
            **EVERYTHING,
        ),
        folder=tmp_path,
        seconds=600,
    )
    suites = ElementTree.parse(tmp_path / "results" / "junit.xml").getroot()
    counted = {name: int(suites.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    wrong = [
        f"{case.get('name')}: {case.get('status')}: {(case.findtext('system-out') or '')[:300]}"
        for case in suites.iter("testcase")
        if case.get("status") != "passed"
    ]
    assert not wrong, "\n".join(wrong)
    assert (counted["failures"], counted["errors"], counted["skipped"]) == (0, 0, 0), counted
    assert counted["tests"] >= 1000, counted
    assert done.code == 0, done.said[-2000:]
