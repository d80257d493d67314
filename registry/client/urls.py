"""URLs of modules that need no login, as a Sidecargo registry gives, lists and ends them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from registry.client.remote import Remote
from registry.client.transport import Answer, RemoteError
from registry.console.terminal import printable
from storage.digest import Digest

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A URL that was given out: its id, by whom, since when and until when (RFC 3339, "": for ever)."""

    id: str
    by: str
    since: str
    expires: str


@dataclass(frozen=True, slots=True)
class Given:
    """The path of a module; where it is not for everybody, `listed` is what else is known of it."""

    path: str = field(repr=False)
    listed: Listed | None = None

    @property
    def capability(self) -> str:
        """What in the path makes it one that needs no login; "" where everybody may download."""
        return self.path.split("/")[-2] if self.listed else ""


def give(remote: Remote, repository: str, target: str | Digest, expires: str = "") -> Given:
    """A URL of what a tag or a digest names; raises RemoteError."""
    query = f"?expires={quote(expires)}" if expires else ""
    said = _said(remote, repository, target, remote.urls("POST", repository, target, query))
    try:
        path = str(said["path"])
        given = Given(path, _listed(said) if said["id"] is not None else None)
    except (KeyError, TypeError):
        raise _not_ours(remote) from None
    plain = f"/plugins/{repository}{'@' if isinstance(target, Digest) else ':'}{target}"
    between = "/[A-Za-z0-9_-]+" if given.listed else ""
    if not re.fullmatch(rf"{re.escape(plain)}{between}/plugin\.wasm", path):
        raise _not_ours(remote)
    return given


def listed(remote: Remote, repository: str, target: str | Digest) -> Sequence[Listed]:
    """The URLs that were given out of a tag or a digest; raises RemoteError."""
    return _all(remote, _said(remote, repository, target, remote.urls("GET", repository, target)))


def revoke(remote: Remote, repository: str, target: str | Digest, url_id: str = "") -> Sequence[Listed]:
    """End the one of that id, or all of a tag or a digest, and return those; raises RemoteError."""
    rest = f"/{quote(url_id, safe='')}" if url_id else ""
    return _all(remote, _said(remote, repository, target, remote.urls("DELETE", repository, target, rest)))


def _all(remote: Remote, said: Mapping[str, Any]) -> Sequence[Listed]:
    try:
        return [_listed(one) for one in said["urls"]]
    except (KeyError, TypeError):
        raise _not_ours(remote) from None


def _listed(said: Mapping[str, Any]) -> Listed:
    texts = (said["id"], said["by"], said["since"], said["expires"])
    return Listed(*("" if text is None else printable(str(text)) for text in texts))


def _said(remote: Remote, repository: str, target: str | Digest, answer: Answer) -> Mapping[str, Any]:
    if answer.status != 200:
        joint = "@" if isinstance(target, Digest) else ":"
        raise answer.refusal(f"{remote.host}/{repository}{joint}{target}")
    try:
        said = json.loads(answer.body(_LARGEST))
    except (ValueError, RecursionError):
        raise _not_ours(remote) from None
    if not isinstance(said, dict):
        raise _not_ours(remote)
    return said


def _not_ours(remote: Remote) -> RemoteError:
    return RemoteError(f"{remote.host} gives no URLs of plugins: it is no Sidecargo, or an older one.")
