"""Images made by hand: layers, manifests and indexes as bytes, right or wrong as a test needs them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
RAW_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"
RAW_CONFIG_LAYER = "application/vnd.module.wasm.config.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
IN_TOTO = "application/vnd.in-toto+json"

# A module that Envoy loads: an ABI version and malloc.
PLUGIN = bytes.fromhex(
    "0061736d01000000"
    "01090260000060017f017f"
    "03030200 01"
    "0724 02"
    "17 70726f78795f6162695f76657273696f6e5f305f325f31 00 00"
    "06 6d616c6c6f63 00 01"
    "0a09 02 0200 0b 0400 4100 0b"
)
OTHER = b"\0asm\x01\0\0\0"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
SAME = "the same"
Entries = Iterable[tuple[str, bytes] | tarfile.TarInfo]


@dataclass(frozen=True, slots=True)
class Shape:
    """An image or an index: its manifest, and the content that it names by digest.

    `code` is that of the problem that istio-agent has with it, None where the plugin is taken; `gateway`
    that of Envoy Gateway's, where it is another. `raw` is the body, where JSON of Python's cannot say it.
    """

    name: str
    manifest: Mapping[str, Any]
    code: str | None
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: tuple[Shape, ...] = ()
    content_type: str = ""
    gateway: str | None = SAME
    raw: bytes | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def body(self) -> bytes:
        return json.dumps(self.manifest).encode() if self.raw is None else self.raw

    @property
    def media_type(self) -> str:
        return self.content_type or str(self.manifest["mediaType"])

    @property
    def digest(self) -> str:
        return sha256(self.body)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """A header without content."""
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def tar(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                header = tarfile.TarInfo(entry[0])
                header.size = len(entry[1])
                archive.addfile(header, io.BytesIO(entry[1]))
    return out.getvalue()


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def layer(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    return squeezed(tar(*entries, form=form))


def image(
    name: str,
    layers: Iterable[tuple[str, bytes]],
    code: str | None,
    *,
    media_type: str = OCI_MANIFEST,
    config: tuple[str, bytes] | None = None,
    stated: bool = True,
    more: Mapping[str, Any] | None = None,
) -> Shape:
    listed = list(layers)
    plain = DOCKER_CONFIG if media_type == DOCKER_MANIFEST else OCI_CONFIG
    config = config or (
        plain,
        b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
    )
    manifest: dict[str, Any] = {"schemaVersion": 2}
    if stated:
        manifest["mediaType"] = media_type
    manifest |= {
        "config": descriptor(*config),
        "layers": [descriptor(*entry) for entry in listed],
        **(more or {}),
    }
    blobs = {sha256(data): data for _, data in (config, *listed)}
    return Shape(name, manifest, code, blobs, content_type=media_type)


def index(
    name: str,
    children: Iterable[tuple[Shape, Mapping[str, str] | None]],
    code: str | None,
    media_type: str = OCI_INDEX,
) -> Shape:
    listed = list(children)
    entries = [
        descriptor(child.media_type, child.body, **({} if platform is None else {"platform": dict(platform)}))
        for child, platform in listed
    ]
    return Shape(
        name,
        {"schemaVersion": 2, "mediaType": media_type, "manifests": entries},
        code,
        children=tuple(child for child, _ in listed),
    )


def sized(size: int, module: bytes = PLUGIN) -> bytes:
    """A module with a custom section at its end, so that it has this many bytes."""
    left = size - len(module) - 1
    number = next(leb for width in range(1, 6) if len(leb := _leb(left - width)) == width)
    return module + b"\0" + number + b"\x01x" + bytes(left - len(number) - 2)


def _leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def corrupted(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


def renumbered(archive: bytes, at: int, **fields: bytes) -> bytes:
    """An archive with other bytes in the header at `at`, its checksum made right again."""
    places = {"size": (124, 12), "mode": (100, 8), "name": (0, 100), "kind": (156, 1), "mtime": (136, 12)}
    block = bytearray(archive[at : at + 512])
    for key, value in fields.items():
        start, length = places[key]
        block[start : start + length] = value.ljust(length, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return archive[:at] + bytes(block) + archive[at + 512 :]


def pax(records: Mapping[str, str], entry: tuple[str, bytes], kind: bytes = b"x") -> bytes:
    """A PAX header of any kind before an entry; nothing after it."""
    raw = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length = len(str(length)) + len(text)
        raw += str(length).encode() + text
    head = tar(("PaxHeaders/x", raw))
    head = head[: 512 + (len(raw) + 511) // 512 * 512]
    return renumbered(head, 0, kind=kind) + tar(entry)
