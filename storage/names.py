"""Names of repositories, tags and references (OCI Distribution 1.1, "Pulling manifests")."""

from __future__ import annotations

import re

from storage.digest import Digest
from storage.errors import NameInvalid

MAX_REPOSITORY = 255
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def quoted(text: str, most: int = 62) -> str:
    """What a client wrote as errors quote it: on one line, and cut to `most` characters."""
    return repr(text[:most])[:most]


def repository(text: str) -> str:
    """The name itself when it is well-formed; raises NameInvalid otherwise."""
    if len(text) > MAX_REPOSITORY:
        raise NameInvalid(f"the repository name has {len(text)} characters; {MAX_REPOSITORY} is the limit.")
    if not all(_COMPONENT.fullmatch(part) for part in text.split("/")):
        raise NameInvalid(
            f"{text!r} is not a repository name.",
            fix="Use lower-case letters, digits and single . _ - inside segments, separated by /.",
        )
    return text


def tag(text: str) -> str:
    """The tag itself when it is well-formed; raises NameInvalid otherwise."""
    if not _TAG.fullmatch(text):
        raise NameInvalid(
            f"{text[:140]!r} is not a tag.",
            fix="Use up to 128 letters, digits and . _ -, not beginning with . or -.",
        )
    return text


def reference(text: str) -> str | Digest:
    """A tag or a digest, told apart by the colon that no tag has; raises NameInvalid or DigestInvalid."""
    return Digest.parse(text) if ":" in text else tag(text)
