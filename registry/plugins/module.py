"""`/plugins/REPO:TAG/plugin.wasm`: the raw module, for `code.remote` and http(s):// WasmPlugins."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial

from starlette.responses import Response

from registry.api.call import Call
from registry.api.content import Content
from registry.hot import pulled
from registry.hot.cache import EVERYBODY
from registry.plugins import find as finding
from registry.publish.plugins import Plugin
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestUnknown
from storage.manifest import Descriptor

_FOREVER = "max-age=31536000, immutable"


async def get(call: Call) -> Response:
    """The module in the image; raises ManifestUnknown where the image holds none."""
    stored, plugin, module, witness = await find(call)
    by_url = "capability" in call.request.path_params
    if by_url:
        call, witness = _by_url(call, witness)
    headers = {
        "Content-Type": "application/wasm",
        "Accept-Ranges": "bytes",
        "Cache-Control": _cached(call, by_url=by_url),
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(module.hex)).decode()}:",
    }
    if by_url:
        headers["Referrer-Policy"] = "no-referrer"
    read = partial(call.repository.derived.read_bytes, module)
    what = pulled.what(call.repository.name, stored.digest, call.given[0].id if call.given else "")
    return await Content(module, plugin.size, read, witness, headers, pulled=what).answer(call)


def _cached(call: Call, *, by_url: bool) -> str:
    # A cache on the way shows to all what is public.
    whose = "public" if call.audience == EVERYBODY and not by_url else "private"
    if isinstance(call.reference(), Digest):
        return f"{whose}, {_FOREVER}"
    return "private, no-cache" if by_url else "no-cache"


async def find(call: Call) -> tuple[Descriptor, Plugin, Digest, Witness | None]:
    """The manifest that the path names, its plugin and module, which is here; raises ManifestUnknown."""
    stored, witness, plugin = await finding.plugin(call)
    if plugin.module is None:
        problem = plugin.findings.problems[0].about(finding.named(call))
        raise ManifestUnknown(f"the image holds no module: {problem.message}", fix=problem.fix)
    if not await call.services.examiner.has_module(call.repository, stored, plugin):
        raise finding.missing(call, stored)
    return stored, plugin, plugin.module, witness


def _by_url(call: Call, witness: Witness | None) -> tuple[Call, Witness | None]:
    """For whom, and by what witness, the answer to a capability URL is remembered.

    Who has the path has the right, for as long as the URL counts; one that ends is not for the hot path,
    which knows no time. What only looks like one, and is answered as without it, is not remembered.
    """
    if call.given is None or witness is None:
        return call, None
    url, given = call.given
    audience = EVERYBODY if url.ends is None else f"url {url.id}"
    return replace(call, audience=audience), replace(witness, beside=(*witness.beside, given))
