"""Uploads of blobs (OCI Distribution 1.1, end-4, 5, 6, 11, 13, 14)."""

from __future__ import annotations

import re

from starlette.responses import Response

from registry.access.rights import Right
from registry.api.call import Call
from storage import names
from storage.digest import Digest, hasher
from storage.errors import BlobUnknown, BlobUploadInvalid, DigestInvalid, QuotaExceeded, SizeInvalid
from storage.uploads import Session

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,18}|\*))?", re.ASCII)


async def start(call: Call) -> Response:
    """Begin an upload; or mount a blob; or take it whole, where its digest is given."""
    if mount := call.query("mount"):
        mounted = await _mount(call, Digest.parse(mount))
        if mounted:
            return _created(call, Digest.parse(mount))
    elif call.query("digest"):
        digest = call.query_digest()
        body = call.services.examiner.foresight.watching(call.body())
        await call.repository.uploads.single(digest, body, call.repository.blobs, size=call.content_length())
        return _created(call, digest)
    algorithm = call.query("digest-algorithm") or "sha256"
    hasher(algorithm)
    return _accepted(
        await call.repository.uploads.start(call.repository.name, algorithm, owner=call.principal.name)
    )


async def status(call: Call) -> Response:
    """Where an upload stands."""
    session = await _session(call, surely=True)
    return Response(status_code=204, headers=_where(session))


async def append(call: Call) -> Response:
    """Take a chunk: with Content-Range one that must fit, without it what follows."""
    session = await _session(call)
    offset, size = _announced(call)
    body = call.body() if session.offset else call.services.examiner.foresight.watching(call.body())
    return _accepted(await call.repository.uploads.extend(session, body, offset=offset, size=size))


async def finish(call: Call) -> Response:
    """Take the last chunk, if there is one, and make the whole a blob."""
    digest = call.query_digest()
    session = await _session(call)
    uploads, blobs = call.repository.uploads, call.repository.blobs
    offset, size = _announced(call)
    if session.offset == 0 and size != 0:
        session = await _session(call, surely=True)  # of one that was added to elsewhere this is the rest
    if session.offset == 0 and not offset and size != 0:
        body = call.services.examiner.foresight.watching(call.body())
        try:
            await uploads.single(digest, body, blobs, size=size)
        except (DigestInvalid, QuotaExceeded):
            await uploads.cancel(session)
            raise
        await uploads.cancel(session)
        return _created(call, digest)
    if size != 0:
        session = await uploads.extend(session, call.body(), offset=offset, size=size)
    await uploads.finish(session, digest, blobs)
    return _created(call, digest)


async def cancel(call: Call) -> Response:
    """Forget an upload."""
    await call.repository.uploads.cancel(await _session(call))
    return Response(status_code=204)


async def _session(call: Call, *, surely: bool = False) -> Session:
    upload = call.request.path_params["upload"]
    owner = call.principal.name
    return await call.repository.uploads.find(call.repository.name, upload, owner=owner, surely=surely)


async def _mount(call: Call, digest: Digest) -> bool:
    """Whether the blob is here now; where it can't be had, the client uploads it."""
    source = call.query("from")
    rules = call.services.rules
    try:
        if source is None:
            if rules.given:  # that a digest is somewhere is nothing to be told
                return False
            size = await call.services.store.proven_size(digest)
            async with call.repository.quota.adding(call.repository.blobs.link_key(digest), size):
                await call.repository.blobs.link(digest, size)
        else:
            if not rules.allow(call.principal, Right.PULL, names.repository(source)):
                return False
            found = await call.services.store.repository(source).blobs.find(digest)
            async with call.repository.quota.adding(call.repository.blobs.link_key(digest), found.size):
                await call.repository.blobs.mount(found)
    except BlobUnknown:
        return False
    return True


def _announced(call: Call) -> tuple[int | None, int | None]:
    """The offset and size of a chunk, as its headers have them."""
    length = call.content_length()
    header = call.request.headers.get("content-range")
    if header is None:
        return None, length
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise BlobUploadInvalid(
            f"Content-Range {header[:60]!r} is no range.",
            fix="Write START-END, both counted from 0 and inclusive.",
        )
    size = int(match[2]) - int(match[1]) + 1
    if length not in (None, size):
        raise SizeInvalid(f"Content-Range names {size} bytes, Content-Length {length}.")
    return int(match[1]), size


def _accepted(session: Session) -> Response:
    return Response(status_code=202, headers={**_where(session), "Content-Length": "0"})


def _where(session: Session) -> dict[str, str]:
    return {
        "Location": f"/v2/{session.repository}/blobs/uploads/{session.id}",
        "Range": f"0-{max(session.offset - 1, 0)}",
        "Docker-Upload-UUID": session.id,
    }


def _created(call: Call, digest: Digest) -> Response:
    return Response(
        status_code=201,
        headers={
            "Location": f"/v2/{call.repository.name}/blobs/{digest}",
            "Docker-Content-Digest": str(digest),
            "Content-Length": "0",
        },
    )
