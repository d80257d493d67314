"""What a file that is no Wasm module looks like, and what to do about it."""

from __future__ import annotations

from registry.verdict import Problem

MAGIC = b"\0asm"
HEADER = 8
_VERSION_1 = b"\x01\0\0\0"
_COMPONENT = b"\x0d\0\x01\0"
_BUILD = "Push the .wasm file that your build makes."

# First bytes, what has them, what to do. The longest sign of a kind comes first.
_SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "Unpack it first (gunzip): agents take the raw module here."),
    (b"\x28\xb5\x2f\xfd", "zstd", "Unpack it first (zstd -d): agents take the raw module here."),
    (b"BZh", "bzip2", "Unpack it first (bunzip2)."),
    (b"\xfd7zXZ", "xz", "Unpack it first (unxz)."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first (unzip) and push the .wasm file."),
    (b"\x7fELF", "an ELF program for this machine", "Build for Wasm: for Go GOOS=wasip1 GOARCH=wasm."),
    (b"\xcf\xfa\xed\xfe", "a macOS program", "Build for Wasm: for Go GOOS=wasip1 GOARCH=wasm."),
    (b"\xca\xfe\xba\xbe", "a macOS program", "Build for Wasm: for Go GOOS=wasip1 GOARCH=wasm."),
    (b"MZ", "a Windows program", "Build for Wasm: for Go GOOS=wasip1 GOARCH=wasm."),
    (b"!<arch>", "a static library", "Link it: for Go add -buildmode=c-shared."),
    (b"BC\xc0\xde", "LLVM bitcode", "Link it to a .wasm file."),
    (b"version https://git-lfs", "a Git LFS pointer", "Run git lfs pull, then build the image again."),
    (b"#!", "a script", _BUILD),
)
_TEXT_SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"(module", "WebAssembly text (WAT)", "Translate it first: wat2wasm FILE -o main.wasm."),
    (b"(component", "a component's text (WAT)", "Build a core module, not a component."),
    (b"<!doctype html", "an HTML page", "The download got an error page: fetch the .wasm file again."),
    (b"<html", "an HTML page", "The download got an error page: fetch the .wasm file again."),
    (b"<?xml", "XML", _BUILD),
    (b"{", "JSON", _BUILD),
)


def header_problem(head: bytes, size: int) -> Problem | None:
    """Why the first bytes are not a module's header, or None when they are.

    `head` is the beginning (300 bytes tell a tar), `size` the length of the whole. Envoy's own
    check: proxy-wasm-cpp-host, src/bytecode_util.cc, checkWasmHeader; istio-agent's:
    pkg/wasm/cache.go, isValidWasmBinary.
    """
    if size == 0:
        return Problem("wasm-empty", "the module is empty: 0 bytes.", _BUILD)
    if not head.startswith(MAGIC):
        return _not_wasm(head, size)
    version = head[4:HEADER]
    if len(version) < len(_VERSION_1):
        return Problem("wasm-truncated", f"the module is cut short: {size} bytes.", _BUILD)
    if version == _COMPONENT:
        return Problem(
            "wasm-component",
            "it is a Wasm component; Envoy: Missing or unknown Proxy-Wasm ABI version.",
            "Build a core module with a Proxy-Wasm SDK: target wasm32-wasip1, not wasip2, no componentize.",
        )
    if version != _VERSION_1:
        return Problem(
            "wasm-version",
            f"its Wasm version is 0x{version[::-1].hex()}, not 1; Envoy: Failed to load Wasm bytecode.",
            "Build a core module of version 1.",
        )
    return None


def _not_wasm(head: bytes, size: int) -> Problem:
    if MAGIC.startswith(head):
        return Problem("wasm-truncated", f"the module is cut short: {size} bytes.", _BUILD)
    looks, fix = looks_like(head)
    return Problem("not-wasm", f"it is no Wasm module: it does not begin with \\0asm, it is {looks}.", fix)


def looks_like(head: bytes) -> tuple[str, str]:
    """What the first bytes belong to, and what to do about it."""
    for sign, looks, fix in _SIGNS:
        if head.startswith(sign):
            return looks, fix
    if head[257:262] == b"ustar":
        return "a tar archive", "Unpack it first (tar -x) and push the .wasm file."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n;").lower()
    for sign, looks, fix in _TEXT_SIGNS:
        if text.startswith(sign):
            return looks, fix
    if not head.strip(b"\0"):
        return "all zeros", "The file was damaged or is sparse: build and copy it again."
    return f"something that begins with {head[:8].hex(' ')}", _BUILD
