from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from registry.releases import NEWEST
from registry.settings import CONSUMERS, Settings, values
from storage.digest import Digest
from storage.gc.retention import Keep


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings()
    assert (settings.server.host, settings.server.port, settings.server.workers) == ("127.0.0.1", 5000, 1)
    assert (settings.storage.url, settings.storage.cache.memory) == ("./data", 256_000_000)
    assert settings.storage.cache.stale_if_error.total_seconds() == 15 * 60
    assert (settings.admission.mode, settings.admission.sparse) == ("enforce", False)
    assert settings.admission.consumers == CONSUMERS == ("istio", "envoy", "envoy-gateway")
    assert settings.admission.envoy == (NEWEST,)
    assert (settings.admission.rules, settings.signing.keys) == ((), ())
    assert (settings.limits.manifest, settings.limits.upload) == (4 << 20, 2 << 30)
    assert settings.timeouts.uploads.total_seconds() == 24 * 3600


def test_verification_needs_somebody_who_may_not_push(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"verification": [{"repositories": "prod/**", "keys": ["cosign.pub"]}]}
    with pytest.raises(ValidationError, match="without access rules everybody may: write access"):
        Settings.model_validate(said)
    assert Settings.model_validate({"verification": []}).verification == ()
    monkeypatch.setattr(values, "everybody_may_push", lambda _: False)
    (rule,) = Settings.model_validate(said).verification
    assert (rule.repositories, rule.keys) == ("prod/**", ("cosign.pub",))
    for wrong in ({"keys": []}, {}, {"keys": ["-----BEGIN X"]}, {"keys": ["env://a b"]}):
        with pytest.raises(ValidationError):
            Settings.model_validate({"verification": [{"repositories": "prod/**", **wrong}]})


@pytest.mark.parametrize(("access", "may"), [(None, True), ((), True), (("rule",), False)])
def test_access_rules_say_who_may_push(access: tuple[str, ...] | None, may: bool) -> None:
    others = {} if access is None else {"access": SimpleNamespace(rules=access)}
    assert values.everybody_may_push(others) is may


def test_settings_never_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1
    with pytest.raises(ValidationError, match="frozen"):
        settings.server = settings.server


def test_constructing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER", '{"port": 1}')
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "1")
    assert Settings().server.port == 5000


def test_the_first_rule_that_names_a_repository_counts() -> None:
    settings = Settings.model_validate(
        {
            "admission": {
                "mode": "warn",
                "sparse": True,
                "consumers": ["istio"],
                "rules": [
                    {"repositories": "prod/**", "mode": "enforce", "sparse": False},
                    {"repositories": "prod/x", "mode": "off"},
                    {"repositories": "ci/*", "mode": "off"},
                    {"repositories": "edge/**", "consumers": ["envoy"], "envoy": ["1.36", "1.40"]},
                ],
            }
        }
    )
    found = {
        name: (policy.mode, policy.sparse, policy.consumers, policy.envoys)
        for name in ("prod", "prod/x", "ci/a", "ci/a/b", "edge")
        if (policy := settings.admission.policy(name))
    }
    assert found == {
        "prod": ("enforce", False, ("istio",), (NEWEST,)),
        "prod/x": ("enforce", False, ("istio",), (NEWEST,)),
        "ci/a": ("off", True, ("istio",), (NEWEST,)),
        "ci/a/b": ("warn", True, ("istio",), (NEWEST,)),
        "edge": ("warn", True, ("envoy",), ("1.36", "1.40")),
    }


@pytest.mark.parametrize(
    ("value", "said"), [(["1.2"], "known releases: "), ([1.40], "in quotes"), ([], "one entry|at least 1")]
)
def test_envoy_releases_that_are_not_judged_for(value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"admission": {"envoy": value}})


@pytest.mark.parametrize("value", ["off", False])
def test_off_is_a_word(value: object) -> None:
    assert Settings.model_validate({"admission": {"mode": value}}).admission.mode == "off"


@pytest.mark.parametrize("empty", [{"server": None}, {"server": {}}, {"server": {"port": None}}, {}])
def test_a_key_without_a_value_is_its_default(empty: dict[str, object]) -> None:
    assert Settings.model_validate(empty) == Settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "plugins.example.com"])
def test_hosts(host: str) -> None:
    assert Settings.model_validate({"server": {"host": host}}).server.host == host


@pytest.mark.parametrize("host", ["", "a b", "http://a", "a:80", "[::1]", "-a", "a/b", "a\n"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="not an address"):
        Settings.model_validate({"server": {"host": host}})


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://plugins.example.com", "https://plugins.example.com"),
        ("https://plugins.example.com/", "https://plugins.example.com"),
        ("http://localhost:5000", "http://localhost:5000"),
    ],
)
def test_public_urls(url: str, kept: str) -> None:
    assert Settings.model_validate({"server": {"public_url": url}}).server.public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "plugins.example.com",
        "ftp://a",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u:p@a",
        "https://a:b",
        "https://[",
    ],
)
def test_what_is_no_public_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="write https://HOST"):
        Settings.model_validate({"server": {"public_url": url}})


@pytest.mark.parametrize("url", ["gs://bucket", "", "a\0b"])
def test_storage_is_a_folder(url: str) -> None:
    with pytest.raises(ValidationError, match=r"\./data"):
        Settings.model_validate({"storage": {"url": url}})


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://my.bucket-1/a/b_c/", "s3://my.bucket-1/a/b_c"),
    ],
)
def test_storage_is_a_bucket(url: str, kept: str) -> None:
    storage = Settings.model_validate({"storage": {"url": url}}).storage
    assert (storage.url, storage.in_s3) == (kept, True)


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///x", "s3://b", "s3://id:key@bucket", "s3://bucket//x", "s3://bucket/../x", "s3://b?c"],
)
def test_what_is_no_place_in_s3_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="write s3://BUCKET"):
        Settings.model_validate({"storage": {"url": url}})


@pytest.mark.parametrize(
    ("s3", "said"),
    [
        ({"encryption": "none"}, "AES256"),
        ({"kms_key": "k"}, "needs storage.s3.encryption"),
        ({"kms_key": "k", "encryption": "AES256"}, "needs storage.s3.encryption"),
    ],
    ids=str,
)
def test_what_is_no_encryption_is_refused(s3: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"storage": {"s3": s3}})


@pytest.mark.parametrize(
    ("value", "kept"), [("none", "none"), ("off", "none"), (False, "none"), ("presigned", "presigned")]
)
def test_redirects(value: object, kept: str) -> None:
    storage = {"url": "s3://bucket", "redirect": value}
    assert Settings.model_validate({"storage": storage}).storage.redirect == kept
    assert Settings().storage.redirect == "none"


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ({"redirect": "presigned"}, "presigned needs content in S3"),
        ({"redirect": "presigned", "url": "/srv"}, "set storage.url: s3://BUCKET/PREFIX, or write none"),
        ({"redirect": True, "url": "s3://bucket"}, "'none' or 'presigned'"),
        ({"redirect": 0, "url": "s3://bucket"}, "'none' or 'presigned'"),
    ],
    ids=str,
)
def test_redirects_that_cannot_be(storage: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"storage": storage})


def test_what_retention_keeps() -> None:
    digest = f"sha256:{'0' * 64}"
    settings = Settings.model_validate(
        {
            "retention": [
                {"repositories": "ci/x", "keep": {"tags": ["v*"]}},
                {"repositories": "ci/**", "keep": {"last": 20, "days": 30, "digests": [digest]}},
            ]
        }
    )
    assert settings.keep("ci/x") == Keep(tags=("v*",))
    assert settings.keep("ci") == Keep(20, 30, (), frozenset([Digest.parse(digest)]))
    assert settings.keep("prod") is None
    assert Settings().keep("ci") is None
    assert (Settings().tags.history.days, Settings().gc.interval.days) == (90, 1)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"repositories": "a"}, "keep"),
        ({"repositories": "a", "keep": {"last": -1}}, "greater than or equal to 0"),
        ({"repositories": "a", "keep": {"last": True}}, "not a whole number"),
        ({"repositories": "a", "keep": {"days": "30d"}}, "days"),
        ({"repositories": "a", "keep": {"tags": ["a/b"]}}, "is not a pattern of tags"),
        ({"repositories": "a", "keep": {"digests": ["sha256:1"]}}, "sha256 takes 64"),
        ({"repositories": "a", "keep": {"newest": 1}}, "newest"),
    ],
)
def test_rules_of_retention_that_are_wrong(rule: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"retention": [rule]})


def test_immutable_tags_are_those_of_the_first_rule_that_names_the_repository() -> None:
    settings = Settings.model_validate(
        {
            "tags": {
                "immutable": [
                    {"repositories": "scratch/**", "tags": []},
                    {"repositories": "prod/*", "tags": ["v*", "*.*"]},
                    {"repositories": "**", "tags": ["v*"]},
                ]
            },
            "retention": [{"repositories": "prod/**", "keep": {"last": 1, "tags": ["keep"]}}],
        }
    )
    found = {name: settings.policy(name).immutable for name in ("scratch/a", "prod/a", "prod/a/b")}
    assert found == {"scratch/a": (), "prod/a": ("v*", "*.*"), "prod/a/b": ("v*",)}
    assert settings.policy("prod/a").mode == "enforce"
    assert Settings().policy("prod/a").immutable == ()
    assert settings.keep("prod/a") == Keep(1, None, ("keep", "v*", "*.*")), "retention lets none of them go"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"repositories": "a"}, "tags"),
        ({"tags": ["v*"]}, "repositories"),
        ({"repositories": "a", "tags": ["v/*"]}, "no.* pattern of tags"),
        ({"repositories": "a", "tags": "v*"}, "tuple"),
        ({"repositories": "/a", "tags": ["v*"]}, "pattern"),
        ({"repositories": "a", "tags": ["v*"], "mode": "warn"}, "[Ee]xtra"),
    ],
)
def test_wrong_rules_of_immutable_tags(rule: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"tags": {"immutable": [rule]}})


TLS = {"certificate": "tls.crt", "key": "tls.key"}


@pytest.mark.parametrize("tls", [{"certificate": "tls.crt"}, {"key": "tls.key"}])
def test_tls_takes_a_certificate_and_its_key(tls: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="needs both certificate and key"):
        Settings.model_validate({"server": {"tls": tls}})
    assert Settings.model_validate({"server": {"tls": TLS}}).server.tls.is_on
    assert not Settings().server.tls.is_on


@pytest.mark.parametrize(
    ("network", "kept"),
    [("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.7", "192.0.2.7/32"), ("2001:DB8::/32", "2001:db8::/32")],
)
def test_networks_of_proxies(network: str, kept: str) -> None:
    settings = Settings.model_validate({"server": {"trusted_proxies": [network]}})
    assert settings.server.trusted_proxies == (kept,)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("proxy.example.com", "write an address, or one as in 10.0.0.0/8"),
        ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1"),
        ("0.0.0.0/0", "is everybody"),
        ("::/0", "is everybody"),
        ("10.0.0.0/33", "is no network"),
    ],
)
def test_what_is_no_network_of_proxies(network: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"server": {"trusted_proxies": [network]}})


def test_where_the_audit_is() -> None:
    assert (Settings().audit.file, Settings().audit.keep) == ("-", 10)
    assert Settings.model_validate({"audit": {"file": False}}).audit.file == "off"
    for wrong in ({"file": ""}, {"keep": 0}, {"size": "much"}):
        with pytest.raises(ValidationError):
            Settings.model_validate({"audit": wrong})


def test_a_quota_names_repositories_by_its_pattern() -> None:
    entry = {"repositories": "team-a/**", "bytes": "10GiB"}
    (quota,) = Settings.model_validate({"limits": {"quota": [entry]}}).limits.quotas
    assert (quota.title, quota.allowed) == ("team-a/**", 10 << 30)
    assert [name for name in ("team-a", "team-a/b", "team-b") if quota.names(name)] == ["team-a", "team-a/b"]
