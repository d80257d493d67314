"""Requests over the table of routes that no client would send: methods, paths, queries, fields, bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from registry.routes import ROUTES
from storage.manifest import OCI_INDEX, OCI_MANIFEST
from tests.registry.consumers.build import sha256
from tests.registry.consumers.shapes import B
from tests.registry.guarded import ABSENT, PRIVATE, PUBLIC
from tests.registry.talk import MISSING

NAME, UPLOAD, CAPABILITY = "NAME", "UPLOAD", "CAPABILITY"
"""What stands for a repository, for an upload that was begun, and for a capability that counts."""

_METHODS = (
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "get",
    "X",
)
_LAYER = B.manifest["layers"][0]["digest"]
_CONFIG = B.manifest["config"]["digest"]
_SIG = B.digest.replace(":", "-") + ".sig"
_DIGESTS = (B.digest, _LAYER, _CONFIG, sha256(b""), MISSING, B.digest.upper(), "sha512:" + "0" * 128, "md5:0")
_TAGS = ("v1", "v1", "v2", "latest", "V_1.-", _SIG, "a" * 128, "a" * 129)
_JUNK = (
    "",
    ".",
    "..",
    "../..",
    "//",
    "%00",
    "%2e%2e",
    "%2F",
    "%ff",
    "%F0%9F%98%80",
    "a" * 300,
    "a" * 5000,
    "_x",
)
_WORDS: Mapping[str, Sequence[str]] = {
    "repository": (NAME, NAME, NAME, PRIVATE, PUBLIC, ABSENT, "a/tags/list", "a" * 256),
    "reference": (*_TAGS, *_DIGESTS),
    "tag": _TAGS,
    "digest": _DIGESTS,
    "upload": (UPLOAD, UPLOAD, "sha256-" + "0" * 32, "sha512-" + "f" * 32, "sha256-0"),
    "file": ("x", "envoy.yaml", "plugin.wasm", "urls", "history", "wasmplugin.yaml"),
    "capability": (CAPABILITY, "scu_" + "0" * 16 + "_" + "A" * 43, "scu_"),
    "url": ("0" * 16, "x"),
}
_NUMBERS = ("0", "1", "2", "-1", "", "x", "1e3", "0x1", "9" * 18, "9" * 400, "\u00b2", " 1", "+1", "1_0")
_PARAMETERS = (
    *("n", "last", "digest", "mount", "from", "tag", "artifactType", "scope", "service", "account"),
    *("offline_token", "expires", "name", "namespace", "selector", "target", "phase", "priority"),
    *("plugin-config", "pull-secret", "fail-strategy", "by", "mode", "digest-algorithm", "match", ""),
)
_VALUES = (
    *(
        f"repository:{NAME}:pull",
        f"repository:{ABSENT}:*",
        "registry:catalog:*",
        "90d",
        "http",
        "oci",
        "{",
        "{}",
    ),
    *("a=b", "AUTHN", "[" * 3000, "\ud800", "\u2028", "\0", "*"),
)
_FIELDS = (
    *("accept", "accept-encoding", "content-type", "content-range", "range", "if-range", "if-match"),
    *("if-none-match", "if-modified-since", "origin", "referer", "cookie", "user-agent", "x-forwarded-for"),
    *("x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id", "x-original-url"),
    *("x-http-method-override", "expect", "te", "digest", "content-encoding", "connection", "content-length"),
)
_SAID = (
    *("text/html", "*/*", OCI_MANIFEST, OCI_INDEX, "application/x-www-form-urlencoded", "https", "gzip"),
    *(
        "bytes=0-",
        "bytes=-1",
        "bytes=5-2",
        "bytes=0-0,2-3",
        "bytes=" + "9" * 50 + "-",
        "0-0",
        "0-4",
        "9-",
        "-",
    ),
    *(f'"{B.digest}"', "*", 'W/"x", "', "127.0.0.1", "::1, 10.0.0.1", "for=127.0.0.1;proto=https"),
    *("100-continue", "keep-alive", "close", "/v2/", "DELETE", "a=b; c", "0", "\xff\xfe", "\t"),
)
_BODIES = (
    *(b"", b"{}", b"[]", b"null", b"[" * 5000, B.body[:-1], B.body.replace(b"sha256", b"sha512")),
    B.body.replace(b'"size":', b'"size":-'),
    b'{"schemaVersion":2,"mediaType":"' + OCI_INDEX.encode() + b'","manifests":[]}',
    b"grant_type=password&service=x&username=admin&scope=repository:a:pull",
    b"grant_type=refresh_token&refresh_token=" + b"x" * 300,
    b"\xff\xfe=%&=&&",
    *B.blobs.values(),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; in its path and query, words stand for what the caller has."""

    method: str
    path: str
    fields: Mapping[str, str]
    body: bytes | None

    def filled(self, **words: str) -> Request:
        """The same with words in their places: `NAME="team/a"`."""
        path = re.sub(r"\b(NAME|UPLOAD|CAPABILITY)\b", lambda found: words.get(found[0], "x"), self.path)
        return Request(self.method, path, self.fields, self.body)


def request(chance: Random, *, named: bool = False) -> Request:
    """A request to a row of the table; `named`: to one that has a repository, which is NAME.

    Most of it is as it should be, so that it gets somewhere.
    """
    rows = [row for row in ROUTES if "{repository" in row.path or (not named and chance.random() < 0.3)]
    row = chance.choice(rows)
    method = chance.choice(_METHODS if chance.random() < 0.1 else row.methods.split())
    if method == "GET" and chance.random() < 0.2:
        method = "HEAD"
    path = row.path.replace(":rest", "")
    for word in re.findall(r"\{(\w+)\}", path):
        given = NAME if named and word == "repository" else _word(chance, _WORDS[word])
        path = path.replace(f"{{{word}}}", given)
    if chance.random() < 0.05:
        at = chance.randrange(len(path))
        path = path[:at] + _noise(chance) + path[at:]
    # What would end the first line, or make two words of it, is the business of other tests.
    path = re.sub(r"[^!-~]|#", "", path) or "/"
    query = "&".join(_parameters(chance))
    return Request(
        method, f"{path}?{query}" if query else path, _fields(chance, method), _body(chance, method)
    )


def _word(chance: Random, words: Sequence[str]) -> str:
    if chance.random() < 0.85:
        return chance.choice(words)
    return chance.choice(_JUNK) if chance.random() < 0.5 else _noise(chance)


def _noise(chance: Random) -> str:
    if chance.random() < 0.5:
        return quote(chance.randbytes(chance.randrange(12)).decode("latin-1"), encoding="latin-1")
    return "".join(chance.choices("abAB01/:@.%_-~+=;,*!$&'()[]", k=chance.randrange(30)))


def _parameters(chance: Random) -> list[str]:
    pairs = []
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        kinds = (_DIGESTS, _TAGS, _NUMBERS, _VALUES, (PRIVATE, ABSENT, NAME))
        name, value = chance.choice(_PARAMETERS), _word(chance, chance.choice(kinds))
        pairs.append(f"{name}={quote(value, safe='%:/', errors='surrogatepass')}")
    return pairs


def _fields(chance: Random, method: str) -> dict[str, str]:
    names = chance.sample(_FIELDS, chance.choice((0, 0, 1, 2, 4)))
    if method in ("GET", "HEAD"):  # a length without its body is a request that has not ended
        names = [name for name in names if name != "content-length"]
    fields = {name: chance.choice(_SAID) for name in names}
    if "content-length" in fields:
        fields["content-length"] = chance.choice(("x", "-1", "1, 2", "0x1", "9" * 30, "+1"))
    elif method == "PUT" and chance.random() < 0.7:
        fields["content-type"] = B.media_type
    return fields


def _body(chance: Random, method: str) -> bytes | None:
    if method in ("GET", "HEAD") and chance.random() < 0.9:
        return None
    if method == "PUT" and chance.random() < 0.4:
        return B.body
    return chance.choice(_BODIES) if chance.random() < 0.8 else chance.randbytes(chance.randrange(100))
