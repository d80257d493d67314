"""Layers and manifests that no tool would write, drawn from any source of chance (`random.Random`'s methods).

What is drawn is near to what is right: random bytes would be refused at the first of them.
"""

from __future__ import annotations

import copy
import gzip
import json
import tarfile
import zlib
from random import Random
from typing import Any

from storage.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.registry.consumers.build import (
    DOCKER_LAYER,
    OCI_LAYER,
    OTHER,
    PLUGIN,
    RAW_LAYER,
    Shape,
    image,
    pax,
    renumbered,
    squeezed,
    tar,
)
from tests.registry.consumers.shapes import RAW, RAW_CONFIG, SHAPES, A, B

NAMES = (
    "plugin.wasm",
    "./plugin.wasm",
    "a/plugin.wasm",
    "plugin.wasm/",
    "main.wasm",
    "x",
    "",
    "é" * 60,
    "d" * 90 + "/" + "e" * 90,
)
KINDS = (b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"g", b"x", b"L", b"K", b"Z", b"\xff")
CONTENTS = (PLUGIN, OTHER, b"", b"text", PLUGIN[:7], b"\0asm", bytes(700), squeezed(PLUGIN))
NUMBERS = (
    b"",
    b"0",
    b"7",
    b"00000000010",
    b"12 ",
    b" 12",
    b"9",
    b"-1",
    b"+1",
    b"1\x002",
    b"\x80" + bytes(10) + b"\x09",
)
RECORDS = (
    "path", "linkpath", "size", "uid", "gid", "mtime", "atime", "ctime", "uname", "comment", "SCHILY.xattr.a",
    "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.size", "GNU.sparse.realsize",
    "GNU.sparse.numblocks", "GNU.sparse.map", "GNU.sparse.offset", "GNU.sparse.numbytes",
)  # fmt: skip
VALUES = (
    "", "0", "1", "plugin.wasm", "x/plugin.wasm", "-1", "+5", "1.5", "1.", ".5", "08", "0x10", "1e3", " 1",
    "1,2", "0,1", "0,43", "0,9,9,0", "99999999999999999999", str(len(PLUGIN)), "soon", "a\0b", "\n",
    "plugin.wasm\0x",
)  # fmt: skip


def layer(chance: Random) -> bytes:
    """The bytes of a tar+gzip layer, right or nearly so."""
    archive = b"".join(_entry(chance) for _ in range(chance.randint(1, 4)))
    archive += bytes(512 * chance.randint(0, 3))
    return _noisy(_gzipped(_noisy(archive, chance, 6), chance), chance, 4)


def _entry(chance: Random) -> bytes:
    name, content = chance.choice(NAMES), chance.choice(CONTENTS)
    kind = chance.randint(0, 5)
    if kind == 0:
        keys = chance.sample(RECORDS, chance.randint(1, 4))
        # Of a global header, chance decides in Go whether its path counts beside a record that is wrong.
        kind_of = b"g" if "path" not in keys and chance.randint(0, 3) == 0 else b"x"
        records = {key: chance.choice(VALUES) for key in keys}
        return _whole(pax(records, (name[:49], content), kind_of), chance)
    form = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    archive = tar((name[:49] if form == tarfile.USTAR_FORMAT else name, content), form=form)
    if kind == 1:
        archive = renumbered(archive, 0, kind=chance.choice(KINDS))
    elif kind == 2:
        field = chance.choice(("size", "mode", "mtime"))
        archive = renumbered(archive, 0, **{field: chance.choice(NUMBERS)})
    elif kind == 3:
        raw = bytearray(archive)
        raw[chance.randint(0, 511)] = chance.randint(0, 255)
        archive = renumbered(bytes(raw), 0)
    return _whole(archive, chance)


def _whole(archive: bytes, chance: Random) -> bytes:
    """An archive without its end, that others may follow; now and then with it."""
    if chance.randint(0, 7) == 0:
        return archive
    while archive.endswith(bytes(512)):
        archive = archive[:-512]
    return archive + bytes(-len(archive) % 512)


def _noisy(data: bytes, chance: Random, rarely: int) -> bytes:
    """The same, or with other bytes, cut, or with more at its end."""
    what = chance.randint(0, 3 * rarely)
    if what == 0 and data:
        raw = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            raw[chance.randint(0, len(raw) - 1)] = chance.randint(0, 255)
        return bytes(raw)
    if what == 1:
        return data[: chance.randint(0, len(data))]
    if what == 2:
        return data + bytes(chance.randint(0, 255) for _ in range(chance.randint(1, 40)))
    return data


def _gzipped(data: bytes, chance: Random) -> bytes:
    what = chance.randint(0, 5)
    if what == 0:
        at = chance.randint(0, len(data))
        return gzip.compress(data[:at], mtime=0) + gzip.compress(data[at:], mtime=0)
    if what == 1:  # every optional field of the header
        plain = gzip.compress(data, mtime=0)
        flags = chance.randint(0, 31)  # three more are reserved: zlib refuses them, Go does not
        more = (b"\x02\0ab" if flags & 4 else b"") + (b"name\0" if flags & 8 else b"")
        more += b"comment\0" if flags & 16 else b""
        head = plain[:3] + bytes((flags,)) + plain[4:10] + more
        if flags & 2:
            head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
        return head + plain[10:]
    return gzip.compress(data, chance.choice((0, 1, 9)), mtime=0)


def image_of(chance: Random, name: str) -> Shape:
    """An image whose last layer is drawn."""
    layers = [(OCI_LAYER, layer(chance))]
    if chance.randint(0, 4) == 0:
        layers.insert(0, RAW)
    return image(name, layers, None)


_DOCUMENTS = [
    A, B, image("", [RAW_CONFIG, RAW], None), *(shape for shape in SHAPES if shape.children)
]  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2, 2.0, 1e300, "", "x", "sha256:", "sha512:" + "0" * 128, "é", [], [None], ["x"],
    [1], {}, {"a": "b"}, {"a": 1},
    {"os": "linux", "architecture": "amd64"}, {"os": "linux"}, {"os.version": "1"},
    {"os": "linux", "architecture": "amd64", "os.features": [1]}, "AAEC", 2**63, 2**63 - 1,
    OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, OCI_LAYER, DOCKER_LAYER, RAW_LAYER,
)  # fmt: skip
_FIELDS = (
    "schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType",
    "digest", "size", "data", "urls", "platform", "os", "architecture", "variant", "os.version",
    "os.features", "features",
)  # fmt: skip


def manifest(chance: Random, name: str) -> Shape:
    """An image or an index some of whose fields are others."""
    shape = chance.choice(_DOCUMENTS)
    document = copy.deepcopy(dict(shape.manifest))
    for _ in range(chance.randint(1, 2)):
        _change(document, chance)
    raw = _noisy(json.dumps(document).encode(), chance, 12)
    return Shape(name, shape.manifest, None, shape.blobs, shape.children, shape.media_type, raw=raw)


def _change(document: Any, chance: Random) -> None:
    """Change a field of an object that is in the document, or a list."""
    places = [place for place in _places(document) if place]
    if not places:
        return
    place = chance.choice(places)
    if isinstance(place, list):
        at = chance.randint(0, len(place) - 1)
        what = chance.randint(0, 3)
        if what == 0:
            place.append(copy.deepcopy(place[at]))
        elif what == 1:
            place.reverse()
        elif what == 2:
            del place[at]
        else:
            place[at] = copy.deepcopy(chance.choice(_ODD))
        return
    key = chance.choice((*place, *_FIELDS))
    what = chance.randint(0, 4)
    if what == 0:
        place.pop(key, None)
    elif what == 1:
        place[key.swapcase()] = copy.deepcopy(place.get(key))
    else:
        place[key] = copy.deepcopy(chance.choice(_ODD))


def _places(found: Any) -> list[Any]:
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    own = [found] if isinstance(found, (dict, list)) else []
    return own + [place for item in inner for place in _places(item)]
