"""The servers that are measured: Sidecargo, distribution and nginx, each as its own users would run it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry import keyring
from tests.real import sidecargo
from tests.real.process import Process, Word, environment, free_port
from tests.real.seaweed import ACCESS_KEY, REGION, SECRET_KEY, Bucket
from tests.real.tools import where
from tests.real.web import answers

DISTRIBUTION = "distribution 3.1.2"
NGINX = "nginx"

_DISTRIBUTION_YAML = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  {driver}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http: {{addr: 127.0.0.1:{port}}}
"""

_ON_DISK = "filesystem: {{rootdirectory: {folder}/data}}"
_IN_S3 = """\
s3: {{region: {region}, regionendpoint: "{endpoint}", forcepathstyle: true, secure: false, v4auth: true,
       accesskey: {access}, secretkey: {secret}, bucket: {bucket}, rootdirectory: /{prefix}}}
  redirect: {{disable: true}}"""

_NGINX_CONF = """\
{user}
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    default_type application/octet-stream;
    location ~ /manifests/ {{ default_type application/vnd.oci.image.manifest.v1+json; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that runs: what it is called, its HOST:PORT, its first process, its folder."""

    name: str
    host: str
    process: Process
    folder: Path


class PartMissing(Exception):
    """A real part is not here; the message says how to get it."""


@contextmanager
def ours(folder: Path, workers: int, bucket: Bucket | None = None, settings: str = "") -> Iterator[Peer]:
    """Sidecargo with so many workers, on disk or in a bucket; with its default settings but for these."""
    name = f"Sidecargo, {workers} worker{'s' if workers > 1 else ''}"
    flags: list[Word] = ["--workers", str(workers)]
    if bucket:
        keyring.write_new(_made(folder) / "signing.key")
        flags += ["--storage", bucket.url, "--signing-key", folder / "signing.key"]
    (_made(folder) / "sidecargo.yaml").write_text(settings)
    server = sidecargo.start(
        folder, *flags, settings=folder / "sidecargo.yaml", variables=bucket.variables if bucket else {}
    )
    with _ending(server.process):
        yield Peer(name, server.host, server.process, folder)


@contextmanager
def distribution(folder: Path, bucket: Bucket | None = None) -> Iterator[Peer]:
    """distribution on disk or in a bucket, with its in-memory cache, without an access log."""
    port = free_port()
    driver = _in_s3(bucket) if bucket else _ON_DISK.format(folder=folder)
    config = _made(folder) / "config.yml"
    config.write_text(_DISTRIBUTION_YAML.format(driver=driver, port=port))
    env = environment(OTEL_TRACES_EXPORTER="none")
    process = Process([part("distribution"), "serve", config], log=folder / "log", env=env)
    with _ending(process):
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/v2/"))
        yield Peer(DISTRIBUTION, f"127.0.0.1:{port}", process, folder)


def _in_s3(bucket: Bucket) -> str:
    return _IN_S3.format(
        region=REGION,
        endpoint=bucket.endpoint,
        access=ACCESS_KEY,
        secret=SECRET_KEY,
        bucket=bucket.name,
        prefix=bucket.prefix,
    )


@contextmanager
def nginx(folder: Path, files: dict[str, bytes]) -> Iterator[Peer]:
    """nginx with static files at the same paths as a registry has them."""
    port = free_port()
    for path, body in files.items():
        file = folder / "files" / path.lstrip("/")
        _made(file.parent)
        file.write_bytes(body)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX_CONF.format(folder=folder, port=port, user=user))
    process = Process([part("nginx"), "-e", folder / "error.log", "-c", config], log=folder / "log")
    with _ending(process):
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}{next(iter(files))}"))
        yield Peer(NGINX, f"127.0.0.1:{port}", process, folder)


def part(name: str) -> Path:
    """The path of a real part; raises PartMissing."""
    found = where(name)
    if not isinstance(found, Path):
        raise PartMissing(found)
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _ending(process: Process) -> Iterator[None]:
    try:
        yield
    finally:
        process.stop()
