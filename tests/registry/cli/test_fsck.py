"""`fsck` over a real folder, beside a real server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from tests.real.process import Process, environment
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.registry.commands import Ran, Runner
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer
from tests.registry.talk import Registry
from tests.registry.wasm.binary import custom
from tests.storage.fsck.filled import LAYER, REPOSITORY, fill

LAYER_KEY = paths.blob(Digest.of(LAYER))
LAYER_LINK = paths.blob_link(REPOSITORY, Digest.of(LAYER))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage with one of everything."""
    asyncio.run(fill(DiskDriver(tmp_path / "data")))
    return tmp_path / "data"


def made(name: str) -> Shape:
    """An image that loads, with a module of its own."""
    return image(name, [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom(name))))], None)


def test_nothing_is_wrong(sidecargo: Runner, folder: Path) -> None:
    blobs = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    ran = sidecargo("fsck", "--storage", folder)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(f", {len(blobs)} blobs (2.9 MiB) hashed: nothing is wrong\n"), ran.out
    ran = sidecargo("fsck", "--storage", folder, "--skip-bytes")
    assert (ran.code, "hashed" in ran.out) == (0, False)


def test_what_is_wrong_is_named_and_mended(sidecargo: Runner, folder: Path) -> None:
    (folder / LAYER_KEY).write_bytes(b"lay3r")
    key = paths.tag(REPOSITORY, "v1")
    (folder / key).write_bytes(b"{")
    ran = sidecargo("fsck", "--storage", folder, "--settle", "0")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == f"wrong-bytes {LAYER_KEY}"
    assert lines[1].startswith("  its 5 bytes hash to sha256:")
    assert lines[2].startswith("  fix: --repair moves them to the trash")
    assert lines[3:5] == [f"wrong-tag {key}", "  its record is damaged"]
    assert lines[-1].endswith("hashed: 2 findings")
    ran = sidecargo("fsck", "--storage", folder, "--settle", "0", "--repair")
    assert ran.code == 1, "the images that name the layer are not whole"
    assert ran.out.count("\n  mended\n") == 3
    assert ran.out.splitlines()[-1].endswith("6 findings, 3 mended, 3 left")
    ran = sidecargo("fsck", "--storage", folder, "--settle", "0", "--repair")
    assert ran.out.splitlines()[-1].endswith("3 findings"), ran.out
    (folder / paths.blob(Digest.of(LAYER))).parent.mkdir(exist_ok=True)
    (folder / LAYER_KEY).write_bytes(LAYER)
    (folder / paths.trash(LAYER_LINK)).rename(folder / LAYER_LINK)
    assert sidecargo("fsck", "--storage", folder, "--settle", "0").code == 0


def test_all_that_is_mended_is_no_failure(sidecargo: Runner, folder: Path) -> None:
    (folder / paths.catalog(REPOSITORY)).unlink()
    assert sidecargo("fsck", "--storage", folder, "--settle", "0").code == 1
    ran = sidecargo("fsck", "--storage", folder, "--settle", "0", "--repair")
    assert (ran.code, ran.out.splitlines()[1:3]) == (0, ["  the catalog does not list team/a", "  mended"])
    assert ran.out.splitlines()[-1].endswith("1 findings, 1 mended, 0 left")


def test_for_programs(sidecargo: Runner, folder: Path) -> None:
    ran = sidecargo("fsck", "--storage", folder, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["ok"], found["findings"], found["found"], found["left"]) == (0, True, [], 0, 0)
    (folder / LAYER_KEY).unlink()
    (folder / "lost+found").mkdir()
    ran = sidecargo("fsck", "--storage", folder, "--json", "--settle", "0", "--repair")
    found = json.loads(ran.out)
    assert (ran.code, found["ok"], found["mended"], found["left"], found["notes"]) == (1, False, 1, 3, 1)
    first, last = found["findings"][0], found["findings"][-1]
    assert first == {
        "kind": "missing-bytes",
        "key": LAYER_LINK,
        "what": f"the bytes of {Digest.of(LAYER)} are not here",
        "fix": first["fix"],
        "harms": True,
        "mended": True,
    }
    assert (last["kind"], last["key"], last["harms"]) == ("foreign-object", "lost+found", False)


def test_what_may_be_missing(sidecargo: Runner, folder: Path, tmp_path: Path) -> None:
    (folder / LAYER_LINK).unlink()
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"storage: {{url: {folder}}}\nadmission: {{rules: [{{repositories: 'team/a', sparse: true}}]}}\n"
    )
    assert sidecargo("fsck", "--config", settings, "--settle", "0").code == 0
    assert sidecargo("fsck", "--storage", folder, "--settle", "0").code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "{}/none"], "{}/none is no storage of a registry."),
        (["--storage", "{}"], "{} is no storage of a registry."),
        (["--config", "{}/none.yaml"], "{}/none.yaml: No such file or directory."),
        (["--rate", "-1"], "Invalid value for '--rate'"),
        (["--rate", "x"], "Invalid value for '--rate'"),
        (["--settle", "-1"], "Invalid value for '--settle'"),
        (["more"], "Got unexpected extra argument (more)"),
    ],
)
def test_wrong_usage(words: list[str], said: str, sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("fsck", *(word.format(tmp_path) for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said.format(tmp_path)}")
    assert list(tmp_path.iterdir()) == [], "nothing is made where nothing is"


def test_a_storage_of_a_newer_release(sidecargo: Runner, folder: Path) -> None:
    (folder / paths.FORMAT).write_text('{"format": 99}')
    ran = sidecargo("fsck", "--storage", folder)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the store has format 99")


@pytest.mark.slow
def test_who_is_interrupted_goes_on(sidecargo: Runner, folder: Path, tmp_path: Path) -> None:
    """As by Ctrl-C: it says so, and the next one reads the rest."""
    large = (bytes(8 << 20) + b"%d" % number for number in itertools.count())
    last = next(content for content in large if Digest.of(content).hex.startswith("ff"))
    for content in (*(b"%d" % number for number in range(200)), last):
        path = folder / paths.blob(Digest.of(content))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    command: list[str | Path] = [sys.executable, "-m", "registry", "fsck", "--storage", folder, "--rate", "1"]
    running = Process(command, log=tmp_path / "log", env=environment(PYTHONPATH=str(ROOT)))

    def is_at_the_last() -> bool:
        for file in Path(f"/proc/{running.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if file.readlink() == path:
                    return True
        return False

    running.wait_until(is_at_the_last)
    running._popen.send_signal(signal.SIGINT)
    assert running._popen.wait(30) == 130, running.said()
    assert "interrupted" in running.said()
    assert (folder / paths.CHECKED).is_file()
    ran = sidecargo("fsck", "--storage", folder)
    assert ran.code == 0
    assert "gone on where the last check was interrupted" in ran.out
    assert not (folder / paths.CHECKED).exists()


@pytest.mark.slow
def test_beside_writers_that_push_and_delete(
    sidecargo: Runner, serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    """Four clients push and delete all the time; whatever is half done at a moment is no finding."""
    server = serve("--workers", "2")
    folder, stop, pushed = server.folder / "data", threading.Event(), list[str]()

    def write(number: int) -> None:
        registry = Registry(server.host, f"team/{number % 2}")
        for turn in itertools.count():
            if stop.is_set():
                return
            shape = made(f"{number}-{turn % 5}")
            assert registry.push(shape, f"v{turn % 3}").status == 201
            pushed.append(shape.digest)
            if turn % 2:
                reference = shape.digest if turn % 4 == 1 else f"v{turn % 3}"
                path = f"{registry.base}/manifests/{reference}"
                assert registry.ask("DELETE", path).status in (202, 404)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            ran: list[Ran] = []
            for words in itertools.cycle(((), ("--skip-bytes",), ("--repair",))):
                ran += [sidecargo("fsck", "--storage", folder, "--settle", "3", *words)]
                if (len(ran) >= 3 and len(pushed) > 120) or any(writer.done() for writer in writers):
                    break
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert len(ran) >= 3
    assert {(one.code, one.err) for one in ran} == {(0, "")}, ran
    assert all("nothing is wrong" in one.out for one in ran), ran
    assert sidecargo("fsck", "--storage", folder, "--settle", "0").code == 0
