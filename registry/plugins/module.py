"""`/plugins/REPO:TAG/plugin.wasm`: the raw module, for `code.remote` and http(s):// WasmPlugins."""

from __future__ import annotations

import base64
from functools import partial

from starlette.responses import Response

from registry.api.call import Call
from registry.api.content import Content
from registry.hot.cache import EVERYBODY
from registry.plugins import find
from storage.digest import Digest
from storage.errors import ManifestUnknown

_FOREVER = "max-age=31536000, immutable"


async def get(call: Call) -> Response:
    """The module in the image; raises ManifestUnknown where the image holds none."""
    stored, witness, plugin = await find.plugin(call)
    if plugin.module is None:
        problem = plugin.findings.problems[0].about(find.named(call))
        raise ManifestUnknown(f"the image holds no module: {problem.message}", fix=problem.fix)
    if not await call.services.examiner.has_module(call.repository, stored, plugin):
        raise find.missing(call, stored)
    # A cache on the way shows to all what is public.
    whose = "public" if call.audience == EVERYBODY else "private"
    by_digest = isinstance(call.reference(), Digest)
    headers = {
        "Content-Type": "application/wasm",
        "Accept-Ranges": "bytes",
        "Cache-Control": f"{whose}, {_FOREVER}" if by_digest else "no-cache",
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(plugin.module.hex)).decode()}:",
    }
    read = partial(call.repository.derived.read_bytes, plugin.module)
    return await Content(plugin.module, plugin.size, read, witness, headers).answer(call)
