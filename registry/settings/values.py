"""What the value of a setting must look like: each of these gives it as it is kept, or says what is wrong."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError

from registry import patterns
from registry.access import principal, robots
from registry.access.rights import GRANTED
from registry.publish.policy import Mode
from registry.releases import ENVOYS
from storage.digest import Digest
from storage.errors import DigestInvalid
from storage.gc import retention

Consumer = Literal["istio", "envoy", "envoy-gateway"]
CONSUMERS: tuple[Consumer, ...] = get_args(Consumer)

# Bucket naming rules of Amazon S3, and the older ones with capitals and "_"; a prefix is plain segments.
_BUCKET_AND_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/(?!\.{1,2}(/|$))[A-Za-z0-9._=+-]+)*/?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def whole_number(value: Any) -> Any:
    """A number, and not a boolean."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def word(value: Any) -> Any:
    """A word that YAML may have taken for a boolean."""
    # `off` and `no` are the boolean false in YAML 1.1, and templating tools write it as `false`.
    return "off" if value is False else value


def no_redirect(value: Any) -> Any:
    """`off` is none."""
    return "none" if value is False or value == "off" else value


def redirect(value: str, info: ValidationInfo) -> str:
    """Redirects need content in S3."""
    # A url that is wrong itself is not there.
    if value != "none" and not info.data.get("url", "s3://").startswith("s3://"):
        raise ValueError(f"{value} needs content in S3; set storage.url: s3://BUCKET/PREFIX, or write none")
    return value


def host(value: str) -> str:
    """An address or the name of a host."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is not an address; write it without scheme and port") from None
    return value


def public_url(value: str) -> str:
    """How the registry is known: scheme and host."""
    shape = "write https://HOST or http://HOST:PORT, without a path"
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError(f"is not a URL; {shape}") from None
    if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
        raise ValueError(f"is not a public URL; {shape}")
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(f"has a path; {shape}")
    return f"{url.scheme}://{url.netloc}"


def network(value: str) -> str:
    """The addresses of proxies, as a network."""
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is no network; write an address, or one as in 10.0.0.0/8") from None
    if found.prefixlen == 0:
        raise ValueError(
            f"{value!r} is everybody, who could then say to be anybody; write the proxies' network"
        )
    if str(found.network_address) != value.partition("/")[0].lower():
        raise ValueError(
            f"{value!r} is an address inside a network; write {found}, or {value.partition('/')[0]}"
        )
    return str(found)


def storage_url(value: str) -> str:
    """A folder, or a place in S3."""
    scheme, separator, rest = value.partition("://")
    if not value or "\0" in value:
        raise ValueError("is not a folder; write one as in ./data")
    if separator and scheme == "s3":
        if not _BUCKET_AND_PREFIX.fullmatch(rest):
            raise ValueError("is no place in S3; write s3://BUCKET or s3://BUCKET/PREFIX")
        return value.rstrip("/")
    if separator:
        raise ValueError(
            f"{scheme}:// is no kind of storage; write a folder, as in ./data, or s3://BUCKET/PREFIX"
        )
    return value


def envoy(value: Any) -> Any:
    """An Envoy release that is judged for."""
    known = f"known releases: {', '.join(ENVOYS)}"
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is a number, and 1.40 would be 1.4: write it in quotes; {known}")
    if value not in ENVOYS:
        raise ValueError(f"{value!r} is no Envoy release that is judged for; {known}")
    return value


def digest(value: str) -> str:
    """A digest."""
    try:
        return str(Digest.parse(value))
    except DigestInvalid as error:
        raise ValueError(str(error)) from None


def key(value: Any) -> Any:
    """A key's file, or the variable that holds it."""
    if isinstance(value, Path):
        return str(value)
    # Never quoted: it may be the key itself.
    if isinstance(value, str) and "-----" in value:
        raise PydanticCustomError("secret", "a key itself is not written here; write its file, or env://NAME")
    if isinstance(value, str) and value.startswith("env://") and not _VARIABLE.fullmatch(value[6:]):
        raise ValueError(f"{value!r} names no variable; write env://NAME")
    if value == "":
        raise ValueError("is no file; write the path of a key, or env://NAME")
    return value


def secret(value: Any) -> Any:
    """Text that is never quoted."""
    if not isinstance(value, str | SecretStr):  # never quoted
        raise PydanticCustomError("secret", "what is there is not text; write it in quotes")
    return value


def name(value: str) -> str:
    """What a user or a robot is called."""
    if not principal.is_name(value):
        raise ValueError(f"{value!r} is no name; write letters, digits and . _ @ + - inside")
    return value


def secrets_hash(value: Any) -> Any:
    """The hash of a robot's secret; never quoted, for it may be the secret itself."""
    if not isinstance(value, str) or not robots.is_hash(value):
        raise PydanticCustomError(
            "secret", "what is there is no hash of a secret; `sidecargo users add --robot NAME` makes both"
        )
    return value


def secret_hashes(value: Any) -> Any:
    """A list, and nothing of what is none is quoted."""
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("secret", "what is there is not a list; write it as [sha256:…, sha256:…]")
    return value


def few(value: tuple[str, ...]) -> tuple[str, ...]:
    """No more secrets than may live at a time."""
    if len(value) > robots.LIVE:
        raise ValueError(f"{len(value)} secrets are too many; a robot has {robots.LIVE} at most")
    return some(value)


def day(value: Any) -> Any:
    """A day; raises ValueError."""
    if isinstance(value, date):
        return value
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    raise ValueError(f"{value!r} is no day; write it as in 2027-06-01")


def file(value: str) -> str:
    """The path of a file."""
    if not value or "\0" in value:
        raise ValueError("is no file; write its path")
    return value


def right(value: Any) -> Any:
    """A right that a rule can give."""
    if value not in (allowed := [right.value for right in GRANTED]):
        raise ValueError(f"{value!r} is no right; allowed: {', '.join(allowed)}")
    return value


def some(value: tuple[str, ...]) -> tuple[str, ...]:
    """One entry at least."""
    # After the entries: pydantic's own rule counts only those that are right.
    if not value:
        raise PydanticKnownError("too_short", {"field_type": "Tuple", "min_length": 1, "actual_length": 0})
    return value


def everybody_may_push(others: Mapping[str, Any]) -> bool:
    """Whether nothing in the other settings says who may push."""
    return not getattr(others.get("access"), "rules", ())


def held_back(value: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
    """Holding something back from who may not push needs somebody who may not."""
    if value and everybody_may_push(info.data):
        raise ValueError(
            "it holds images back from who may not push, and without access rules everybody may: "
            "write access: {rules: …}, or take verification out"
        )
    return value


def each_once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """No repositories are named by two entries: the first one counts, and the other one never would."""
    patterns_of = [one.repositories for one in value]
    for at, pattern in enumerate(patterns_of):
        if pattern in patterns_of[:at]:
            raise ValueError(f"{pattern!r} is there twice; the first entry that names a repository counts")
    return value


WholeNumber = Annotated[int, BeforeValidator(whole_number)]
ModeWord = Annotated[Mode, BeforeValidator(word)]
Consumers = Annotated[tuple[Consumer, ...], AfterValidator(some)]
Envoys = Annotated[tuple[Annotated[str, BeforeValidator(envoy)], ...], AfterValidator(some)]
Keys = tuple[Annotated[str, BeforeValidator(key)], ...]
Repositories = Annotated[str, AfterValidator(patterns.validated)]
TagPatterns = tuple[Annotated[str, AfterValidator(retention.validated)], ...]
Secrets = Annotated[
    tuple[Annotated[str, BeforeValidator(secrets_hash)], ...],
    BeforeValidator(secret_hashes),
    AfterValidator(few),
]
Who = Annotated[tuple[Annotated[str, AfterValidator(principal.validated)], ...], AfterValidator(some)]
File = Annotated[str, AfterValidator(file)]
Networks = tuple[Annotated[str, AfterValidator(network)], ...]
May = Annotated[tuple[Annotated[str, BeforeValidator(right)], ...], AfterValidator(some)]
