"""The settings as values: every key, its type and its default; `docs/settings.md` says what each does."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from registry import patterns
from registry.publish.policy import Mode, Policy
from registry.releases import ENVOYS, NEWEST
from registry.settings.units import Duration, Size, duration
from storage.digest import Digest
from storage.errors import DigestInvalid
from storage.gc import retention
from storage.gc.retention import Keep

Consumer = Literal["istio", "envoy", "envoy-gateway"]
CONSUMERS: tuple[Consumer, ...] = get_args(Consumer)

# Bucket naming rules of Amazon S3, and the older ones with capitals and "_"; a prefix is plain segments.
_BUCKET_AND_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/(?!\.{1,2}(/|$))[A-Za-z0-9._=+-]+)*/?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _whole_number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _word(value: Any) -> Any:
    # `off` and `no` are the boolean false in YAML 1.1, and templating tools write it as `false`.
    return "off" if value is False else value


def _no_redirect(value: Any) -> Any:
    return "none" if value is False or value == "off" else value


def _redirect(value: str, info: ValidationInfo) -> str:
    # A url that is wrong itself is not there.
    if value != "none" and not info.data.get("url", "s3://").startswith("s3://"):
        raise ValueError(f"{value} needs content in S3; set storage.url: s3://BUCKET/PREFIX, or write none")
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is not an address; write it without scheme and port") from None
    return value


def _public_url(value: str) -> str:
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


def _storage_url(value: str) -> str:
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


def _envoy(value: Any) -> Any:
    known = f"known releases: {', '.join(ENVOYS)}"
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is a number, and 1.40 would be 1.4: write it in quotes; {known}")
    if value not in ENVOYS:
        raise ValueError(f"{value!r} is no Envoy release that is judged for; {known}")
    return value


def _digest(value: str) -> str:
    try:
        return str(Digest.parse(value))
    except DigestInvalid as error:
        raise ValueError(str(error)) from None


def _key(value: Any) -> Any:
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


def _secret(value: Any) -> Any:
    if not isinstance(value, str | SecretStr):  # never quoted
        raise PydanticCustomError("secret", "what is there is not text; write it in quotes")
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    # After the entries: pydantic's own rule counts only those that are right.
    if not value:
        raise PydanticKnownError("too_short", {"field_type": "Tuple", "min_length": 1, "actual_length": 0})
    return value


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
ModeWord = Annotated[Mode, BeforeValidator(_word)]
Consumers = Annotated[tuple[Consumer, ...], AfterValidator(_some)]
Envoys = Annotated[tuple[Annotated[str, BeforeValidator(_envoy)], ...], AfterValidator(_some)]
Repositories = Annotated[str, AfterValidator(patterns.validated)]
TagPatterns = tuple[Annotated[str, AfterValidator(retention.validated)], ...]


class Section(BaseModel):
    """Keys that belong together; frozen, nothing unknown in it, and a key without a value is its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class Server(Section):
    """Where the registry listens and how it is known."""

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    port: Annotated[WholeNumber, Field(ge=0, le=65535)] = 5000
    workers: Annotated[WholeNumber, Field(ge=1, le=256)] = 1
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None


class Cache(Section):
    """What is kept in memory, and for how long that is served when the store fails."""

    memory: Size = ByteSize(256_000_000)
    stale_if_error: Duration = duration("15m")


class S3(Section):
    """How content is kept in S3; credentials, region and endpoint are where boto3 looks for them."""

    path_style: bool = False
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    storage_class: str | None = None

    @model_validator(mode="after")
    def _one_encryption(self) -> S3:
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise ValueError("storage.s3.kms_key needs storage.s3.encryption: aws:kms")
        return self


class Storage(Section):
    """Where content is kept."""

    url: Annotated[str, AfterValidator(_storage_url)] = "./data"
    redirect: Annotated[
        Literal["none", "presigned"], BeforeValidator(_no_redirect), AfterValidator(_redirect)
    ] = "none"
    s3: S3 = S3()
    cache: Cache = Cache()

    @property
    def in_s3(self) -> bool:
        """Whether that is a bucket, not a folder."""
        return self.url.startswith("s3://")


class AdmissionRule(Section):
    """What is different for some repositories; a key that is left out is as `admission` has it."""

    repositories: Repositories
    mode: ModeWord | None = None
    sparse: bool | None = None
    consumers: Consumers | None = None
    envoy: Envoys | None = None


class Admission(Section):
    """What must be true of a manifest before it is taken."""

    mode: ModeWord = "enforce"
    sparse: bool = False
    consumers: Consumers = CONSUMERS
    envoy: Envoys = (NEWEST,)
    rules: tuple[AdmissionRule, ...] = ()

    def policy(self, repository: str) -> Policy:
        """What holds for a repository: the first rule that names it counts."""
        rule = next((rule for rule in self.rules if patterns.matches(rule.repositories, repository)), None)
        said = rule or AdmissionRule(repositories="**")
        return Policy(
            mode=said.mode or self.mode,
            sparse=self.sparse if said.sparse is None else said.sparse,
            consumers=said.consumers or self.consumers,
            envoys=said.envoy or self.envoy,
        )


class Signing(Section):
    """The keys that sign; none means that one is made on disk at the first start."""

    keys: tuple[Annotated[str, BeforeValidator(_key)], ...] = ()
    passphrase: Annotated[SecretStr, BeforeValidator(_secret)] | None = None
    bundles: bool = True


class ImmutableRule(Section):
    """The tags of some repositories that never name something else."""

    repositories: Repositories
    tags: TagPatterns


class Tags(Section):
    """What holds for tags."""

    immutable: tuple[ImmutableRule, ...] = ()
    history: Duration = duration("90d")

    def immutable_in(self, repository: str) -> tuple[str, ...]:
        """The patterns of a repository's immutable tags: the first rule that names it counts."""
        for rule in self.immutable:
            if patterns.matches(rule.repositories, repository):
                return rule.tags
        return ()


class Kept(Section):
    """What of a repository stays; a key that is left out keeps nothing."""

    last: Annotated[WholeNumber, Field(ge=0)] | None = None
    days: Annotated[WholeNumber, Field(ge=0, le=36500)] | None = None
    tags: TagPatterns = ()
    digests: tuple[Annotated[str, AfterValidator(_digest)], ...] = ()


class RetentionRule(Section):
    """What stays of some repositories when garbage is collected; of all others everything does."""

    repositories: Repositories
    keep: Kept


class GarbageCollection(Section):
    """When what nobody names is collected."""

    interval: Duration = duration("24h")


class Limits(Section):
    """How large things may be."""

    manifest: Annotated[Size, Field(ge=1, le=64 << 20)] = ByteSize(4 << 20)
    upload: Annotated[Size, Field(ge=1)] = ByteSize(2 << 30)


class Timeouts(Section):
    """How long things may take."""

    head: Duration = duration("15s")
    stall: Duration = duration("30s")
    body_rate: Size = ByteSize(1 << 10)
    uploads: Duration = duration("24h")


class Settings(BaseSettings):
    """All that is decided from outside. Constructed directly, it reads neither environment nor file."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: Server = Server()
    storage: Storage = Storage()
    admission: Admission = Admission()
    signing: Signing = Signing()
    tags: Tags = Tags()
    retention: tuple[RetentionRule, ...] = ()
    gc: GarbageCollection = GarbageCollection()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    def policy(self, repository: str) -> Policy:
        """What holds for what is pushed to a repository."""
        return replace(self.admission.policy(repository), immutable=self.tags.immutable_in(repository))

    def keep(self, repository: str) -> Keep | None:
        """What is kept of a repository, by the first rule that names it; None: everything.

        An immutable tag stays: when it had gone, anything could be pushed under its name.
        """
        for rule in self.retention:
            if patterns.matches(rule.repositories, repository):
                keep = rule.keep
                tags = (*keep.tags, *self.tags.immutable_in(repository))
                return Keep(keep.last, keep.days, tags, frozenset(map(Digest.parse, keep.digests)))
        return None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller says; `registry.settings.load` brings the sources together."""
        return (init_settings,)
