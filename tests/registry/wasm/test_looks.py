from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from registry.wasm.looks import header_problem


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("plugin.wasm"))
    return out.getvalue()


TABLE = [
    pytest.param(b"", "wasm-empty", "0 bytes", id="empty"),
    pytest.param(b"\0", "wasm-truncated", "cut short", id="1 byte"),
    pytest.param(b"\0asm", "wasm-truncated", "4 bytes", id="magic only"),
    pytest.param(b"\0asm\x01\0\0", "wasm-truncated", "7 bytes", id="7 bytes"),
    pytest.param(b"\0asm\x0d\0\x01\0rest", "wasm-component", "component", id="component"),
    pytest.param(b"\0asm\x02\0\0\0", "wasm-version", "0x00000002", id="version 2"),
    pytest.param(b"\0asn\x01\0\0\0", "not-wasm", "00 61 73 6e", id="almost"),
    pytest.param(gzip.compress(b"x"), "not-wasm", "gzip", id="gzip"),
    pytest.param(b"\x28\xb5\x2f\xfd\x04", "not-wasm", "zstd", id="zstd"),
    pytest.param(b"PK\x03\x04....", "not-wasm", "zip", id="zip"),
    pytest.param(b"\x7fELF\x02\x01", "not-wasm", "ELF", id="elf"),
    pytest.param(b"\xcf\xfa\xed\xfe\x07", "not-wasm", "macOS", id="mach-o"),
    pytest.param(b"MZ\x90\0", "not-wasm", "Windows", id="pe"),
    pytest.param(b"!<arch>\nabc", "not-wasm", "static library", id="go archive"),
    pytest.param(b"BC\xc0\xde", "not-wasm", "bitcode", id="bitcode"),
    pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "not-wasm", "Git LFS", id="lfs"),
    pytest.param(_tar(), "not-wasm", "tar archive", id="tar"),
    pytest.param(b";; made by hand\n(module)"[16:], "not-wasm", "WAT", id="wat"),
    pytest.param(b"\n  <!DOCTYPE HTML><title>404", "not-wasm", "HTML", id="html"),
    pytest.param(b'{"errors":[]}', "not-wasm", "JSON", id="json"),
    pytest.param(b"#!/bin/sh\n", "not-wasm", "script", id="script"),
    pytest.param(bytes(512), "not-wasm", "all zeros", id="zeros"),
    pytest.param(b"\xde\xad\xbe\xef\0\0\0\0\0", "not-wasm", "de ad be ef", id="noise"),
]


@pytest.mark.parametrize(("data", "code", "says"), TABLE)
def test_header_problem(data: bytes, code: str, says: str) -> None:
    problem = header_problem(data[:300], len(data))
    assert problem is not None
    assert problem.code == code
    assert says in problem.message
    assert problem.fix
    assert len(str(problem)) <= 200


def test_a_module_has_no_problem() -> None:
    assert header_problem(b"\0asm\x01\0\0\0", 8) is None
