"""Pulls from replicas, each request from another one: every body is held against its digest, and recorded."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass

from registry.signing import cosign
from registry.signing.cosign import SignatureInvalid
from registry.signing.keys import load_public
from storage.digest import Digest
from tests.crash.served import hashed
from tests.registry.talk import Answer
from tests.replicas.fleet import Client
from tests.replicas.history import Seen, Span
from tests.replicas.sending import Unexpected


@dataclass(slots=True)
class Look:
    """Looks at one repository, by one replica (`at`) or by any; `key` is what signatures verify with."""

    client: Client
    repository: str
    key: bytes
    at: int | None = None

    def named(self, name: str) -> str | None:
        """What a tag or digest names; None where it is not there."""
        return self._named(name)[0]

    def image(self, name: str, *, signed: bool = False) -> str | None:
        """The same, pulled with all that it names; None where something of it is not there."""
        digest, body = self._named(name)
        if digest is None:
            return None
        document = json.loads(body)
        for part in (document.get("config"), *document.get("layers", ())):
            if part and self._part(digest, f"blobs/{part['digest']}") is None:
                return None
        for child in document.get("manifests", ()):
            if self._part(digest, f"manifests/{child['digest']}") is None:
                return None
        if signed and not self._signed(digest):
            return None
        return digest

    def _named(self, name: str) -> tuple[str | None, bytes]:
        answer, when = self._get(f"manifests/{name}")
        digest = answer["docker-content-digest"] if answer.status == 200 else None
        self._note(when, name, digest)
        return digest, answer.body

    def _signed(self, digest: str) -> bool:
        """Whether one of its signatures is there and holds; recorded where none is."""
        tag = cosign.signature_tag(Digest.parse(digest))
        body = self._part(digest, f"manifests/{tag}")
        if body is None:
            return False
        for layer in json.loads(body)["layers"]:
            payload = self._part(digest, f"blobs/{layer['digest']}")
            if payload is None:
                return False
            with contextlib.suppress(SignatureInvalid):
                cosign.verify(
                    payload,
                    layer["annotations"][cosign.SIGNATURE],
                    load_public(self.key),
                    Digest.parse(digest),
                )
                return True
        raise Unexpected(f"{self.repository}: no signature of {digest} holds")

    def _part(self, digest: str, path: str) -> bytes | None:
        """Something that a manifest must have: where it is missing, so is the manifest."""
        answer, when = self._get(path)
        if answer.status == 404:
            self._note(when, digest, None, of=path)
            return None
        return answer.body

    def _get(self, path: str) -> tuple[Answer, Span]:
        answer, when = self.client.sure("GET", f"/v2/{self.repository}/{path}", at=self.at)
        if answer.status not in (200, 404):
            raise Unexpected(f"GET {self.repository}/{path}: {answer}")
        if answer.status == 200 and not hashed(answer.body, answer["docker-content-digest"]):
            raise Unexpected(f"{self.repository}/{path} has other bytes: {answer}")
        return answer, when

    def _note(self, when: Span, name: str, digest: str | None, of: str = "") -> None:
        self.client.history.seen.append(Seen(when, self.repository, name, digest, of))
