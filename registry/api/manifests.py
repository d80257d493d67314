"""Manifests by tag or digest (OCI Distribution 1.1, end-3, 7, 9)."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from registry.api.call import Call
from registry.api.content import Content
from registry.api.warnings import warning_headers
from registry.hot import conditional, pulled
from registry.publish.push import Push
from registry.publish.tagging import Conditions
from storage import names
from storage.digest import Digest
from storage.driver import Witness
from storage.errors import ManifestInvalid, ManifestTooLarge, ManifestUnknown, ParameterInvalid
from storage.manifest import Descriptor
from storage.repositories import Repository

_MAX_TAGS = 100


async def get(call: Call) -> Response:
    """The manifest as it was pushed, or its headers."""
    reference = call.reference()
    found = await call.find(reference)
    try:
        return await _answer(call, call.repository, *found)
    except ManifestUnknown:
        if isinstance(reference, Digest):
            raise
        # A tag may be remembered for a moment: what it named then is deleted, it names another one now.
        repository = call.services.store.repository(call.repository.name)
        return await _answer(call, repository, *await call.find(reference, repository))


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
        conditions=_conditions(call),
        by=call.principal.name,
        origin=call.origin,
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
    for warning in warning_headers(receipt.told):
        response.headers.append("Warning", warning)
    return response


async def delete(call: Call) -> Response:
    """Remove a tag; or a manifest, with the tags that name it and the registry's signatures of it."""
    publisher, by = call.services.publisher, call.principal.name
    await publisher.remove(call.repository, call.reference(), by=by, origin=call.origin)
    return Response(status_code=202)


async def _answer(
    call: Call, repository: Repository, descriptor: Descriptor, witness: Witness | None
) -> Response:
    headers = {"Content-Type": descriptor.media_type, "Docker-Content-Digest": str(descriptor.digest)}
    read = partial(repository.read, descriptor)
    what = pulled.what(repository.name, descriptor.digest)
    content = Content(descriptor.digest, descriptor.size, read, witness, headers, pulled=what)
    return await content.answer(call)


def _tags(call: Call) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(names.tag(tag) for tag in call.request.query_params.getlist("tag")))
    if len(tags) > _MAX_TAGS:
        raise ManifestInvalid(f"{len(tags)} tags in one request; {_MAX_TAGS} is the limit.")
    if tags and isinstance(call.reference(), str):
        raise ManifestInvalid(
            "the parameter tag belongs to a push by digest.", fix="Push to the digest, or to one tag."
        )
    return tags


def _conditions(call: Call) -> Conditions:
    """What `If-Match` and `If-None-Match` ask (RFC 9110, 13.1); raises ParameterInvalid."""
    return Conditions(
        match=_digests(call, "If-Match", strong=True), none_match=_digests(call, "If-None-Match")
    )


def _digests(call: Call, name: str, *, strong: bool = False) -> frozenset[str] | None:
    said = call.request.headers.getlist(name)
    if not said:
        return None
    tags = conditional.read_tags(", ".join(said).encode("latin-1"), strong=strong)
    if tags is None:  # to go on as if nothing were asked would change what was to be kept
        raise ParameterInvalid(
            f"{name} is no list of entity tags.", fix=f'Write {name}: "sha256:…", quotes included, or *.'
        )
    return frozenset(tag.decode("latin-1").strip('"') for tag in tags)
