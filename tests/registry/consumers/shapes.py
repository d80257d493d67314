"""Images of every shape, with what becomes of each: a table for any test that judges or serves them.

A shape's `code` is that of istio-agent's problem, or None where it takes the plugin; each carries all
the content that a registry has to hold for it.
"""

from __future__ import annotations

import dataclasses
import tarfile
import zlib

from storage.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST
from tests.registry.consumers.build import (
    DOCKER_LAYER,
    IN_TOTO,
    OCI_CONFIG,
    OCI_LAYER,
    OTHER,
    PLUGIN,
    RAW_CONFIG_LAYER,
    RAW_LAYER,
    Shape,
    corrupted,
    descriptor,
    image,
    index,
    info,
    layer,
    pax,
    renumbered,
    squeezed,
    tar,
)

GOOD = (OCI_LAYER, layer(("plugin.wasm", PLUGIN)))
DOCKER_GOOD = (DOCKER_LAYER, GOOD[1])
RAW = (RAW_LAYER, PLUGIN)
RAW_CONFIG = (RAW_CONFIG_LAYER, b"{}")
TEXT = (OCI_LAYER, layer(("etc/motd", b"hello")))
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}
EMPTY = ("application/vnd.oci.empty.v1+json", b"{}")


def one(name: str, content: bytes, code: str | None) -> Shape:
    """A single layer of OCI's tar+gzip type with this content."""
    return image(name, [(OCI_LAYER, content)], code)


def packed(name: str, code: str | None, *entries: tuple[str, bytes] | tarfile.TarInfo, **form: int) -> Shape:
    """A layer with these entries."""
    return one(name, layer(*entries, **form), code)


def patched(name: str, code: str | None, archive: bytes, /, **fields: bytes) -> Shape:
    """A layer of an archive with other bytes in its first header."""
    return one(name, squeezed(renumbered(archive, 0, **fields)), code)


def paxed(
    name: str,
    code: str | None,
    records: dict[str, str],
    entry: tuple[str, bytes] = ("plugin.wasm", PLUGIN),
    *,
    kind: bytes = b"x",
) -> Shape:
    """A layer of one entry after PAX records."""
    return one(name, squeezed(pax(records, entry, kind)), code)


def hostile(name: str, archive: bytes, gateway: str | None) -> Shape:
    """A layer that istio-agent may not survive, with what Envoy Gateway makes of it."""
    shape = one(name, squeezed(archive), "entry-too-large")
    return dataclasses.replace(shape, gateway=gateway)


B = image("B", [GOOD], None)
A = image("A", [DOCKER_GOOD], None, media_type=DOCKER_MANIFEST)
BAD = image("child without plugin", [TEXT], "no-plugin-wasm")
ATTESTATION = image("attestation", [(IN_TOTO, b"{}")], "layer-type")

_ZST = b"\x28\xb5\x2f\xfd" + bytes(20)
_NAMED = tar(("plugin.wasm", PLUGIN))
_LONG = "d" * 90 + "/" + "e" * 90 + "/plugin.wasm"
_CRC = squeezed(_NAMED)
_MULTI = squeezed(_NAMED[:700]) + squeezed(_NAMED[700:])
_SPARSE = b"1\n0\n%d\n" % len(PLUGIN)
_SPARSE_CONTENT = _SPARSE.ljust(512, b"\0") + PLUGIN
_SPARSE_1_0 = {
    "GNU.sparse.major": "1",
    "GNU.sparse.minor": "0",
    "GNU.sparse.name": "plugin.wasm",
    "GNU.sparse.realsize": str(len(PLUGIN)),
}
_SPARSE_0_1 = {
    "GNU.sparse.size": str(len(PLUGIN)),
    "GNU.sparse.numblocks": "1",
    "GNU.sparse.map": f"0,{len(PLUGIN)}",
}

LAYOUTS = [
    A,
    B,
    image("C", [RAW_CONFIG, RAW], None),
    image("C, module first", [RAW, RAW_CONFIG], None),
    image("C, two modules", [RAW, (RAW_LAYER, OTHER)], None),
    image("C, other layer of any type", [("text/plain", b"x"), RAW], None),
    image("C beside a layer without plugin", [RAW, TEXT], None),
    image("C beside a broken layer", [RAW, (OCI_LAYER, b"no gzip")], None),
    image("A of two layers", [DOCKER_GOOD, DOCKER_GOOD], None, media_type=DOCKER_MANIFEST),
    image("B of two layers", [TEXT, GOOD], None),
    image("B, earlier layer of any type", [("application/x", b"x"), GOOD], None),
    image("B without mediaType", [GOOD], None, stated=False),
    image("C without mediaType", [RAW_CONFIG, RAW], None, stated=False),
    image("B with a subject", [GOOD], None, more={"subject": descriptor(OCI_MANIFEST, b"x")}),
    image("B with an artifactType", [GOOD], None, more={"artifactType": "application/x"}),
    image("B, config by the layer's digest", [GOOD], None, config=GOOD),
    image(
        "B, config of another type by the layer's digest", [GOOD], "layer-type", config=(OCI_CONFIG, GOOD[1])
    ),
    image("no layers", [], "no-layers"),
    image("docker, no layers", [], "no-layers", media_type=DOCKER_MANIFEST),
    image(
        "docker manifest that does not state its type",
        [DOCKER_GOOD],
        "type-not-stated",
        media_type=DOCKER_MANIFEST,
        stated=False,
    ),
    image("OCI layers in a silent docker manifest", [GOOD], None, media_type=DOCKER_MANIFEST, stated=False),
    image("docker layers in OCI", [DOCKER_GOOD], "mixed-types"),
    image("OCI layers in docker", [GOOD], "mixed-types", media_type=DOCKER_MANIFEST),
    image("C in docker", [RAW_CONFIG, RAW], "raw-layer-in-docker-manifest", media_type=DOCKER_MANIFEST),
    image("C of one layer", [RAW], "raw-layer-alone"),
    image("C of three layers", [RAW_CONFIG, RAW_CONFIG, RAW], "raw-layer-among-many"),
    image("wasm-to-oci", [("application/vnd.wasm.content.layer.v1+wasm", PLUGIN)], "lookalike-type"),
    image(
        "lookalike of two layers",
        [RAW_CONFIG, ("application/vnd.wasm.content.layer.v1+wasm", PLUGIN)],
        "lookalike-type",
    ),
    image("wkg", [("application/wasm", PLUGIN)], "wasm-artifact"),
    image(
        "oras push of a file",
        [("application/vnd.oci.image.layer.v1.tar", PLUGIN)],
        "plain-tar-layer",
        config=EMPTY,
    ),
    image("plain tar", [("application/vnd.oci.image.layer.v1.tar", _NAMED)], "plain-tar-layer"),
    image(
        "plain docker tar",
        [("application/vnd.docker.image.rootfs.diff.tar", _NAMED)],
        "plain-tar-layer",
        media_type=DOCKER_MANIFEST,
    ),
    image("zstd", [("application/vnd.oci.image.layer.v1.tar+zstd", _ZST)], "zstd-layer"),
    image(
        "docker zstd",
        [("application/vnd.docker.image.rootfs.diff.tar.zstd", _ZST)],
        "zstd-layer",
        media_type=DOCKER_MANIFEST,
    ),
    image("another layer type last", [GOOD, ("application/x", b"x")], "wasm-layer-not-last"),
    image("an unknown type", [("application/x-" + "y" * 200, b"x")], "layer-type"),
    image("a COPY after the plugin", [GOOD, TEXT], "no-plugin-wasm"),
    ATTESTATION,
]

RAW_CONTENT = [
    image("gzipped C", [RAW_CONFIG, (RAW_LAYER, squeezed(PLUGIN))], "plugin-not-wasm"),
    image("empty C", [RAW_CONFIG, (RAW_LAYER, b"")], "plugin-empty"),
    image("C of 7 bytes", [RAW_CONFIG, (RAW_LAYER, OTHER[:7])], "plugin-empty"),
    image("C of text", [RAW_CONFIG, (RAW_LAYER, b"(module) ;; text")], "plugin-not-wasm"),
    image("C in a tar", [RAW_CONFIG, (RAW_LAYER, _NAMED)], "plugin-not-wasm"),
]

CONTENT = [
    packed("in the current folder", None, ("./plugin.wasm", PLUGIN)),
    packed("in a folder", None, ("opt/x/plugin.wasm", PLUGIN)),
    packed("absolute", None, ("/plugin.wasm", PLUGIN)),
    packed("outside", None, ("../../plugin.wasm", PLUGIN)),
    packed("after others", None, ("a", b"1" * 700), info("dir", tarfile.DIRTYPE), ("plugin.wasm", PLUGIN)),
    packed("the first of two", None, ("a/plugin.wasm", PLUGIN), ("plugin.wasm", b"text text")),
    packed(
        "the first of two is none",
        "plugin-not-wasm",
        ("a/plugin.wasm", b"text text"),
        ("plugin.wasm", PLUGIN),
    ),
    packed("GNU format", None, ("plugin.wasm", PLUGIN), form=tarfile.GNU_FORMAT),
    packed("PAX format", None, ("plugin.wasm", PLUGIN), form=tarfile.PAX_FORMAT),
    packed("long name, GNU", None, (_LONG, PLUGIN), form=tarfile.GNU_FORMAT),
    packed("long name, ustar prefix", None, (_LONG[91:], PLUGIN)),
    packed("long name, PAX", None, ("ä" * 80 + "/" + _LONG, PLUGIN), form=tarfile.PAX_FORMAT),
    one("PAX path", squeezed(pax({"path": "plugin.wasm"}, ("x", PLUGIN))), None),
    paxed("PAX path away from it", "no-plugin-wasm", {"path": "x"}),
    paxed("PAX path, empty", None, {"path": ""}),
    paxed("PAX with a wrong time", "layer-corrupt", {"mtime": "soon"}),
    paxed("PAX with a fraction of time", None, {"mtime": "1.5"}),
    paxed("PAX with a wrong uid", "layer-corrupt", {"uid": "0x10"}),
    paxed("PAX with extended attributes", None, {"SCHILY.xattr.user.a": "b"}),
    paxed("PAX size", None, {"size": str(len(PLUGIN))}),
    paxed("PAX size, negative", "layer-corrupt", {"size": "-1"}),
    paxed("PAX size, cut", "layer-corrupt", {"size": "100000"}),
    paxed("global PAX before it", None, {"comment": "x"}, kind=b"g"),
    paxed("global PAX of that name", "plugin-not-a-file", {"path": "plugin.wasm"}, kind=b"g"),
    one("sparse 1.0", squeezed(pax(_SPARSE_1_0, ("GNUSparseFile.0/plugin.wasm", _SPARSE_CONTENT))), None),
    paxed("sparse 0.1", None, _SPARSE_0_1),
    paxed("sparse beyond its size", "layer-corrupt", {**_SPARSE_0_1, "GNU.sparse.size": "5"}),
    one(
        "sparse before it, broken",
        squeezed(pax({**_SPARSE_0_1, "GNU.sparse.numblocks": "2"}, ("a", b"x" * 512))[:2048] + _NAMED),
        "layer-corrupt",
    ),
    patched("type 7", None, _NAMED, kind=b"7"),
    patched("old type", None, _NAMED, kind=b"\0"),
    patched("unknown type", None, _NAMED, kind=b"Z"),
    patched("size in base 256", None, _NAMED, size=b"\x80" + len(PLUGIN).to_bytes(11)),
    one("two members", _MULTI, None),
    one("no end of archive", squeezed(_NAMED[: 512 + len(PLUGIN)]), None),
    one("noise after the plugin", squeezed(_NAMED[:1024] + b"\xff" * 600), None),
    one("cut after the plugin", squeezed(_NAMED)[:-9], None),
    one("wrong checksum at the end", corrupted(_CRC, len(_CRC) - 5), None),
    one("noise after the gzip", _CRC + b"noise", None),
    packed("another name", "no-plugin-wasm", ("main.wasm", PLUGIN)),
    packed("another case", "no-plugin-wasm", ("Plugin.wasm", PLUGIN)),
    packed("longer name", "no-plugin-wasm", ("myplugin.wasm", PLUGIN)),
    packed("empty archive", "no-plugin-wasm"),
    packed("many names", "no-plugin-wasm", *[(f"file-{at:040}", b"") for at in range(50)]),
    packed("hostile names", "no-plugin-wasm", ("\x1b[2J\u202e" + "x" * 60, b"")),
    packed("a directory", "plugin-not-a-file", info("plugin.wasm", tarfile.DIRTYPE)),
    patched("an old directory", "plugin-not-a-file", _NAMED, name=b"plugin.wasm/", kind=b"\0"),
    packed(
        "a symbolic link",
        "plugin-not-a-file",
        ("main.wasm", PLUGIN),
        info("plugin.wasm", tarfile.SYMTYPE, linkname="main.wasm"),
    ),
    packed(
        "a hard link",
        "plugin-not-a-file",
        ("main.wasm", PLUGIN),
        info("plugin.wasm", tarfile.LNKTYPE, linkname="main.wasm"),
    ),
    packed("a device", "plugin-not-a-file", info("plugin.wasm", tarfile.CHRTYPE)),
    packed(
        "a directory of that name before it",
        "plugin-not-a-file",
        info("plugin.wasm", tarfile.DIRTYPE),
        ("plugin.wasm/plugin.wasm", PLUGIN),
    ),
    packed("empty file", "plugin-empty", ("plugin.wasm", b"")),
    packed("7 bytes", "plugin-empty", ("plugin.wasm", OTHER[:7])),
    packed("text", "plugin-not-wasm", ("plugin.wasm", b"(module) ;; text")),
    packed("gzipped plugin", "plugin-not-wasm", ("plugin.wasm", squeezed(PLUGIN))),
    one("cut in the plugin", squeezed(_NAMED[: 512 + len(PLUGIN) - 1]), "layer-corrupt"),
    one("cut in the header", squeezed(_NAMED[:300]), "layer-corrupt"),
    one("gzip cut", squeezed(tar(("a", b"x" * 9999)) + _NAMED)[:60], "layer-corrupt"),
    one("wrong header checksum", squeezed(corrupted(_NAMED, 30)), "layer-corrupt"),
    patched("wrong mode", "layer-corrupt", _NAMED, mode=b"rwxrwxr"),
    one("one zero block, then the plugin", squeezed(bytes(512) + _NAMED), "layer-corrupt"),
    one("two zero blocks, then the plugin", squeezed(bytes(1024) + _NAMED), "no-plugin-wasm"),
    one("raw module as tar+gzip", PLUGIN, "layer-type-lies"),
    one("plain tar as tar+gzip", _NAMED, "layer-type-lies"),
    one("zstd as tar+gzip", _ZST, "layer-type-lies"),
    one("gzipped module as tar+gzip", squeezed(PLUGIN), "layer-type-lies"),
    one("text as tar+gzip", b"hello, this is no gzip", "layer-type-lies"),
    one("empty blob", b"", "layer-corrupt"),
    one("zlib as tar+gzip", zlib.compress(_NAMED), "layer-type-lies"),
]

# These make the real agent allocate what the header claims, or panic: not for a shared process.
_LINK = tar(info("a", tarfile.SYMTYPE))[:512]
HOSTILE = [
    hostile(
        "an entry of 300 MiB", renumbered(tar(("a", b"")), 0, size=b"%011o" % (300 << 20)), "layer-corrupt"
    ),
    hostile("a link of 300 MiB", renumbered(_LINK, 0, size=b"%011o" % (300 << 20)) + _NAMED, None),
    hostile("a link of less than nothing", renumbered(_LINK, 0, size=b"\xff" * 12) + _NAMED, None),
    hostile(
        "an entry of 2^62 bytes",
        renumbered(tar(("a", b"")), 0, size=b"\x80\0\0\0" + (1 << 62).to_bytes(8)),
        "layer-corrupt",
    ),
    hostile(
        "a sparse file of 2^40 bytes",
        pax({**_SPARSE_0_1, "GNU.sparse.size": str(1 << 40)}, ("a", PLUGIN))[:2048] + _NAMED,
        None,
    ),
    hostile(
        "a plugin of 300 MiB",
        renumbered(_NAMED, 0, size=b"%011o" % (300 << 20)),
        "entry-too-large",
    ),
    hostile(
        "a linked plugin of less than nothing",
        renumbered(tar(info("plugin.wasm", tarfile.SYMTYPE)), 0, size=b"\xff" * 12),
        "entry-too-large",
    ),
]

INDEXES = [
    index("amd64", [(B, AMD64)], None),
    index("docker list", [(A, AMD64)], None, DOCKER_LIST),
    index("no platform", [(B, None)], None),
    index("buildx, with attestation", [(B, AMD64), (ATTESTATION, UNKNOWN)], None),
    index("amd64 after arm64", [(BAD, ARM64), (B, AMD64)], None),
    index("the first amd64 counts", [(B, AMD64), (BAD, AMD64)], None),
    index("the first amd64 is bad", [(BAD, AMD64), (B, AMD64)], "no-plugin-wasm"),
    index("platform-less first", [(B, None), (BAD, AMD64)], None),
    index("platform-less attestation first", [(ATTESTATION, None), (B, AMD64)], "layer-type"),
    index("a variant of amd64", [(B, {**AMD64, "variant": "v3"})], None),
    index("nested", [(index("inner", [(B, AMD64)], None), None)], None),
    index("arm64 only", [(B, ARM64)], "no-linux-amd64"),
    index("wasi/wasm", [(B, {"os": "wasi", "architecture": "wasm"})], "no-linux-amd64"),
    index("windows", [(B, {"os": "windows", "architecture": "amd64"})], "no-linux-amd64"),
    index("empty platform", [(B, {})], "no-linux-amd64"),
    index("attestation only", [(ATTESTATION, UNKNOWN)], "no-linux-amd64"),
    index(
        "many platforms",
        [(B, {"os": f"os{at}" * 20, "architecture": "x"}) for at in range(9)],
        "no-linux-amd64",
    ),
    index("empty", [], "no-linux-amd64"),
    index(
        "nested without amd64", [(index("inner", [(B, ARM64)], "no-linux-amd64"), AMD64)], "no-linux-amd64"
    ),
]

SHAPES = [*LAYOUTS, *RAW_CONTENT, *CONTENT, *INDEXES]
