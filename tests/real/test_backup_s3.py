"""The commands of docs/backup.md for a bucket, while clients write to it: the copy is whole, and serves."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.cli.main import run as sidecargo_command
from registry.keyring import write_new
from tests.real.process import environment, run
from tests.real.seaweed import Bucket, Seaweed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.real.written import REPOSITORIES, made, pulled, pushing
from tests.registry.talk import Registry

pytestmark = [pytest.mark.real, pytest.mark.slow]

TURNS = 2


def commands() -> list[str]:
    """The commands of the AWS CLI in the document."""
    found = [
        line.strip()
        for line in (ROOT / "docs/backup.md").read_text().splitlines()
        if line.startswith("    aws s3 sync ")
    ]
    assert found
    return found


def copied(word: str, source: Bucket, target: Bucket) -> None:
    """Run one of them from bucket to bucket; what vanishes meanwhile is none of its business."""
    command = word.replace("s3://plugins/data", source.url).replace("s3://backup/data", target.url)
    # Releases of 2022, which Debian has, do not read AWS_ENDPOINT_URL.
    _, *words = shlex.split(command)
    command_line = (str(require("aws")), "--endpoint-url", source.endpoint, *words)
    ran = run(*command_line, env=environment(**source.variables), seconds=600)
    failed = [line for line in ran.said.splitlines() if "failed: " in line and "NoSuchKey" not in line]
    assert (ran.code in (0, 1), failed) == (True, []), f"{command}\n{ran.said}"


def test_a_bucket_that_is_written_to(
    serve: Callable[..., Sidecargo],
    seaweed: Seaweed,
    bucket: Bucket,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_new(tmp_path / "signing.key")
    key = ("--signing-key", str(tmp_path / "signing.key"))
    server = serve("--storage", bucket.url, *key)
    backup = seaweed.bucket()
    kept = {}
    for name in REPOSITORIES:
        shape = made(f"kept of {name}")
        assert Registry(server.host, name).push(shape, "kept").status == 201
        kept[f"{name}:kept"] = shape.digest
    with pushing(server.host, pause=2.0) as pushed:  # each push is some 20 copies
        for turn in range(TURNS):
            before = pushed()
            while pushed() < before + 15:
                threading.Event().wait(0.02)
            for word in commands():
                copied(word, bucket, backup)
            if turn < TURNS - 1:
                shape = made("again")
                assert Registry(server.host, "team").push(shape, "kept").status == 201
                kept["team:kept"] = shape.digest
    checked = sidecargo_command(["fsck", "--storage", backup.url, "--settle", "0", "--json"])
    said = capsys.readouterr().out
    assert (checked, [found for found in json.loads(said)["findings"] if found["harms"]]) == (0, []), said
    again = serve("--storage", backup.url, *key)
    found = pulled(again.host)
    assert found.items() >= kept.items()
    assert len(found) > len(kept) * 3
    signatures = [f"{name.partition(':')[0]}:sha256-{digest[7:]}.sig" for name, digest in kept.items()]
    assert set(signatures) <= set(found)


def test_another_order_is_not_whole(
    serve: Callable[..., Sidecargo], seaweed: Seaweed, bucket: Bucket, tmp_path: Path
) -> None:
    """What the order is for: of a push between the steps, the other order copies the tag alone."""
    write_new(tmp_path / "signing.key")
    server = serve("--storage", bucket.url, "--signing-key", str(tmp_path / "signing.key"))
    registry = Registry(server.host, "team")
    whole, torn = seaweed.bucket(), seaweed.bucket()
    for number, (backup, order) in enumerate(((whole, commands()), (torn, commands()[::-1]))):
        assert registry.push(made(f"first {number}"), "first").status == 201
        for step, word in enumerate(order):
            copied(word, bucket, backup)
            assert registry.push(made(f"{number} {step}"), f"v{step}").status == 201
    assert sidecargo_command(["fsck", "--storage", whole.url, "--settle", "0"]) == 0
    assert sidecargo_command(["fsck", "--storage", torn.url, "--settle", "0"]) == 1
