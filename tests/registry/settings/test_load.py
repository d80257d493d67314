from __future__ import annotations

from pathlib import Path

import pytest

from registry.settings import Flag, SettingsInvalid, SettingsUnreadable, load


@pytest.fixture(name="file")
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("s.yaml")


def _wrong(path: Path | None, *flags: Flag) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load(path, flags=flags)
    return [str(wrong) for wrong in caught.value.wrong]


def test_flags_beat_the_environment_beats_the_file_beats_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("server:\n  host: ::1\n  port: 1\n  workers: 2\n")
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "3")
    monkeypatch.setenv("SIDECARGO_SERVER__WORKERS", "4")
    loaded = load(file, flags=[Flag("--workers", ("server", "workers"), 5)])
    server = loaded.settings.server
    assert (server.host, server.port, server.workers, server.public_url) == ("::1", 3, 5, None)
    assert {key: loaded.origins[f"server.{key}"] for key in ("host", "port", "workers", "public_url")} == {
        "host": "s.yaml:2",
        "port": "SIDECARGO_SERVER__PORT",
        "workers": "--workers",
        "public_url": "default",
    }


def test_lists_are_replaced_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("signing: {keys: [a.pem, b.pem]}\n")
    monkeypatch.setenv("SIDECARGO_SIGNING__KEYS", '["c.pem"]')
    assert load(file).settings.signing.keys == ("c.pem",)


def test_the_environment_can_be_left_out(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("")
    monkeypatch.setenv("SIDECARGO_SERVER__PORT", "3")
    monkeypatch.setenv("SIDECARGO_NOTHING__X", "3")
    assert load(file, use_environment=False).settings.server.port == 5000


def test_all_that_is_wrong_is_said_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        "server:\n  host: 127.0.0.1\n  prot: 1\n  port: 70000\nadmission:\n  mode: on\n"
        "  rules:\n    - mode: warn\n      sprase: yes\n    - repositories: a**\nlimits: 4\nnothing:\n"
    )
    monkeypatch.setenv("SIDECARGO_SERVER__WORKERS", "many")
    monkeypatch.setenv("SIDECARGO_STORAGE__FOLDER", "/x")
    said = _wrong(file, Flag("--storage", ("storage", "url"), "gs://bucket"))
    assert said == [
        "s.yaml:4: server.port: 70000 is too large; it is 65535 at most",
        "SIDECARGO_SERVER__WORKERS: server.workers: 'many' is not a whole number",
        "s.yaml:3: server.prot: unknown key; allowed: host, port, workers, public_url, trusted_proxies, tls",
        "--storage: storage.url: gs:// is no kind of storage; write a folder, as in ./data, or "
        "s3://BUCKET/PREFIX",
        "SIDECARGO_STORAGE__FOLDER: storage.folder: unknown key; allowed: url, redirect, s3, cache",
        "s.yaml:6: admission.mode: 'on' is not allowed; allowed: enforce, warn, off",
        "s.yaml:8: admission.rules[0].repositories: is missing",
        "s.yaml:9: admission.rules[0].sprase: unknown key; allowed: repositories, mode, sparse, consumers, "
        "envoy",
        "s.yaml:10: admission.rules[1].repositories: 'a**' is not a pattern; write names with * inside a "
        "segment and ** as a whole segment, as in team-a/*, ci/** or **",
        "s.yaml:11: limits: 4 is not a mapping of manifest, upload, quota",
        "s.yaml:12: nothing: unknown key; allowed: server, storage, admission, signing, tags, retention, gc, "
        "access, audit, limits, timeouts, verification",
    ]


def test_a_redirect_without_a_bucket_is_wrong_where_it_stands(file: Path) -> None:
    file.write_text("storage:\n  redirect: presigned\n  url: s3://bucket\n")
    assert load(file).settings.storage.redirect == "presigned"
    said = (
        "storage.redirect: presigned needs content in S3; set storage.url: s3://BUCKET/PREFIX, or write none"
    )
    assert _wrong(file, Flag("--storage", ("storage", "url"), "data")) == [f"s.yaml:2: {said}"]
    file.write_text("storage:\n  redirect: presigned\n  url: gs://bucket\n")
    assert [line.partition(": ")[0] for line in _wrong(file)] == ["s.yaml:3"], "the place is what is wrong"
    file.write_text("storage: {redirect: yes}\n")
    assert _wrong(file) == ["s.yaml:1: storage.redirect: 'yes' is not allowed; allowed: none, presigned"]


def test_a_file_that_is_not_there_is_told_apart(file: Path) -> None:
    with pytest.raises(SettingsUnreadable, match=r"s\.yaml"):
        load(file)


def test_without_a_file_there_are_the_defaults() -> None:
    assert set(load().origins.values()) == {"default"}
