"""The commands of docs/backup.md, while clients push and delete tags: the copy is whole, and serves."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.cli.main import run as sidecargo_command
from tests.real import sidecargo
from tests.real.process import environment, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.real.written import REPOSITORIES, made, pulled, pushing
from tests.registry.talk import Registry

pytestmark = [pytest.mark.real, pytest.mark.slow]


def commands(heading: str) -> list[str]:
    """The rsync commands below a heading of the document."""
    text = (ROOT / "docs/backup.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = [line.strip() for line in text.splitlines() if line.startswith("    rsync ")]
    assert found
    return found


def copied(words: list[str], **variables: str | Path) -> None:
    """Run commands in a shell; files that vanish meanwhile are none of its business."""
    require("rsync")
    env = environment(**{name: str(value) for name, value in variables.items()})
    for command in words:
        ran = run("sh", "-c", command, env=env)
        assert ran.code in (0, 24), f"{command}\n{ran.said}"


def test_a_store_that_is_written_to(
    serve: Callable[..., Sidecargo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve("--workers", "2")
    data, backup = server.folder / "data", tmp_path / "backup"
    backup.mkdir()
    kept = {}
    for name in REPOSITORIES:
        shape = made(f"kept of {name}")
        assert Registry(server.host, name).push(shape, "kept").status == 201
        kept[f"{name}:kept"] = shape.digest
    with pushing(server.host) as pushed:
        for turn in range(3):
            before = pushed()
            while pushed() < before + 15:
                threading.Event().wait(0.02)
            copied(commands("A folder"), DATA=data, BACKUP=backup)
            if turn < 2:
                shape = made(f"again {turn}")
                assert Registry(server.host, "team").push(shape, "kept").status == 201
                kept["team:kept"] = shape.digest
    checked = sidecargo_command(["fsck", "--storage", str(backup), "--settle", "0", "--json"])
    said = capsys.readouterr().out
    assert (checked, [found for found in json.loads(said)["findings"] if found["harms"]]) == (0, []), said
    (backup / "fsck").unlink(missing_ok=True)

    restored = tmp_path / "restored"
    (restored / "data").mkdir(parents=True)
    for command in commands("Restore"):
        here = command.replace("/backup/sidecargo", str(backup))
        copied([here.replace("/var/lib/sidecargo", str(restored / "data"))])
    assert sidecargo_command(["fsck", "--repair", "--storage", str(restored / "data")]) == 0
    shutil.copytree(data / "private", restored / "data/private")
    again = sidecargo.start(restored)
    try:
        found = pulled(again.host)
        assert found.items() >= kept.items()
        assert len(found) > len(kept) * 3
        signatures = [f"{name.partition(':')[0]}:sha256-{digest[7:]}.sig" for name, digest in kept.items()]
        assert set(signatures) <= set(found)
    finally:
        again.stop()


def test_another_order_is_not_whole(tmp_path: Path, serve: Callable[..., Sidecargo]) -> None:
    """What the order is for: of a push between the steps, the other order copies the tag alone."""
    server = serve()
    data = server.folder / "data"
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    steps = commands("A folder")
    registry = Registry(server.host, "team")
    for number, (backup, order) in enumerate(((whole, steps), (torn, steps[::-1]))):
        backup.mkdir()
        assert registry.push(made(f"first {number}"), "first").status == 201
        for step, command in enumerate(order):
            copied([command], DATA=data, BACKUP=backup)
            assert registry.push(made(f"{number} {step}"), f"v{step}").status == 201
    assert sidecargo_command(["fsck", "--storage", str(whole), "--settle", "0"]) == 0
    assert sidecargo_command(["fsck", "--storage", str(torn), "--settle", "0"]) == 1
