"""Layers that are small and would be large, long or deep: each with what becomes of it.

`python -m tests.registry.consumers.bombs NAME` takes one apart in a process of its own and prints what
that cost, as JSON; without a name, all of them, one after another.
"""

from __future__ import annotations

import functools
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from registry.consumers.archive import extract
from registry.verdict import Problem
from tests.registry.consumers.build import OTHER, PLUGIN, pax, renumbered, squeezed, tar

MIB = 1 << 20
ZEROS = bytes(MIB)
PLUGIN_ALONE = tar(("plugin.wasm", PLUGIN))


@dataclass(frozen=True, slots=True)
class Bomb:
    """A layer, the code of the problem with it, and how many bytes of a plugin are written."""

    make: Callable[[], bytes]
    code: str | None
    written: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What taking a bomb apart came to: the code of the problem, seconds, bytes of memory at the most."""

    code: str | None
    seconds: float
    memory: int


def packed(pieces: Iterable[bytes]) -> bytes:
    """A gzip stream, each piece a member of it: the same piece again costs nothing to make."""
    member = functools.cache(lambda piece: gzip.compress(piece, mtime=0))
    return b"".join(map(member, pieces))


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    return renumbered(tar((name, b""))[:512], 0, size=b"%011o" % size, kind=kind)


def file(name: str, head: bytes, size: int) -> bytes:
    """A layer of one file of zeros after `head`, and the plugin after it."""

    whole, rest = divmod(size - len(head), MIB)
    return packed([header(name, size) + head, *[ZEROS] * whole, bytes(rest), PLUGIN_ALONE])


def special(kind: bytes, content: bytes, times: int) -> bytes:
    """A layer of headers that describe the next one, each with this content, and the plugin after them."""
    one = header("x", len(content), kind) + content + bytes(-len(content) % 512)
    at_once = max(1, MIB // len(one))
    return packed([*[one * at_once] * (times // at_once), PLUGIN_ALONE])


def nested(depth: int) -> bytes:
    data = PLUGIN_ALONE
    for _ in range(depth):
        data = gzip.compress(data, mtime=0)
    return data


def sparse(entry: str, size: int, content: bytes) -> bytes:
    """A layer of a sparse file, whose content is its first bytes, and the plugin after it."""
    said = {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"0,{len(content)}"}
    return squeezed(pax(said, (entry, content))[: 1024 + 1024] + PLUGIN_ALONE)


_MAP = (b"40000\n" + b"0\n" * 80_000).ljust(1 << 18, b"\0")
_SPARSE_1_0 = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
_MAPPED = pax(_SPARSE_1_0, ("a", _MAP))[: 1024 + 512 + len(_MAP)]
_SMALL = b"512 a=" + b"b" * 505 + b"\n"
_VALUE = b"1048576 a=" + b"b" * (MIB - 11) + b"\n"

BOMBS = {
    "1 GiB that is no module": Bomb(lambda: file("plugin.wasm", b"noise", 1 << 30), "entry-too-large"),
    "1 GiB that is a module": Bomb(lambda: file("plugin.wasm", OTHER, 1 << 30), "entry-too-large"),
    "1 GiB before it": Bomb(lambda: file("zeros", b"", 1 << 30), "layer-too-large"),
    "200 MiB that is no module": Bomb(lambda: file("plugin.wasm", b"noise", 200 * MIB), "plugin-not-wasm"),
    "200 MiB that is a module": Bomb(lambda: file("plugin.wasm", OTHER, 200 * MIB), None, 200 * MIB),
    "200 MiB before it": Bomb(lambda: file("zeros", b"", 200 * MIB), None, len(PLUGIN)),
    "endless zeros": Bomb(lambda: squeezed(bytes(300 * MIB)), "no-plugin-wasm"),
    "a million members": Bomb(lambda: squeezed(b"") * 1_000_000, "layer-too-long"),
    "100 members": Bomb(lambda: squeezed(b"") * 100 + squeezed(PLUGIN_ALONE), None, len(PLUGIN)),
    "100 nested members": Bomb(lambda: nested(100), "layer-corrupt"),
    "a million entries": Bomb(lambda: packed([header("x", 0) * 1000] * 1000), "layer-too-long"),
    "many files": Bomb(
        lambda: packed([(header("x", 1) + bytes(512)) * 1000] * 250), "layer-too-long"
    ),
    "many PAX records": Bomb(lambda: special(b"x", b"5 a=\n" * 200_000, 2), "layer-too-long"),
    "many PAX headers": Bomb(lambda: special(b"x", _SMALL, 200_000), "layer-too-long"),
    "large PAX headers": Bomb(lambda: special(b"x", _VALUE, 250), None, len(PLUGIN)),
    "a PAX header of 200 MiB": Bomb(lambda: special(b"x", bytes(200 * MIB), 1), "layer-corrupt"),
    "many long names": Bomb(lambda: special(b"L", b"x" * 512, 200_000), "layer-too-long"),
    "large long names": Bomb(lambda: special(b"L", bytes(MIB), 250), None, len(PLUGIN)),
    "a long name of 200 MiB": Bomb(lambda: special(b"L", bytes(200 * MIB), 1), "layer-corrupt"),
    "holes before it": Bomb(lambda: sparse("zeros", 1 << 40, OTHER), None, len(PLUGIN)),
    "holes in it": Bomb(lambda: sparse("plugin.wasm", 200 * MIB, OTHER), None, 200 * MIB),
    "many maps of holes": Bomb(lambda: packed([*[_MAPPED] * 200, PLUGIN_ALONE]), "layer-too-long"),
    "empty blocks": Bomb(
        lambda: squeezed(b"")[:10] + b"\0\0\0\xff\xff" * 4_000_000, "layer-corrupt"
    ),
    "a gzip header without end": Bomb(lambda: b"\x1f\x8b\x08\x08" + b"n" * (20 * MIB), "layer-corrupt"),
}  # fmt: skip


def cost(name: str) -> Cost:
    """Take a bomb apart here, from a file and to a file; the memory is that above what was in use."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as into:
        source.write(BOMBS[name].make())
        source.seek(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, began = _memory("VmRSS"), time.perf_counter()
        found = extract(cast(BinaryIO, source), cast(BinaryIO, into)).found
        seconds, most = time.perf_counter() - began, _memory("VmHWM")
    return Cost(found.code if isinstance(found, Problem) else None, round(seconds, 2), most - before)


def apart(name: str) -> Cost:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.registry.consumers.bombs", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return Cost(**json.loads(done.stdout))


def _memory(key: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(key))) << 10


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(asdict(cost(sys.argv[1]))))
    else:
        for bomb in BOMBS:
            sys.stdout.write(f"{bomb:28} {apart(bomb)}\n")
