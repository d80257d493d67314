"""What Envoy Gateway takes: github.com/envoyproxy/gateway v1.9.0 internal/wasm, made of istio-agent's code.

1. to 3. An index is resolved and the layer is chosen as by istio-agent (`istio.child`, `istio.layer`):
   imagefetcher.go is a copy in this, and go-containerregistry (0.21.7) resolves alike.
4. In a tar the first entry whose base name is plugin.wasm, among the first 256 MiB. Memory is allocated
   for that entry alone, and not when it claims more than 256 MiB: what an earlier one claims is nothing
   to the gateway.
5. A raw layer, and a module by URL, of more than 256 MiB is refused, not cut.
6. What was found has 8 bytes at least and begins with \\0asm (cache.go).
7. Its Envoys fetch the module from the gateway, by plain HTTP (httpserver.go): what Envoy does not
   fetch (`envoy`) they do not have, whatever the gateway took.
"""

from __future__ import annotations

from registry.consumers import envoy, istio
from registry.verdict import Problem


def too_large(size: int) -> Problem | None:
    """Rules 5 and 7: why a module of so many bytes does not get to its Envoys."""
    return istio.too_large(size) or envoy.too_large(size)
