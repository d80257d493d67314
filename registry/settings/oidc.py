"""Those who say elsewhere who somebody is, as the settings name them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from registry.access import principal
from registry.access.claims import Naming, Requirement, Template
from registry.access.issuers import Issuer
from registry.access.keyset import ALGORITHMS
from registry.settings import values
from registry.settings.section import Section
from registry.settings.units import Duration, duration
from registry.settings.values import File

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,260}")
_TOKEN_ID = re.compile(r"[0-9a-f]{16}")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,200}")


def url(value: str) -> str:
    """A URL by which secrets may travel: https, or http on this machine. Kept as it is written."""
    shape = "write https://HOST/PATH as its tokens have it in iss"
    try:
        found = urlsplit(value)
        _ = found.port
    except ValueError:
        raise ValueError(f"is not a URL; {shape}") from None
    if found.scheme not in ("http", "https") or not found.hostname or "@" in found.netloc:
        raise ValueError(f"is not a URL; {shape}")
    if found.scheme == "http" and found.hostname not in _LOOPBACK:
        raise ValueError("is not by https, so anybody on the way could say who somebody is; write https://…")
    if found.query or found.fragment or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"has more than a path; {shape}")
    return value


def keys_place(value: str) -> str:
    """Where keys are: a URL, or a file."""
    return url(value) if "://" in value else values.file(value)


def issuer_name(value: str) -> str:
    """How those whom an issuer knows are told."""
    if not principal.is_issuer(value):
        raise ValueError(f"{value!r} is no name of an issuer; write small letters, digits and . - inside")
    return value


def template(value: str) -> str:
    """A text with claims in it."""
    return str(Template.parse(value))


def listed(value: Any) -> Any:
    """One text is a list of it."""
    return (value,) if isinstance(value, str) else value


def algorithm(value: Any) -> Any:
    """An algorithm by which who verifies cannot sign."""
    if value not in ALGORITHMS:
        raise ValueError(f"{value!r} is no algorithm that is taken; allowed: {', '.join(ALGORITHMS)}")
    return value


def host(value: str) -> str:
    """A host, and its port if it has one."""
    if not _HOST.fullmatch(value):
        raise ValueError(f"{value!r} is no host; write HOST or HOST:PORT")
    return value


def scope(value: str) -> str:
    """A word that a login asks for."""
    if not _SCOPE.fullmatch(value):
        raise ValueError(f"{value!r} is no scope; write a word as in groups")
    return value


def with_openid(value: tuple[str, ...]) -> tuple[str, ...]:
    """Without that there is no identity token."""
    return value if "openid" in value else ("openid", *value)


TemplateText = Annotated[str, AfterValidator(template)]
Texts = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(values.some)]


class Claims(Section):
    """What follows from the claims of a token: a name, and groups."""

    user: TemplateText = "{sub}"
    group: Annotated[tuple[TemplateText, ...], BeforeValidator(listed)] = ()


class Oidc(Section):
    """An issuer of identity tokens, and how people sign in there."""

    issuer: Annotated[str, AfterValidator(url)]
    name: Annotated[str, AfterValidator(issuer_name)] | None = None
    audience: str | None = None
    claims: Claims = Claims()
    require: Mapping[str, Texts] = {}
    algorithms: Annotated[
        tuple[Annotated[str, BeforeValidator(algorithm)], ...], AfterValidator(values.some)
    ] = ("RS256", "ES256")
    keys: Annotated[str, AfterValidator(keys_place)] | None = None
    hosts: tuple[Annotated[str, AfterValidator(host)], ...] = ()
    ca: File | None = None
    token: File | None = None
    client_id: str | None = None
    client_secret: Annotated[SecretStr, BeforeValidator(values.secret)] | None = None
    scopes: Annotated[tuple[Annotated[str, AfterValidator(scope)], ...], AfterValidator(with_openid)] = (
        "openid",
    )

    @property
    def known_as(self) -> str:
        """Its name: the one that is given, or its host."""
        return self.name or urlsplit(self.issuer).hostname or ""

    @property
    def known(self) -> Issuer:
        """What is taken from it."""
        return Issuer(
            name=self.known_as,
            url=self.issuer,
            audience=self.audience or "",
            naming=Naming(Template.parse(self.claims.user), tuple(map(Template.parse, self.claims.group))),
            algorithms=self.algorithms,
            required=tuple(Requirement(path, patterns) for path, patterns in self.require.items()),
        )

    @model_validator(mode="after")
    def _for_something(self) -> Oidc:
        if not (self.audience or self.client_id):
            raise ValueError(
                "it needs audience, whom its tokens must be for, or client_id, by which people sign in"
            )
        if self.client_secret is not None and not self.client_id:
            raise ValueError("its client_secret needs a client_id")
        if not principal.is_issuer(self.known_as):
            raise ValueError("it needs a name, a short word by which those whom it knows are told")
        return self


def ended(value: str) -> str:
    """A token by its id, or somebody, all of whose tokens are over."""
    if not _TOKEN_ID.fullmatch(value) and not value.startswith(principal.OIDC):
        raise ValueError(f"{value!r} is no token; write its id, or oidc:ISSUER/NAME for all of somebody")
    return value if _TOKEN_ID.fullmatch(value) else principal.validated(value)


def told_apart(value: tuple[Oidc, ...]) -> tuple[Oidc, ...]:
    """No two with one name; of one issuer only with keys of their own, which say whose a token is."""
    names = Counter(one.known_as for one in value)
    issuers = Counter(one.issuer for one in value)
    keys = Counter((one.issuer, one.keys) for one in value)
    for one in value:
        if names[one.known_as] > 1:
            raise ValueError(f"two have the name {one.known_as}; give each a name of its own")
        if issuers[one.issuer] > 1 and (one.keys is None or keys[one.issuer, one.keys] > 1):
            raise ValueError(f"two have the issuer {one.issuer}; give each keys of its own")
    return value


Issuers = Annotated[tuple[Oidc, ...], AfterValidator(told_apart)]


class Personal(Section):
    """Tokens that people get who sign in on a page, and those of them that do not count any more."""

    lifetime: Duration = duration("30d")
    revoked: tuple[Annotated[str, AfterValidator(ended)], ...] = ()
