"""Manifests as values: from bytes to what they name (OCI image-spec 1.1, manifest.md and image-index.md)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.digest import Digest
from storage.errors import DigestInvalid, ManifestInvalid
from storage.names import quoted

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
MEDIA_TYPES = IMAGE_TYPES + INDEX_TYPES

_KEPT_ELSEWHERE = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)

EMPTY_JSON = "application/vnd.oci.empty.v1+json"

_FIELDS = frozenset(
    ("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations")
)
_DESCRIPTOR_FIELDS = frozenset(
    ("mediaType", "digest", "size", "urls", "annotations", "artifactType", "platform", "data")
)
_PLATFORM_FIELDS = frozenset(("os", "architecture", "variant", "os.version", "os.features", "features"))
_FOLDED = {name.casefold(): name for name in _FIELDS | _DESCRIPTOR_FIELDS | _PLATFORM_FIELDS}

_MAX_SIZE = 2**63 - 1
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Platform:
    """The operating system and CPU that a child of an index is for."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What names a piece of content: its type, digest, size in bytes and what was said about it."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    def to_json(self) -> dict[str, Any]:
        """The descriptor as the spec writes it, without its platform."""
        said: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type:
            said["artifactType"] = self.artifact_type
        if self.annotations:
            said["annotations"] = dict(self.annotations)
        return said


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest (`config` and `layers`) or an index (`manifests`), read and found consistent."""

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    # Whether the body itself says `mediaType`: some clients look there only, not at the Content-Type.
    states_type: bool = True

    @property
    def is_index(self) -> bool:
        """Whether it names manifests instead of layers."""
        return self.media_type in INDEX_TYPES

    @property
    def referrer_type(self) -> str:
        """What the referrers API calls its kind: the artifactType, else an image's config type."""
        return self.artifact_type or (self.config.media_type if self.config else "")

    def blobs(self) -> Iterator[Descriptor]:
        """The blobs that must be there before the manifest."""
        if self.config:
            yield self.config
        for layer in self.layers:
            if not layer.media_type.startswith(_KEPT_ELSEWHERE):
                yield layer


def parse(body: bytes, content_type: str) -> Manifest:
    """Read a manifest that was sent as `content_type` (parameters allowed, may be empty).

    Raises ManifestInvalid when it is no JSON object, is of a type that is not in MEDIA_TYPES, says
    of itself another type than was sent, or could be read in two ways (`layers` beside
    `manifests`, a field twice or in another case: Go's JSON matches names without case, as
    Unicode folds it).
    """
    document = _load(body)
    _refuse_other_case(document, _FIELDS, "the manifest")
    media_type = _media_type(document, content_type)
    version = document.get("schemaVersion")
    if not isinstance(version, int) or version != 2:
        raise ManifestInvalid("schemaVersion is not 2.", fix="Push an OCI or a Docker schema 2 manifest.")
    is_index = media_type in INDEX_TYPES
    foreign = ("layers", "config") if is_index else ("manifests",)
    for name in foreign:
        if name in document:
            raise ManifestInvalid(
                f"a manifest of type {media_type} has no {name!r}: it would have two meanings."
            )
    return Manifest(
        media_type=media_type,
        config=None if is_index else descriptor(document.get("config"), "config"),
        layers=() if is_index else _descriptors(document.get("layers"), "layers"),
        manifests=_descriptors(document.get("manifests"), "manifests") if is_index else (),
        subject=descriptor(document["subject"], "subject") if document.get("subject") is not None else None,
        artifact_type=_text(document, "artifactType", "the manifest"),
        annotations=_annotations(document, "the manifest"),
        states_type=bool(document.get("mediaType")),
    )


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode(), object_pairs_hook=_no_field_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ManifestInvalid("the manifest is nested too deeply.") from None
    except ValueError as error:
        raise ManifestInvalid(f"the manifest is not JSON: {str(error)[:120]}.") from None
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object.")
    return document


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ManifestInvalid("the manifest has a field twice: it would have two meanings.")
    return found


def _no_constant(name: str) -> None:
    raise ManifestInvalid(f"the manifest is not JSON: {name} is no value.")


def _refuse_other_case(found: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    for name in found:
        if name not in fields and (meant := _FOLDED.get(name.casefold())) in fields and meant != name:
            raise ManifestInvalid(
                f"{where} has {name!r}, which some clients read as {meant!r}.", fix=f"Write {meant!r}."
            )


def _media_type(document: Mapping[str, Any], content_type: str) -> str:
    sent = content_type.partition(";")[0].strip()
    own = document.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise ManifestInvalid("mediaType is not a string.")
    if own and sent and own != sent:
        raise ManifestInvalid(
            f"its mediaType is {quoted(own)}, its Content-Type {quoted(sent)}.",
            fix="Send it with its own type.",
        )
    media_type = own or sent
    if media_type not in MEDIA_TYPES:
        raise ManifestInvalid(
            f"{quoted(media_type)} is no type of manifest that this registry keeps.",
            fix="Push an OCI image manifest or index, or Docker's of schema 2.",
        )
    return media_type


def _descriptors(found: Any, where: str) -> tuple[Descriptor, ...]:
    if not isinstance(found, list):
        raise ManifestInvalid(f"{where} is not a list.")
    return tuple(descriptor(entry, f"{where}[{at}]") for at, entry in enumerate(found))


def descriptor(found: Any, where: str) -> Descriptor:
    """Read a descriptor out of JSON; raises ManifestInvalid, which says that it stood at `where`."""
    if not isinstance(found, dict):
        raise ManifestInvalid(f"{where} is not a descriptor.")
    _refuse_other_case(found, _DESCRIPTOR_FIELDS, where)
    size = found.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise ManifestInvalid(f"{where} has no size in bytes.")
    media_type = _text(found, "mediaType", where)
    if not media_type:
        raise ManifestInvalid(f"{where} has no mediaType.")
    try:
        digest = Digest.parse(_text(found, "digest", where))
    except DigestInvalid as error:
        raise ManifestInvalid(f"{where}: {error.message}") from None
    if found.get("data") is not None:
        _refuse_other_data(_text(found, "data", where), digest, size, where)
    _texts(found, "urls", where)
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        artifact_type=_text(found, "artifactType", where),
        annotations=_annotations(found, where),
        platform=_platform(found.get("platform"), where),
    )


def _refuse_other_data(data: str, digest: Digest, size: int, where: str) -> None:
    """Content that a descriptor brings along, were it nothing, is what clients read instead of the blob."""
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        raise ManifestInvalid(f"data of {where} is not base64.") from None
    if len(content) != size or Digest.of(content, digest.algorithm) != digest:
        raise ManifestInvalid(f"data of {where} is not the content that its digest and size name.")


def _platform(found: Any, where: str) -> Platform | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ManifestInvalid(f"{where}.platform is not an object.")
    _refuse_other_case(found, _PLATFORM_FIELDS, f"{where}.platform")
    # What clients read and nobody needs here: of another type, they could not read the manifest at all.
    _text(found, "os.version", f"{where}.platform")
    for name in ("os.features", "features"):
        _texts(found, name, f"{where}.platform")
    return Platform(*(_text(found, name, f"{where}.platform") for name in ("os", "architecture", "variant")))


def _texts(found: Mapping[str, Any], name: str, where: str) -> None:
    """Refuse what is no list of strings."""
    value = found.get(name)
    if value is not None and not (isinstance(value, list) and all(map(_is_text, value))):
        raise ManifestInvalid(f"{name} of {where} is not a list of strings.")


def _text(found: Mapping[str, Any], name: str, where: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not _is_text(value):
        raise ManifestInvalid(f"{name} of {where} is not a string.")
    return str(value)


def _annotations(found: Mapping[str, Any], where: str) -> Mapping[str, str]:
    value = found.get("annotations")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(map(_is_text, (*value, *value.values()))):
        raise ManifestInvalid(f"annotations of {where} are not a map of strings.")
    return value


def _is_text(value: Any) -> bool:
    """Whether it is a string that UTF-8 can say: JSON can also escape half a character."""
    return isinstance(value, str) and not _HALF_CHARACTER.search(value)


def must_agree(said: Descriptor, size: int, media_type: str) -> None:
    """What a manifest says of content is so; raises ManifestInvalid. `media_type`: "" where none is known."""
    if said.size != size:
        raise ManifestInvalid(f"the manifest says that {said.digest} has {said.size} bytes; it has {size}.")
    if media_type not in ("", said.media_type):
        raise ManifestInvalid(
            f"the index says {quoted(said.media_type)} of {str(said.digest)[:19]}…, pushed as {media_type}."
        )
