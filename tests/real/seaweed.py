"""A real S3 store: SeaweedFS on free ports of the loopback, its buckets, and what is in them."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.real.process import Process, environment, free_port
from tests.real.tools import require

ACCESS_KEY = "AKIDSEAWEED"
SECRET_KEY = "not-so-secret"
REGION = "us-east-1"

_STARTS = 3  # of its many ports one may be taken before it listens there
_OFF = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-ip=127.0.0.1")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place of one's own in a bucket: `url` is what `storage.url` takes, `variables` what boto3 reads."""

    name: str
    prefix: str
    endpoint: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}/{self.prefix.rstrip('/')}"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }

    def keys(self) -> dict[str, int]:
        """Every object's key below the prefix, and its size."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        return {
            found["Key"].removeprefix(self.prefix): found["Size"]
            for page in pages
            for found in page.get("Contents", ())
        }

    def multiparts(self) -> list[str]:
        """The keys of multipart uploads under way."""
        found = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix)
        return [upload["Key"].removeprefix(self.prefix) for upload in found.get("Uploads", ())]


class Seaweed:
    """A server of this session's own, with everything that it holds in one folder."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._ports = {name: free_port() for name in _PORTS} | {"s3.port": self.port}
        self.process = self._begin()
        self.client = client_of(self.endpoint)
        self._bucket = f"bucket-{uuid.uuid4().hex[:12]}"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self) -> Bucket:
        """A new place; all are in one bucket, for a bucket takes room from the start."""
        return Bucket(self._bucket, f"{uuid.uuid4().hex[:12]}/registry/", self.endpoint, self.client)

    def wait(self) -> None:
        """Until it writes: it answers before it has room."""

        def writes() -> bool:
            try:
                with contextlib.suppress(self.client.exceptions.BucketAlreadyExists):
                    self.client.create_bucket(Bucket=self._bucket)
                self.client.put_object(Bucket=self._bucket, Key="ready", Body=b"x" * 5000)
            except (BotoCoreError, ClientError):
                return False
            return True

        self.process.wait_until(writes, seconds=60)

    def end(self) -> None:
        """Stop it and forget what it holds; it takes long to obey SIGTERM."""
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once; what it holds stays."""
        self.process.kill()

    def restart(self) -> None:
        """Begin again with what it holds, on the same ports."""
        self.process = self._begin()
        self.wait()

    def _begin(self) -> Process:
        known = self.folder / "s3.json"
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        everything = {"name": "everything", "credentials": credentials, "actions": ["Admin"]}
        known.write_text(json.dumps({"identities": [everything]}))
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        command = [require("weed"), "server", f"-dir={data}", "-s3", "-filer", f"-s3.config={known}", *_OFF]
        command += ["-volume.max=100", "-master.volumeSizeLimitMB=1024", "-volume.minFreeSpace=0"]
        command += [f"-{name}={port}" for name, port in self._ports.items()]
        command += [f"-{name}.localSocket={self.folder / name}.sock" for name in ("filer", "s3")]
        return Process(command, log=self.folder / "weed.log", env=environment(), folder=self.folder)


_PORTS = [
    f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")
]  # each free: the usual ones may be another server's


def client_of(endpoint: str) -> Any:
    """A client that gives up at once."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=2,
            read_timeout=20,
            s3={"addressing_style": "path"},
        ),
    )


def start() -> Seaweed:
    """A server that is ready; the caller ends it."""
    require("weed")
    for left in reversed(range(_STARTS)):
        seaweed = Seaweed(Path(tempfile.mkdtemp(prefix="seaweed-")))
        try:
            seaweed.wait()
        except BaseException as error:
            seaweed.end()
            if not left or not isinstance(error, AssertionError):
                raise
        else:
            break
    return seaweed
