"""What istio-agent takes: istio.io/istio pkg/wasm, imagefetcher.go and cache.go, in its own order.

1. An index is resolved for linux/amd64 (go-containerregistry pkg/v1/remote/index.go, childByPlatform).
2. A manifest that says of itself that it is docker's: the last layer, docker's tar+gzip (shape A).
3. Any other: first the last layer, OCI's tar+gzip (shape B); when that does not give a plugin,
   exactly two layers, the first of the raw type among them (shape C).
4. In a tar the first entry whose base name is plugin.wasm, among the first 256 MiB. For every entry
   before it memory is allocated as large as its header claims.
5. Of a raw layer the first 256 MiB, since Istio 1.30; all of it before.
6. What was found has 8 bytes at least and begins with \\0asm.

No release is told apart: pkg/wasm was compared from release-1.24 (go-containerregistry 0.20.2) to
release-1.31 and master of August 2026 (0.21.6, in 1.29 and 1.30 0.21.9), and only the cut of rule 5
is new, which is refused for all. What did change is where agents connect to, not what they take.

Envoy Gateway's code is a copy of this: `envoy_gateway` has what differs. So what is refused by rules
1 to 3 and 6 is refused by both, in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from registry.verdict import MODULE_FILE, PLACEHOLDER, SAVED_IMAGE, Problem
from storage.manifest import DOCKER_MANIFEST, Descriptor, Manifest

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
RAW_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"
RUNNABLE_TYPES = frozenset((DOCKER_LAYER, OCI_LAYER, RAW_LAYER))

AGENTS = "Istio and Envoy Gateway"
LIMIT = 256 << 20
"""Bytes that an agent reads of a layer once it is inflated, and of a module."""

PUSH = f"sidecargo {MODULE_FILE} {PLACEHOLDER}"
# What was pushed by docker still lies in its own store.
SAVED = f"{SAVED_IMAGE} {PLACEHOLDER}"
SMALLER = "Build it smaller: strip names and debug information (-ldflags '-s -w', wasm-opt -Oz)."
_LOOKALIKES = frozenset(
    ("application/vnd.wasm.content.layer.v1+wasm", "application/vnd.wasm.content.layer.v1")
)
_TARS = (OCI_LAYER.removesuffix("+gzip"), DOCKER_LAYER.removesuffix(".gzip"))
_ATTESTATION = "unknown"


class Form(Enum):
    """How a layer holds the plugin."""

    TAR_GZIP = "tar+gzip"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer that the agent reads; `of` is how many the image has.

    `otherwise` is the layer that it tries next when it finds no plugin in this one.
    """

    descriptor: Descriptor
    form: Form
    of: int = 1
    otherwise: Layer | None = None


def child(index: Manifest) -> Descriptor | Problem:
    """The child that an index is resolved to: the first for linux/amd64, which a child without platform is.

    It may be an index again, which is resolved likewise.
    """
    if problem := _unknown_digest(index.manifests):
        return problem
    for entry in index.manifests:
        platform = entry.platform
        if platform is None or (platform.os, platform.architecture) == ("linux", "amd64"):
            return entry
    others = dict.fromkeys(
        str(entry.platform)[:14]
        for entry in index.manifests
        if entry.platform and entry.platform.os != _ATTESTATION
    )
    has = ", ".join(list(others)[:2]) or "no image at all"
    return Problem(
        "no-linux-amd64",
        f"{AGENTS}: no child with platform linux/amd64 in the index: {has}.",
        f"Add --platform linux/amd64, or: {SAVED}",
    )


def layer(manifest: Manifest) -> Layer | Problem:
    """The layer of an image manifest that the agent reads, or why it finds none to read."""
    layers = manifest.layers
    if problem := _unknown_digest((manifest.config, *layers, manifest.subject)):
        return problem
    if not layers:
        return Problem(
            "no-layers",
            f"{AGENTS}: number of layers must be greater than zero: the image is empty.",
            "In the Dockerfile: FROM scratch, then COPY main.wasm ./plugin.wasm",
        )
    types = [_type_seen(manifest, entry) for entry in layers]
    docker = manifest.media_type == DOCKER_MANIFEST and manifest.states_type
    if docker:
        if types[-1] == DOCKER_LAYER:
            return Layer(layers[-1], Form.TAR_GZIP, len(layers))
        return _refusal(manifest, types, DOCKER_LAYER)
    raw = None
    if len(layers) == 2 and RAW_LAYER in types:
        raw = Layer(layers[types.index(RAW_LAYER)], Form.RAW, len(layers))
    if types[-1] == OCI_LAYER:
        return Layer(layers[-1], Form.TAR_GZIP, len(layers), otherwise=raw)
    return raw or _refusal(manifest, types, OCI_LAYER)


def oversized(name: str, size: int) -> Problem:
    """Rule 4: an entry before the plugin that claims more than is ever read."""
    return Problem(
        "entry-too-large",
        f"{name} claims {size} bytes: istio-agent allocates that at once and may crash.",
        "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
    )


def too_large(size: int) -> Problem | None:
    """Rules 4 and 5, and the same of what is fetched by URL (httpfetcher.go): a module that is cut."""
    if size <= LIMIT:
        return None
    return Problem(
        "module-too-large",
        f"the module is over {LIMIT >> 20} MiB: istio-agent cuts it, Envoy Gateway refuses it.",
        SMALLER,
    )


def _type_seen(manifest: Manifest, entry: Descriptor) -> str:
    """The type by which the agent goes: that of the first descriptor with the same digest, config first.

    go-containerregistry pkg/v1/partial/with.go, BlobDescriptor.
    """
    named = (manifest.config, *manifest.layers)
    return next((same.media_type for same in named if same and same.digest == entry.digest), entry.media_type)


def _unknown_digest(entries: tuple[Descriptor | None, ...]) -> Problem | None:
    """go-containerregistry pkg/v1/hash.go: a manifest with any digest but sha256 cannot be read."""
    for entry in entries:
        if entry and entry.digest.algorithm != "sha256":
            return Problem(
                "digest-not-sha256",
                f'{AGENTS}: unsupported hash: "{entry.digest.algorithm}".',
                "Push it with sha256 digests, the default of every tool.",
            )
    return None


def _refusal(manifest: Manifest, types: list[str], expected: str) -> Problem:
    """Why no layer is read, told by what is wrong with the types."""
    last, count = types[-1], len(types)
    if RAW_LAYER in types:
        if expected == DOCKER_LAYER:
            return Problem(
                "raw-layer-in-docker-manifest",
                f"{AGENTS} take no raw Wasm layer from a Docker manifest.",
                f"Use an OCI manifest: {PUSH}",
            )
        code = "raw-layer-alone" if count == 1 else "raw-layer-among-many"
        return Problem(code, f"{AGENTS}: number of layers must be 2 but got {count}.", f"Mend it: {PUSH}")
    if last in (DOCKER_LAYER, OCI_LAYER):
        return _mixed(manifest, last)
    if found := _by_type(last, expected):
        return found
    if expected in types:
        return Problem(
            "wasm-layer-not-last",
            f"{AGENTS} read only the last of {count} layers, and its type is {_shown(last)}.",
            "Make the COPY to ./plugin.wasm the last layer of the image.",
        )
    return Problem(
        "layer-type",
        f"{AGENTS}: invalid media type {_shown(last)} (expect {expected}).",
        f"Mend it: {PUSH}",
    )


def _mixed(manifest: Manifest, last: str) -> Problem:
    if manifest.media_type == DOCKER_MANIFEST and not manifest.states_type:
        return Problem(
            "type-not-stated",
            "the Docker manifest does not state its own mediaType, so agents take it for OCI's.",
            f"Push it with docker, or: {PUSH}",
        )
    layers, manifests = ("Docker", "an OCI") if last == DOCKER_LAYER else ("OCI", "a Docker")
    return Problem(
        "mixed-types",
        f"{AGENTS}: invalid media type: {layers} layers in {manifests} manifest.",
        f"Mend it: {SAVED}",
    )


def _by_type(last: str, expected: str) -> Problem | None:
    if last in _LOOKALIKES:
        return Problem(
            "lookalike-type",
            f"{AGENTS}: the layer type {last} lacks 'module.': that is wasm-to-oci's, not a plugin's.",
            f"Mend it: {PUSH}",
        )
    if last == "application/wasm":
        return Problem(
            "wasm-artifact",
            f"{AGENTS}: invalid media type application/wasm, as wkg and oras push it.",
            f"Mend it: {PUSH}",
        )
    if last.endswith(("+zstd", ".zstd")):
        return Problem(
            "zstd-layer",
            f"{AGENTS} read gzip only; this layer is zstd.",
            f"Pack it by gzip (buildx: compression=gzip, podman: --compression-format gzip), or: {SAVED}",
        )
    if last in _TARS:
        return Problem(
            "plain-tar-layer",
            f"{AGENTS}: invalid media type {last} (gzip is missing).",
            f"Push a gzipped layer: docker push, or {PUSH}",
        )
    return None


def _shown(media_type: str) -> str:
    return media_type if len(media_type) <= 48 else media_type[:45] + "..."
