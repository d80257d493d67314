"""What Envoy takes that fetches a module itself: `code.remote`, source/extensions/common/wasm.

1. The body of a plain GET, 200, whose SHA-256 is the one that its configuration names
   (remote_async_datasource). Nothing is unpacked: no image, no gzip, no tar.
2. A body of 32 MiB at most, unless the runtime key of `KEY` says otherwise
   (source/common/http/async_client_impl.cc). One byte more and the fetch fails, in all releases from
   1.36 to 1.40.

It knows no images: its verdict on one is that on the module which is taken out of it, and which
`/plugins/…/plugin.wasm` serves. That is the one that the agents take. They choose alike; where
istio-agent alone would not survive the layer, it is the one that Envoy Gateway takes.
"""

from __future__ import annotations

from registry.verdict import Problem

LIMIT = 32 << 20
KEY = "http.async_response_buffer_limit"


def too_large(size: int) -> Problem | None:
    """Rule 2: why a module of so many bytes cannot be fetched."""
    if size <= LIMIT:
        return None
    return Problem(
        "module-too-large-to-fetch",
        f"Envoy: the buffer size limit for response body has been exceeded: {size} of {LIMIT}.",
        f"Build it smaller: -ldflags '-s -w', wasm-opt -Oz; or set Envoy's runtime key {KEY}.",
    )
