"""The official OCI conformance suite, with every optional part on: nothing fails, nothing is skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from registry.keyring import write_new
from tests.real.process import environment, run
from tests.real.seaweed import Bucket
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


SETTINGS = ROOT / "deploy" / "conformance.yaml"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_case_passes(serve: Callable[..., Sidecargo], tmp_path: Path, workers: str) -> None:
    _conforms(serve("--workers", workers, settings=SETTINGS), tmp_path)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_case_passes_over_s3(
    serve: Callable[..., Sidecargo], bucket: Bucket, tmp_path: Path, workers: str
) -> None:
    key = tmp_path / "signing.key"
    write_new(key)
    flags = ("--storage", bucket.url, "--signing-key", str(key))
    _conforms(serve("--workers", workers, *flags, settings=SETTINGS), tmp_path)


def _conforms(server: Sidecargo, tmp_path: Path) -> None:
    suite = require("conformance")
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
