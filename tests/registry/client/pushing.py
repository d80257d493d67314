"""Pushing shapes to any real registry, as its clients do; signatures in the forms of both cosigns."""

from __future__ import annotations

import io
import json
from typing import Any

from wasmtime import wat2wasm

from registry.client.copying import Place
from registry.client.remote import Remote
from registry.signing import cosign
from registry.signing.keys import SigningKey
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.registry.consumers.build import Shape

# Envoy has this host function from 1.39.
FROM_1_39 = bytes(
    wat2wasm("""(module
      (import "wasi_snapshot_preview1" "clock_res_get" (func (param i32 i32) (result i32)))
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 0)))""")
)
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = "application/vnd.oci.empty.v1+json"


def blob(place: Place, content: bytes) -> Digest:
    digest = Digest.of(content)
    place.remote.put_blob(place.repository, digest, len(content), io.BytesIO(content))
    return digest


def push(place: Place, shape: Shape, reference: str = "v1") -> str:
    """Push a shape; its digest."""
    for content in shape.blobs.values():
        blob(place, content)
    for child in shape.children:
        push(place, child, child.digest)
    target = Digest.parse(reference) if ":" in reference else reference
    place.remote.put_manifest(place.repository, target, shape.body, shape.media_type)
    return shape.digest


def manifest(config: Descriptor, *layers: Descriptor, **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json()}
    return json.dumps(document | {"layers": [layer.to_json() for layer in layers]} | more).encode()


def sign(place: Place, digest: Digest, key: SigningKey) -> bytes:
    """Sign as cosign 2 does; the manifest under its tag."""
    signature = cosign.sign(str(place), digest, key)
    made = cosign.signature_manifest(signature)
    assert made
    for content in (made.payload, made.config):
        blob(place, content)
    place.remote.put_manifest(place.repository, cosign.signature_tag(digest), made.manifest, OCI_MANIFEST)
    return made.manifest


def attach(place: Place, subject: Descriptor, content: bytes, kind: str = BUNDLE) -> Descriptor:
    """Push a manifest that refers to `subject`, as cosign 3 attaches a bundle; what names it."""
    layer = Descriptor(kind, blob(place, content), len(content))
    config = Descriptor(EMPTY, blob(place, b"{}"), 2)
    body = manifest(config, layer, artifactType=kind, subject=subject.to_json())
    place.remote.put_manifest(place.repository, Digest.of(body), body, OCI_MANIFEST)
    return Descriptor(OCI_MANIFEST, Digest.of(body), len(body), artifact_type=kind)


def at(host: str, repository: str) -> Place:
    """A repository of a registry that needs no credential."""
    return Place(Remote(host, find=lambda _: None), repository)
