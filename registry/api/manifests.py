"""Manifests by tag or digest (OCI Distribution 1.1, end-3, 7, 9)."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from registry.api.call import Call
from registry.api.content import Content
from registry.api.warnings import warning_headers
from registry.publish.publisher import Push
from storage import names
from storage.digest import Digest
from storage.errors import ManifestInvalid, ManifestTooLarge

_MAX_TAGS = 100


async def get(call: Call) -> Response:
    """The manifest as it was pushed, or its headers."""
    descriptor, witness = await call.repository.find(call.reference())
    headers = {"Content-Type": descriptor.media_type, "Docker-Content-Digest": str(descriptor.digest)}
    read = partial(call.repository.read, descriptor)
    return await Content(descriptor.digest, descriptor.size, read, witness, headers).answer(call)


async def put(call: Call) -> Response:
    """Take a manifest in; the answer comes when it is stored, checked, signed and tagged."""
    bodies = call.services.bodies
    too_large = ManifestTooLarge(
        f"the manifest is larger than {bodies.limit} bytes.",
        fix="Raise limits.manifest in the registry's settings.",
    )
    push = Push(
        reference=call.reference(),
        content_type=call.request.headers.get("content-type", ""),
        tags=_tags(call),
        body=await bodies.whole(call.body(), call.content_length() or 0, too_large),
    )
    receipt = await call.services.publisher.push(call.repository, push)
    response = Response(
        status_code=201,
        headers={
            "Location": f"/v2/{call.repository.name}/manifests/{receipt.digest}",
            "Docker-Content-Digest": str(receipt.digest),
            "Content-Length": "0",
        },
    )
    if receipt.subject:
        response.headers["OCI-Subject"] = str(receipt.subject)
    for tag in receipt.tags:
        response.headers.append("OCI-Tag", tag)
    for warning in warning_headers(receipt.warnings):
        response.headers.append("Warning", warning)
    return response


async def delete(call: Call) -> Response:
    """Remove a tag; or a manifest, with the tags that name it and the registry's signatures of it."""
    reference = call.reference()
    if isinstance(reference, Digest):
        await call.services.publisher.delete(call.repository, reference)
    else:
        await call.repository.tags.delete(reference)
    return Response(status_code=202)


def _tags(call: Call) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(names.tag(tag) for tag in call.request.query_params.getlist("tag")))
    if len(tags) > _MAX_TAGS:
        raise ManifestInvalid(f"{len(tags)} tags in one request; {_MAX_TAGS} is the limit.")
    if tags and isinstance(call.reference(), str):
        raise ManifestInvalid(
            "the parameter tag belongs to a push by digest.", fix="Push to the digest, or to one tag."
        )
    return tags
