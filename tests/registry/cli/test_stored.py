"""`check --stored` over a real folder, beside a real server."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from registry.publish import plugins
from registry.publish.plugins import Plugin
from registry.verdict import Problem, Verdict
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.store import Store
from tests.real.process import Process, environment
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.registry.commands import Ran, Runner
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer
from tests.registry.publish.test_rejudge import put
from tests.registry.wasm.binary import HEADER, custom

OLD = Problem("old", "Envoy: too old.", "sidecargo push main.wasm HOST/REPO:TAG", envoys=("1.36", "1.37"))


def made(name: str, module: bytes = PLUGIN) -> Shape:
    return image(name, [(OCI_LAYER, layer(("plugin.wasm", module + custom(name))))], None)


def filled(folder: Path, *shapes: Shape, judged: bool = False) -> list[Digest]:
    """A storage with images of team/wasm, tagged v0, v1…; `judged`: known as too old for two Envoys."""

    async def fill() -> list[Digest]:
        store = Store(DiskDriver(folder), upload_limit=1 << 30)
        await store.open()
        repository = store.repository("team/wasm")
        digests = [await put(repository, shape, f"v{number}") for number, shape in enumerate(shapes)]
        for digest in digests if judged else ():
            verdicts = tuple(Verdict(name, (OLD,)) for name in ("istio", "envoy", "envoy-gateway"))
            await repository.derived.keep(digest, plugins.to_record(Plugin(digest, verdicts)))
        return digests

    return asyncio.run(fill())


def content(folder: Path) -> dict[str, bytes]:
    """All that is stored but what is derived."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "_derived" not in path.parts and "locks" not in path.parts
    }


def test_nothing_would_break(sidecargo: Runner, tmp_path: Path) -> None:
    filled(tmp_path / "data", made("a"), made("b"))
    before = content(tmp_path / "data")
    ran = sidecargo("check", "--stored", "--storage", tmp_path / "data")
    assert ran == Ran(0, "1 repositories, 2 manifests judged, 2 of them read anew: nothing would break\n", "")
    assert before.items() <= content(tmp_path / "data").items(), "content was changed"
    ran = sidecargo("check", "--stored", "--storage", tmp_path / "data")
    assert ran == Ran(0, "1 repositories, 2 manifests judged: nothing would break\n", "")


def test_what_would_break_and_where(sidecargo: Runner, tmp_path: Path) -> None:
    (digest,) = filled(tmp_path, made("a"), judged=True)
    ran = sidecargo("check", "--stored", "--storage", tmp_path, "--envoy", "1.36", "--envoy", "1.40")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "team/wasm:v0",
        "  istio          Envoy 1.36  does not load",
        "    problem: Envoy: too old.",
        "    fix:     sidecargo push 127.0.0.1:5000/team/wasm:v0 127.0.0.1:5000/team/wasm:v0",
        "  istio          Envoy 1.40  loads",
        "  envoy          Envoy 1.36  does not load",
        "    as for istio",
        "  envoy          Envoy 1.40  loads",
        "  envoy-gateway  Envoy 1.36  does not load",
        "    as for istio",
        "  envoy-gateway  Envoy 1.40  loads",
        f"  image  {digest}",
        "1 repositories, 1 manifests judged: 1 would break",
    ]
    assert sidecargo("check", "--stored", "--storage", tmp_path, "--envoy", "1.40").code == 0
    # The Envoys of these Istios are 1.39 and 1.36.
    assert sidecargo("check", "--stored", "--storage", tmp_path, "--istio", "1.31").code == 0
    ran = sidecargo("check", "--stored", "--storage", tmp_path, "--istio", "1.28")
    assert (ran.code, ran.out.splitlines()[1]) == (1, "  istio 1.28  Envoy 1.36  does not load")


def test_the_settings_say_for_whom(sidecargo: Runner, tmp_path: Path) -> None:
    filled(tmp_path / "data", made("a"), judged=True)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"storage: {{url: {tmp_path / 'data'}}}\n"
        "server: {public_url: 'https://plugins.example.com'}\n"
        "admission:\n  rules: [{repositories: 'team/**', consumers: [envoy], envoy: ['1.36']}]\n"
    )
    ran = sidecargo("check", "--stored", "--config", settings, "--json")
    found = json.loads(ran.out)
    (broken,) = found.pop("broken")
    assert ran.code == 1
    assert found == {
        "unreadable": [],
        "ok": False,
        "repositories": 1,
        "manifests": 1,
        "plugins": 1,
        "judged_anew": 0,
        "not_judged": 0,
        "not_readable": 0,
    }
    fix = "sidecargo push plugins.example.com/team/wasm:v0 plugins.example.com/team/wasm:v0"
    assert (broken["repository"], broken["tags"], broken["more_tags"]) == ("team/wasm", ["v0"], 0)
    assert broken["digests"] == [broken["digest"]]
    assert broken["consumers"] == {
        "envoy": {
            "ok": False,
            "envoys": {"1.36": False},
            "problems": [{**OLD.to_json(), "fix": fix}],
        }
    }


def test_no_image_is_broken_for_programs(sidecargo: Runner, tmp_path: Path) -> None:
    filled(tmp_path, made("a"), made("b"))
    ran = sidecargo("check", "--stored", "--storage", tmp_path, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["broken"], found["ok"], found["judged_anew"]) == (0, [], True, 2)


def test_several_for_programs(sidecargo: Runner, tmp_path: Path) -> None:
    filled(tmp_path, *(made(f"m{number}", HEADER) for number in range(3)))
    ran = sidecargo("check", "--stored", "--storage", tmp_path, "--json")
    assert [one["tags"] for one in json.loads(ran.out)["broken"]] == [["v0"], ["v1"], ["v2"]]


def test_a_damaged_manifest(sidecargo: Runner, tmp_path: Path) -> None:
    (digest,) = filled(tmp_path, made("a"))
    path = tmp_path / paths.manifest("team/wasm", digest)
    path.write_bytes(path.read_bytes()[:-1])
    ran = sidecargo("check", "--stored", "--storage", tmp_path)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        f"team/wasm@{digest}",
        f"  cannot be read: the stored bytes of {digest} are damaged.",
        "1 repositories, 1 manifests judged: nothing would break",
        "  1 cannot be read: push them again, or restore them from a backup",
    ]
    assert json.loads(sidecargo("check", "--stored", "--storage", tmp_path, "--json").out)["ok"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "{}/none"], "{}/none is no storage of a registry. Name what is served: --storage DIR"),
        (["--storage", "{}"], "{} is no storage of a registry."),
        (["--config", "{}/none.yaml"], "{}/none.yaml: No such file or directory."),
        (["--envoy", "1.2"], "'1.2' is no Envoy release that is judged for. Known: 1.36"),
        (["--istio", "1.2"], "'1.2' is no Istio release that is judged for. Known: "),
        (["--run"], "--run tries one TARGET; it does not go with --stored."),
        (["plugin.wasm"], "--stored judges what is stored; it takes no TARGET."),
        (["--plain-http", "h"], "--plain-http is for a TARGET in a registry."),
    ],
)
def test_wrong_usage(words: list[str], said: str, sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("check", "--stored", *(word.format(tmp_path) for word in words))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said.format(tmp_path)}")
    assert list(tmp_path.iterdir()) == [], "nothing is made where nothing is"


def test_a_storage_of_a_newer_release(sidecargo: Runner, tmp_path: Path) -> None:
    filled(tmp_path, made("a"))
    (tmp_path / paths.FORMAT).write_text('{"format": 99}')
    ran = sidecargo("check", "--stored", "--storage", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the store has format 99; this release knows 1 to 2.")


def test_beside_a_server(sidecargo: Runner, serve: object, tmp_path: Path, plugin: Path) -> None:
    server: Sidecargo = serve()  # type: ignore[operator]
    for number in range(3):
        assert sidecargo("push", plugin, f"{server.host}/team/wasm:v{number}").code == 0
    ran = sidecargo("check", "--stored", "--storage", server.folder / "data")
    assert (ran.code, "nothing would break" in ran.out) == (0, True)
    assert sidecargo("check", f"{server.host}/team/wasm:v1").code == 0


@pytest.mark.slow
def test_who_is_killed_goes_on_where_he_was(sidecargo: Runner, tmp_path: Path) -> None:
    count = 600
    filled(tmp_path / "data", *(made(f"m{number}") for number in range(count)))
    command = [sys.executable, "-m", "registry", "check", "--stored", "--storage", tmp_path / "data"]
    running = Process(command, log=tmp_path / "log", env=environment(PYTHONPATH=str(ROOT)))
    records = tmp_path / "data" / "repositories" / "team" / "wasm" / "_derived" / "sha256"
    deadline = time.monotonic() + 60
    while not (records.exists() and len(list(records.iterdir())) > 20):
        assert time.monotonic() < deadline, running.said()
        time.sleep(0.01)
    running._popen.send_signal(signal.SIGKILL)
    running.kill()
    done = len(list(records.iterdir()))
    ran = sidecargo("check", "--stored", "--storage", tmp_path / "data", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["manifests"], found["plugins"]) == (0, count, count)
    assert 0 < found["judged_anew"] <= count - done + 16, "what was done was done again"
    assert found["judged_anew"] < count
