"""The settings as values: every key, its type and its default; `docs/settings.md` says what each does."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from registry import patterns
from registry.access.rights import Right
from registry.access.robots import Robot
from registry.access.rules import Rule, Rules
from registry.publish.policy import Policy
from registry.releases import NEWEST
from registry.settings import values
from registry.settings.oidc import Issuers, Personal
from registry.settings.section import Section
from registry.settings.server import Server
from registry.settings.units import Duration, Size, duration
from registry.settings.values import (
    CONSUMERS,
    Consumers,
    Envoys,
    File,
    Keys,
    May,
    ModeWord,
    Repositories,
    Secrets,
    TagPatterns,
    Who,
    WholeNumber,
)
from storage.digest import Digest
from storage.gc.retention import Keep
from storage.quota.quotas import Quota


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

    url: Annotated[str, AfterValidator(values.storage_url)] = "./data"
    redirect: Annotated[
        Literal["none", "presigned"], BeforeValidator(values.no_redirect), AfterValidator(values.redirect)
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

    keys: Keys = ()
    passphrase: Annotated[SecretStr, BeforeValidator(values.secret)] | None = None
    bundles: bool = True


class VerificationRule(Section):
    """The keys of which one must have signed what is pulled from some repositories."""

    repositories: Repositories
    keys: Annotated[Keys, AfterValidator(values.some)]


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
    digests: tuple[Annotated[str, AfterValidator(values.digest)], ...] = ()


class RetentionRule(Section):
    """What stays of some repositories when garbage is collected; of all others everything does."""

    repositories: Repositories
    keep: Kept


class GarbageCollection(Section):
    """When what nobody names is collected."""

    interval: Duration = duration("24h")


class AccessRule(Section):
    """Gives rights in some repositories to some; rules take nothing away."""

    repositories: Repositories
    who: Who
    may: May


class RobotSettings(Section):
    """A robot: what logs in without a person."""

    name: Annotated[str, AfterValidator(values.name)]
    secrets: Secrets
    expires: Annotated[date, BeforeValidator(values.day)] | None = None


class TokenFlow(Section):
    """Docker's token flow: clients get tokens for a short time instead of sending a password each time."""

    enabled: bool = False
    key: File | None = None
    lifetime: Duration = duration("5m")

    @property
    def is_on(self) -> bool:
        """Whether there is one: who names a key wants it."""
        return self.enabled or self.key is not None


class UrlKeys(Section):
    """URLs of modules that need no login, for what downloads without one."""

    keys: Keys = ()


class Access(Section):
    """Who is known, and who may do what."""

    htpasswd: File | None = None
    tokens: TokenFlow = TokenFlow()
    personal: Personal = Personal()
    urls: UrlKeys = UrlKeys()
    oidc: Issuers = ()
    robots: tuple[RobotSettings, ...] = ()
    rules: tuple[AccessRule, ...] = ()

    @property
    def is_used(self) -> bool:
        """Whether it matters who asks."""
        return bool(self.htpasswd or self.robots or self.rules or self.oidc or self.tokens.is_on)

    @model_validator(mode="after")
    def _signing_in_gives_tokens(self) -> Access:
        if not self.tokens.is_on and any(one.client_id for one in self.oidc):
            raise ValueError(
                "who signs in on the page gets a token: set access.tokens.enabled, or take client_id out"
            )
        return self

    @property
    def known_robots(self) -> tuple[Robot, ...]:
        """The robots, as they log in."""
        return tuple(Robot(one.name, one.secrets, one.expires) for one in self.robots)

    @property
    def rights(self) -> Rules:
        """The rules, to be asked."""
        return Rules(
            Rule(rule.repositories, frozenset(rule.who), frozenset(map(Right, rule.may)))
            for rule in self.rules
        )


class Audit(Section):
    """Where what was done is taken down."""

    file: Annotated[File, BeforeValidator(values.word)] = "-"
    size: Size = ByteSize(100_000_000)
    keep: Annotated[WholeNumber, Field(ge=1, le=1000)] = 10


class QuotaRule(Section):
    """How many bytes some repositories may hold together."""

    repositories: Repositories
    bytes: Size


class Limits(Section):
    """How large things may be."""

    manifest: Annotated[Size, Field(ge=1, le=64 << 20)] = ByteSize(4 << 20)
    upload: Annotated[Size, Field(ge=1)] = ByteSize(2 << 30)
    quota: Annotated[tuple[QuotaRule, ...], AfterValidator(values.each_once)] = ()

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """The quotas, to be asked."""
        return tuple(
            Quota(rule.repositories, rule.bytes, partial(patterns.matches, rule.repositories))
            for rule in self.quota
        )


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
    access: Access = Access()
    audit: Audit = Audit()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    # Last: it asks whether others say who may push.
    verification: Annotated[tuple[VerificationRule, ...], AfterValidator(values.held_back)] = ()

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
