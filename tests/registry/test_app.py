"""The server as it is wired: how it starts, what it says, what it withstands."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import socket
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.app import judging, known_as
from registry.settings import Settings
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.store import Store
from tests.real import sidecargo
from tests.real.process import Process, environment, free_port, run
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.real.web import answers
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, image, squeezed, tar
from tests.registry.consumers.shapes import HOSTILE, RAW, RAW_CONFIG, B
from tests.registry.talk import Registry, fresh, leaving_nothing, resident

FLAT = 64 << 20
"""What a process may grow by and still count as flat: caches of code and of allocators."""


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ({}, "127.0.0.1:5000"),
        ({"port": 1234}, "127.0.0.1:1234"),
        ({"host": "::1"}, "[::1]:5000"),
        ({"host": "0.0.0.0"}, "localhost:5000"),
        ({"host": "::"}, "localhost:5000"),
        ({"public_url": "https://plugins.example.com"}, "plugins.example.com"),
        ({"public_url": "http://plugins.example.com:8080"}, "plugins.example.com:8080"),
    ],
)
def test_how_it_is_known(server: dict[str, object], host: str) -> None:
    assert known_as(Settings(server=server)) == host  # type: ignore[arg-type]


STARTS = """\
import sys
from registry.app import wire
from registry.cli import main, serve
from registry.settings import load
wire(load().settings)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""
MUCH_TO_LOAD = (
    "boto3",
    "cryptography.x509",
    "jinja2",
    "jwt",
    "registry.wasm.module",
    "registry.wasm.opcodes",
    "urllib3",
    "wasmtime",
    "zlib_ng",
)


def test_a_start_loads_nothing_that_serves_later_if_at_all(tmp_path: Path) -> None:
    """All of it takes half a second: a fifth of that boto3 alone, and 20 MB of each process."""
    said = run(
        sys.executable, "-c", STARTS, *MUCH_TO_LOAD, env=environment(PYTHONPATH=str(ROOT)), folder=tmp_path
    )
    assert (said.code, said.out) == (0, "\n"), said.said


async def test_judging_again_needs_content_that_is_there(tmp_path: Path) -> None:
    settings = Settings(storage={"url": str(tmp_path / "data")})  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="is no storage of a registry"):
        async with judging(settings):
            pass
    assert list(tmp_path.iterdir()) == [], "nothing is made"  # noqa: ASYNC240
    await Store(DiskDriver(tmp_path / "data"), upload_limit=1).open()
    async with judging(settings) as (store, _):
        await store.ready()


class TestStart:
    def test_it_says_what_to_do_next(self, serve: Callable[..., Sidecargo]) -> None:
        server = serve()
        said = server.process.said()
        for words in (
            f"docker push {server.host}/team/wasm:v1",
            f"http://{server.host}/plugins/",
            f"http://{server.host}/keys/cosign.pub",
        ):
            assert words in said

    def test_a_port_in_use(self, serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
        server = serve("--workers", "2")
        port = server.host.rpartition(":")[2]
        for workers in ("1", "2"):
            done = refused(tmp_path, "--port", port, "--workers", workers)
            assert f"127.0.0.1 port {port}" in done
            assert "already in use" in done and "--port" in done

    def test_an_address_that_is_not_ours(self, tmp_path: Path) -> None:
        said = refused(tmp_path, "--host", "192.0.2.77", "--allow-anonymous-push")
        assert "192.0.2.77" in said and "--host" in said

    def test_a_folder_that_cannot_be_one(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert "store" in refused(tmp_path, "--storage", str(tmp_path / "file"))

    def test_a_store_of_a_newer_release(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "format").write_text('{"format":3}')
        assert "format 3" in refused(tmp_path, "--storage", str(tmp_path / "data"))

    @pytest.mark.parametrize(
        ("access", "said"),
        [
            ({"htpasswd": "none"}, "access.htpasswd none cannot be read: No such file or directory."),
            ({"tokens": {"key": "none.key"}}, "the key of access.tokens none.key cannot be read"),
            ({"tokens": {"key": "settings.yaml"}}, "access.tokens.key is no private P-256 key."),
        ],
    )
    def test_who_asks_cannot_be_known(self, tmp_path: Path, access: dict[str, object], said: str) -> None:
        settings = tmp_path / "settings.yaml"
        settings.write_text(json.dumps({"access": access}))
        done = refused(tmp_path, "--config", str(settings))
        assert said in done and "sidecargo" in done

    def test_what_is_hardly_meant_is_said(self, serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
        settings = tmp_path / "settings.yaml"
        settings.write_text('{"access": {"tokens": {"enabled": true}}}')
        said = serve("--workers", "2", settings=settings).process.said()
        assert said.count("access.rules are missing") == 1

    def test_ipv6(self, tmp_path: Path) -> None:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
                port = probe.getsockname()[1]
        except OSError:
            pytest.skip("this machine has no IPv6")
        command = [sys.executable, "-m", "registry", "serve", "--host", "::1", "--port", str(port)]
        env = environment(PYTHONPATH=str(ROOT))
        process = Process(command, log=tmp_path / "log", folder=tmp_path, env=env)
        try:
            process.wait_until(lambda: answers(f"http://[::1]:{port}/v2/"))
            registry = fresh(f"[::1]:{port}")
            assert registry.push(B).status == 201
            assert registry.ask("DELETE", f"{registry.base}/manifests/v1").status == 202
        finally:
            assert process.stop() == 0

    def test_again_on_the_same_folder(self, tmp_path: Path) -> None:
        server = sidecargo.start(tmp_path)
        registry = fresh(server.host)
        registry.push(B)
        upload = registry.begin()
        registry.ask("PATCH", upload, body=b"first ")
        key = registry.get("/keys/cosign.pub").body
        server.stop()
        server = sidecargo.start(tmp_path, "--workers", "2")
        try:
            registry = Registry(server.host, registry.name)
            assert registry.get(f"{registry.base}/manifests/v1").body == B.body
            assert registry.get(f"/plugins/{registry.name}:v1/plugin.wasm").body == PLUGIN
            assert registry.get("/keys/cosign.pub").body == key
            assert registry.get(upload)["range"] == "0-5"
        finally:
            server.stop()


def refused(folder: Path, *flags: str) -> str:
    """Start a server that must not start; the one line that it says."""
    given = dict(zip(flags[::2], flags[1::2], strict=False))
    command = [sys.executable, "-m", "registry", "serve", *flags]
    if "--port" not in given:
        command += ["--port", str(free_port())]
    if "--storage" not in given:
        command += ["--storage", str(folder / "other")]
    done = run(*command, folder=folder, env=environment(PYTHONPATH=str(ROOT)), seconds=30)
    assert done.code == 1, done.said
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in done.said and "Errno" not in done.said
    return line


def bomb(size: int, name: str = "filler") -> bytes:
    """A gzipped tar of one entry with so many zeros."""
    packed = io.BytesIO()
    entry = tarfile.TarInfo(name)
    entry.size = size
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
        out.write(entry.tobuf(tarfile.USTAR_FORMAT))
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            out.write(piece)
        out.write(bytes(1024))
    return packed.getvalue()


def hostile() -> dict[str, bytes]:
    """Layers that cost more than they show."""
    return {
        "a gigabyte of zeros": bomb(1 << 30),
        "300 MB of zeros as plugin.wasm": bomb(300 << 20, "plugin.wasm"),
        "a hundred members": b"".join(squeezed(bytes(1 << 20)) for _ in range(100)),
        "a million entries": gzip.compress(tar(("a", b""))[:512] * 1_000_000, mtime=0),
        "gzip in gzip in gzip": squeezed(squeezed(squeezed(tar(("plugin.wasm", PLUGIN))))),
        "a long PAX header": squeezed(tar(("x" * (4 << 20), b""), form=tarfile.PAX_FORMAT)),
    }


class TestHostile:
    def test_images_that_blow_up_are_refused_in_little_memory(self, serve: Callable[..., Sidecargo]) -> None:
        server = serve()
        registry, store = fresh(server.host), server.folder / "data"
        registry.push(B)
        shapes = [*HOSTILE, *(image(name, [(OCI_LAYER, data)], "-") for name, data in hostile().items())]
        for shape in shapes:
            registry.content(shape)
        registry.put("v1", shapes[0].body, shapes[0].media_type)  # whoever looks into it has begun to work
        memory = resident(server.process.pid)
        with leaving_nothing(store):
            for shape in shapes:
                answer = registry.put("v1", shape.body, shape.media_type)
                assert (answer.status, answer.code) == (400, "MANIFEST_INVALID"), shape
                assert len(answer.body) < 2000
        assert resident(server.process.pid) - memory < FLAT

    def test_two_hundred_bad_requests_leave_memory_and_store_as_they_were(
        self, serve: Callable[..., Sidecargo]
    ) -> None:
        server = serve()
        registry, store = fresh(server.host), server.folder / "data"
        registry.push(B)
        large = b'{"annotations": {' + b'"a": "b", ' * 400_000 + b'"c": "d"}}'
        deep = b'{"a":' * 600_000
        many = b"[" + b"0," * 2_000_000 + b"0]"

        def once() -> None:
            for body in (large, deep, many, b"{" * (5 << 20), os.urandom(4 << 20)):
                assert 400 <= registry.put("v1", body).status < 500
            for path in ("?n=999999999999999999", "?last=" + "a" * 60_000, "?" + "a&" * 30_000):
                assert registry.get(f"{registry.base}/tags/list{path}").status < 500
            upload = registry.begin()
            wrong = {"Content-Range": "9-1"}
            assert registry.ask("PATCH", upload, wrong, b"x" * 100_000).status == 400
            assert registry.ask("PUT", f"{upload}?digest=sha256:{'0' * 64}", body=b"x").status == 400
            assert registry.ask("DELETE", upload).status == 404
            assert registry.get(f"{registry.base}/blobs/latest").status == 400
            assert registry.get("/v2/" + "a/" * 20_000).status < 500

        for _ in range(24):  # until each thread has met them: what malloc keeps for it is no leak
            once()
        memory = resident(server.process.pid)
        with leaving_nothing(store):
            for _ in range(16):
                once()
        assert resident(server.process.pid) - memory < FLAT

    def test_nothing_is_left_of_a_hundred_clients_that_hang_up(
        self, serve: Callable[..., Sidecargo], tmp_path: Path
    ) -> None:
        settings = tmp_path / "settings.yaml"
        settings.write_text("timeouts: {uploads: 2s}\n")
        server = serve(settings=settings)
        registry, store = fresh(server.host), server.folder / "data"
        registry.push(image("two", [RAW_CONFIG, RAW], None))
        with leaving_nothing(store, 30):
            for at in range(100):
                digest = f"sha256:{at:064x}"
                path = registry.begin() if at % 2 else f"{registry.base}/blobs/uploads/?digest={digest}"
                with socket.create_connection(tuple_of(registry.host)) as sock:
                    method = "PATCH" if at % 2 else "POST"
                    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n"
                    sock.sendall(head.encode() + bytes(70_000))
        assert not re.search(r"Traceback|ERROR", server.process.said(1000))


def tuple_of(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    return name, int(port)
