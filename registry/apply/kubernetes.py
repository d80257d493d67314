"""Names in Kubernetes, as its API server checks them (k8s.io/apimachinery, pkg/util/validation)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

MAX_LABEL = 63
MAX_SUBDOMAIN = 253

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HASH = 8


def is_label(text: str) -> bool:
    """Whether it is a DNS-1123 label: what a namespace is called, and the safest name of anything."""
    return len(text) <= MAX_LABEL and bool(_LABEL.fullmatch(text))


def is_subdomain(text: str) -> bool:
    """Whether it is a DNS-1123 subdomain: labels with dots between them."""
    return len(text) <= MAX_SUBDOMAIN and bool(_SUBDOMAIN.fullmatch(text))


def is_label_key(text: str) -> bool:
    """Whether it may stand left in a selector: a name, a domain and `/` before it or not."""
    prefix, slash, name = text.rpartition("/")
    if slash and not is_subdomain(prefix):
        return False
    return len(name) <= MAX_LABEL and bool(_QUALIFIED.fullmatch(name))


def is_label_value(text: str) -> bool:
    """Whether it may stand right in a selector; nothing may, too."""
    return not text or (len(text) <= MAX_LABEL and bool(_QUALIFIED.fullmatch(text)))


def name_of(repository: str) -> str:
    """A resource's name for a repository: `team/wasm` becomes `team-wasm`.

    Names that are too long keep their end, which says most, and get a hash, so that two stay two.
    """
    name = re.sub("[^a-z0-9]+", "-", repository)
    if len(name) <= MAX_LABEL:
        return name
    mark = hashlib.sha256(repository.encode()).hexdigest()[:_HASH]
    return f"{name[len(name) - (MAX_LABEL - _HASH - 1) :].lstrip('-')}-{mark}"


def resource(api: str, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A resource as it is applied."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
